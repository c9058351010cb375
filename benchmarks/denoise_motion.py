"""Pixels of neighbouring frames along motion vectors; and the regions in which temporal filters go wrong."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from pipeline.denoise.backends import DEMODULATION
from pipeline.render.buffers import FrameBuffers

__all__ = ["changing", "failing", "gathered", "moving", "reachable"]

Mask = NDArray[np.bool_]

SAME_PLACE = 1.0
"""Pixels: there and back again along the motion must not lead further off."""

KNOWN = 0.5
"""Share of a pixel's samples whose motion is known, at least."""

MOVES = 0.5
"""Pixels per frame from which an object counts as moving."""

CHANGE = 0.05
"""Relative change of light along the motion (SMAPE-like, of 5×5 means) from which shading counts as changing."""

NOISE_MARGIN = 3.0
"""That change in standard errors of the reference, at least."""

_EPSILON = 1e-2


def _motion(frame: FrameBuffers, step: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return (frame.forward, frame.forward_valid) if step > 0 else (frame.backward, frame.backward_valid)


def _places(frame: FrameBuffers, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Mask]:
    """Row and column in the neighbour of every pixel, clamped to the image; and whether they were inside."""
    height, width = frame.shape
    motion, _ = _motion(frame, step)
    y, x = np.mgrid[0:height, 0:width]
    column = np.rint(x + motion[..., 0]).astype(np.int64)
    row = np.rint(y + motion[..., 1]).astype(np.int64)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return np.clip(row, 0, height - 1), np.clip(column, 0, width - 1), inside


def gathered(image: NDArray[Any], frame: FrameBuffers, step: int) -> NDArray[Any]:
    """`image` of the frame one `step` (+1 or −1) away, as seen from `frame`: its nearest pixel along the motion."""
    row, column, _ = _places(frame, step)
    return image[row, column]


def reachable(frame: FrameBuffers, other: FrameBuffers, step: int) -> Mask:
    """Pixels whose surface the neighbour shows: the motion is known, stays in the image, ends on the same shape, and
    the neighbour's own motion leads back. H×W."""
    _, _, inside = _places(frame, step)
    motion, valid = _motion(frame, step)
    back, back_valid = _motion(other, -step)
    known = (valid >= KNOWN) & (gathered(back_valid, frame, step) >= KNOWN)
    away = np.linalg.norm(motion + gathered(back, frame, step), axis=-1)
    shown: Mask = inside & known & (away <= SAME_PLACE) & (gathered(other.ids, frame, step) == frame.ids)
    return shown


def moving(frame: FrameBuffers, ids: Collection[int]) -> Mask:
    """Pixels of shapes that move by themselves (`ids`), by more than half a pixel to the next frame. H×W."""
    speed = np.linalg.norm(frame.forward, axis=-1)
    fast: Mask = np.isin(frame.ids, list(ids)) & (frame.forward_valid >= KNOWN) & (speed > MOVES)
    return fast


def failing(frame: FrameBuffers, before: FrameBuffers, after: FrameBuffers) -> Mask:
    """Pixels that one of the two neighbours does not show. H×W."""
    return ~(reachable(frame, before, -1) & reachable(frame, after, +1))


def changing(
    halves: tuple[FrameBuffers, FrameBuffers], next_halves: tuple[FrameBuffers, FrameBuffers], ids: Collection[int]
) -> Mask:
    """Static surfaces whose light changes from one reference to the next: moving shadows and reflections. H×W.

    Args:
        halves, next_halves: the references of two neighbouring frames.
        ids: shapes that move by themselves, which do not count.
    """
    frame, other = halves[0], next_halves[0]
    here = [_smooth(_light(half)) for half in halves]
    there = [gathered(_smooth(_light(half)), frame, +1) for half in next_halves]
    now, then = (here[0] + here[1]) / 2, (there[0] + there[1]) / 2
    scale = now + then + _EPSILON
    variance = _smooth(((here[0] - here[1]) / 2) ** 2 + ((there[0] - there[1]) / 2) ** 2)
    noise = np.sqrt(np.maximum(variance, 0.0))  # running sums may round below 0
    change = np.abs(now - then)
    changes: Mask = (change > CHANGE * scale) & (change > NOISE_MARGIN * noise)
    still = ~np.isin(frame.ids, list(ids)) & (frame.ids > 0) & reachable(frame, other, +1)
    return changes & still & ~_edges(frame)


def _light(frame: FrameBuffers) -> NDArray[np.float64]:
    """Radiance without texture, mean over the channels: H×W. Emission does not count."""
    irradiance = frame.diffuse / (frame.albedo + DEMODULATION)
    return np.asarray((irradiance + frame.specular).mean(axis=-1), dtype=np.float64)


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = uniform_filter(values, size=5, mode="nearest")
    return mean


def _edges(frame: FrameBuffers) -> Mask:
    """Pixels with another shape within two pixels: there the 5×5 means mix surfaces. H×W."""
    edges = np.zeros(frame.shape, bool)
    padded = np.pad(frame.ids, 2, mode="edge")
    height, width = frame.shape
    for dy in range(5):
        for dx in range(5):
            edges |= padded[dy : dy + height, dx : dx + width] != frame.ids
    return edges
