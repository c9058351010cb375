"""A budget among frames: exact totals, caps, what decides who gets more, and curves that noise does not throw."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.render.budget import (
    EXPONENTS,
    LEAST_GROWTH,
    MOST_GROWTH,
    PRIOR,
    Curve,
    Going,
    fit,
    grants,
    relative_costs,
    rounds,
)

curves = st.builds(Curve, st.integers(1, 10**7), st.floats(1e-4, 1.0), st.floats(*EXPONENTS), st.just(0.1))


@st.composite
def going(draw: st.DrawFn) -> Going:
    curve = draw(curves)
    samples = int(curve.samples)
    return Going(
        samples=samples,
        most=samples * draw(st.integers(1, 64)),
        need=samples * draw(st.floats(1.0, 100.0)),
        curve=curve,
        cost=draw(st.floats(0.1, 10.0)),
    )


def frame(error: float = 0.1, *, samples: int = 1600, exponent: float = 0.5, cost: float = 1.0) -> Going:
    return Going(samples, 64 * samples, 64.0 * samples, Curve(samples, error, exponent, 0.1), cost)


@settings(max_examples=200, deadline=None)
@given(st.lists(going(), max_size=12), st.integers(0, 10**9), st.booleans())
def test_totals_are_exact_and_caps_are_kept(frames: list[Going], available: int, last: bool) -> None:
    found = grants(frames, available, last=last)

    assert sum(found) == min(available, sum(each.room for each in frames))
    for each, granted in zip(frames, found, strict=True):
        assert 0 <= granted <= each.room
        assert each.samples + granted <= max(each.most, each.samples)
        assert each.samples + granted <= max(MOST_GROWTH * each.samples, each.samples + 1)
    assert grants(frames, available, last=last) == found


@settings(max_examples=100, deadline=None)
@given(st.lists(going(), min_size=1, max_size=8), st.integers(0, 10**8), st.integers(0, 10**8))
def test_nobody_gets_less_of_more(frames: list[Going], available: int, more: int) -> None:
    before, after = (grants(frames, total, last=True) for total in (available, available + more))

    assert all(b <= a + 1 for b, a in zip(before, after, strict=True))


@settings(max_examples=100, deadline=None)
@given(going(), st.integers(2, 9), st.integers(0, 10**8))
def test_frames_that_are_alike_get_alike(one: Going, count: int, available: int) -> None:
    found = grants([one] * count, available, last=True)

    assert max(found) - min(found) <= 1


def test_more_goes_where_the_error_falls_most_per_second() -> None:
    noisy, clean = grants([frame(0.2), frame(0.05)], 2000, last=True)
    cheap, costly = grants([frame(), frame(cost=2.0)], 2000, last=True)

    assert noisy > clean and cheap > costly


def test_at_the_optimum_all_inner_frames_gain_alike_from_one_sample_more() -> None:
    frames = [frame(0.1), frame(0.13, exponent=0.4), frame(0.15, cost=1.3)]
    found = grants(frames, 4000, last=True)
    slopes = [
        each.curve.exponent * each.curve.error_at(each.samples + more) / (each.samples + more) / each.cost
        for each, more in zip(frames, found, strict=True)
    ]

    assert all(0 < more < each.room for each, more in zip(frames, found, strict=True))
    np.testing.assert_allclose(slopes, slopes[0], rtol=2e-3)


def test_a_frame_gets_no_more_than_it_needs_and_none_at_its_cap() -> None:
    near = Going(1000, 64_000, 2000.0, Curve(1000, 0.03, 0.5, 0.1))
    full = Going(1000, 1000, 64_000.0, Curve(1000, 0.9, 0.5, 0.1))

    assert grants([near, full], 10**6, last=False) == [1200, 0]


def test_who_goes_on_grows_by_a_round_that_is_worth_it_while_the_budget_lasts() -> None:
    frames = [frame(0.5), frame(0.01)]

    assert grants(frames, 3200, last=False)[1] == (LEAST_GROWTH - 1) * 1600
    assert grants(frames, 3200, last=True)[1] == 0


def test_the_exponent_is_a_guess_at_first_and_then_the_frames_own() -> None:
    assert fit([(16, 0.1)]).exponent == PRIOR
    halves = fit([(16, 0.1), (32, 0.1 * 2**-0.3), (64, 0.1 * 4**-0.3), (128, 0.1 * 8**-0.3)])

    assert halves.exponent == pytest.approx(0.3, abs=0.02)
    assert halves.spread < fit([(16, 0.1), (32, 0.08)]).spread < fit([(16, 0.1)]).spread
    assert halves.error_at(128) == pytest.approx(0.1 * 8**-0.3, rel=0.03)


@settings(deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6), st.integers(0, 2**32))
def test_noise_keeps_the_exponent_within_its_bounds(errors: list[float], seed: int) -> None:
    curve = fit([(16 * 2**r, error) for r, error in enumerate(errors)])

    assert EXPONENTS[0] <= curve.exponent <= EXPONENTS[1]
    assert np.isfinite(curve.samples_for(0.01)) and curve.samples_for(0.01) > 0.0


def test_a_little_noise_moves_the_need_only_a_little() -> None:
    chance = np.random.default_rng(0)
    needs = []
    for _ in range(200):
        noise = np.exp(chance.normal(0.0, 0.03, 3))
        points = [(16 * 2**r, 0.1 * 2 ** (-0.5 * r) * noise[r]) for r in range(3)]
        needs.append(fit(points).samples_for(0.025))

    assert np.quantile(needs, 0.05) > 256 / 1.6 and np.quantile(needs, 0.95) < 256 * 1.6


def test_the_need_is_where_the_curve_meets_the_target() -> None:
    curve = Curve(16.0, 0.1, 0.5, 0.1)

    assert curve.samples_for(0.025) == pytest.approx(256.0)
    assert curve.error_at(256.0) == pytest.approx(0.025)
    assert curve.samples_for(0.2) == 4.0
    assert curve.scaled(2.0).samples_for(0.2) == 16.0
    assert curve.samples_for(0.025, spreads=1.0) < 256.0 < curve.samples_for(0.025, spreads=-1.0)


def test_costs_that_differ_by_noise_are_one() -> None:
    assert relative_costs([1e6, 1.1e6, 0.95e6, 0.0]) == [1.0] * 4
    assert relative_costs([1e6, 1e6, 0.5e6])[2] == 2.0
    assert relative_costs([0.0, 0.0]) == [1.0, 1.0]


@pytest.mark.parametrize(("first", "most", "budget", "number"), [(16, 16, 16, 1), (16, 64, 16, 5), (16, 256, 64, 10)])
def test_rounds_have_an_end(first: int, most: int, budget: int, number: int) -> None:
    assert rounds(first, most, budget) == number


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.02, 1.0), min_size=1, max_size=8), st.integers(1, 6), st.integers(0, 6))
def test_no_frame_has_more_rounds_than_were_said(errors: list[float], first_: int, doublings: int) -> None:
    first, most = first_, first_ * 2**doublings
    budget, pixels = min(first * 3, most), 7
    have = [first * pixels for _ in errors]
    going = list(range(len(errors)))
    for r in range(1, rounds(first, most, budget) + 1):
        pool = budget * pixels * len(errors)
        left = pool - sum(have)
        available = min(min(first * 2**r, budget) * pixels * len(errors) - sum(have), left)
        frames = [
            Going(have[f], most * pixels, 1e9, Curve(have[f], errors[f] * have[f] ** -0.5, 0.5, 0.1)) for f in going
        ]
        for f, granted in zip(list(going), grants(frames, available, last=available == left), strict=True):
            have[f] += granted
            if granted == 0:
                going.remove(f)
        if not going:
            break
    assert not going and sum(have) <= budget * pixels * len(errors)
