"""Keyframes of cameras and shapes: linear in origin, target, translation and scale, spherical in rotation.

Before the first keyframe and after the last one the pose holds. Matrices are 4×4, float64, for column vectors; angles
are degrees. Pure numpy.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.scene.displacement import displacement

__all__ = ["around", "camera_to_world", "look_at", "pose", "rotation_about", "slerp"]

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]

SAME_AXIS = 1e-9
"""Axes whose unit vectors differ by less are the same."""


def camera_to_world(keyframes: Mapping[Any, Mapping[str, Any]], frame: float) -> Matrix:
    """Pose of a camera with `origin`, `target` and `up` keyframes.

    Args:
        keyframes: frame → {origin, target, up}; keys may be strings; `up` is +y where it is left out.
        frame: may lie between frames.

    Returns:
        4×4, as `look_at`.

    Raises:
        ValueError: no keyframes, or the interpolated camera looks nowhere (as `look_at`).
    """
    before, after, weight = _bracket(keyframes, frame)

    def mix(name: str, default: Sequence[float]) -> Vector:
        return _lerp(_or(before, name, default), _or(after, name, default), weight)

    return look_at(mix("origin", ()), mix("target", ()), mix("up", (0.0, 1.0, 0.0)))


def look_at(origin: Sequence[float] | Vector, target: Sequence[float] | Vector, up: Sequence[float] | Vector) -> Matrix:
    """Camera-to-world matrix in Mitsuba's convention: +z looks at the target, +x is to the left, +y is up.

    Raises:
        ValueError: the origin is the target, or `up` is parallel to the view.
    """
    eye = _vector(origin)
    view = _vector(target) - eye
    if not np.linalg.norm(view) > 0:
        raise ValueError("origin and target are the same point")
    view /= np.linalg.norm(view)
    left = np.cross(_vector(up), view)
    if not np.linalg.norm(left) > 1e-9 * max(float(np.linalg.norm(_vector(up))), 1e-300):
        raise ValueError("up is parallel to the direction of view")
    left /= np.linalg.norm(left)
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1], matrix[:3, 2], matrix[:3, 3] = left, np.cross(view, left), view, eye
    return matrix


def pose(keyframes: Mapping[Any, Mapping[str, Any]], frame: float, centre: Sequence[float] | Vector) -> Matrix:
    """World-to-world matrix of an animated shape, applied after the shape's own `to_world`.

    Scale and rotation are about the pivot, then comes the translation.

    Args:
        keyframes: frame → {translate, rotate: {axis, angle}, scale, pivot}, each of them optional. `scale` is a
            factor, or one per axis. `offset` {translate, rotate, scale} comes on top, about where the centre is then
            (`displacement`).
        frame: may lie between frames.
        centre: of the shape's bounding box as loaded, world units: the pivot of keyframes that name none.

    Returns:
        4×4.

    Raises:
        ValueError: no keyframes, or an axis of length 0.
    """
    before, after, weight = _bracket(keyframes, frame)
    middle = _vector(centre)

    def mix(name: str, default: Any) -> Vector:
        return _lerp(_or(before, name, default), _or(after, name, default), weight)

    scale = np.broadcast_to(mix("scale", (1.0, 1.0, 1.0)), 3)
    linear = _rotation(before.get("rotate"), after.get("rotate"), weight) @ np.diag([*scale, 1.0])
    matrix = around(linear, mix("pivot", middle))
    matrix[:3, 3] += mix("translate", (0.0, 0.0, 0.0))
    if offset := before.get("offset"):
        matrix = displacement(offset, matrix[:3, :3] @ middle + matrix[:3, 3]) @ matrix
    return matrix


def around(linear: Matrix, pivot: Sequence[float] | Vector) -> Matrix:
    """`linear` (4×4, no translation) with `pivot` as its fixed point."""
    matrix = np.array(linear, dtype=np.float64)
    middle = _vector(pivot)
    matrix[:3, 3] = middle - matrix[:3, :3] @ middle
    return matrix


def rotation_about(axis: Sequence[float] | Vector, degrees: float) -> Matrix:
    """4×4 rotation, right-handed about `axis` (Rodrigues' formula).

    Raises:
        ValueError: the axis has length 0.
    """
    x, y, z = _unit(axis)
    angle = np.radians(degrees)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    matrix = np.eye(4)
    matrix[:3, :3] += np.sin(angle) * cross + (1.0 - np.cos(angle)) * (cross @ cross)
    return matrix


def slerp(start: Vector, end: Vector, weight: float) -> Vector:
    """Spherical interpolation of unit quaternions (w, x, y, z), the shorter way round.

    Source: Shoemake 1985, "Animating rotation with quaternion curves", §3.3.
    """
    cosine = float(start @ end)
    if cosine < 0.0:
        end, cosine = -end, -cosine
    angle = np.arccos(min(cosine, 1.0))
    if angle < 1e-8:
        mixed = _lerp(start, end, weight)
    else:
        mixed = (np.sin((1.0 - weight) * angle) * start + np.sin(weight * angle) * end) / np.sin(angle)
    return np.asarray(mixed / np.linalg.norm(mixed))


def _rotation(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, weight: float) -> Matrix:
    """Between keyframes about one axis the angle is linear (0° → 360° is a full turn, 0° → 270° the long way);
    between axes the way is the shortest one on the sphere of rotations. A keyframe without rotation has angle 0 about
    the other one's axis."""
    if before is None and after is None:
        return np.eye(4)
    first = before if before is not None else {"axis": after["axis"], "angle": 0.0}  # type: ignore[index]
    second = after if after is not None else {"axis": first["axis"], "angle": 0.0}
    axis, other = _unit(first["axis"]), _unit(second["axis"])
    start, end = float(first["angle"]), float(second["angle"])
    if end == 0.0:
        other = axis
    elif start == 0.0:
        axis = other
    if np.linalg.norm(axis + other) < SAME_AXIS:
        other, end = axis, -end
    if np.linalg.norm(axis - other) < SAME_AXIS:
        return rotation_about(axis, (1.0 - weight) * start + weight * end)
    return _matrix(slerp(_quaternion(axis, start), _quaternion(other, end), weight))


def _quaternion(axis: Vector, degrees: float) -> Vector:
    half = np.radians(degrees) / 2.0
    return np.array([np.cos(half), *(np.sin(half) * axis)])


def _matrix(quaternion: Vector) -> Matrix:
    w, x, y, z = quaternion
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return matrix


def _bracket(
    keyframes: Mapping[Any, Mapping[str, Any]], frame: float
) -> tuple[Mapping[str, Any], Mapping[str, Any], float]:
    """The keyframes on either side of `frame`, and the weight of the second one."""
    if not keyframes:
        raise ValueError("no keyframes")
    keys = {int(key): value for key, value in keyframes.items()}
    frames = sorted(keys)
    index = bisect_right(frames, frame)
    if index == 0:
        return keys[frames[0]], keys[frames[0]], 0.0
    if index == len(frames):
        return keys[frames[-1]], keys[frames[-1]], 0.0
    first, second = frames[index - 1], frames[index]
    return keys[first], keys[second], (frame - first) / (second - first)


def _or(keyframe: Mapping[str, Any], name: str, default: Any) -> Vector:
    value = keyframe.get(name)
    return np.asarray(default if value is None else value, dtype=np.float64)


def _vector(value: Any) -> Vector:
    return np.array(value, dtype=np.float64)


def _unit(axis: Any) -> Vector:
    vector = _vector(axis)
    length = np.linalg.norm(vector)
    if not length > 0:
        raise ValueError("a rotation axis of length 0")
    return np.asarray(vector / length)


def _lerp(start: Vector, end: Vector, weight: float) -> Vector:
    return (1.0 - weight) * start + weight * end
