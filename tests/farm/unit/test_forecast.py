"""Forecasts: what curves, budgets, slots and prices make of a job that is under way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.farm.forecast import OUTPUT_SECONDS, Interval, Work, expected_samples, forecast
from pipeline.farm.limits import Limits

LIMITS = Limits(16, 256, None, 0.02)
PIXELS = 100


def work(error: float, *, spp: int = 16, p99: float = 0.0, **facts: Any) -> Work:
    samples = spp * PIXELS
    return Work(samples, samples * 1e-3, PIXELS, ((samples, error),), p99, **facts)


@pytest.mark.parametrize(
    ("mean", "p99", "spp"),
    [
        (0.02, 0.05, 16),  # the target is reached
        (0.03, 0.05, 64),  # 16 · 1.5² = 36, which the round of 64 holds
        (0.04, 0.05, 64),  # 16 · 2² = 64 exactly
        (0.02, 0.13, 128),  # the percentile decides: 16 · (0.13 / 0.06)² = 75
        (0.9, 0.9, 256),  # the cap
    ],
)
def test_a_frame_needs_what_its_curve_says_rounded_up_to_a_round(mean: float, p99: float, spp: int) -> None:
    assert expected_samples(work(mean, p99=p99), LIMITS) == spp * PIXELS


def test_nothing_is_known_before_the_first_error() -> None:
    assert expected_samples(Work(100, 1.0, PIXELS), LIMITS) is None
    assert forecast([Work(100, 1.0, PIXELS)], LIMITS, slots=1) is None


def test_frames_that_nobody_has_judged_are_like_the_others() -> None:
    told = forecast([work(0.04), Work()], LIMITS, slots=1)

    assert told is not None and told.samples.middle == (48 + 64) * PIXELS


def test_time_is_shared_by_the_slots_and_money_is_not() -> None:
    one, four = (forecast([work(0.04)] * 4, LIMITS, slots=slots, cost_per_hour=36.0) for slots in (1, 4))

    assert one is not None and four is not None and one.cost is not None
    assert one.seconds.middle == pytest.approx(4 * (48 * PIXELS * 1e-3 + OUTPUT_SECONDS))
    assert four.seconds.middle == pytest.approx(one.seconds.middle / 4)
    assert four.cost is not None and four.cost.high == pytest.approx(one.cost.high)
    assert four.cost.middle == one.cost.middle == pytest.approx(one.machine_seconds.middle / 100)


def test_the_first_pass_of_each_worker_does_not_count_for_the_speed() -> None:
    slow = Work(16 * PIXELS, 60.0, PIXELS, ((16 * PIXELS, 0.04),))  # loads and compiles
    told = forecast([slow, slow, *[work(0.04)] * 4], LIMITS, slots=1.5)
    alone = forecast([slow], LIMITS, slots=2)

    assert told is not None and told.machine_seconds.middle == pytest.approx(6 * (48 * PIXELS * 1e-3 + OUTPUT_SECONDS))
    assert alone is not None and alone.machine_seconds.middle == pytest.approx(60.0 * 3 + OUTPUT_SECONDS)


def test_a_budget_bounds_the_sum() -> None:
    shared = replace(LIMITS, budget_spp=40)
    told = forecast([work(0.9), work(0.9)], shared, slots=1)

    assert told is not None
    assert told.samples == Interval(*[2 * (40 - 16) * PIXELS] * 3)


def test_denoising_counts_at_its_measured_time_once_or_in_every_round() -> None:
    def seconds(every_round: bool, denoise: float) -> float:
        told = forecast([work(0.04, denoise_seconds=denoise)], LIMITS, slots=1, every_round=every_round)
        assert told is not None
        return told.seconds.middle

    assert seconds(False, 5.0) == pytest.approx(seconds(False, 0.0) + 5.0)
    assert seconds(True, 5.0) == pytest.approx(seconds(True, 0.0) + 10.0)  # 16 → 64: two rounds


def test_what_is_delivered_takes_no_more_time() -> None:
    told = forecast([work(0.01, fixed=1600.0, delivered=True)], LIMITS, slots=2)

    assert told is not None and told.seconds == told.samples == Interval(0.0, 0.0, 0.0)


def test_the_interval_narrows_as_rounds_are_seen() -> None:
    first = forecast([work(0.1)], replace(LIMITS, max_spp=4096), slots=1)
    points = tuple((16.0 * PIXELS * 2**r, 0.1 * 2 ** (-0.5 * r)) for r in range(4))
    later = forecast(
        [Work(128 * PIXELS, 12.8, PIXELS, points, 0.0)], replace(LIMITS, max_spp=4096, budget_spp=4096), slots=1
    )

    assert first is not None and later is not None
    assert first.samples.low < first.samples.middle <= first.samples.high
    assert later.samples.high / later.samples.low < first.samples.high / first.samples.low


def test_eight_of_ten_simulated_needs_lie_in_the_interval() -> None:
    chance, limits = np.random.default_rng(1), Limits(16, 2**20, 2**20, 0.01)
    inside = 0
    for _ in range(300):
        exponent = float(np.clip(chance.normal(0.5, 0.15), 0.2, 1.0))
        noise = np.exp(chance.normal(0.0, 0.05, 3))
        points = tuple((16.0 * 2**r, 0.05 * 2 ** (-exponent * r) * noise[r]) for r in range(3))
        true = 64.0 * (0.05 * 4**-exponent / 0.01) ** (1 / exponent) * 1.1
        one = Work(64, 1.0, 1, points, 0.0)
        low, high = (expected_samples(one, limits, spreads=spreads) for spreads in (1.28, -1.28))
        assert low is not None and high is not None
        inside += low <= true <= high
    assert 0.7 < inside / 300 < 0.95
