"""Order-independent per-pixel sums: fixed-point scatter into one packed 64-bit accumulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pipeline.render.channels import TALLY_BITS, Block, Tally

__all__ = ["Accumulator"]

_PER_WORD = 63 // TALLY_BITS
_CLIPPED = Tally("clipped", 1)

_MODE = dr.ReduceMode.Local
"""Neighbouring lanes mostly share a pixel. The automatic choice gives each thread a copy of a small accumulator, and
makes its size a literal: a kernel for every number of pixels."""


class Accumulator:
    """Sums of the channels of `blocks` for a band of `pixels` neighbouring pixels.

    One packed array (`pixel · words + word`) beats one array a channel on small passes.
    """

    def __init__(self, blocks: Sequence[Block | Tally], pixels: int) -> None:
        self.pixels, self.rows = pixels, max(pixels, 2)  # a width of one would compile a kernel of its own
        self.blocks = [block for block in blocks if isinstance(block, Block)]
        self.tallies = [block for block in blocks if isinstance(block, Tally)] + [_CLIPPED]
        counters = sum(tally.channels for tally in self.tallies)
        self.words = -(-counters // _PER_WORD)
        self.offsets: dict[str, int] = {}
        for block in self.blocks:
            self.offsets[block.name] = self.words
            self.words += block.channels * len(block.levels)
        self.sums = dr.zeros(mi.Int64, self.rows * self.words)
        dr.make_opaque(self.sums)

    def add(
        self,
        pixel: mi.UInt32,
        values: Mapping[str, Sequence[Any]],
        active: mi.Bool,
        *,
        redirect: Mapping[str, tuple[mi.Bool, str]] | None = None,
    ) -> None:
        """Adds one value per channel at `pixel` (index in the band), where active. Zeros cost no addition.

        Args:
            values: name → its channels: numbers for blocks, masks for tallies. Names that are left out add nothing.
            redirect: block name → (mask, other block): lanes of the mask add to the other block instead (the halves).
        """
        base = pixel * self.words
        clipped = mi.Bool(False)
        for block in self.blocks:
            if block.name not in values:
                continue
            levels = len(block.levels)
            first = mi.UInt32(self.offsets[block.name])
            if redirect and block.name in redirect:
                mask, other = redirect[block.name]
                first = dr.select(mask, mi.UInt32(self.offsets[other]), first)
            largest = block.levels[-1].limit
            for channel, value in enumerate(values[block.name]):
                size = dr.abs(value)
                clipped |= size > largest
                word = base + first + channel * levels
                scale = mi.Float64(2.0 ** block.levels[0].bits)
                for finer, level in zip(block.levels, block.levels[1:], strict=False):
                    beyond = size > finer.limit
                    word = dr.select(beyond, word + 1, word)
                    scale = dr.select(beyond, mi.Float64(2.0**level.bits), scale)
                steps = mi.Int64(dr.round(mi.Float64(dr.clip(value, -largest, largest)) * scale))
                dr.scatter_reduce(dr.ReduceOp.Add, self.sums, steps, word, active & (steps != 0), mode=_MODE)
        self._count(base, {**values, _CLIPPED.name: [clipped]}, active)

    def _count(self, base: mi.UInt32, values: Mapping[str, Sequence[Any]], active: mi.Bool) -> None:
        masks = [mask for tally in self.tallies for mask in values.get(tally.name, [mi.Bool(False)] * tally.channels)]
        for word in range(0, len(masks), _PER_WORD):
            packed = mi.Int64(0)
            for k, mask in enumerate(masks[word : word + _PER_WORD]):
                packed += dr.select(mask, mi.Int64(1 << k * TALLY_BITS), 0)
            place = base + word // _PER_WORD
            dr.scatter_reduce(dr.ReduceOp.Add, self.sums, packed, place, active & (packed != 0), mode=_MODE)

    def result(self, *, exact: bool = False) -> tuple[dict[str, NDArray[Any]], int]:
        """The sums, name → pixels×channels; and how many samples were clipped.

        Args:
            exact: float64, for sums that are to be added to others; else float32.
        """
        number_type = mi.Float64 if exact else mi.Float
        row = dr.arange(mi.UInt32, self.rows)
        base = row * self.words
        found: dict[str, Any] = {}

        def put(name: str, channel: int, channels: int, value: mi.Float64) -> None:
            out = found.setdefault(name, dr.empty(number_type, self.rows * channels))
            dr.scatter(out, number_type(value), row * channels + channel, mode=dr.ReduceMode.NoConflicts)

        for block in self.blocks:
            levels = len(block.levels)
            for channel in range(block.channels):
                total = mi.Float64(0)
                for k, level in enumerate(block.levels):
                    word = base + (self.offsets[block.name] + channel * levels + k)
                    total += mi.Float64(dr.gather(mi.Int64, self.sums, word)) * 2.0**-level.bits
                put(block.name, channel, block.channels, total)
        number = 0
        for tally in self.tallies:
            for channel in range(tally.channels):
                word, place = divmod(number, _PER_WORD)
                packed = dr.gather(mi.Int64, self.sums, base + word)
                count = (packed >> place * TALLY_BITS) & (2**TALLY_BITS - 1)
                put(tally.name, channel, tally.channels, mi.Float64(count))
                number += 1
        dr.eval(found)
        sums = {name: out.numpy().reshape(self.rows, -1)[: self.pixels] for name, out in found.items()}
        return sums, int(sums.pop(_CLIPPED.name).sum(dtype=np.float64))
