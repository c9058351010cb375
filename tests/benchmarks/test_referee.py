"""The referee: references, ratios with their intervals, and timing in turn."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks import referee
from benchmarks.referee import Reference
from pipeline.images.metrics import smape


def noisy(seed: int, sigma: float, size: int = 64) -> np.ndarray:
    return (1.0 + sigma * np.random.default_rng(seed).standard_normal((size, size, 3))).astype(np.float32)


def test_a_reference_knows_its_own_noise() -> None:
    # For |d − r| of two Gaussians around 1: E = 2σ/√π, over a sum of 2.01; the mean of both halves is half as far off.
    reference = Reference(noisy(0, 0.05), noisy(1, 0.05))

    assert reference.noise == pytest.approx(0.5 * 2 * 0.05 / math.sqrt(math.pi) / 2.01, rel=0.03)
    assert smape(reference.image, np.ones((64, 64, 3))) == pytest.approx(reference.noise, rel=0.03)


def test_a_reference_judges_errors_of_at_least_four_times_its_noise() -> None:
    reference = Reference(noisy(0, 0.05), noisy(1, 0.05))

    assert reference.may_judge(4.01 * reference.noise)
    assert not reference.may_judge(3.99 * reference.noise)


def test_every_metric_is_judged_and_small_images_go_without_ms_dssim() -> None:
    pytest.importorskip("flip_evaluator")
    small, large = np.ones((32, 32, 3), np.float32), np.full((176, 176, 3), 0.5, np.float32)

    judged = referee.judge(noisy(0, 0.1, 32), small)

    assert judged["ms_dssim"] is None
    assert min(value for value in judged.values() if value is not None) > 0
    assert referee.judge(large, large) == pytest.approx(dict.fromkeys(judged, 0.0), abs=1e-9)


def test_a_constant_ratio_has_an_interval_of_no_width() -> None:
    interval = referee.ratio({("a", 0): (1.0, 2.0), ("a", 1): (3.0, 6.0), ("b", 0): (0.1, 0.2)})

    assert (interval.value, interval.low, interval.high) == pytest.approx((0.5, 0.5, 0.5))
    assert interval.pairs == 3


def test_the_mean_of_ratios_is_geometric_and_turning_it_round_inverts_it() -> None:
    pairs = {("a", 0): (1.0, 4.0), ("b", 0): (4.0, 1.0), ("c", 0): (8.0, 1.0)}
    turned = {key: (peer, ours) for key, (ours, peer) in pairs.items()}

    interval, inverse = referee.ratio(pairs), referee.ratio(turned)

    assert interval.value == pytest.approx(2.0)
    assert inverse.value == pytest.approx(1 / interval.value)
    assert (inverse.low, inverse.high) == pytest.approx((1 / interval.high, 1 / interval.low), rel=1e-6)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    covered = 0
    for trial in range(100):
        logs = rng.normal(0.2, 0.3, 12)
        pairs = {(f"scene{i}", 0): (math.exp(log), 1.0) for i, log in enumerate(logs)}
        interval = referee.ratio(pairs, seed=trial)
        covered += interval.low <= math.exp(0.2) <= interval.high

    assert 83 <= covered <= 99  # percentile intervals of twelve are somewhat narrow


def test_scenes_are_resampled_as_a_whole() -> None:
    # Many seeds of two scenes that disagree do not make the figure certain.
    pairs = {("good", s): (0.5, 1.0) for s in range(50)} | {("bad", s): (2.0, 1.0) for s in range(50)}

    interval = referee.ratio(pairs)

    assert interval.low == pytest.approx(0.5)
    assert interval.high == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [({("a", 0): (1.0, 1.0)}, "at least two"), ({("a", 0): (1.0, 1.0), ("a", 1): (0.0, 1.0)}, "not positive")],
)
def test_ratios_without_meaning_are_refused(pairs: dict[tuple[str, int], tuple[float, float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        referee.ratio(pairs)


def test_both_sides_are_timed_in_turn_after_a_warm_up() -> None:
    calls: list[str] = []

    pairs = referee.timed_pairs(lambda: calls.append("ours"), lambda: calls.append("peer"), pairs=3)

    assert calls == ["ours", "peer", "ours", "peer", "peer", "ours", "ours", "peer"]
    assert len(pairs) == 3
    assert all(ours > 0 and peer > 0 for ours, peer in pairs)


def test_a_pair_keeps_ours_first_whatever_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])

    def takes(seconds: float) -> None:
        clock[0] += seconds

    pairs = referee.timed_pairs(lambda: takes(2.0), lambda: takes(5.0), pairs=4)

    assert pairs == [(2.0, 5.0)] * 4


def test_the_median_of_nine_lies_between_the_second_and_the_eighth() -> None:
    interval = referee.median_ratio([(float(i), 1.0) for i in (9, 1, 8, 2, 7, 3, 6, 4, 5)])

    assert (interval.value, interval.low, interval.high, interval.pairs) == (5.0, 2.0, 8.0, 9)


def test_the_median_of_few_is_bracketed_by_the_extremes() -> None:
    interval = referee.median_ratio([(3.0, 1.0), (1.0, 1.0), (2.0, 1.0)])

    assert (interval.value, interval.low, interval.high) == (2.0, 1.0, 3.0)
