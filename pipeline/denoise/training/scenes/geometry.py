"""Triangle meshes with normals and texture coordinates, and their PLY files.

Lengths are metres, y is up. Texture coordinates are metres along the surface, so that one texture has one scale.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Array", "Mesh", "grid_surface", "joined", "placed", "ply", "quad", "scattered", "turned", "unit"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Mesh:
    """Triangles whose winding agrees with their normals, which point out of solids.

    Attributes:
        points, normals: n×3.
        uv: n×2.
        faces: m×3, indices of points.
    """

    points: Array
    normals: Array
    uv: Array
    faces: NDArray[np.int64]

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Lower and upper corner of the bounding box."""
        return self.points.min(axis=0), self.points.max(axis=0)

    def transformed(self, matrix: Array) -> Mesh:
        """The mesh under an affine map (4×4) that does not mirror."""
        linear = matrix[:3, :3]
        normals = unit(self.normals @ np.linalg.inv(linear))
        return replace(self, points=self.points @ linear.T + matrix[:3, 3], normals=normals)

    def mapped(self, scale: float) -> Mesh:
        """Texture coordinates times `scale`."""
        return replace(self, uv=self.uv * scale)


def unit(vectors: ArrayLike) -> Array:
    """Vectors (…×3) over their lengths; those of length 0 stay."""
    v = np.asarray(vectors, dtype=np.float64)
    length = np.linalg.norm(v, axis=-1, keepdims=True)
    return np.asarray(v / np.where(length > 0, length, 1.0))


def joined(meshes: Iterable[Mesh]) -> Mesh:
    """One mesh of several (at least one)."""
    parts = list(meshes)
    offsets = np.cumsum([0, *(len(part.points) for part in parts[:-1])])
    return Mesh(
        np.concatenate([part.points for part in parts]),
        np.concatenate([part.normals for part in parts]),
        np.concatenate([part.uv for part in parts]),
        np.concatenate([part.faces + offset for part, offset in zip(parts, offsets, strict=True)]),
    )


def quad(corner: ArrayLike, u: ArrayLike, v: ArrayLike) -> Mesh:
    """A parallelogram; its normal is u × v."""
    p, a, b = (np.asarray(x, dtype=np.float64) for x in (corner, u, v))
    points = np.stack([p, p + a, p + a + b, p + b])
    width, height = np.linalg.norm(a), np.linalg.norm(b)
    uv = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float64)
    return Mesh(points, np.tile(unit(np.cross(a, b)), (4, 1)), uv, np.array([[0, 1, 2], [0, 2, 3]]))


def grid_surface(points: Array, *, closed_v: bool = False) -> Mesh:
    """A smooth surface through a grid of points (n×m×3); its normals are ∂/∂rows × ∂/∂columns.

    Two equal rows make a sharp edge between them. With `closed_v` the last column is the first one again.
    """
    du, dv = np.gradient(points, axis=0), np.gradient(points, axis=1)
    if closed_v:
        dv[:, 0] = dv[:, -1] = (points[:, 1] - points[:, -2]) / 2.0
    normals = unit(np.cross(du, dv))
    rows, columns = points.shape[:2]
    along = np.linalg.norm(np.diff(points, axis=0), axis=2).mean(axis=1)
    across = np.linalg.norm(np.diff(points, axis=1), axis=2).max(axis=0)
    u, v = np.concatenate([[0.0], np.cumsum(along)]), np.concatenate([[0.0], np.cumsum(across)])
    uv = np.stack(np.meshgrid(u, v, indexing="ij"), axis=-1)
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1].ravel(), index[1:, :-1].ravel(), index[1:, 1:].ravel(), index[:-1, 1:].ravel()
    faces = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    flat = points.reshape(-1, 3)
    p = flat[faces]
    area = np.linalg.norm(np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]), axis=1)
    return Mesh(flat, normals.reshape(-1, 3), uv.reshape(-1, 2), faces[area > 1e-14])


def placed(position: ArrayLike, *, turn: float = 0.0, size: ArrayLike = 1.0) -> Array:
    """4×4: scaled, then turned about y by radians, then moved."""
    matrix = turned((0.0, 1.0, 0.0), turn) @ np.diag([*np.broadcast_to(np.asarray(size, dtype=np.float64), 3), 1.0])
    matrix[:3, 3] = position
    return np.asarray(matrix)


def scattered(mesh: Mesh, matrices: Array) -> Mesh:
    """Copies of a mesh, one per matrix (k×4×4: rotations, even scales, translations), as one mesh."""
    linear, count = matrices[:, :3, :3], len(matrices)
    points = mesh.points @ linear.transpose(0, 2, 1) + matrices[:, None, :3, 3]
    normals = unit(mesh.normals @ linear.transpose(0, 2, 1))
    faces = mesh.faces[None] + len(mesh.points) * np.arange(count)[:, None, None]
    return Mesh(points.reshape(-1, 3), normals.reshape(-1, 3), np.tile(mesh.uv, (count, 1)), faces.reshape(-1, 3))


def turned(axis: ArrayLike, angle: float) -> Array:
    """4×4 rotation by `angle` radians, right-handed about `axis` (Rodrigues' formula)."""
    x, y, z = unit(axis)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    matrix = np.eye(4)
    matrix[:3, :3] += np.sin(angle) * cross + (1.0 - np.cos(angle)) * (cross @ cross)
    return matrix


def ply(mesh: Mesh) -> bytes:
    """A binary PLY file with normals and texture coordinates."""
    names = ("x", "y", "z", "nx", "ny", "nz", "u", "v")
    header = "\n".join(
        [
            "ply",
            "format binary_little_endian 1.0",
            f"element vertex {len(mesh.points)}",
            *(f"property float {name}" for name in names),
            f"element face {len(mesh.faces)}",
            "property list uchar int vertex_indices",
            "end_header\n",
        ]
    )
    vertices = np.concatenate([mesh.points, mesh.normals, mesh.uv], axis=1).astype("<f4")
    faces = np.empty(len(mesh.faces), dtype=[("count", "u1"), ("index", "<i4", 3)])
    faces["count"], faces["index"] = 3, mesh.faces
    return header.encode() + vertices.tobytes() + faces.tobytes()
