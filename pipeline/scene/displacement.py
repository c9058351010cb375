"""Where `overrides` of a shot put shapes and the camera: on top of the scene and of its keyframes.

A shape's offset rides on its keyframes, as `offset`, so that motion vectors know of it; a camera's is worked into its
keyframes. Angles are degrees, matrices 4×4 for column vectors. Pure; nothing here imports Mitsuba.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.overrides import CAMERA

__all__ = ["MOVES", "displaced_camera", "displacement", "rotation_xyz", "with_offsets"]

Matrix = NDArray[np.float64]

MOVES = ("translate", "rotate", "scale")
"""What an offset consists of."""


def rotation_xyz(degrees: Sequence[float] | NDArray[np.float64]) -> Matrix:
    """4×4: a turn about the world's x, then y, then z axis."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
        [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
        [-sy, cy * sx, cy * cx],
    ]
    return matrix


def displacement(offset: Mapping[str, Any], centre: NDArray[np.float64]) -> Matrix:
    """World to world: scale and turn about `centre`, then the translation: 4×4."""
    matrix = rotation_xyz(offset.get("rotate") or (0.0, 0.0, 0.0))
    matrix[:3, :3] *= offset.get("scale") or 1.0
    matrix[:3, 3] = centre - matrix[:3, :3] @ centre + (offset.get("translate") or (0.0, 0.0, 0.0))
    return matrix


def with_offsets(
    animate: Mapping[str, Any], overrides: Mapping[str, Any], shapes: Collection[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """`animate` with the overrides of shapes as `offset` of each of their keyframes; and what is left to override.

    Args:
        animate, overrides: of the shot config, as JSON values.
        shapes: ids of the scene's shapes.

    Returns:
        keyframes by shape; id → property → value, of what does not move shapes or the camera.
    """
    keyframes, rest = dict(animate), {}
    for name, values in overrides.items():
        given = {key: value for key, value in values.items() if value is not None}
        if name == CAMERA:
            continue
        if name in shapes and (offset := {key: given.pop(key) for key in MOVES if key in given}):
            own = keyframes.get(name) or {"0": {}}
            keyframes[name] = {frame: {**pose, "offset": offset} for frame, pose in own.items()}
        given.pop("texture", None)  # it was swapped when the scene was frozen
        if given:
            rest[name] = given
    return keyframes, rest


def displaced_camera(camera: Mapping[str, Any] | None, overrides: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The shot's camera with its overrides. The scene's own camera was changed when the scene was frozen.

    Turning about where the camera is commutes with the interpolation of its origin, target and up.
    """
    changed = {key: value for key, value in (overrides.get(CAMERA) or {}).items() if value is not None}
    if not changed or camera is None:
        return camera
    moved = dict(camera)
    if "fov" in changed:
        moved["fov"] = changed["fov"]
        moved["fov_axis"] = "x"
    if keyframes := moved.get("keyframes"):
        R = rotation_xyz(changed.get("rotate") or (0.0, 0.0, 0.0))[:3, :3]
        t = np.asarray(changed.get("translate") or (0.0, 0.0, 0.0))
        moved["keyframes"] = {frame: _turned(pose, R, t) for frame, pose in keyframes.items()}
    return moved


def _turned(pose: Mapping[str, Any], R: NDArray[np.float64], t: NDArray[np.float64]) -> dict[str, Any]:
    origin, target = np.asarray(pose["origin"], dtype=np.float64), np.asarray(pose["target"], dtype=np.float64)
    up = R @ np.asarray(pose.get("up") or (0.0, 1.0, 0.0))
    ahead = origin + t + R @ (target - origin)
    return {**pose, "origin": (origin + t).tolist(), "target": ahead.tolist(), "up": up.tolist()}
