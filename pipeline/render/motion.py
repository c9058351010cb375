"""Motion vectors: where a point that a pixel sees now is seen in the next and the previous frame."""

from __future__ import annotations

from dataclasses import dataclass

import drjit as dr
import mitsuba as mi
import numpy as np

from pipeline.scene.cameras import Camera
from pipeline.scene.load import UNKNOWN_SHAPE, FrameScene

__all__ = ["MotionTables", "motion_tables", "project_motion"]


@dataclass(frozen=True)
class Direction:
    """One neighbour. Frames of a shot have the same arrays, the first and the last too, so that they share kernels."""

    world_to_film: list[mi.Float]  # 16, row by row
    matrices: mi.Float | None  # 12 floats a shape (rows 0–2 of world now → world there); None: none moves
    valid: mi.Bool  # of what has no shape (the environment), then per shape


@dataclass(frozen=True)
class MotionTables:
    shape_index: mi.UInt32  # Dr.Jit's number of a shape → index into scene.shapes(), UNKNOWN_SHAPE otherwise
    world_to_film: list[mi.Float] | None  # this frame's camera; None if it is not perspective: no motion is known
    origin: mi.Point3f | None  # its centre
    forward: Direction | None
    backward: Direction | None


def motion_tables(fs: FrameScene) -> MotionTables:
    """The numbers behind motion vectors as opaque arrays, so that frames share kernels."""
    camera = fs.cameras.current
    tables = MotionTables(
        shape_index=mi.UInt32(fs.shape_lookup),
        world_to_film=_matrix(camera.world_to_film) if camera is not None else None,
        origin=mi.Point3f(*(float(x) for x in camera.origin)) if camera is not None else None,
        forward=_direction(fs, "next", camera) if camera is not None else None,
        backward=_direction(fs, "previous", camera) if camera is not None else None,
    )
    dr.make_opaque([value for value in vars(tables).values() if not isinstance(value, (Direction, type(None)))])
    return tables


def _matrix(matrix: np.ndarray) -> list[mi.Float]:
    flat = [mi.Float(float(value)) for value in matrix.ravel()]
    dr.make_opaque(flat)
    return flat


def _direction(fs: FrameScene, neighbour: str, here: Camera) -> Direction:
    """Towards one neighbour. Where its camera is unknown nothing is valid."""
    camera: Camera | None = getattr(fs.cameras, neighbour)
    known = camera is not None
    valid = mi.Bool([known, *(known and bool(getattr(shape, f"valid_{neighbour}")) for shape in fs.shapes)])
    steps = [np.asarray(getattr(shape, f"to_{neighbour}"), np.float64)[:3].ravel() for shape in fs.shapes]
    matrices = mi.Float(np.concatenate(steps).astype(np.float32)) if steps and fs.moves_shapes else None
    dr.make_opaque(valid, matrices)
    return Direction(_matrix((camera or here).world_to_film), matrices, valid)


def project_motion(
    tables: MotionTables,
    direction: Direction | None,
    *,
    found: mi.Bool,
    point: mi.Point3f,
    shape: mi.UInt32,
    ray: mi.Ray3f,
) -> tuple[mi.Vector2f, mi.Bool]:
    """Offset in pixels to the neighbouring frame, and whether it is known.

    Both ends are projected through the centre of the lens, so that depth of field does not blur motion. A ray that met
    nothing follows the environment: a point at infinity.
    """
    if direction is None or tables.world_to_film is None:
        return mi.Vector2f(0), mi.Bool(False)
    index = dr.gather(mi.UInt32, tables.shape_index, shape, found)
    on_shape = found & (index != UNKNOWN_SHAPE)
    known = dr.gather(mi.Bool, direction.valid, dr.select(on_shape, index + 1, 0)) & (on_shape | ~found)
    there = mi.Point3f(point)
    if direction.matrices is not None:
        m = [dr.gather(mi.Float, direction.matrices, index * 12 + k, on_shape) for k in range(12)]
        moved = [
            dr.fma(m[r], point.x, dr.fma(m[r + 1], point.y, dr.fma(m[r + 2], point.z, m[r + 3]))) for r in (0, 4, 8)
        ]
        there = dr.select(on_shape, mi.Point3f(*moved), point)
    w = dr.select(found, mi.Float(1), mi.Float(0))
    here, in_front = _project(tables.world_to_film, dr.select(found, point, mi.Point3f(ray.d)), w)
    there_film, there_in_front = _project(direction.world_to_film, dr.select(found, there, mi.Point3f(ray.d)), w)
    offset = there_film - here
    known &= in_front & there_in_front & (dr.max(dr.abs(offset)) < 2.0**15)
    return dr.select(known, offset, 0), known


def _project(matrix: list[mi.Float], p: mi.Point3f, w: mi.Float) -> tuple[mi.Vector2f, mi.Bool]:
    def row(r: int) -> mi.Float:
        m = matrix[4 * r : 4 * r + 4]
        return dr.fma(m[0], p.x, dr.fma(m[1], p.y, dr.fma(m[2], p.z, m[3] * w)))

    depth = row(3)
    in_front = depth > 1e-6
    inverse = dr.rcp(dr.select(in_front, depth, 1))
    return mi.Vector2f(row(0) * inverse, row(1) * inverse), in_front
