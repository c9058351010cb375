"""Views of a scene. Pure numpy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.scene.cameras import Camera

__all__ = ["View", "view_of"]

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """A pinhole camera.

    Attributes:
        to_world: 4×4, camera to world; +z looks, +x is to the left, +y up (Mitsuba's convention).
        fov: horizontal field of view, degrees.
        width, height: of the picture, pixels.
    """

    to_world: Matrix
    fov: float
    width: int
    height: int

    @property
    def origin(self) -> NDArray[np.float64]:
        """World units."""
        return self.to_world[:3, 3]

    @property
    def forward(self) -> NDArray[np.float64]:
        """Unit vector."""
        return self.to_world[:3, 2] / np.linalg.norm(self.to_world[:3, 2])

    def at(self, width: int, height: int) -> View:
        """The same view in another size; the horizontal field of view stays."""
        return replace(self, width=width, height=height)


def view_of(camera: Camera, width: int, height: int) -> View:
    """The view of a frame's camera, seen as a pinhole."""
    return View(np.asarray(np.linalg.inv(camera.world_to_camera), dtype=np.float64), camera.fov, width, height)
