"""Fixed-point sums: exact to a stated step, whatever the order, and clipped values are counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.render.channels import (
    BEAUTY,
    COLOUR,
    COUNT,
    FEATURES,
    PIXELS,
    RADIANCE,
    SQUARE,
    TALLY_BITS,
    UNIT,
    Block,
    Tally,
)

LEVELS = {"unit": UNIT, "pixels": PIXELS, "radiance": RADIANCE, "square": SQUARE}


@pytest.fixture
def summed(mi):
    """Blocks, pixels, values by name, place of each lane → the sums and how many were clipped."""
    from pipeline.render.accumulator import Accumulator

    def run(blocks: Any, pixels: int, values: dict[str, list[np.ndarray]], at: np.ndarray, **options: Any):
        sums = Accumulator(blocks, pixels)
        lanes = {
            name: [(mi.Bool if v.dtype == bool else mi.Float)(v) for v in channels] for name, channels in values.items()
        }
        sums.add(mi.UInt32(at.astype(np.uint32)), lanes, mi.Bool(True), **options)
        return sums.result(exact=True)

    return run


@pytest.mark.parametrize("levels", LEVELS.values(), ids=LEVELS)
def test_every_level_leaves_room_for_two_million_samples(levels) -> None:
    for level in levels:
        assert np.log2(level.limit) + level.bits + 21 <= 63
    assert list(levels) == sorted(levels)


def test_no_block_or_tally_has_the_name_of_another() -> None:
    names = [block.name for block in (*COUNT, *COLOUR, *FEATURES, *BEAUTY)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("levels", LEVELS.values(), ids=LEVELS)
def test_each_value_is_kept_to_half_a_step_of_its_level(summed, levels) -> None:
    rng = np.random.default_rng(0)
    largest = levels[-1].limit
    values = (np.exp(rng.uniform(np.log(1e-9), np.log(largest), 4096)) * rng.choice([-1, 1], 4096)).astype(np.float32)
    sums, clipped = summed([Block("x", 1, levels)], 4096, {"x": [values]}, np.arange(4096))

    step = np.empty(4096)
    for level in reversed(levels):
        step[np.abs(values) <= level.limit] = 2.0**-level.bits
    assert clipped == 0
    assert np.all(np.abs(sums["x"][:, 0] - values.astype(np.float64)) <= step / 2 * (1 + 1e-9))


def test_rounding_is_no_bias(summed) -> None:
    step = 2.0 ** -UNIT[0].bits
    values = (np.random.default_rng(0).random(200_000, np.float32) * 1e-9).astype(np.float32)
    sums, _ = summed([Block("x", 1, UNIT)], 2, {"x": [values]}, np.zeros(values.size))
    error = sums["x"][0, 0] - values.sum(dtype=np.float64)
    assert abs(error) < 4 * step * np.sqrt(values.size / 12)


def test_sums_do_not_depend_on_the_order_of_lanes(summed) -> None:
    rng = np.random.default_rng(0)
    values, at = rng.lognormal(0, 3, 20_000).astype(np.float32), rng.integers(0, 50, 20_000)
    shuffled = rng.permutation(20_000)
    first, _ = summed([Block("x", 1, RADIANCE)], 50, {"x": [values]}, at)
    second, _ = summed([Block("x", 1, RADIANCE)], 50, {"x": [values[shuffled]]}, at[shuffled])

    np.testing.assert_array_equal(first["x"], second["x"])
    expected = np.bincount(at, values.astype(np.float64), 50)
    np.testing.assert_allclose(first["x"][:, 0], expected, rtol=1e-7)


def test_lanes_with_a_value_beyond_the_range_are_clipped_and_counted_once(summed) -> None:
    largest = RADIANCE[-1].limit
    a = np.array([1, 2 * largest, 3, -4 * largest], np.float32)
    b = np.array([1, 2 * largest, 3, 4], np.float32)
    sums, clipped = summed([Block("x", 2, RADIANCE)], 4, {"x": [a, b]}, np.arange(4))

    assert clipped == 2
    np.testing.assert_allclose(sums["x"], [[1, 1], [largest, largest], [3, 3], [-largest, 4]], rtol=1e-9)


def test_tallies_count_masks_beside_each_other(summed) -> None:
    rng = np.random.default_rng(0)
    masks = [rng.random(30_000) < share for share in (0.5, 0.01, 1.0, 0.3)]
    at = rng.integers(0, 3, 30_000)
    sums, clipped = summed([Tally("a", 1), Tally("b", 3)], 3, {"a": masks[:1], "b": masks[1:]}, at)

    counted = np.concatenate([sums["a"], sums["b"]], axis=1)
    np.testing.assert_array_equal(counted, np.stack([np.bincount(at, mask, 3) for mask in masks], axis=1))
    assert clipped == 0


def test_a_counter_that_is_full_does_not_spill_into_the_next(summed) -> None:
    most = 2**TALLY_BITS - 1
    masks = [np.ones(most, bool), np.zeros(most, bool), np.ones(most, bool)]
    sums, _ = summed([Tally("a", 3)], 1, {"a": masks}, np.zeros(most))
    np.testing.assert_array_equal(sums["a"], [[most, 0, most]])


def test_lanes_of_a_mask_add_to_the_other_block(mi, summed) -> None:
    blocks = [Block("even", 2, RADIANCE), Block("odd", 2, RADIANCE)]
    values = np.arange(1, 7, dtype=np.float32)
    odd = mi.Bool(np.arange(6) % 2 == 1)
    at = np.array([0, 0, 0, 1, 1, 1])
    sums, _ = summed(blocks, 2, {"even": [values, 10 * values]}, at, redirect={"even": (odd, "odd")})

    np.testing.assert_allclose(sums["even"], [[1 + 3, 40], [5, 50]])
    np.testing.assert_allclose(sums["odd"], [[2, 20], [4 + 6, 100]])


def test_names_that_are_left_out_add_nothing(summed) -> None:
    blocks = [Block("x", 1, UNIT), Block("y", 1, UNIT), Tally("t", 2)]
    sums, _ = summed(blocks, 2, {"x": [np.ones(4, np.float32)]}, np.zeros(4))
    assert sums["x"][0, 0] == 4
    assert not sums["y"].any() and not sums["t"].any()
