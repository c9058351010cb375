"""How large a picture can be to be there in time, and how good it can get while nobody moves. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.radiosity.cameras import View

__all__ = ["Accumulation", "Pace", "from_browser", "to_browser"]

MOVING_SECONDS, RESTING_SECONDS = 1 / 12, 1 / 3
"""What a picture may take while the camera moves, and while it rests."""

NARROWEST, SMOOTHING = 64, 0.5


@dataclass
class Pace:
    """Sizes of pictures, from how long the last ones took.

    Attributes:
        per_pixel: seconds, a running mean; 0 before the first picture.
    """

    per_pixel: float = 0.0

    def note(self, pixels: int, seconds: float) -> None:
        """A picture took so long."""
        told = seconds / max(pixels, 1)
        self.per_pixel = told if self.per_pixel == 0 else self.per_pixel + SMOOTHING * (told - self.per_pixel)

    def size(self, width: int, height: int, *, moving: bool) -> tuple[int, int]:
        """The size to draw at in a window of width×height, which is never exceeded."""
        budget = MOVING_SECONDS if moving else RESTING_SECONDS
        if self.per_pixel == 0:
            share = NARROWEST * 4 / max(width, 1)
        else:
            share = (budget / self.per_pixel / max(width * height, 1)) ** 0.5
        share = min(max(share, NARROWEST / max(width, 1)), 1.0)
        return max(round(width * share), 1), max(round(height * share), 1)


@dataclass
class Accumulation:
    """The mean of pictures that differ in their samples alone.

    Attributes:
        samples: so far.
    """

    samples: int = 0
    _total: NDArray[np.float32] | None = field(default=None, repr=False)

    def add(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        """Takes one more sample per pixel; returns the mean. One of another size begins anew."""
        if self._total is None or self._total.shape != picture.shape:
            self._total, self.samples = picture.copy(), 1
        else:
            self._total += picture
            self.samples += 1
        return self._total / np.float32(self.samples)

    def clear(self) -> None:
        """Forgets all samples."""
        self._total, self.samples = None, 0


_TURN = np.diag([-1.0, -1.0, 1.0])
"""Browser's camera: +x right, +y down, +z looks. Ours: +x left, +y up, +z looks."""


def from_browser(
    rotation: NDArray[np.float64], position: NDArray[np.float64], fov: float, width: int, height: int
) -> View:
    """A view from the browser's camera.

    Args:
        rotation: 3×3, camera to world, OpenCV's convention.
        position: world units.
        fov: vertical, radians.
        width, height: of the window, pixels.
    """
    to_world = np.eye(4)
    to_world[:3, :3] = rotation @ _TURN
    to_world[:3, 3] = position
    horizontal = 2 * np.arctan(np.tan(fov / 2) * width / height)
    return View(to_world, float(np.degrees(horizontal)), width, height)


def to_browser(view: View, aspect: float) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """The inverse: rotation 3×3, position, vertical field of view in radians, of a window of an aspect (width over
    height) that shows at least what the view does."""
    rotation = view.to_world[:3, :3] / np.linalg.norm(view.to_world[:3, :3], axis=0) @ _TURN
    slope = np.tan(np.radians(view.fov) / 2)
    vertical = 2 * np.arctan(max(slope * view.height / view.width, slope / aspect))
    return rotation, view.origin, float(vertical)
