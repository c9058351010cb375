"""Frames of a shot that get a cache of their own: where shapes have keyframes, and often enough between them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from pipeline.config.shot import Shot
from pipeline.radiosity.film import Blend

__all__ = ["STRIDE", "between", "key_frames"]

STRIDE = 8
"""Frames between two caches, at most, while anything moves."""


def key_frames(shot: Shot) -> list[int]:
    """Ascending, the shot's first frame among them; that one alone where nothing but the camera moves."""
    frames = shot.frame_list
    varies = shot.scene_per_frame or shot.scene.lower().endswith(".py")
    if not (varies or shot.animate):
        return frames[:1]
    ends = {frames[0], frames[-1]}
    moved = {frame for keys in shot.animate.values() for frame in keys if frame in set(frames)}
    chosen = sorted(ends | moved)
    for before, after in pairwise(list(chosen)):
        chosen += [frame for frame in frames if before < frame < after and (frame - before) % STRIDE == 0]
    return sorted(chosen)


def between(caches: Mapping[int, Any], frame: int) -> Any:
    """What answers at a frame: the cache of a key frame, or a blend of its neighbours."""
    keys = sorted(caches)
    at = bisect_right(keys, frame) - 1
    if at < 0 or at + 1 == len(keys) or keys[at] == frame:
        return caches[keys[max(at, 0)]]
    before, after = keys[at], keys[at + 1]
    return Blend(caches[before], caches[after], (frame - before) / (after - before))
