"""Sample allocation: exact totals, bounds, reproducibility, and what adaptivity does to the mean."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.render.allocate import (
    BLOCK,
    CAP,
    allocate,
    expected_error,
    next_map,
    round_total,
    slice_bounds,
    systematic,
    uniform,
)
from pipeline.render.channels import COLOUR, COUNT
from pipeline.render.moments import Moments, add_round, combine

SHAPE = (12, 20)
PIXELS = SHAPE[0] * SHAPE[1]

shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))
guides = shapes.flatmap(
    lambda shape: arrays(
        np.float32, shape, elements=st.one_of(st.floats(0, 1e6, width=32), st.sampled_from([np.nan, np.inf, -1.0]))
    )
)


def guide(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).exponential(size=SHAPE).astype(np.float32)


def spent(n: int = 4) -> np.ndarray:
    return np.full(SHAPE, n, np.uint32)


@settings(max_examples=200, deadline=None)
@given(guides, st.integers(0, 5), st.integers(0, 4000), st.integers(0, 2), st.integers(0, 2**40))
def test_every_total_is_hit_exactly_whatever_the_guide(
    values: np.ndarray, before: int, total: int, minimum: int, seed: int
) -> None:
    counts = allocate(values, np.full(values.shape, before, np.uint32), total, minimum=minimum, seed=seed)

    assert counts.dtype == np.uint32
    assert int(counts.sum()) == total
    assert counts.min() >= min(minimum, total // values.size)


def test_what_the_cap_cuts_goes_to_the_others() -> None:
    values = np.ones((40, 60), np.float32)
    values[10:13, 10:13] = 1e5
    had = np.full(values.shape, 4, np.uint32)
    counts = allocate(values, had, 4 * values.size)

    assert_allclose(counts[9:14, 9:14] + had[9:14, 9:14], CAP * 8, atol=1)  # rounding
    assert int((counts + had).max()) <= CAP * 8 + 1
    elsewhere = counts[20:, 30:]
    assert elsewhere.min() >= 1 and elsewhere.max() - elsewhere.min() <= 1
    assert int(counts.sum()) == 4 * values.size


def test_a_total_beyond_the_cap_is_placed_all_the_same() -> None:
    had = np.zeros(SHAPE, np.uint32)
    had[0, 0] = 1000 * PIXELS  # far beyond its share, so that the others' room counts alone
    counts = allocate(guide(), had, 16)
    assert int(counts.sum()) == 16
    assert counts[0, 0] == 0


def test_pixels_in_proportion_to_a_smooth_guide() -> None:
    values = np.tile(np.linspace(1, 3, 20, dtype=np.float32), (12, 1))
    counts = allocate(values, spent(), 100 * PIXELS)
    ratio = counts[:, 17].mean() / counts[:, 2].mean()
    # dilation takes the right neighbour, the floor adds a tenth of the mean
    expected = (values[0, 18] + 0.1 * 2) / (values[0, 3] + 0.1 * 2)
    assert_allclose(ratio, expected, rtol=0.03)


def test_a_single_bright_pixel_of_the_guide_spreads_to_its_neighbours() -> None:
    values = np.zeros(SHAPE, np.float32)
    values[6, 10] = 1
    counts = allocate(values, spent(), 2 * PIXELS)
    assert counts[5:8, 9:12].min() > 4 * counts[0, 0]


def test_a_black_guide_spreads_samples_evenly() -> None:
    counts = allocate(np.zeros(SHAPE, np.float32), spent(), 3 * PIXELS)
    assert_array_equal(counts, 3)


def test_a_guide_of_nan_is_taken_for_nothing_known() -> None:
    values = guide()
    values[4:8, 4:8] = np.nan
    clean = np.where(np.isnan(values), 0, values)
    assert_array_equal(allocate(values, spent(), 500), allocate(clean, spent(), 500))


def test_where_the_importance_is_zero_nothing_is_spent() -> None:
    mask = np.ones(SHAPE, np.float32)
    mask[:, :10] = 0
    counts = allocate(guide(), spent(), 2 * PIXELS, importance=mask)

    assert counts[:, :10].sum() == 0
    assert int(counts.sum()) == 2 * PIXELS


def test_importance_of_two_gets_twice_the_samples() -> None:
    mask = np.ones(SHAPE, np.float32)
    mask[:, 10:] = 2
    counts = allocate(np.ones(SHAPE, np.float32), spent(), 60 * PIXELS, importance=mask)
    assert_allclose(counts[:, 10:].mean() / counts[:, :10].mean(), 2, rtol=0.01)


def test_an_importance_of_zero_everywhere_still_spends_the_total() -> None:
    assert allocate(guide(), spent(), 500, importance=np.zeros(SHAPE)).sum() == 500


def test_pixels_that_cost_twice_get_half() -> None:
    cost = np.ones(SHAPE, np.float32)
    cost[:, 10:] = 2
    counts = allocate(np.ones(SHAPE, np.float32), spent(), 60 * PIXELS, cost=cost)
    assert_allclose(counts[:, 10:].mean() / counts[:, :10].mean(), 0.5, rtol=0.01)


def test_the_same_seed_gives_the_same_map_and_another_seed_another() -> None:
    first, again, other = (allocate(guide(), spent(), 777, seed=seed) for seed in (3, 3, 4))
    assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@settings(max_examples=200, deadline=None)
@given(
    arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 50)).filter(lambda share: share.sum() > 1e-3),
    st.integers(0, 500),
    st.floats(0, 1, exclude_max=True),
)
def test_rounding_keeps_the_sum_and_moves_no_pixel_by_one_or_more(share: np.ndarray, total: int, offset: float) -> None:
    counts = systematic(share, total, offset=offset)
    scaled = share * (total / share.sum())

    assert int(counts.sum()) == total
    assert np.all(np.abs(counts - scaled) < 1 + 1e-6)


def test_rounding_is_unbiased_over_its_random_number() -> None:
    share = np.random.default_rng(0).exponential(size=50)
    share *= 60 / share.sum()
    offsets = (np.arange(4096) + 0.5) / 4096
    mean = np.mean([systematic(share, 60, offset=u) for u in offsets], axis=0)
    assert_allclose(mean, share, atol=1.5 / 4096)


@pytest.mark.parametrize("total", [0, 1, 239, 240, 241, 5000])
def test_uniform_maps_differ_by_one_at_most(total: int) -> None:
    counts = uniform(SHAPE, total)
    assert int(counts.sum()) == total
    assert int(counts.max()) - int(counts.min()) <= 1


def test_uniform_leaves_what_does_not_divide_to_evenly_spaced_pixels() -> None:
    extra = np.flatnonzero(uniform(SHAPE, 2 * PIXELS + 60).ravel() == 3)
    assert_array_equal(np.diff(extra), 4)


def test_each_round_doubles_the_total_up_to_the_cap() -> None:
    assert [round_total(10, 4, 24, r) for r in range(5)] == [40, 80, 160, 240, 240]


@settings(max_examples=200, deadline=None)
@given(arrays(np.uint32, shapes, elements=st.integers(0, 300)), st.floats(1e-3, 1e6))
def test_slices_partition_the_frame_whatever_the_map(counts: np.ndarray, size: float) -> None:
    bounds = slice_bounds(counts, size)

    assert bounds[0] == 0 and bounds[-1] == counts.size
    assert all(a < b for a, b in pairwise(bounds))


def test_slices_hold_about_as_many_samples_as_wanted() -> None:
    counts = np.random.default_rng(0).integers(0, 64, (90, 160)).astype(np.uint32)
    bounds = slice_bounds(counts, counts.sum() / 7)
    sizes = np.add.reduceat(counts.ravel(), bounds[:-1])

    assert len(sizes) == 7
    assert all(bound % BLOCK == 0 for bound in bounds[:-1])
    assert_allclose(sizes, counts.sum() / 7, atol=64 * BLOCK)


@pytest.mark.parametrize("relative_sigma", [0.01, 0.05, 0.2])
def test_the_predicted_smape_is_that_of_gaussian_noise(relative_sigma: float) -> None:
    mu = 0.5
    rng = np.random.default_rng(0)
    noisy = mu * (1 + relative_sigma * rng.standard_normal(200_000))
    measured = np.mean(np.abs(noisy - mu) / (np.abs(noisy) + mu + 1e-2))
    predicted = expected_error("smape", np.array([mu]), np.array([(mu * relative_sigma) ** 2]))
    assert_allclose(predicted, measured, rtol=0.03)


@pytest.mark.parametrize("relative_sigma", [0.01, 0.2])
def test_the_expected_squared_error_is_that_of_gaussian_noise(relative_sigma: float) -> None:
    mu = 0.5
    noisy = mu * (1 + relative_sigma * np.random.default_rng(0).standard_normal(200_000))
    measured = np.mean((noisy - mu) ** 2 / (mu**2 + 1e-2))
    assert_allclose(expected_error("mrse", np.array([mu]), np.array([(mu * relative_sigma) ** 2])), measured, rtol=0.02)


@pytest.mark.parametrize("metric", ["dssim", "ms_dssim", "psnr"])
def test_a_metric_that_variance_says_nothing_of_is_refused(metric: str) -> None:
    with pytest.raises(ValueError, match=metric):
        expected_error(metric, np.ones(1), np.ones(1))


def test_without_a_guide_a_round_is_spread_evenly_and_unbiased_rounds_reach_every_pixel() -> None:
    spent = np.full(SHAPE, 4, np.uint32)
    guide = np.zeros(SHAPE)
    guide[3:6, 4:9] = 1.0

    assert_array_equal(next_map(None, spent, 3 * PIXELS), uniform(SHAPE, 3 * PIXELS))
    assert next_map(guide, spent, 2 * PIXELS, unbiased=True).min() >= 1
    assert next_map(guide, spent, 2 * PIXELS).min() == 0


def test_the_predicted_smape_of_black_without_noise_is_zero_and_never_exceeds_one() -> None:
    assert_allclose(expected_error("smape", np.array([0.0, 0.0]), np.array([0.0, 1e9])), [0, 1])


def two_rounds(rng: np.random.Generator) -> tuple[float, float]:
    """Mean over an image of skewed samples, pooled and unbiased: 4 each, then as relative variance tells."""
    shape, first, total = (16, 16), 4, None
    counts = np.full(shape, first, np.uint32)
    for _ in range(2):
        values = rng.lognormal(-0.5, 1.0, (counts.size, int(counts.max())))  # mean 1
        taken = np.arange(values.shape[1]) < counts.reshape(-1, 1)
        even = taken & (np.arange(values.shape[1]) % 2 == 0)
        sums = {b.name: np.zeros((counts.size, b.channels), np.float32) for b in (*COUNT, *COLOUR)}
        sums["count"] = np.stack([even.sum(1), (taken & ~even).sum(1)], 1).astype(np.float32)
        sums["half_a"][:, 3:6] = (values * even).sum(1, keepdims=True)
        sums["half_b"][:, 3:6] = (values * (taken & ~even)).sum(1, keepdims=True)
        sums["squares"][:, [0, 2]] = (values**2 * taken).sum(1, keepdims=True)
        features = ("albedo", "normal", "alpha", "hit", "depth", "forward", "backward")
        sums |= dict.fromkeys(features, np.zeros((counts.size, 1), np.float32))
        sums |= dict.fromkeys(
            ("albedo_square", "normal_square", "depth_square"), np.zeros((counts.size, 1), np.float32)
        )
        sums |= {"feature_count": sums["count"].sum(1, keepdims=True), "motion_valid": np.zeros((counts.size, 2))}
        total = add_round(total, Moments(16, 16, 0, counts.size, sums), "unbiased")
        guide_of = combine(total)
        seed = int(rng.integers(2**31))
        counts = allocate(guide_of.relative_variance("beauty"), counts, counts.size * first, minimum=1, seed=seed)
    pooled, unbiased = (combine(total, how).beauty[..., 0].mean(dtype=np.float64) for how in ("pooled", "unbiased"))
    return float(pooled), float(unbiased)


def test_pooled_rounds_lean_to_the_dark_and_unbiased_ones_do_not() -> None:
    rng = np.random.default_rng(1)
    pooled, unbiased = np.array([two_rounds(rng) for _ in range(1000)]).T  # of true mean 1

    def z(errors: np.ndarray) -> float:
        return float(errors.mean() / (errors.std(ddof=1) / np.sqrt(len(errors))))

    assert abs(z(unbiased - 1)) < 3
    assert z(pooled - unbiased) < -8
