"""Noise for textures and displacement."""

from __future__ import annotations

import numpy as np

from pipeline.denoise.training.scenes.geometry import Array

__all__ = ["fractal", "waves"]


def fractal(rng: np.random.Generator, size: int, *, cells: int = 4, octaves: int = 4, gain: float = 0.5) -> Array:
    """Tileable value noise in [0, 1], size×size: octaves of random lattices, smoothly interpolated.

    Args:
        cells: of the coarsest lattice; each octave has twice as many, at most `size`.
        gain: amplitude of an octave over that of the one before.
    """
    total, amplitude = np.zeros((size, size)), 1.0
    for octave in range(octaves):
        count = min(cells << octave, size)
        lattice = rng.random((count, count))
        x = np.arange(size) * count / size
        i = x.astype(np.int64)
        t = x - i
        t = t * t * (3.0 - 2.0 * t)
        j = (i + 1) % count
        rows = lattice[i] * (1.0 - t)[:, None] + lattice[j] * t[:, None]
        total += amplitude * (rows[:, i] * (1.0 - t) + rows[:, j] * t)
        amplitude *= gain
    low, high = total.min(), total.max()
    return np.asarray((total - low) / max(high - low, 1e-9))


def waves(rng: np.random.Generator, points: Array, *, length: float, count: int = 12) -> Array:
    """Smooth noise in space, about ±1: a sum of plane waves of about `length` metres, at points (…×3)."""
    directions = rng.normal(size=(count, 3))
    frequency = 2.0 * np.pi / length * rng.uniform(0.5, 1.6, count)
    k = directions / np.linalg.norm(directions, axis=1, keepdims=True) * frequency[:, None]
    return np.asarray(np.sin(points @ k.T + rng.uniform(0.0, 2.0 * np.pi, count)).sum(axis=-1) * np.sqrt(2.0 / count))
