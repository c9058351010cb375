"""Where the flash was: a homogeneous material is fitted to the photograph's blocks, and its highlight placed.

The photograph is cut into blocks; of each the median counts, so that grain, joints and glints do not. To those a flat
homogeneous material is fitted under a flash beside the camera: place of the flash, diffuse and specular albedo and
roughness, in square roots of light as in `pipeline.capture.likelihood`, robustly (soft L1).

How far the fit explains the photograph is how far it is to be believed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import least_squares

from pipeline.capture.likelihood import SATURATED
from pipeline.capture.maps import GAMMA, ROUGHNESS_MIN, Maps
from pipeline.capture.shading import Grid, Shot, grid, render

Floats = NDArray[np.float64]

__all__ = ["BELIEVED", "SEEN", "Highlight", "find"]

BLOCKS = 16
"""Along the wider side."""

BELIEVED, SEEN = 0.3, 0.15
"""Of `confidence`: below the first the flash is taken to be at the camera, below the second it is doubted."""

_ROBUST = 0.06  # of √light: larger residuals count in proportion, not squared
_STEP = 1e-4  # of differences
_HELD = 0.1  # weight that keeps specular albedo near a dielectric's, and roughness near the middle
_REACH = 1.5  # half sizes of the patch within which the flash's foot is sought


@dataclass(frozen=True)
class Highlight:
    """A flash that was fitted.

    Attributes:
        foot: x, y below the flash, half widths of the patch.
        diffuse, specular, roughness: of the homogeneous material that explains the photograph best, at that exposure.
        confidence: share of the blocks' variance that the flash explains, [0, 1].
        gloss: share, of what is left by a flash on a matt material, that the highlight explains, [0, 1].
        inside: whether the mirror point lies in the patch.
    """

    foot: tuple[float, float]
    diffuse: float
    specular: float
    roughness: float
    confidence: float
    gloss: float
    inside: bool


def find(pixels: NDArray[np.float32], camera: tuple[float, float, float], exposure: float) -> Highlight:
    """Fits the flash of a flat patch.

    Args:
        pixels: H×W×3, linear, 1 is white.
        camera: its place.
        exposure: radiance of a white texel below the flash.
    """
    seen, where = _blocks(pixels)
    aspect = pixels.shape[0] / pixels.shape[1]
    model = _Model(np.sqrt(seen), where, camera, exposure)
    level = float(np.median(seen)) / exposure
    bright = np.unravel_index(int(_smoothed(seen).argmax()), seen.shape)
    peak = 2 * float(where.x[0, bright[1]]) - camera[0], 2 * float(where.y[bright[0], 0]) - camera[1]
    low = [-_REACH + min(camera[0], 0), -_REACH * aspect + min(camera[1], 0), -8.0, -8.0, -6.0]
    high = [_REACH + max(camera[0], 0), _REACH * aspect + max(camera[1], 0), 4.0, 3.0, 4.0]
    starts = [
        [*foot, _unknown(level), _unknown(specular), rough]
        for foot in (camera[:2], peak)
        for specular in (0.04, 0.3)
        for rough in (-1.5, 0.0)
    ]
    tried = np.clip(starts, np.add(low, 1e-3), np.subtract(high, 1e-3))
    costs = [_soft(each) for each in model.residuals(tried)]
    best = model.fitted(tried[int(np.argmin(costs))], low, high, model.residuals)
    matt = model.fitted(best.x[:3], low[:3], high[:3], model.matt)
    flat = _soft(np.sqrt(seen) - np.median(np.sqrt(seen)))
    x, y = float(best.x[0]), float(best.x[1])
    mirror = (x + camera[0]) / 2, (y + camera[1]) / 2
    return Highlight(
        foot=(x, y),
        diffuse=float(_albedo(best.x[2])),
        specular=float(_albedo(best.x[3])),
        roughness=float(_roughness(best.x[4])),
        confidence=_share(min(best.cost, matt.cost), flat),
        gloss=_share(best.cost, matt.cost),
        inside=abs(mirror[0]) <= 1 and abs(mirror[1]) <= aspect,
    )


@dataclass
class _Model:
    """The fit's residuals."""

    seen: Floats  # √light
    where: Grid
    camera: tuple[float, float, float]
    exposure: float

    def fitted(self, start: Floats, low: list[float], high: list[float], residuals: Callable[[Floats], Floats]) -> Any:
        """The fit from one start; differences of all unknowns are taken in one call."""

        def slopes(at: Floats) -> Floats:
            steps = np.where(at + _STEP < high, _STEP, -_STEP)
            apart = residuals(np.concatenate([at[None], at + np.diag(steps)]))
            return np.asarray((apart[1:] - apart[0]).T / steps)

        return least_squares(
            lambda at: residuals(at[None])[0],
            start,
            jac=slopes,
            bounds=(low, high),
            loss="soft_l1",
            f_scale=_ROBUST,
            max_nfev=30,
        )

    def residuals(self, unknowns: Floats) -> Floats:
        """K×5 (x, y, diffuse, specular, roughness) → K×M, the last two of which hold back what nothing tells."""
        x, y, diffuse, specular, rough = unknowns.T
        blocks = self._compared(np.stack([x, y], 1), _albedo(diffuse), _albedo(specular), _roughness(rough))
        return np.concatenate([blocks, _HELD * np.stack([specular - _unknown(0.04), rough], 1)], 1)

    def matt(self, unknowns: Floats) -> Floats:
        """K×3 (x, y, diffuse) → K×M."""
        none = np.zeros(len(unknowns))
        return self._compared(unknowns[:, :2], _albedo(unknowns[:, 2]), none, none + 1.0)

    def _compared(self, foot: Floats, diffuse: Floats, specular: Floats, roughness: Floats) -> Floats:
        count = len(foot)

        def flat(values: Floats) -> torch.Tensor:
            return torch.from_numpy(values).reshape(count, 1, 1, 1).expand(-1, -1, *self.seen.shape)

        up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).reshape(1, 3, 1, 1).expand(count, 3, *self.seen.shape)
        height = self.camera[2]
        light = torch.from_numpy(np.concatenate([foot, np.full((count, 1), height)], 1))[:, None]
        camera = torch.tensor(self.camera, dtype=torch.float64).expand(count, 1, 3)
        power = torch.full((count, 1, 1), self.exposure * math.pi * height**2, dtype=torch.float64)
        maps = Maps(flat(diffuse), flat(specular), up, flat(roughness))
        rendered = render(maps, Shot(light, camera, power), self.where)[:, 0, 0].numpy()
        difference = np.sqrt(rendered) - self.seen
        cut = (self.seen >= math.sqrt(SATURATED)) & (difference > 0)  # a saturated block says only "at least white"
        return np.where(cut, 0.0, difference).reshape(count, -1)


