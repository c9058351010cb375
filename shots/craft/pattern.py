"""Procedural patterns: tileable noise, wood, normal maps, and PNG or EXR to keep them in.

Colours are sRGB-encoded 0…1 unless a name says otherwise. Everything is a pure function of its arguments and seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import OpenEXR
from PIL import Image

__all__ = [
    "cloud",
    "fbm",
    "mix",
    "noise",
    "normals_from",
    "smoothstep",
    "spectral",
    "stretch",
    "wood",
    "write_exr",
    "write_png",
]


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    t = np.clip((np.asarray(x, float) - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray, t: np.ndarray) -> np.ndarray:
    """Blends colours (…×3) by t (…)."""
    return np.asarray(a, float) + (np.asarray(b, float) - np.asarray(a, float)) * np.asarray(t)[..., None]


def stretch(values: np.ndarray, tails: float = 1.0) -> np.ndarray:
    """Maps the values to 0…1, cutting `tails` percent on either side."""
    low, high = np.percentile(values, [tails, 100 - tails])
    return np.clip((values - low) / (high - low), 0, 1)


def noise(points: np.ndarray, seed: int, period: int = 64) -> np.ndarray:
    """Smooth lattice noise in −1…1 at points …×D; repeats every `period` in each axis."""
    points = np.asarray(points, float)
    dimension = points.shape[-1]
    lattice = np.random.default_rng(seed).uniform(-1, 1, (period,) * dimension)
    cell = np.floor(points).astype(int)
    t = points - cell
    t = t * t * t * (t * (6 * t - 15) + 10)
    total = np.zeros(points.shape[:-1])
    for corner in np.ndindex(*(2,) * dimension):
        weight = np.prod(np.where(np.array(corner) == 1, t, 1 - t), axis=-1)
        total += weight * lattice[tuple(np.moveaxis((cell + corner) % period, -1, 0))]
    return total


def fbm(points: np.ndarray, seed: int, octaves: int = 4, gain: float = 0.5, period: int = 32) -> np.ndarray:
    """Octaves of `noise`; repeats every `period`."""
    points = np.asarray(points, float)
    return sum(
        gain**i * noise(points * 2**i, seed + i, min(period * 2**i, 64 if points.shape[-1] == 3 else 1024))
        for i in range(octaves)
    )


def cloud(
    height: int, width: int, cells: int | tuple[int, int], seed: int, octaves: int = 5, gain: float = 0.5
) -> np.ndarray:
    """Tileable fractal noise, H×W in 0…1; `cells` lattice cells (down, across) in the first octave."""
    down, across = (cells, cells) if isinstance(cells, int) else cells
    y, x = np.meshgrid(np.arange(height) / height, np.arange(width) / width, indexing="ij")
    total = np.zeros((height, width))
    for i in range(octaves):
        lattice = np.random.default_rng(seed + i).uniform(-1, 1, (down * 2**i, across * 2**i))
        total += gain**i * _bilinear(lattice, y * lattice.shape[0], x * lattice.shape[1])
    return stretch(total, 0.5)


def _bilinear(lattice: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Smooth interpolation of a lattice that repeats."""
    iy, ix = np.floor(y).astype(int), np.floor(x).astype(int)
    ty, tx = y - iy, x - ix
    ty, tx = ty * ty * (3 - 2 * ty), tx * tx * (3 - 2 * tx)
    h, w = lattice.shape
    a, b = lattice[iy % h, ix % w], lattice[iy % h, (ix + 1) % w]
    c, d = lattice[(iy + 1) % h, ix % w], lattice[(iy + 1) % h, (ix + 1) % w]
    return (a * (1 - tx) + b * tx) * (1 - ty) + (c * (1 - tx) + d * tx) * ty


def spectral(height: int, width: int, slope: float, seed: int) -> np.ndarray:
    """Tileable noise with amplitude ∝ frequency^−slope, H×W in 0…1."""
    white = np.random.default_rng(seed).uniform(-1, 1, (height, width))
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    frequency = np.hypot(fy, fx)
    frequency[0, 0] = np.inf
    return stretch(np.fft.irfft2(np.fft.rfft2(white) * frequency**-slope, (height, width)))


def wood(height: int, width: int, seed: int, *, rings: float = 7.0, fibre: int = 90) -> tuple[np.ndarray, np.ndarray]:
    """Flat-sawn wood with the grain along the first axis, tileable: (growth rings 0…1, fine pores 0…1)."""
    x = np.arange(width)[None] / width
    slow = cloud(height, width, (1, 3), seed, 3) - 0.5
    wave = cloud(height, width, (2, 4), seed + 20, 2) - 0.5
    phase = rings * x + 2.2 * slow + 0.8 * wave
    saw = phase - np.floor(phase)  # early wood fades into a dark late edge
    ring = smoothstep(0.1, 0.92, saw) * (1 - smoothstep(0.93, 1.0, saw))
    pores = cloud(height, width, (6, fibre), seed + 40, 2, 0.7)
    return ring, pores


def normals_from(height_map: np.ndarray, strength: float) -> np.ndarray:
    """Tangent-space normal map (0…1 encoded) of a tileable height map; `strength` is height over texel size.

    Mitsuba's v = 0 is the first row of the image, so v grows with the row.
    """
    dx = (np.roll(height_map, -1, 1) - np.roll(height_map, 1, 1)) * strength / 2
    dy = (np.roll(height_map, -1, 0) - np.roll(height_map, 1, 0)) * strength / 2
    n = np.stack([-dx, -dy, np.ones_like(dx)], -1)
    return n / np.linalg.norm(n, axis=-1, keepdims=True) * 0.5 + 0.5


def write_png(path: Path, image: np.ndarray, *, levels: int = 256) -> None:
    """8-bit PNG from values 0…1, H×W or H×W×3; fewer `levels` make a smaller file."""
    steps = np.clip(np.round(np.asarray(image) * (levels - 1)), 0, levels - 1)
    Image.fromarray(np.round(steps * (255 / (levels - 1))).astype(np.uint8)).save(path, optimize=True)


def write_exr(path: Path, image: np.ndarray) -> None:
    """Half-float EXR, ZIP, of linear values H×W×3."""
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"RGB": np.ascontiguousarray(image, np.float16)}).write(str(path))
