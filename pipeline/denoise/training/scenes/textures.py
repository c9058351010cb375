"""Pictures for surfaces and lamps, and their PNG and PFM files.

Colour pictures are uint8, n×n×3, sRGB, and tile.
"""

from __future__ import annotations

import colorsys
import struct
import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.denoise.training.scenes.geometry import Array
from pipeline.denoise.training.scenes.noise import fractal

__all__ = ["PATTERNS", "colour", "heights", "leaf_mask", "linear", "normals", "pfm", "picture", "png"]

Picture = NDArray[np.uint8]
Pattern = Callable[[np.random.Generator, int], Array]


def colour(rng: np.random.Generator, *, low: float = 0.05, high: float = 0.85) -> Array:
    """A reflectance (linear, 3): greys, earthen tones, and now and then any vivid hue; its largest channel is in
    [low, high]."""
    kind = rng.random()
    if kind < 0.35:
        hue, saturation = rng.random(), rng.uniform(0.0, 0.12)
    elif kind < 0.75:
        hue, saturation = rng.uniform(0.02, 0.14), rng.uniform(0.15, 0.65)
    else:
        hue, saturation = rng.random(), rng.uniform(0.2, 0.95)
    return np.array(colorsys.hsv_to_rgb(hue, saturation, rng.uniform(low, high)))


def linear(picture: Picture) -> Array:
    """sRGB bytes → linear values in [0, 1] (IEC 61966-2-1)."""
    x = picture / 255.0
    return np.asarray(np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4))


def _encoded(values: Array) -> Picture:
    x = np.clip(values, 0.0, 1.0)
    return np.round(255.0 * np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)).astype(np.uint8)


# --- Patterns: a weight in [0, 1] per pixel -------------------------------------------------------------------------


def _axes(size: int) -> tuple[Array, Array]:
    y, x = np.mgrid[0:size, 0:size] / size
    return y, x


def checker(rng: np.random.Generator, size: int) -> Array:
    y, x = _axes(size)
    n = 2 * rng.integers(1, 9)
    return np.asarray((np.floor(x * n) + np.floor(y * n)) % 2)


def stripes(rng: np.random.Generator, size: int) -> Array:
    y, x = _axes(size)
    n, m = rng.integers(1, 12), rng.integers(0, 3)
    return np.asarray((0.5 + 0.5 * np.sin(2 * np.pi * (n * x + m * y)) > rng.uniform(0.2, 0.8)).astype(np.float64))


def marble(rng: np.random.Generator, size: int) -> Array:
    y, x = _axes(size)
    return np.asarray(0.5 + 0.5 * np.sin(2 * np.pi * (x + 2 * y) + 9.0 * fractal(rng, size, octaves=6))) ** 0.6


def wood(rng: np.random.Generator, size: int) -> Array:
    _, x = _axes(size)
    planks = rng.integers(2, 7)
    plank = np.floor(x * planks)
    tone = rng.random(planks)[plank.astype(np.int64)]
    grain = fractal(rng, size, cells=32, octaves=3)
    rings = 0.5 + 0.5 * np.sin(60.0 * (x + 0.08 * fractal(rng, size, cells=2)[:, ::-1]) + 20.0 * tone)
    gap = (x * planks) % 1.0 < 0.03
    return np.where(gap, 0.0, np.clip(0.45 * tone + 0.3 * rings + 0.3 * grain[:, :1], 0.0, 1.0))


def cloudy(rng: np.random.Generator, size: int) -> Array:
    return fractal(rng, size, cells=int(rng.integers(2, 12)), octaves=6, gain=rng.uniform(0.4, 0.75))


def speckled(rng: np.random.Generator, size: int) -> Array:
    return np.asarray((fractal(rng, size, cells=48, octaves=2) > rng.uniform(0.4, 0.7)).astype(np.float64))


