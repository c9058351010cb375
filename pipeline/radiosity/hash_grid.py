"""Multi-resolution hash encoding of positions, in torch alone.

All levels and corners are looked up by a few large tensor operations. The table's gradient has a gradient of its own,
so that second-order optimisers can train it.

Source: Müller et al. 2022, "Instant Neural Graphics Primitives with a Multiresolution Hash Encoding", §3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["GridShape", "HashGrid"]

_PRIMES = (1, 2654435761 - 2**32, 805459861)
"""The hash's factors, as signed 32-bit words."""

_INITIAL = 1e-4
"""Entries begin uniform in ± this (the source's §4)."""


@dataclass(frozen=True)
class GridShape:
    """Size of the encoding.

    Attributes:
        levels: L.
        features: F, per level.
        log2_entries: log2 T, entries of a level at most.
        base: cells along a side of the coarsest level.
        growth: b, from one level to the next.
    """

    levels: int = 14
    features: int = 2
    log2_entries: int = 18
    base: int = 2
    growth: float = 2.0

    @property
    def width(self) -> int:
        """Numbers that a position becomes."""
        return self.levels * self.features

    @property
    def resolutions(self) -> list[int]:
        """Cells along a side, by level."""
        return [int(self.base * self.growth**level) for level in range(self.levels)]


class HashGrid(nn.Module):
    """Positions in the unit cube → trilinear features of all levels.

    Shape:
        input N×3, in [0, 1]; output N×(L·F).
    """

    def __init__(self, shape: GridShape, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.shape = shape
        entries = 1 << shape.log2_entries
        sizes = [min((cells + 1) ** 3, entries) for cells in shape.resolutions]
        # Levels that fit are stored cell by cell, the finer ones are hashed.
        self.dense = sum((cells + 1) ** 3 <= entries for cells in shape.resolutions)
        self.table = nn.Parameter((torch.rand(sum(sizes), shape.features, generator=generator) * 2 - 1) * _INITIAL)
        offsets = torch.tensor([0, *sizes[:-1]]).cumsum(0)
        self.register_buffer("_offsets", offsets.to(torch.int32), persistent=False)
        self.register_buffer("_cells", torch.tensor(shape.resolutions, dtype=torch.float32), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        index, weight = self._corners(x)
        mixed: Tensor = _Interpolate.apply(self.table, index, weight)
        return mixed.view(self.shape.levels, x.shape[0], -1).transpose(0, 1).reshape(x.shape[0], self.shape.width)

    @torch.no_grad()
    def _corners(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Entries of the eight corners of each position's cell on each level, and their trilinear weights: L·N×8."""
        cells: Tensor = self._cells  # type: ignore[assignment]
        offsets: Tensor = self._offsets  # type: ignore[assignment]
        levels, d = self.shape.levels, self.dense
        at = cells[:, None, None] * x.T.clamp(0, 1)  # L×3×N
        corner = torch.minimum(at.to(torch.int32), (cells[:, None, None] - 1).to(torch.int32))
        part = at - corner
        strides = self._strides(cells)
        near = corner * strides
        ends, parts = (near, near + strides), (1 - part, part)
        index = torch.empty(8, levels, x.shape[0], dtype=torch.int32, device=x.device)
        weight = torch.empty(8, levels, x.shape[0], device=x.device)
        for k in range(8):
            i, j, h = k & 1, k >> 1 & 1, k >> 2 & 1
            ix, iy, iz = ends[i][:, 0], ends[j][:, 1], ends[h][:, 2]
            torch.add(ix[:d], iy[:d], out=index[k, :d]).add_(iz[:d])
            hashed = torch.bitwise_xor(ix[d:], iy[d:], out=index[k, d:]).bitwise_xor_(iz[d:])
            hashed.bitwise_and_((1 << self.shape.log2_entries) - 1)
            torch.mul(parts[i][:, 0], parts[j][:, 1], out=weight[k]).mul_(parts[h][:, 2])
        index += offsets[:, None]
        return index.view(8, -1).T.contiguous(), weight.view(8, -1).T.contiguous()

    def _strides(self, cells: Tensor) -> Tensor:
        """Factors of the three coordinates, L×3×1: of dense levels the row lengths, of hashed ones the primes."""
        side = (cells + 1).to(torch.int32)
        strides = torch.stack([torch.ones_like(side), side, side * side], dim=1)
        strides[self.dense :] = torch.tensor(_PRIMES, dtype=torch.int32, device=cells.device)
        return strides[:, :, None]


class _Interpolate(torch.autograd.Function):
    """Σ_k weight[p, k] · table[index[p, k]]: linear in the table, whose gradient is a scatter. No gradient for the
    weights: the cache is never differentiated by position."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, index: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(index, weight)
        ctx.entries = table.shape[0]
        return torch.nn.functional.embedding_bag(index, table, mode="sum", per_sample_weights=weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        index, weight = ctx.saved_tensors
        return _Scatter.apply(gradients[0], index, weight, ctx.entries), None, None


class _Scatter(torch.autograd.Function):
    """The transpose of `_Interpolate`, whose gradient is `_Interpolate`."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, index: Tensor, weight: Tensor, entries: int) -> Tensor:
        ctx.save_for_backward(index, weight)
        values = (gradient[:, None, :] * weight[:, :, None]).view(-1, gradient.shape[1])
        return gradient.new_zeros(entries, gradient.shape[1]).index_add_(
            0, index.view(-1).long(), values
        )  # quicker than with int32

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        index, weight = ctx.saved_tensors
        return _Interpolate.apply(gradients[0], index, weight), None, None, None
