"""What a render pass sums per pixel: every channel's name, its place, and how it is held in fixed point.

Sums are kept in 64-bit integers, because integer addition does not depend on the order in which threads arrive.
No one scale serves all: each value goes to the integer of the finest *level* that can hold it, so that 1e-6 and 1e9
both keep 14 bits and more, at one addition a value. Values are rounded, not truncated: truncation would be a bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["BEAUTY", "COLOUR", "COUNT", "FEATURES", "MATTE_VOTES", "TALLY_BITS", "VOTES", "Block", "Level", "Tally"]


class Level(NamedTuple):
    """Holds |value| ≤ limit in steps of 2^−bits. limit · 2^bits is 2^42, which leaves room for 2^21 samples."""

    limit: float
    bits: int


@dataclass(frozen=True)
class Block:
    """Neighbouring channels of numbers. Values beyond the last level are clipped to it, and counted."""

    name: str
    channels: int
    levels: tuple[Level, ...]


@dataclass(frozen=True)
class Tally:
    """Channels that count: each sample adds 0 or 1. Three share one integer."""

    name: str
    channels: int


TALLY_BITS = 21
"""Of one counter: no wave may give a pixel 2^21 samples or more."""

UNIT = (Level(2.0**2, 40),)  # albedo, normal: [−1, 1] and a little more
PIXELS = (Level(2.0**15, 27),)  # motion, in pixels
RADIANCE = (Level(2.0**8, 34), Level(2.0**30, 12))  # steps of 6e-11 up to 256, of 2e-4 up to 1e9
SQUARE = (Level(2.0**4, 38), Level(2.0**22, 20), Level(2.0**44, -2))  # a radiance of 2e-6 still has a square

COUNT = (Tally("count", 2),)
"""Samples in half A (even sample index) and half B (odd)."""

COLOUR = (
    Block("half_a", 9, RADIANCE),  # emission RGB, diffuse RGB, specular RGB
    Block("half_b", 9, RADIANCE),
    Block("squares", 4, SQUARE),  # luminance squared of beauty, emission, diffuse, specular
)

FEATURES = (
    Tally("alpha", 1),
    Tally("hit", 1),  # the sample's first surface was found (depth's denominator)
    Tally("motion_valid", 2),  # forward, backward
    Block("albedo", 3, UNIT),
    Block("normal", 3, UNIT),
    Block("depth", 1, RADIANCE),
    Block("forward", 2, PIXELS),
    Block("backward", 2, PIXELS),
    Block("albedo_square", 1, UNIT),  # mean over the channels
    Block("normal_square", 1, UNIT),
    Block("depth_square", 1, SQUARE),
)

BEAUTY = (Block("beauty", 3, RADIANCE),)

VOTES = 8
"""The shape that a pixel shows is the most frequent one among its first so many samples."""

MATTE_VOTES = 32
"""Ballots of a pixel where there are mattes: coverage in steps of 1/32, or of the first round's samples."""
