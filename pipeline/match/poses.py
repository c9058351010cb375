"""Similarity transforms, one per lane: what takes rays to where a shape rests, and hits back. Needs Mitsuba."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

__all__ = ["Pose", "gathered"]

Array = NDArray[np.float64]


class Pose:
    """World-to-world, x ↦ M x + t with M = s R, in every lane that of its version.

    Args:
        matrices: K×4×4.
        version: row of each lane.
    """

    def __init__(self, matrices: Array, version: mi.UInt32) -> None:
        self._x, self._y, self._z, self._t = (
            mi.Vector3f(*gathered(matrices[:, :3, column], version)) for column in range(4)
        )
        self.s = dr.norm(self._x)
        """The scale."""

    def vector(self, v: Any) -> mi.Vector3f:
        """Rest to world."""
        return self._x * v.x + self._y * v.y + self._z * v.z

    def point(self, p: Any) -> mi.Point3f:
        """Rest to world."""
        return mi.Point3f(self.vector(p) + self._t)

    def direction(self, v: Any) -> mi.Vector3f:
        """Rest to world, lengths kept."""
        return self.vector(v) / self.s

    def inverse_vector(self, v: Any) -> mi.Vector3f:
        """World to rest: Mᵀ v / s²."""
        return mi.Vector3f(dr.dot(self._x, v), dr.dot(self._y, v), dr.dot(self._z, v)) / dr.square(self.s)

    def inverse_point(self, p: Any) -> mi.Point3f:
        """World to rest."""
        return mi.Point3f(self.inverse_vector(mi.Vector3f(p) - self._t))

    def inverse_direction(self, v: Any) -> mi.Vector3f:
        """World to rest, lengths kept."""
        return self.inverse_vector(mi.Vector3f(v)) * self.s

    def inverse_ray(self, ray: mi.Ray3f) -> mi.Ray3f:
        """The ray at rest. Its direction is not of length 1 under a scale, so that distances along it stay."""
        rest = mi.Ray3f(ray)
        rest.o, rest.d = self.inverse_point(ray.o), self.inverse_vector(ray.d)
        return rest


def gathered(rows: Array, version: mi.UInt32) -> list[mi.Float]:
    """K×C numbers by the row of each lane: C arrays. Evaluated: a literal would compile a kernel for each value."""
    rows = np.repeat(rows, 2, axis=0) if len(rows) == 1 else rows  # a gather from one entry is another kernel
    columns = [mi.Float(np.ascontiguousarray(column, dtype=np.float32)) for column in rows.T]
    dr.make_opaque(columns)
    return [dr.gather(mi.Float, column, version) for column in columns]