def _blocks(pixels: NDArray[np.float32]) -> tuple[Floats, Grid]:
    """Median of the darkest channel of blocks, and where they are: a highlight shows in it before a coloured albedo."""
    height, width = pixels.shape[:2]
    columns = min(BLOCKS, width)
    rows = max(2, min(height, round(columns * height / width)))
    step = max(1, width // (8 * columns))  # eight samples a side are enough for a median
    grey = pixels[::step, ::step].min(-1)
    across = np.array_split(np.arange(grey.shape[1]), columns)
    seen = np.array([[np.median(band[:, part]) for part in across] for band in np.array_split(grey, rows)])
    where = grid(rows, columns, dtype=torch.float64)
    return seen, Grid(where.x, where.y * (height / width) / (rows / columns))


def _smoothed(seen: Floats) -> Floats:
    from scipy.ndimage import gaussian_filter

    smooth: Floats = gaussian_filter(seen, 1.5, mode="nearest")
    return smooth


def _soft(difference: Floats) -> float:
    """The fit's cost, of residuals (scipy's soft L1)."""
    scaled = (difference / _ROBUST) ** 2
    return float(_ROBUST**2 * (np.sqrt(1 + scaled) - 1).sum())


def _share(left: float, of: float) -> float:
    return float(np.clip(1.0 - left / max(of, 1e-12), 0.0, 1.0))


def _albedo(unknown: Floats) -> Floats:
    return np.asarray((1.0 / (1.0 + np.exp(-unknown))) ** GAMMA)


def _unknown(albedo: float) -> float:
    code = min(max(albedo, 1e-4), 0.98) ** (1 / GAMMA)
    return math.log(code / (1 - code))


def _roughness(unknown: Floats) -> Floats:
    return np.asarray(ROUGHNESS_MIN + (1 - ROUGHNESS_MIN) / (1.0 + np.exp(-unknown)))
