"""Polygons of USD as triangles: faces fanned out, corners split where attributes ask for it, subsets by material."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pxr import Usd, UsdGeom, UsdShade

__all__ = ["Faces", "display_colour", "faces", "part", "subsets"]

_PER_CORNER: Final = ("faceVarying", "uniform")


@dataclass(frozen=True)
class Faces:
    """Triangles of a mesh, with what each corner has.

    Attributes:
        positions: of its points, P×3.
        corners: T×3 indices of points.
        normals, uv: of the corners, T×3×3 and T×3×2; None: none.
        face: T, the polygon that each triangle is of.
    """

    positions: NDArray[np.float32]
    corners: NDArray[np.int64]
    normals: NDArray[np.float32] | None
    uv: NDArray[np.float32] | None
    face: NDArray[np.int64]


def faces(mesh: UsdGeom.Mesh, time: Usd.TimeCode) -> Faces:
    """The triangles of a mesh.

    Raises:
        ValueError: its arrays do not fit together.
    """
    positions = np.array(mesh.GetPointsAttr().Get(time) or [], np.float32).reshape(-1, 3)
    counts = np.array(mesh.GetFaceVertexCountsAttr().Get(time) or [], np.int64)
    points = np.array(mesh.GetFaceVertexIndicesAttr().Get(time) or [], np.int64)
    name = mesh.GetPrim().GetName()
    if counts.sum() != points.size or (counts < 0).any():
        raise ValueError(f"mesh {name}: its faces have {counts.sum()} corners, its list of corners {points.size}")
    if points.size and not 0 <= points.min() <= points.max() < len(positions):
        raise ValueError(f"mesh {name}: its faces name points that it does not have")
    if not np.isfinite(positions).all():
        raise ValueError(f"mesh {name} has points that are not finite")
    triangles, face = _fan(counts)
    if (holes := mesh.GetHoleIndicesAttr().Get(time)) is not None and len(holes):
        whole = ~np.isin(face, np.array(holes))
        triangles, face = triangles[whole], face[whole]
    if mesh.GetOrientationAttr().Get(time) == UsdGeom.Tokens.leftHanded:
        triangles = triangles[:, ::-1]
    spread = _Spread(points, triangles, face)
    normals, uv = _normals(mesh, time), _uv(mesh, time)
    return Faces(
        positions,
        points[triangles],
        None if normals is None else spread.corners(*normals, width=3, what=f"normals of mesh {name}"),
        None if uv is None else spread.corners(*uv, width=2, what=f"texture coordinates of mesh {name}"),
        face,
    )


def part(whole: Faces, wanted: NDArray[np.bool_], *, smooth: bool) -> tuple[Any, Any, Any, Any]:
    """Some triangles as an indexed mesh.

    Args:
        whole: of the mesh.
        wanted: T, which of them.
        smooth: make normals where the mesh has none: of the points, means of those of the faces around them by area.

    Returns:
        Positions N×3, normals N×3 or None, uv N×2 or None (float32), faces M×3 (uint32).
    """
    corners, normals, uv = whole.corners[wanted], whole.normals, whole.uv
    if normals is not None:
        normals = normals[wanted].reshape(-1, 3)
    elif smooth:
        normals = _smooth(whole)[corners].reshape(-1, 3)
    uv = None if uv is None else uv[wanted].reshape(-1, 2)
    rows: list[NDArray[Any]] = [corners.reshape(-1, 1).astype(np.float64)]
    rows += [each for each in (normals, uv) if each is not None]
    _, first, inverse = np.unique(np.concatenate(rows, axis=1), axis=0, return_index=True, return_inverse=True)
    return (
        whole.positions[corners.reshape(-1)[first]],
        None if normals is None else normals[first].astype(np.float32),
        None if uv is None else uv[first].astype(np.float32),
        inverse.reshape(-1, 3).astype(np.uint32),
    )


def subsets(mesh: UsdGeom.Mesh, time: Usd.TimeCode) -> list[tuple[Usd.Prim, NDArray[np.int64]]]:
    """Subsets of a mesh that wear materials of their own, with the polygons in them."""
    found = UsdShade.MaterialBindingAPI(mesh.GetPrim()).GetMaterialBindSubsets()
    return [(each.GetPrim(), np.array(each.GetIndicesAttr().Get(time) or [], np.int64)) for each in found]


def display_colour(prim: Usd.Prim, time: Usd.TimeCode) -> tuple[float, float, float] | None:
    """What a prim is to be shown in, where that is one colour."""
    primvar = UsdGeom.PrimvarsAPI(prim).FindPrimvarWithInheritance("displayColor")
    values = primvar.ComputeFlattened(time) if primvar else None
    if values is None or len(values) != 1:
        return None
    red, green, blue = (float(each) for each in values[0])
    return red, green, blue


@dataclass(frozen=True)
class _Spread:
    """Gives each corner of each triangle what an attribute has for it."""

    points: NDArray[np.int64]
    triangles: NDArray[np.int64]
    face: NDArray[np.int64]

    def corners(self, values: Any, interpolation: str, *, width: int, what: str) -> NDArray[np.float32]:
        array = np.array(values, np.float32).reshape(-1, width)
        match interpolation:
            case "faceVarying":
                index = self.triangles
            case "uniform":
                index = np.repeat(self.face[:, None], 3, axis=1)
            case "constant":
                index = np.zeros_like(self.triangles)
            case _:
                index = self.points[self.triangles]
        if index.size and int(index.max()) >= len(array):
            raise ValueError(f"{what}: there are {len(array)}, too few for {interpolation!r:.20}")
        if not np.isfinite(array).all():
            raise ValueError(f"{what}: some are not finite")
        return array[index]


def _fan(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Corners of triangles, by their places in the list of corners, and the polygon that each is of."""
    each = np.maximum(counts - 2, 0)
    face = np.repeat(np.arange(len(counts)), each)
    first = (np.cumsum(counts) - counts)[face]
    number = np.arange(len(face)) - (np.cumsum(each) - each)[face]
    return np.stack([first, first + number + 1, first + number + 2], axis=1), face


