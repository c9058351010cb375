"""Flat patches out of photographs: by a rectangle of pixels, or by four corners seen in perspective.

Where the focal length is known, four corners of a rectangle also say where the camera stood, and how long its sides
are in proportion (Zhang, He 2007, "Whiteboard scanning and image enhancement", §3). Plane coordinates are those of
`pipeline.capture.shading`: half the patch's width, centre at the origin, y up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["View", "cropped", "rectified", "reduced", "view_of_corners", "view_of_crop"]

Points = NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """How a camera saw a patch.

    Attributes:
        camera: its place, half widths of the patch.
        aspect: height over width of the patch.
        tilt: degrees between the normal and the line from the patch's centre to the camera.
    """

    camera: tuple[float, float, float]
    aspect: float
    tilt: float


def view_of_crop(size: tuple[int, int], crop: tuple[int, int, int, int], field_of_view: float) -> View:
    """A camera that looked straight at the surface.

    Args:
        size: (height, width) of the whole photograph.
        crop: left, top, width, height in its pixels.
        field_of_view: degrees, along its longer side.
    """
    height, width = size
    left, top, wide, high = crop
    unit = wide / 2
    focal = max(size) / 2 / math.tan(math.radians(field_of_view) / 2)
    x, y = (width / 2 - left - wide / 2) / unit, -(height / 2 - top - high / 2) / unit
    distance = focal / unit
    return View((x, y, distance), high / wide, _tilt(x, y, distance))


def view_of_corners(
    corners: Points, size: tuple[int, int], field_of_view: float, *, aspect: float | None = None
) -> View:
    """Where the camera stood.

    Args:
        corners: 4×2 pixels (x, y): top left, top right, bottom right, bottom left of the patch.
        size: (height, width) of the photograph.
        field_of_view: degrees, along its longer side.
        aspect: height over width, where it is known.
    """
    focal = max(size) / 2 / math.tan(math.radians(field_of_view) / 2)
    square = np.array([[-1.0, 1.0], [1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    centred = (corners - np.array([size[1] / 2, size[0] / 2])) / focal
    b = _homography(square, centred)  # columns ∝ r1, aspect · r2, t
    if b[2, 2] < 0:
        b = -b
    scale = np.linalg.norm(b[:, 0])
    found = float(np.linalg.norm(b[:, 1]) / scale)
    r1, r2 = b[:, 0] / scale, b[:, 1] / np.linalg.norm(b[:, 1])
    u, _, vt = np.linalg.svd(np.stack([r1, r2, np.cross(r1, r2)], 1))  # the nearest rotation
    x, y, z = (float(value) for value in -(u @ vt).T @ (b[:, 2] / scale))
    return View((x, y, abs(z)), aspect or found, _tilt(x, y, abs(z)))


def cropped(pixels: NDArray[np.float32], crop: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """The rectangle left, top, width, height."""
    left, top, wide, high = crop
    return np.ascontiguousarray(pixels[top : top + high, left : left + wide])


def rectified(pixels: NDArray[np.float32], corners: Points, size: tuple[int, int]) -> NDArray[np.float32]:
    """The quadrilateral as a rectangle of `size` (height, width); sampled twice as densely, then averaged."""
    import cv2

    height, width = 2 * size[0], 2 * size[1]
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64) - 0.5
    across = _homography(corners - 0.5, target)
    dense: Any = cv2.warpPerspective(pixels, across, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return _area(dense, size)


def reduced(pixels: NDArray[np.float32], longest: int) -> NDArray[np.float32]:
    """Averaged down to at most so many pixels a side."""
    height, width = pixels.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return pixels
    return _area(pixels, (max(1, round(height * scale)), max(1, round(width * scale))))


def _area(pixels: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    import cv2

    averaged: Any = cv2.resize(pixels, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(averaged, dtype=np.float32)


def _homography(source: Points, target: Points) -> NDArray[np.float64]:
    """3×3, of four points exactly or of more by least squares (direct linear transform)."""
    import cv2

    if len(source) == 4:
        exact = cv2.getPerspectiveTransform(source.astype(np.float32), target.astype(np.float32))
        return np.asarray(exact, dtype=np.float64)
    found, _ = cv2.findHomography(source, target)
    return np.asarray(found, dtype=np.float64)


def _tilt(x: float, y: float, z: float) -> float:
    return math.degrees(math.atan2(math.hypot(x, y), z))
