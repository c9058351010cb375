"""Where a world-space point falls on a film: the projections that motion vectors and EXR attributes need.

Pure numpy, float64; matrices are 4×4 for column vectors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["Camera", "Cameras", "perspective"]

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """One frame's camera, seen as a pinhole (of a thin lens: its centre).

    Attributes:
        world_to_film: 4×4; homogeneous, after division by w: pixels, x to the right and y down, the first pixel's
            centre at (0.5, 0.5). w is the depth along the view: points with w ≤ 0 are behind the camera.
        world_to_camera: 4×4, rigid; the camera looks along +z, +x is to the left, +y up (Mitsuba's convention).
        origin: 3, world units.
        fov: horizontal field of view, degrees.
    """

    world_to_film: Matrix
    world_to_camera: Matrix
    origin: NDArray[np.float64]
    fov: float

    def within(self, x: int, y: int) -> Camera:
        """The same camera, its pixels counted from the corner (x, y) of a window."""
        shift = np.eye(4)
        shift[:2, 3] = -x, -y
        return replace(self, world_to_film=shift @ self.world_to_film)


@dataclass(frozen=True)
class Cameras:
    """The cameras of a frame and of its neighbours; None where one is unknown, or not perspective."""

    current: Camera | None
    previous: Camera | None
    next: Camera | None


def perspective(
    to_world: Matrix, *, fov: float, width: int, height: int, offset: tuple[float, float] = (0.0, 0.0)
) -> Camera:
    """The camera of Mitsuba's `perspective` and `thinlens` sensors.

    Args:
        to_world: 4×4 camera to world.
        fov: horizontal, degrees.
        width, height: of the film, pixels.
        offset: the sensor's `principal_point_offset_x`, `_y`: shares of the film's width and height.
    """
    world_to_camera = np.linalg.inv(np.asarray(to_world, dtype=np.float64))
    # Camera space to pixels. With t = tan(fov / 2): u = (1 − x / (z·t)) / 2, v = (1 − aspect · y / (z·t)) / 2.
    focal = width / (2.0 * np.tan(np.radians(fov) / 2.0))
    camera_to_film = np.array(
        [
            [-focal, 0.0, width * (0.5 - offset[0]), 0.0],
            [0.0, -focal, height * (0.5 - offset[1]), 0.0],
            [0.0, 0.0, 0.0, 1.0],
            [0.0, 0.0, 1.0, 0.0],
        ]
    )
    origin = np.asarray(to_world, dtype=np.float64)[:3, 3].copy()
    return Camera(camera_to_film @ world_to_camera, world_to_camera, origin, float(fov))
