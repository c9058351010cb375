"""Tileable maps: opposite borders overlap, are cut along the path on which they differ least, and feathered there.

They overlap by as much as makes them most alike, so that bricks, boards and weaves go on where they should.

Source of the cut: Efros, Freeman 2001, "Image quilting for texture synthesis and transfer", §2.2. First the slow drift
across the patch, such as a light that fell off otherwise than was thought, is taken out of each map: else the tiles'
pattern shows however good the seam is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pipeline.capture.descent import resized

__all__ = ["Tiled", "seam", "tiled"]

OVERLAPS = (0.08, 0.35)
"""Of a side: the least and the most that is cut away."""

COARSE = 192
"""Texels of a side on which overlaps are compared at first."""

FEATHER = 0.012
"""Of a side: σ of the blend along the cut."""

DRIFT = 4  # cells a side of the field that is taken out


@dataclass(frozen=True)
class Tiled:
    """Tileable unknowns.

    Attributes:
        unknowns: 1×9×h×w, smaller than what was given by the overlaps.
        seam: see `seam`.
    """

    unknowns: Tensor
    seam: float


def tiled(unknowns: Tensor) -> Tiled:
    """Makes unknowns (1×9×H×W) periodic in both directions."""
    level = _without_drift(unknowns)
    across = _joined(level)
    both = _joined(across.transpose(-1, -2), periodic=True).transpose(-1, -2).contiguous()
    return Tiled(both, seam(both))


def seam(unknowns: Tensor) -> float:
    """Mean step across the border where tiles meet, over the step that nine of ten lines inside stay below.

    The worse of the two directions. 1 or less is not to be seen.
    """
    squashed = torch.tanh(unknowns / 2)
    steps = []
    for dim in (-1, -2):
        lines = squashed.diff(dim=dim).abs().transpose(dim, -1).flatten(0, -2).mean(0)
        inside = torch.quantile(lines.float(), 0.9)
        last = squashed.select(dim, -1)
        border = (squashed.select(dim, 0) - last).abs().mean()
        steps.append(float(border / inside.clamp(min=1e-6)))
    return max(steps)


def _without_drift(unknowns: Tensor) -> Tensor:
    """Less the slow field's departure from its mean."""
    size = (unknowns.shape[-2], unknowns.shape[-1])
    slow = resized(F.adaptive_avg_pool2d(unknowns, DRIFT), size)
    radius = max(1, min(size) // (2 * DRIFT))
    padded = F.pad(slow, (radius, radius, radius, radius), mode="replicate")
    slow = F.avg_pool2d(padded, 2 * radius + 1, 1)
    return unknowns - (slow - slow.mean((-2, -1), keepdim=True))


def _joined(unknowns: Tensor, *, periodic: bool = False) -> Tensor:
    """Periodic from left to right; `periodic`: it is so already from top to bottom, and stays so."""
    width = unknowns.shape[-1]
    overlap = _overlap(unknowns)
    right, left = unknowns[..., width - overlap :], unknowns[..., :overlap]
    squashed = torch.tanh(right / 2) - torch.tanh(left / 2)
    cost = (squashed**2).sum((0, 1)).cpu().numpy().astype(np.float64)
    path = torch.from_numpy(_cheapest(cost, periodic)).to(unknowns.device)
    place = torch.arange(overlap, device=unknowns.device)[None, :] - path[:, None]
    sigma = max(0.5, FEATHER * width)
    share = torch.sigmoid(place / sigma * 1.7)  # of the left border: to the right of the cut
    rise = torch.linspace(0, 1, overlap, device=unknowns.device)
    share = (share * (rise * 20).clamp(max=1)).clamp(min=1 - ((1 - rise) * 20).clamp(max=1))  # whole at the ends
    blended = right * (1 - share) + left * share
    return torch.cat([blended, unknowns[..., overlap : width - overlap]], -1)


def _overlap(unknowns: Tensor) -> int:
    """Columns by which the borders overlap: where they are most alike, found coarsely and then to the column."""
    width = unknowns.shape[-1]
    scale = min(1.0, COARSE / width)
    small = resized(unknowns, (max(2, round(unknowns.shape[-2] * scale)), max(8, round(width * scale))))
    low, high = (max(2, round(share * small.shape[-1])) for share in OVERLAPS)
    coarse = _most_alike(torch.tanh(small / 2), range(low, high + 1))
    if scale == 1.0:
        return coarse
    near, reach = round(coarse / scale), round(1 / scale) + 1
    return _most_alike(torch.tanh(unknowns / 2), range(max(2, near - reach), near + reach + 1))


def _most_alike(values: Tensor, overlaps: range) -> int:
    width = values.shape[-1]
    costs = [float(((values[..., width - k :] - values[..., :k]) ** 2).mean()) for k in overlaps]
    return overlaps[int(np.argmin(costs))]


def _cheapest(cost: NDArray[np.float64], periodic: bool) -> NDArray[np.float64]:
    """Column of the cheapest path from the top row to the bottom one, a column aside a row at most."""
    if not periodic:
        return _path(cost)
    twice = np.concatenate([cost, cost, cost])  # the middle third of a path through three copies all but closes
    rows = cost.shape[0]
    middle = _path(twice)[rows : 2 * rows]
    gap = middle[-1] - middle[0]
    ramp = np.linspace(-0.5, 0.5, rows) * gap
    return np.asarray(middle - np.where(abs(gap) > 1, ramp, 0.0))


def _path(cost: NDArray[np.float64]) -> NDArray[np.float64]:
    rows, columns = cost.shape
    total = cost.copy()
    for row in range(1, rows):
        before = np.pad(total[row - 1], 1, constant_values=np.inf)
        total[row] += np.minimum(np.minimum(before[:-2], before[1:-1]), before[2:])
    path = np.empty(rows, dtype=np.int64)
    path[-1] = int(total[-1].argmin())
    for row in range(rows - 2, -1, -1):
        low = max(0, path[row + 1] - 1)
        path[row] = low + int(total[row, low : min(columns, path[row + 1] + 2)].argmin())
    return path.astype(np.float64)
