"""The shutter in slots: which sample sees the scene at which time. Pure numpy.

A slot is an instant of the shutter. Which slot a sample belongs to follows from its index alone, so that blur depends
neither on slicing nor on rounds: samples come in pairs of an even and an odd one, which share a slot (both halves of
the frame see the same times), and any first 2, 4, 8 … pairs are spread evenly and symmetrically over the shutter.

    sample i → slot (⌊i/2⌋ mod T) at time  open + (close − open) · (place(slot) + ½) / T
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Slot", "place", "slot_time"]


@dataclass(frozen=True)
class Slot:
    """The samples of one of `steps` slots, counted from 0 among themselves."""

    number: int
    steps: int

    def before(self, samples: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """How many of the first `samples` samples belong to the slot.

        >>> Slot(1, 4).before(np.array([2, 3, 4, 10, 11], np.uint32)).tolist()
        [0, 1, 2, 2, 3]
        """
        cycles, rest = np.divmod(samples.astype(np.int64), 2 * self.steps)
        return (2 * cycles + np.clip(rest - 2 * self.number, 0, 2)).astype(np.uint32)

    def index(self, own: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Indices in their pixel of samples that are counted within the slot.

        >>> Slot(1, 4).index(np.array([0, 1, 2, 3], np.uint32)).tolist()
        [2, 3, 10, 11]
        """
        pair, half = np.divmod(own, np.uint32(2))
        found: NDArray[np.uint32] = (pair * np.uint32(self.steps) + np.uint32(self.number)) * np.uint32(2) + half
        return found


def place(number: int, steps: int) -> int:
    """Where in the shutter a slot lies: neighbouring slots mirror each other, pairs follow the radical inverse.

    >>> [place(number, 8) for number in range(8)]
    [0, 7, 2, 5, 1, 6, 3, 4]
    """
    pairs, pair = steps // 2, number // 2
    reversed_, bit = 0, pairs // 2
    while bit:
        reversed_ += bit * (pair & 1)
        pair, bit = pair // 2, bit // 2
    return steps - 1 - reversed_ if number % 2 else reversed_


def slot_time(number: int, steps: int, shutter: tuple[float, float]) -> float:
    """Frames from the frame's own time."""
    opens, closes = shutter
    return opens + (closes - opens) * (place(number, steps) + 0.5) / steps
