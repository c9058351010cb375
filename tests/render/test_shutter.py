"""Which sample sees the scene when; pure numpy."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.render.shutter import Slot, place, slot_time


@pytest.mark.parametrize("steps", [2, 8, 64])
def test_each_sample_belongs_to_one_slot(steps: int) -> None:
    rng = np.random.default_rng(0)
    start, counts = rng.integers(0, 500, (2, 50)).astype(np.uint32)
    for first, count in zip(start, counts, strict=True):
        seen = []
        for number in range(steps):
            slot = Slot(number, steps)
            begun, ended = slot.before(np.array([first, first + count], np.uint32))
            seen += slot.index(np.arange(begun, ended, dtype=np.uint32)).tolist()
        assert sorted(seen) == list(range(first, first + count))


def test_both_halves_see_the_same_times() -> None:
    for number in range(8):
        index = Slot(number, 8).index(np.arange(20, dtype=np.uint32))
        assert (index[::2] + 1 == index[1::2]).all()


@pytest.mark.parametrize("pairs", [2, 4, 8, 16, 32, 64])
def test_the_first_samples_are_spread_evenly_about_the_middle_of_the_shutter(pairs: int) -> None:
    times = sorted(slot_time(number, 64, (-0.25, 0.75)) for number in range(pairs))
    assert np.mean(times) == pytest.approx(0.25)
    strata = np.floor((np.array(times) + 0.25) * pairs)
    assert strata.tolist() == list(range(pairs))


def test_slots_lie_in_the_middle_of_their_part_of_the_shutter() -> None:
    assert sorted(place(number, 16) for number in range(16)) == list(range(16))
    assert min(slot_time(number, 4, (0.0, 0.5)) for number in range(4)) == pytest.approx(0.0625)
