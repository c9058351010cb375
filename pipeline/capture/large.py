"""The networks on photographs larger than those that they learnt from, up to 4096 texels a side.

g_ω sees the whole photograph at the size that it knows, and its answer is enlarged; the detail of the diffuse albedo,
which each texel's own light tells, is added from the photograph. h_θ then refines tile by tile at full resolution: its
six steps reach no further than `MARGIN` texels, so tiles with that margin give what one pass over all would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.capture.descent import resized, smaller
from pipeline.capture.likelihood import Photographs
from pipeline.capture.network.initialiser import first_guess
from pipeline.capture.network.model import STEPS, Capturer
from pipeline.capture.shading import Grid, grid

__all__ = ["FAMILIAR", "estimate"]

FAMILIAR = 512
"""Texels of the longer side up to which the networks see a photograph whole."""

TILE = 512
REACH = 5
"""Texels that one step of h_θ reaches: 2 (5×5), 2 (3×3, dilated), 1 (3×3)."""


@dataclass(frozen=True)
class _Tile:
    """A region with its margin, and the region itself: in the image, and in the region with its margin."""

    rows: slice
    columns: slice
    inner: tuple[slice, slice]
    within: tuple[slice, slice]


@torch.no_grad()
def estimate(
    network: Capturer,
    photographs: Photographs,
    *,
    steps: int = STEPS,
    on_tile: Callable[[int, int], None] = lambda done, count: None,
) -> Tensor:
    """R_T of photographs of any size: 1×9×H×W.

    Args:
        photographs: whole patches of one material, as many as the network takes.
        on_tile: told how many tiles of how many are done.
    """
    height, width = photographs.pixels.shape[-2:]
    if max(height, width) <= FAMILIAR:
        return network(photographs, steps=steps)[1]
    scale = FAMILIAR / max(height, width)
    coarse = smaller(photographs, (round(height * scale), round(width * scale)))
    found = network(coarse, steps=steps)[1]
    start = _with_detail(resized(found, (height, width)), first_guess(photographs), first_guess(coarse))
    whole = grid(height, width, device=start.device)
    refined = torch.empty_like(start)
    tiles = list(_tiles(height, width, steps * REACH + REACH))
    for index, tile in enumerate(tiles):
        part = Photographs(
            photographs.pixels[..., tile.rows, tile.columns],
            photographs.shot,
            where=Grid(whole.x[:, tile.columns], whole.y[tile.rows]),
        )
        made = network.refine(start[..., tile.rows, tile.columns], part, steps=steps)
        refined[..., tile.inner[0], tile.inner[1]] = made[..., tile.within[0], tile.within[1]]
        on_tile(index + 1, len(tiles))
    return refined


def _with_detail(enlarged: Tensor, fine: Tensor, coarse: Tensor) -> Tensor:
    """Adds what the finer first guess of the diffuse albedo has and the coarser one lacks."""
    size = (enlarged.shape[-2], enlarged.shape[-1])
    detail = fine[:, :3] - resized(coarse[:, :3], size)
    return torch.cat([enlarged[:, :3] + detail, enlarged[:, 3:]], 1)


def _tiles(height: int, width: int, margin: int) -> Iterator[_Tile]:
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            bottom, right = min(top + TILE, height), min(left + TILE, width)
            rows = slice(max(0, top - margin), min(height, bottom + margin))
            columns = slice(max(0, left - margin), min(width, right + margin))
            inner = slice(top, bottom), slice(left, right)
            within = (
                slice(top - rows.start, bottom - rows.start),
                slice(left - columns.start, right - columns.start),
            )
            yield _Tile(rows, columns, inner, within)
