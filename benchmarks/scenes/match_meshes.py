"""Meshes of the matching benchmark, made of nothing: a mug, and an animal with long ears."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["hare", "mug", "write_obj"]

Array = NDArray[np.float64]
Mesh = tuple[Array, NDArray[np.int64]]
"""Vertices n×3, triangles m×3."""


def mug() -> Mesh:
    """A cup with a wall, 1 high, its axis +y, and a handle towards +x."""
    outline = [(0.0, 0.0), (0.42, 0.0), (0.45, 0.04), (0.45, 1.0), (0.40, 1.0), (0.40, 0.08), (0.0, 0.08)]
    return _joined(_turned(np.array(outline), 48), _handle())


def hare() -> Mesh:
    """An animal of ellipsoids, about 1 high, that looks towards +x; no turn of it looks like another."""
    parts = [  # centre, radii, tilt about z in degrees
        ((0.0, 0.30, 0.0), (0.42, 0.30, 0.28), 10.0),  # body
        ((0.38, 0.60, 0.0), (0.20, 0.18, 0.16), -15.0),  # head
        ((0.28, 0.92, 0.08), (0.07, 0.24, 0.05), 12.0),  # ears
        ((0.33, 0.90, -0.08), (0.07, 0.22, 0.05), -8.0),
        ((-0.42, 0.32, 0.0), (0.10, 0.10, 0.10), 0.0),  # tail
        ((0.26, 0.06, 0.16), (0.16, 0.07, 0.07), 0.0),  # feet
        ((0.26, 0.06, -0.16), (0.16, 0.07, 0.07), 0.0),
        ((-0.16, 0.12, 0.22), (0.22, 0.14, 0.10), 0.0),
        ((-0.16, 0.12, -0.22), (0.22, 0.14, 0.10), 0.0),
    ]
    return _joined(*(_ellipsoid(np.array(centre), np.array(radii), tilt) for centre, radii, tilt in parts))


def write_obj(path: Path, mesh: Mesh) -> None:
    """Writes a mesh without normals or texture coordinates."""
    vertices, faces = mesh
    lines = [f"v {x:.6g} {y:.6g} {z:.6g}" for x, y, z in vertices]
    lines += [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in faces]
    path.write_text("\n".join(lines) + "\n")


def _turned(outline: Array, segments: int) -> Mesh:
    """A surface of revolution about +y, of (radius, height) points."""
    angles = np.linspace(0.0, 2 * np.pi, segments, endpoint=False)
    ring = np.stack([np.cos(angles), np.zeros(segments), np.sin(angles)], axis=1)
    vertices = np.concatenate([radius * ring + [0.0, height, 0.0] for radius, height in outline])
    return vertices, _grid(len(outline), segments, closed=True)


def _handle() -> Mesh:
    """Half of a ring, standing upright at the cup's wall."""
    along, around = 16, 10
    turn = np.linspace(-np.pi / 2, np.pi / 2, along)
    spin = np.linspace(0.0, 2 * np.pi, around, endpoint=False)
    middle = np.stack([0.43 + 0.28 * np.cos(turn), 0.52 + 0.30 * np.sin(turn), np.zeros(along)], axis=1)
    outward = np.stack([np.cos(turn), np.sin(turn), np.zeros(along)], axis=1)
    ring = 0.06 * (np.cos(spin)[None, :, None] * outward[:, None] + np.sin(spin)[None, :, None] * np.array([0, 0, 1.0]))
    return (middle[:, None] + ring).reshape(-1, 3), _grid(along, around, closed=True)


def _ellipsoid(centre: Array, radii: Array, tilt: float) -> Mesh:
    rows, columns = 12, 20
    polar = np.linspace(0.0, np.pi, rows)
    angles = np.linspace(0.0, 2 * np.pi, columns, endpoint=False)
    unit = np.stack(
        [
            np.sin(polar)[:, None] * np.cos(angles),
            np.cos(polar)[:, None] * np.ones(columns),
            np.sin(polar)[:, None] * np.sin(angles),
        ],
        axis=-1,
    ).reshape(-1, 3)
    c, s = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
    turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    return (unit * radii) @ turn.T + centre, _grid(rows, columns, closed=True)[:, ::-1]  # outside out


def _grid(rows: int, columns: int, *, closed: bool) -> NDArray[np.int64]:
    """Triangles of a grid of vertices; `closed` joins the last column with the first."""
    wide = columns if closed else columns - 1
    row, column = np.meshgrid(np.arange(rows - 1), np.arange(wide), indexing="ij")
    a, b = row * columns + column, row * columns + (column + 1) % columns
    c, d = a + columns, b + columns
    return np.stack([np.stack([a, c, b], -1), np.stack([b, c, d], -1)], axis=2).reshape(-1, 3)


def _joined(*meshes: Mesh) -> Mesh:
    offsets = np.cumsum([0, *(len(vertices) for vertices, _ in meshes[:-1])])
    return (
        np.concatenate([vertices for vertices, _ in meshes]),
        np.concatenate([faces + offset for (_, faces), offset in zip(meshes, offsets, strict=True)]),
    )
