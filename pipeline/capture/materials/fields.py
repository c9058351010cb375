"""Random fields on a periodic square: noise, cells, cracks, and what is made of them. All are float32 arrays, S×S."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

__all__ = [
    "Cells",
    "Field",
    "blurred",
    "cells",
    "coordinates",
    "covering",
    "cracks",
    "noise",
    "per_cell",
    "ridges",
    "slopes",
    "smoothstep",
    "unit",
    "warped",
]

Field = NDArray[Any]
"""float32, S×S."""
Random = np.random.Generator


def coordinates(size: int) -> tuple[Field, Field]:
    """x to the right and y down, of texel centres, in [0, 1)."""
    at = (np.arange(size, dtype=np.float32) + 0.5) / size
    x, y = np.meshgrid(at, at)
    return x.astype(np.float32), y.astype(np.float32)


def noise(
    rng: Random, size: int, *, scale: float = 4.0, falloff: float = 2.0, stretch: tuple[float, float] = (1.0, 1.0)
) -> Field:
    """Gaussian noise of mean 0 and deviation 1 whose spectrum falls off above a frequency.

    Args:
        scale: cycles per side of the coarsest features.
        falloff: exponent of the amplitude: 1 is rough, 3 smooth.
        stretch: features are longer by these factors along x and y.
    """
    fx = np.fft.rfftfreq(size, 1 / size) * stretch[0]
    fy = np.fft.fftfreq(size, 1 / size) * stretch[1]
    radius = np.hypot(fx[None, :], fy[:, None])
    with np.errstate(divide="ignore"):
        amplitude = np.where(radius < 0.5 * scale, 0.0, np.maximum(radius / scale, 1.0) ** -(falloff + 0.5))
    spectrum = amplitude * (rng.standard_normal(radius.shape) + 1j * rng.standard_normal(radius.shape))
    field = np.fft.irfft2(spectrum, s=(size, size))
    field -= field.mean()
    return (field / max(float(field.std()), 1e-9)).astype(np.float32)


def ridges(rng: Random, size: int, *, scale: float = 4.0, falloff: float = 2.0) -> Field:
    """Creases where noise crosses zero: 1 there, towards 0 elsewhere."""
    return np.exp(-np.abs(noise(rng, size, scale=scale, falloff=falloff)) * 2.5).astype(np.float32)


def unit(field: Field) -> Field:
    """Scaled to [0, 1] between its 1st and 99th percentile."""
    low, high = np.percentile(field, (1, 99))
    return np.clip((field - low) / max(float(high - low), 1e-9), 0, 1).astype(np.float32)


def smoothstep(field: Field, low: float, high: float) -> Field:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((field - low) / (high - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def covering(field: Field, share: float, *, softness: float = 0.15) -> Field:
    """A mask, 0 … 1, that covers a share of the square: where the field is high."""
    edge = float(np.quantile(field, 1 - np.clip(share, 0.0, 1.0)))
    width = softness * float(field.std()) + 1e-6
    return smoothstep(field, edge - width, edge + width)


def blurred(field: Field, radius: float) -> Field:
    """Gaussian blur; `radius` as a part of the side."""
    return gaussian_filter(field, radius * field.shape[0], mode="wrap").astype(np.float32)


def warped(field: Field, dx: Field, dy: Field) -> Field:
    """The field where each texel looks `dx`, `dy` (parts of the side) away."""
    size = field.shape[0]
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    return map_coordinates(field, [rows + dy * size, columns + dx * size], order=1, mode="grid-wrap").astype(np.float32)


def slopes(height: Field) -> tuple[Field, Field]:
    """∂/∂x (to the right) and ∂/∂y (up) of a height in half widths of the patch."""
    step = 4.0 / height.shape[0]  # two texels
    x = (np.roll(height, -1, 1) - np.roll(height, 1, 1)) / step
    y = (np.roll(height, 1, 0) - np.roll(height, -1, 0)) / step
    return x.astype(np.float32), y.astype(np.float32)


@dataclass(frozen=True)
class Cells:
    """A division of the square.

    Attributes:
        number: int, of the cell that a texel lies in.
        count: of cells.
        edge: distance to the cell's border, parts of the side.
        x, y: place within the cell, relative to its middle, parts of the side.
    """

    number: NDArray[np.int64]
    count: int
    edge: Field
    x: Field
    y: Field


def cells(points: NDArray[np.float64], size: int, *, warp: tuple[Field, Field] | None = None) -> Cells:
    """Voronoi cells of points in [0, 1)²."""
    x, y = coordinates(size)
    if warp is not None:
        x, y = x + warp[0], y + warp[1]
    places = np.stack([x % 1.0, y % 1.0], -1).reshape(-1, 2).astype(np.float64) % 1.0
    tree = cKDTree(points % 1.0, boxsize=1.0)
    distance, index = tree.query(places, k=2)
    near, second = points[index[:, 0]] % 1.0, points[index[:, 1]] % 1.0
    own = (places - near + 0.5) % 1.0 - 0.5
    between = (second - near + 0.5) % 1.0 - 0.5
    apart = np.maximum(np.linalg.norm(between, axis=1), 1e-9)
    edge = (distance[:, 1] ** 2 - distance[:, 0] ** 2) / (2 * apart)  # to the bisector
    shape = (size, size)
    return Cells(
        index[:, 0].reshape(shape),
        len(points),
        edge.reshape(shape).astype(np.float32),
        own[:, 0].reshape(shape).astype(np.float32),
        own[:, 1].reshape(shape).astype(np.float32),
    )


def per_cell(rng: Random, division: Cells) -> Field:
    """One uniform number in [0, 1) for each cell."""
    return rng.random(division.count).astype(np.float32)[division.number]


def cracks(rng: Random, size: int, *, count: int = 12, width: float = 0.004) -> Field:
    """Fine warped lines between cells: 1 on them."""
    warp = tuple(0.03 * noise(rng, size, scale=3, falloff=1.6) for _ in range(2))
    division = cells(rng.random((count, 2)), size, warp=(warp[0], warp[1]))
    thickness = width * (0.4 + unit(noise(rng, size, scale=4)))
    return (1 - smoothstep(division.edge / np.maximum(thickness, 1e-4), 0.5, 1.5)).astype(np.float32)
