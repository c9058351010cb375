"""Trajectories: where the pixels of a frame are in its neighbours, by the motion vectors of the frames between.

A frame's vectors reach to the next and the previous frame. Further ones are reached step by step: at each frame on the
way the vector of the nearest pixel is added. Where any step is not known, neither is the rest.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from pipeline.denoise.frame import Frame, Window, frame_of
from pipeline.errors import ProductError

__all__ = ["KNOWN", "Trajectory", "trajectories"]

Trajectory = tuple[NDArray[np.float32], NDArray[np.bool_]]
"""Offset H×W×2, pixels (x right, y down), 0 where it is not valid; and where it is valid, H×W."""

KNOWN = 0.5
"""Least share of a pixel's samples whose motion is known, for its vector to be followed."""


def trajectories(
    window: Window, centre: int, frames: Iterable[int], *, assume_static: bool = False
) -> dict[int, Trajectory]:
    """Where each pixel of the centre is in each of the frames.

    A pixel is valid in a frame when every step on the way is known (validity at least `KNOWN`, the vector finite) and
    every pixel on the way, the last included, is in the image. In an absent frame, and behind one, none is.

    Args:
        window: the frames by number; it needs those between the centre and `frames`.
        centre: the frame to denoise.
        frames: numbers on either side of the centre; its own gives offsets of 0.
        assume_static: what a frame without vectors for a step (a sequence rendered without motion) means: that nothing
            moved, rather than that nothing is known.

    Raises:
        ProductError: the window has no centre, or a frame of another size.
    """
    first = frame_of(window, centre)
    wanted = set(frames)
    found: dict[int, Trajectory] = {}
    for direction in (1, -1):
        ahead = [frame for frame in wanted if (frame - centre) * direction >= 0]
        if not ahead:
            continue
        reach = max(abs(frame - centre) for frame in ahead)
        here: Frame | None = first
        offset, valid = np.zeros((*first.shape, 2), np.float32), np.ones(first.shape, bool)
        for number in range(centre, centre + direction * (reach + 1), direction):
            if number != centre:
                offset, valid = _step(here, direction, offset, valid, assume_static=assume_static)
                here = window.get(number)
            if here is None:
                offset, valid = np.zeros_like(offset), np.zeros_like(valid)
            elif here.shape != first.shape:
                raise ProductError(f"frame {number} is {_size(here)} pixels, frame {centre} is {_size(first)}")
            if number in wanted:
                found[number] = offset, valid
    return found


def _step(
    frame: Frame | None,
    direction: int,
    offset: NDArray[np.float32],
    valid: NDArray[np.bool_],
    *,
    assume_static: bool,
) -> Trajectory:
    """One frame further: the vectors of `frame` added where its pixels are met; an absent one has no valid pixel."""
    if frame is None:
        return offset, valid
    vectors = frame.forward if direction > 0 else frame.backward
    share = frame.forward_valid if direction > 0 else frame.backward_valid
    if vectors is None:
        return (offset, valid) if assume_static else (np.zeros_like(offset), np.zeros_like(valid))
    known = np.isfinite(vectors[..., 0]) & np.isfinite(vectors[..., 1])
    if share is not None:
        known = known & (share >= KNOWN)  # False where the share is not a number
    if offset.any():
        there, _ = _nearest(offset)
        known, vectors = known.ravel()[there], vectors.reshape(-1, 2)[there]
    valid = valid & known
    moved = np.where(valid[..., None], offset + vectors, np.float32(0))
    valid = valid & _nearest(moved)[1]
    return np.where(valid[..., None], moved, np.float32(0)), valid


def _nearest(offset: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Flat index of the pixel nearest to p + offset, and whether it is in the image; p's own where it is not."""
    height, width = offset.shape[:2]
    own_y, own_x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)
    # Halves go up in every pixel: to the even, every other pixel of a motion by x.5 would be met twice.
    steps = np.floor(offset + np.float32(0.5))
    x, y = own_x + steps[..., 0], own_y + steps[..., 1]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)  # in floats: a long vector overflows an int
    rows, columns = (np.where(inside, at, own).astype(np.intp) for at, own in ((y, own_y), (x, own_x)))
    return rows * width + columns, inside


def _size(frame: Frame) -> str:
    height, width = frame.shape
    return f"{width}×{height}"
