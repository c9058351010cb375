"""Sums of passes: joined, added, stored, and turned into means and variances that are known in closed form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.errors import ProductError
from pipeline.render.channels import COLOUR, COUNT, FEATURES, VOTES
from pipeline.render.moments import Moments, add_round, combine, join

WIDTH, HEIGHT = 4, 3
PIXELS = WIDTH * HEIGHT


def moments_of(samples: np.ndarray, counts: np.ndarray, *, first: int = 0, features: bool = True) -> Moments:
    """Sums of grey diffuse samples.

    Args:
        samples: pixels×n; of each row, the first `counts` are taken.
    """
    pixels, n = samples.shape
    taken = np.arange(n) < counts[:, None]
    even = taken & (np.arange(n) % 2 == 0)
    blocks = (*COUNT, *COLOUR, *(FEATURES if features else ()))
    sums = {block.name: np.zeros((pixels, block.channels), np.float32) for block in blocks}
    sums["count"] = np.stack([even.sum(1), (taken & ~even).sum(1)], 1).astype(np.float32)
    for name, mask in (("half_a", even), ("half_b", taken & ~even)):
        sums[name][:, 3:6] = (samples * mask).sum(1, keepdims=True)
    square = (samples**2 * taken).sum(1)
    sums["squares"][:, 0], sums["squares"][:, 2] = square, square
    if features:
        sums["feature_count"] = sums["count"].sum(1, keepdims=True)
    votes = np.zeros((pixels, VOTES), np.uint32) if features else None
    return Moments(WIDTH, HEIGHT, first, first + pixels, sums, votes)


def random_moments(seed: int, low: int = 2, **options: Any) -> Moments:
    rng = np.random.default_rng(seed)
    return moments_of(rng.exponential(size=(PIXELS, 16)), rng.integers(low, 17, PIXELS), **options)


def part(whole: Moments, first: int, last: int) -> Moments:
    votes = None if whole.votes is None else whole.votes[first:last]
    return Moments(WIDTH, HEIGHT, first, last, {k: v[first:last] for k, v in whole.sums.items()}, votes)


def test_slices_in_any_order_join_to_the_frame() -> None:
    whole = random_moments(0)
    joined = join([part(whole, 7, 12), part(whole, 0, 3), part(whole, 3, 7)])

    assert (joined.first, joined.last) == (0, PIXELS)
    for name, value in whole.sums.items():
        assert_array_equal(joined.sums[name], value)
    assert_array_equal(joined.votes, whole.votes)


@pytest.mark.parametrize("cuts", [[(0, 3), (4, 12)], [(0, 5), (4, 12)], [(0, 11)], [(1, 12)], [(0, 6), (0, 6)]])
def test_slices_with_a_gap_or_an_overlap_are_refused(cuts: list[tuple[int, int]]) -> None:
    whole = random_moments(0)
    with pytest.raises(ProductError, match="do not partition the frame"):
        join([part(whole, *cut) for cut in cuts])


def test_rounds_add_up_in_any_grouping() -> None:
    a, b, c = (random_moments(seed) for seed in range(3))
    one_by_one = add_round(add_round(add_round(None, a), b), c)

    assert one_by_one.samples == a.samples + b.samples + c.samples
    assert one_by_one.round_weight == pytest.approx(one_by_one.samples / PIXELS)
    for name in a.sums:
        expected = a.sums[name].astype(np.float64) + b.sums[name] + c.sums[name]
        assert_allclose(one_by_one.sums[name], expected, rtol=1e-6, err_msg=name)
    other = add_round(add_round(add_round(None, c), a), b)
    assert_allclose(combine(other).beauty, combine(one_by_one).beauty, rtol=1e-6)


def test_a_round_without_features_leaves_the_features_of_the_first() -> None:
    first, second = random_moments(0), random_moments(1, features=False)
    first.sums["feature_count"][:] = 4
    first.sums["albedo"][:] = 2

    total = add_round(add_round(None, first), second)
    assert_allclose(combine(total).albedo, 0.5)
    assert_array_equal(total.votes, first.votes)


@pytest.mark.parametrize("combination", ["pooled", "unbiased"])
def test_what_is_stored_comes_back(combination: Any) -> None:
    moments = random_moments(0)
    moments.votes[:, 0] = 70_000
    total = add_round(None, moments, combination)
    back = Moments.from_arrays(total.arrays())

    assert (back.width, back.height, back.first, back.last) == (WIDTH, HEIGHT, 0, PIXELS)
    assert back.round_weight == total.round_weight
    assert back.sums.keys() == total.sums.keys()
    assert all(np.array_equal(back.sums[name], total.sums[name]) for name in total.sums)
    assert_array_equal(back.votes, total.votes)


@pytest.mark.parametrize("lost", ["extent", "count", "squares", "round_weight"])
def test_stored_moments_that_lack_an_array_are_refused(lost: str) -> None:
    arrays = random_moments(0).arrays()
    del arrays[lost]
    with pytest.raises(ProductError, match=lost):
        Moments.from_arrays(arrays)


def test_stored_moments_with_a_row_too_few_are_refused() -> None:
    arrays = random_moments(0).arrays()
    arrays["half_b"] = arrays["half_b"][1:]
    with pytest.raises(ProductError, match="cut short"):
        Moments.from_arrays(arrays)


def test_pooled_mean_and_variance_are_those_of_all_samples_together() -> None:
    rng = np.random.default_rng(0)
    samples = rng.exponential(size=(PIXELS, 24))
    first, second = rng.integers(1, 9, PIXELS), rng.integers(2, 17, PIXELS)
    total = add_round(add_round(None, moments_of(samples[:, :8], first)), moments_of(samples[:, 8:], second))
    frame = combine(total)

    for pixel in range(PIXELS):
        taken = np.concatenate([samples[pixel, : first[pixel]], samples[pixel, 8 : 8 + second[pixel]]])
        y, x = divmod(pixel, WIDTH)
        assert_allclose(frame.diffuse[y, x], taken.mean(), rtol=1e-5)
        assert_allclose(frame.variance["beauty"][y, x], taken.var(ddof=1) / len(taken), rtol=1e-4)
        assert_allclose(frame.variance["diffuse"][y, x], frame.variance["beauty"][y, x], rtol=1e-6)
        assert frame.count[y, x] == len(taken)


def test_unbiased_mean_weighs_rounds_alike_in_every_pixel() -> None:
    rng = np.random.default_rng(0)
    samples = rng.exponential(size=(2, PIXELS, 16))
    counts = np.full(PIXELS, 4), rng.integers(2, 17, PIXELS)
    total = None
    for values, taken in zip(samples, counts, strict=True):
        total = add_round(total, moments_of(values, taken), "unbiased")
    frame = combine(total, "unbiased")

    weights = np.array([c.mean() for c in counts])
    for pixel in range(PIXELS):
        rounds = [samples[r, pixel, : counts[r][pixel]] for r in range(2)]
        mean = sum(w * x.mean() for w, x in zip(weights, rounds, strict=True)) / weights.sum()
        variance = sum(w**2 * x.var(ddof=1) / len(x) for w, x in zip(weights, rounds, strict=True)) / weights.sum() ** 2
        y, x = divmod(pixel, WIDTH)
        assert_allclose(frame.diffuse[y, x], mean, rtol=1e-5)
        assert_allclose(frame.variance["beauty"][y, x], variance, rtol=1e-4)


def test_the_unbiased_combination_of_pooled_rounds_is_refused() -> None:
    with pytest.raises(ProductError, match="the rounds were pooled"):
        combine(add_round(None, random_moments(0)), "unbiased")


def test_moments_without_features_are_no_frame() -> None:
    with pytest.raises(ProductError, match="no pass recorded features"):
        combine(add_round(None, random_moments(0, features=False)))


def test_where_a_single_sample_was_taken_the_variance_is_the_squared_mean() -> None:
    samples = np.full((PIXELS, 1), 3.0)
    frame = combine(add_round(None, moments_of(samples, np.ones(PIXELS, int))))

    assert_allclose(frame.variance["beauty"], 9.0, rtol=1e-6)
    assert_allclose(frame.relative_variance("beauty"), 1.0)


def test_equal_samples_have_no_variance() -> None:
    frame = combine(add_round(None, moments_of(np.full((PIXELS, 64), 0.25), np.full(PIXELS, 64))))
    assert_allclose(frame.variance["beauty"], 0.0, atol=1e-9)


def test_halves_are_means_of_even_and_of_odd_samples() -> None:
    samples = np.random.default_rng(0).exponential(size=(PIXELS, 7))
    frame = combine(add_round(None, moments_of(samples, np.full(PIXELS, 7))))

    assert_allclose(frame.half_a[..., 3].ravel(), samples[:, 0::2].mean(1), rtol=1e-5)
    assert_allclose(frame.half_b[..., 5].ravel(), samples[:, 1::2].mean(1), rtol=1e-5)
    assert_allclose((4 * frame.half_a + 3 * frame.half_b)[..., 3:6] / 7, frame.diffuse, rtol=1e-5)


def test_a_half_without_samples_takes_the_mean() -> None:
    frame = combine(add_round(None, moments_of(np.full((PIXELS, 1), 2.0), np.ones(PIXELS, int))))
    assert_allclose(frame.half_b[..., 3:6], 2.0)


def test_a_pixel_without_samples_is_black_and_finite() -> None:
    counts = np.full(PIXELS, 4)
    counts[5] = 0
    frame = combine(add_round(None, moments_of(np.ones((PIXELS, 4)), counts)))

    assert_array_equal(frame.beauty[1, 1], 0)
    for name, value in vars(frame).items():
        for array in value.values() if isinstance(value, dict) else [value]:
            assert np.isfinite(array).all(), name


def test_features_are_means_over_samples_that_have_them() -> None:
    moments = random_moments(0)
    for name, value in {
        "feature_count": 8, "hit": 4, "depth": 12, "alpha": 6, "forward": 10, "motion_valid": 5, "albedo": 2,
        "normal": 8, "depth_square": 40, "albedo_square": 0.5, "normal_square": 8,
    }.items():  # fmt: skip
        moments.sums[name][:] = value
    frame = combine(add_round(None, moments))

    assert_allclose(frame.depth, 3.0)
    assert_allclose(frame.alpha, 0.75)
    assert_allclose(frame.forward, 2.0)
    assert_allclose(frame.forward_valid, 5 / 8)
    assert_allclose(frame.albedo, 0.25)
    assert_allclose(frame.variance["depth"], (40 / 4 - 9) / 3, rtol=1e-6)
    assert_allclose(frame.variance["albedo"], 0.0, atol=1e-9)  # mean square 1/16, squared mean 1/16
    assert_allclose(frame.variance["normal"], 0.0, atol=1e-9)


@pytest.mark.parametrize(
    ("ballots", "winner"),
    [
        ([0, 0, 0, 0, 0, 0, 0, 0], 0),
        ([1, 1, 1, 0, 0, 0, 0, 0], 0),
        ([5, 1, 5, 1, 5, 0, 0, 0], 4),
        ([2, 3, 3, 2, 9, 9, 9, 1], 8),
        ([3, 2, 3, 2, 0, 0, 0, 0], 1),
        ([0, 0, 0, 0, 0, 0, 0, 7], 6),
        ([4, 4, 4, 4, 4, 4, 4, 4], 3),
    ],
)
def test_a_pixel_shows_the_shape_that_most_of_its_first_samples_met(ballots: list[int], winner: int) -> None:
    moments = random_moments(0)
    moments = replace(moments, votes=np.tile(np.array(ballots, np.uint32), (PIXELS, 1)))
    assert_array_equal(combine(add_round(None, moments)).ids, winner)
