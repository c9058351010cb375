"""Random numbers that depend on seed, frame, pixel and sample alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats


@pytest.fixture
def numbers(mi):
    """(seed, frame), pixels, samples → the first `count` numbers of each lane: count×lanes."""
    from pipeline.render.rng import key_words, keyed_rng

    def draw(pixels: np.ndarray, samples: np.ndarray, *, seed: int = 0, frame: int = 1, count: int = 4) -> np.ndarray:
        lanes = (mi.UInt32(np.ascontiguousarray(values, np.uint32)) for values in (pixels, samples))
        rng = keyed_rng(key_words(seed, frame), *lanes)
        return np.stack([np.array(rng.next_float32()) for _ in range(count)])

    return draw


PIXELS, SAMPLES = (grid.ravel() for grid in np.meshgrid(np.arange(200), np.arange(50)))


def test_a_lane_has_its_numbers_wherever_it_stands(numbers) -> None:
    order = np.random.default_rng(0).permutation(PIXELS.size)[:777]
    np.testing.assert_array_equal(
        numbers(PIXELS, SAMPLES)[:, order],
        numbers(PIXELS[order], SAMPLES[order]),
    )


def test_numbers_are_uniform_in_each_dimension_and_between_two(numbers) -> None:
    drawn = numbers(PIXELS, SAMPLES)
    for dimension in drawn:
        assert stats.kstest(dimension, "uniform").pvalue > 1e-3
    for a, b in itertools.combinations(drawn, 2):
        counts, _, _ = np.histogram2d(a, b, bins=10, range=[[0, 1], [0, 1]])
        assert stats.chisquare(counts.ravel()).pvalue > 1e-3


def test_neighbouring_pixels_and_samples_are_independent(numbers) -> None:
    first = numbers(PIXELS, SAMPLES, count=1).reshape(50, 200)
    for neighbours in ((first[1:], first[:-1]), (first[:, 1:], first[:, :-1])):
        correlation = np.corrcoef(neighbours[0].ravel(), neighbours[1].ravel())[0, 1]
        assert abs(correlation) < 4 / np.sqrt(neighbours[0].size)


@pytest.mark.parametrize("other", [{"seed": 1}, {"frame": 2}, {"frame": -1}, {"seed": 2**31 - 1}])
def test_other_seeds_and_frames_have_other_streams(numbers, other) -> None:
    here, there = numbers(PIXELS, SAMPLES, count=1)[0], numbers(PIXELS, SAMPLES, count=1, **other)[0]
    assert np.mean(here == there) < 1e-3
    assert abs(np.corrcoef(here, there)[0, 1]) < 4 / np.sqrt(here.size)


def test_no_two_keys_share_their_numbers(numbers) -> None:
    rows = numbers(PIXELS, SAMPLES, count=3).T
    assert len(np.unique(rows, axis=0)) == len(rows)


def test_seed_and_frame_do_not_stand_in_for_each_other(numbers) -> None:
    assert not np.array_equal(numbers(PIXELS, SAMPLES, seed=3, frame=5), numbers(PIXELS, SAMPLES, seed=5, frame=3))


def test_the_sampler_plugin_draws_the_same_numbers(mi, numbers) -> None:
    from pipeline.render.rng import KEYED_SAMPLER, key_words, register_keyed_sampler

    register_keyed_sampler()
    sampler = mi.load_dict({"type": KEYED_SAMPLER})
    sampler.key(key_words(7, 1), mi.UInt32(PIXELS.astype(np.uint32)), mi.UInt32(SAMPLES.astype(np.uint32)))
    first, pair = np.array(sampler.next_1d()), np.array(sampler.next_2d())
    np.testing.assert_array_equal(np.vstack([first, pair]), numbers(PIXELS, SAMPLES, seed=7, count=3))