def _normals(mesh: UsdGeom.Mesh, time: Usd.TimeCode) -> tuple[Any, str] | None:
    """Authored normals, which a mesh that is to be subdivided does not have."""
    if mesh.GetSubdivisionSchemeAttr().Get(time) != UsdGeom.Tokens.none:
        return None
    primvar = UsdGeom.PrimvarsAPI(mesh.GetPrim()).GetPrimvar("normals")
    if primvar and primvar.HasValue():
        return primvar.ComputeFlattened(time), primvar.GetInterpolation()
    values = mesh.GetNormalsAttr().Get(time)
    return None if not values else (values, mesh.GetNormalsInterpolation())


def _uv(mesh: UsdGeom.Mesh, time: Usd.TimeCode) -> tuple[Any, str] | None:
    """`st`, or else the first primvar of pairs."""
    api = UsdGeom.PrimvarsAPI(mesh.GetPrim())
    named = [api.GetPrimvar(name) for name in ("st", "UVMap", "uv", "map1")]
    others = [each for each in api.GetPrimvarsWithValues() if each.GetTypeName().type.typeName == "VtArray<GfVec2f>"]
    for primvar in (*named, *others):
        if primvar and primvar.HasValue():
            return primvar.ComputeFlattened(time), primvar.GetInterpolation()
    return None


def _smooth(whole: Faces) -> NDArray[np.float32]:
    """A normal for each point."""
    a, b, c = (whole.positions[whole.corners[:, k]].astype(np.float64) for k in range(3))
    across = np.cross(b - a, c - a)
    total = np.zeros((len(whole.positions), 3))
    for k in range(3):
        np.add.at(total, whole.corners[:, k], across)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return (total / np.where(length > 0, length, 1)).astype(np.float32)