def bricks(rng: np.random.Generator, size: int) -> Array:
    y, x = _axes(size)
    rows = 2 * rng.integers(2, 6)
    row = np.floor(y * rows)
    across = x * rows / 2 + 0.5 * (row % 2)
    tone = rng.random((rows, rows))[row.astype(np.int64), np.floor(across).astype(np.int64) % (rows // 2)]
    mortar = ((y * rows) % 1.0 < 0.1) | (across % 1.0 < 0.05)
    return np.where(mortar, 0.0, 0.35 + 0.5 * tone + 0.15 * fractal(rng, size, cells=32))


def tiles(rng: np.random.Generator, size: int) -> Array:
    y, x = _axes(size)
    n = rng.integers(2, 9)
    grout = ((x * n) % 1.0 < 0.06) | ((y * n) % 1.0 < 0.06)
    return np.where(grout, 0.0, 0.8 + 0.2 * fractal(rng, size))


def fabric(rng: np.random.Generator, size: int) -> Array:
    y, x = _axes(size)
    n = size // int(rng.integers(3, 8))
    over = (np.floor(x * n) + np.floor(y * n)) % 2
    thread = np.where(over == 0, np.sin(np.pi * ((x * n) % 1.0)), np.sin(np.pi * ((y * n) % 1.0)))
    return np.asarray(np.clip(thread * (0.6 + 0.4 * over) * (0.7 + 0.3 * fractal(rng, size)), 0.0, 1.0))


def plaid(rng: np.random.Generator, size: int) -> Array:
    bands = rng.integers(0, 2, (2, 16)).repeat(size // 16, axis=1)
    return np.asarray(0.5 * (bands[0][:, None] + bands[1][None, :]))


def glyphs(rng: np.random.Generator, size: int) -> Array:
    """Lines of blocks that look like print from afar."""
    page = np.zeros((size, size))
    line = max(size // int(rng.integers(8, 24)), 4)
    for top in range(line // 2, size - line, line):
        end = rng.uniform(0.5, 0.95) * size
        left = size // 16
        while left < end:
            width = max(2, int(line * rng.uniform(0.3, 0.6)))
            block = rng.random((max(line * 2 // 3, 1), width)) < 0.6
            if rng.random() < 0.83:
                target = page[top : top + block.shape[0], left : left + width]
                target[...] = block[: target.shape[0], : target.shape[1]]
            left += width + 1
    return 1.0 - page


def cells(rng: np.random.Generator, size: int) -> Array:
    """Voronoi cells of even tones: stones, leather."""
    count = int(rng.integers(12, 60))
    seeds, tone = rng.random((count, 2)), rng.random(count)
    y, x = _axes(size)
    d = np.abs(np.stack([y, x], axis=2)[:, :, None] - seeds)
    d = np.hypot(*np.moveaxis(np.minimum(d, 1.0 - d), -1, 0))
    order = np.sort(d, axis=2)
    return np.where(order[..., 1] - order[..., 0] < 0.012, 0.0, 0.2 + 0.8 * tone[d.argmin(axis=2)])


def dots(rng: np.random.Generator, size: int) -> Array:
    y, x = _axes(size)
    n = rng.integers(3, 14)
    return np.asarray((np.hypot((x * n) % 1.0 - 0.5, (y * n) % 1.0 - 0.5) < rng.uniform(0.15, 0.4)).astype(np.float64))


PATTERNS: tuple[Pattern, ...] = (
    *(checker, stripes, marble, wood, wood, cloudy, speckled),
    *(bricks, tiles, fabric, plaid, glyphs, cells, dots),
)


def picture(rng: np.random.Generator, *, size: int = 128) -> Picture:
    """A pattern between two or three colours, or blobs of colour like a photograph out of focus."""
    low, high = sorted(rng.uniform(0.02, 0.9, 2))
    if rng.random() < 0.12:
        channels = [fractal(rng, size, cells=3, octaves=5) for _ in range(3)]
        return _encoded(np.stack(channels, axis=2) * max(high, 0.2))
    weight = PATTERNS[rng.integers(len(PATTERNS))](rng, size)[..., None]
    dark, bright = colour(rng, low=low, high=low + 0.02), colour(rng, low=max(high, 0.15), high=max(high, 0.15) + 0.02)
    mixed = dark * (1.0 - weight) + bright * weight
    if rng.random() < 0.3:
        spots = (fractal(rng, size, cells=4, octaves=5) > 0.62)[..., None] * rng.uniform(0.2, 0.8)
        mixed = mixed * (1.0 - spots) + colour(rng) * spots
    return _encoded(mixed)


def heights(rng: np.random.Generator, *, size: int = 128, depth: float = 0.02) -> NDArray[np.float32]:
    """A bump map, n×n×1: heights in units of the texture's side."""
    pattern = PATTERNS[rng.integers(len(PATTERNS))](rng, size)
    soft = (pattern + sum(np.roll(pattern, s, axis) for s in (-1, 1) for axis in (0, 1))) / 5.0
    return (depth * soft[..., None]).astype(np.float32)


def normals(rng: np.random.Generator, *, size: int = 128) -> Picture:
    """A normal map of the same heights, as bytes without gamma."""
    h = heights(rng, size=size, depth=rng.uniform(0.01, 0.04))[..., 0]
    dy, dx = (np.roll(h, -1, axis) - np.roll(h, 1, axis) for axis in (0, 1))
    n = np.stack([-dx * size / 2.0, dy * size / 2.0, np.ones_like(h)], axis=2)
    n /= np.linalg.norm(n, axis=2, keepdims=True)
    return np.round(127.5 * (n + 1.0)).astype(np.uint8)


def leaf_mask(rng: np.random.Generator, *, size: int = 64) -> NDArray[np.float32]:
    """Opacity, n×n×1: the outline of a leaf, or holes as in lace."""
    y, x = _axes(size)
    if rng.random() < 0.5:
        mask = np.abs(y - 0.5) < 0.48 * np.sin(np.pi * x) ** rng.uniform(0.5, 1.2)
    else:
        mask = dots(rng, size) < 0.5
    return mask[..., None].astype(np.float32)


# --- Files ----------------------------------------------------------------------------------------------------------


def png(picture: Picture) -> bytes:
    """A PNG file of an RGB picture (H×W×3)."""
    height, width, _ = picture.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), picture.reshape(height, -1)], axis=1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(rows.tobytes(), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def pfm(values: NDArray[np.float32]) -> bytes:
    """A PFM file of float32 values, H×W×1 or ×3; the format's rows go upwards."""
    height, width, channels = values.shape
    kind = {1: b"Pf", 3: b"PF"}[channels]
    return kind + f"\n{width} {height}\n-1.0\n".encode() + values[::-1].astype("<f4").tobytes()
