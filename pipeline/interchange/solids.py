"""Solids that other formats name and a mesh stands for: corners and triangles that face outwards."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Triangles", "cube", "cylinder", "disc", "rectangle", "sphere"]

Triangles = tuple[NDArray[np.float32], NDArray[np.uint32]]
"""Positions N×3, and corners M×3."""

_AROUND: Final = 64
"""Corners of a circle."""


def rectangle(width: float, height: float) -> Triangles:
    """In the plane z = 0, about the origin, facing −z."""
    x, y = width / 2, height / 2
    return _of([(-x, -y, 0), (x, -y, 0), (x, y, 0), (-x, y, 0)], [(0, 2, 1), (0, 3, 2)])


def disc(radius: float) -> Triangles:
    """In the plane z = 0, about the origin, facing −z."""
    x, y = _circle(radius)
    corners = np.stack([x, y, np.zeros_like(x)], 1)
    faces = [(0, k + 1, k) for k in range(1, _AROUND - 1)]
    return corners.astype(np.float32), np.array(faces, np.uint32)


def cube(size: float) -> Triangles:
    """About the origin, with edges along the axes."""
    signs = np.array([(x, y, z) for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)])
    quads = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]
    faces = [each for a, b, c, d in quads for each in ((a, b, c), (a, c, d))]
    return _of(signs * (size / 2), faces)


def cylinder(radius: float, length: float, *, capped: bool) -> Triangles:
    """Along z, about the origin; with or without its two ends."""
    x, y = _circle(radius)
    z = np.full_like(x, length / 2)
    corners = np.concatenate([np.stack([x, y, -z], 1), np.stack([x, y, z], 1)])
    following = [*range(1, _AROUND), 0]
    faces = [(k, n, n + _AROUND) for k, n in enumerate(following)]
    faces += [(k, n + _AROUND, k + _AROUND) for k, n in enumerate(following)]
    if capped:
        faces += [(0, k + 1, k) for k in range(1, _AROUND - 1)]
        faces += [(_AROUND, _AROUND + k, _AROUND + k + 1) for k in range(1, _AROUND - 1)]
    return _of(corners, faces)


def sphere(radius: float) -> Triangles:
    """About the origin; its poles on the y axis."""
    rings = _AROUND // 2
    polar = np.linspace(0, np.pi, rings + 1)[1:-1]
    azimuth = np.linspace(0, 2 * np.pi, _AROUND, endpoint=False)
    around = np.sin(polar)[:, None]
    up = np.broadcast_to(np.cos(polar)[:, None], (rings - 1, _AROUND))
    grid = np.stack([around * np.sin(azimuth), up, around * np.cos(azimuth)], -1).reshape(-1, 3)
    corners = np.concatenate([[(0, 1, 0)], grid, [(0, -1, 0)]]) * radius
    last, faces = len(corners) - 1, []
    for k in range(_AROUND):
        n = (k + 1) % _AROUND
        faces.append((0, 1 + k, 1 + n))
        faces.append((last, last - _AROUND + n, last - _AROUND + k))
        for ring in range(rings - 2):
            upper, lower = 1 + ring * _AROUND, 1 + (ring + 1) * _AROUND
            faces += [(upper + k, lower + k, lower + n), (upper + k, lower + n, upper + n)]
    return _of(corners, faces)


def _circle(radius: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    angle = np.linspace(0, 2 * np.pi, _AROUND, endpoint=False)
    return radius * np.cos(angle), radius * np.sin(angle)


def _of(corners: object, faces: object) -> Triangles:
    return np.array(corners, np.float32), np.array(faces, np.uint32)
