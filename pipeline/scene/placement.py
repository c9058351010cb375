"""Moving the shapes of a loaded scene, without loading it again.

Poses are always applied to what was loaded, never to an earlier pose, so that a frame's scene does not depend on the
frames that were made before it. Needs Mitsuba with a variant set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

__all__ = ["Placement", "opaque"]

Matrix = NDArray[np.float64]


@dataclass
class _Base:
    """What a movable shape was loaded with: its matrix, or its vertices."""

    centre: NDArray[np.float64]  # 3, of the bounding box, world units
    to_world: Matrix | None  # 4×4
    positions: NDArray[np.float64] | None  # n×3
    normals: NDArray[np.float64] | None  # n×3; None where the mesh has none
    pose: Matrix | None  # 4×4, the one that is in place; None before the first (even the identity rounds)


class Placement:
    """The movable shapes of one loaded scene."""

    def __init__(self, scene: Any, ids: set[str]) -> None:
        """
        Args:
            scene: `mi.Scene`.
            ids: shapes that will be moved.
        """
        self._params: Any = mi.traverse(scene) if ids else {}
        self._shapes: dict[str, _Base] = {}
        self.fixed: dict[str, NDArray[np.float64]] = {}
        """Shapes that cannot be moved in place (curves, ellipsoids), with the centres of their bounding boxes."""
        for shape in scene.shapes():
            if shape.id() in ids:
                self._keep(shape)

    def _keep(self, shape: Any) -> None:
        name = shape.id()
        box = shape.bbox()
        centre = (np.array(box.min, dtype=np.float64).ravel() + np.array(box.max, dtype=np.float64).ravel()) / 2.0
        base = _Base(centre, None, None, None, None)
        if f"{name}.vertex_positions" in self._params:
            base.positions = _rows(self._params[f"{name}.vertex_positions"])
            if len(self._params.get(f"{name}.vertex_normals", ())):
                base.normals = _rows(self._params[f"{name}.vertex_normals"])
        elif f"{name}.to_world" in self._params:
            base.to_world = np.array(self._params[f"{name}.to_world"].matrix, dtype=np.float64).reshape(4, 4)
        else:
            self.fixed[name] = centre
            return
        self._shapes[name] = base

    @property
    def movable(self) -> frozenset[str]:
        """Ids of the shapes that `apply` moves."""
        return frozenset(self._shapes)

    def __contains__(self, name: str) -> bool:
        return name in self._shapes or name in self.fixed

    def centre(self, name: str) -> NDArray[np.float64]:
        """Centre of a shape's bounding box as loaded: 3, world units."""
        return self.fixed[name] if name in self.fixed else self._shapes[name].centre

    def apply(self, poses: Mapping[str, Matrix]) -> None:
        """Moves shapes to their poses (world-to-world, 4×4, after the shape's own `to_world`)."""
        moved = False
        for name, base in self._shapes.items():
            if base.pose is not None and np.array_equal(poses[name], base.pose):
                continue
            base.pose, moved = poses[name], True
            if base.to_world is not None:
                to_world = mi.Matrix4f(poses[name] @ base.to_world)
                self._params[f"{name}.to_world"] = opaque(mi.AffineTransform4f(to_world))
                continue
            linear = poses[name][:3, :3]
            assert base.positions is not None
            self._params[f"{name}.vertex_positions"] = _floats(base.positions @ linear.T + poses[name][:3, 3])
            if base.normals is not None:
                # Normals go by the inverse transpose; n·M⁻¹ is that for row vectors.
                normals = base.normals @ np.linalg.inv(linear)
                lengths = np.linalg.norm(normals, axis=1, keepdims=True)
                self._params[f"{name}.vertex_normals"] = _floats(normals / np.where(lengths > 0, lengths, 1.0))
        if moved:
            self._params.update()


def opaque(value: Any) -> Any:
    """`value`, evaluated: a literal would become part of the kernel's code, and each new value a new kernel."""
    dr.make_opaque(value)
    return value


def _rows(values: Any) -> NDArray[np.float64]:
    return np.array(values, dtype=np.float64).reshape(-1, 3)


def _floats(rows: NDArray[np.float64]) -> Any:
    return mi.Float(np.ascontiguousarray(rows, dtype=np.float32).ravel())
