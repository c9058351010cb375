"""A material under construction: layers that lie on, in and between each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.capture.maps import ROUGHNESS_MIN, Maps
from pipeline.capture.materials.colours import Colour
from pipeline.capture.materials.fields import Field, slopes

__all__ = ["Surface", "mixed"]

STEEPEST = 2.0  # slope of a normal: 63°


@dataclass(frozen=True)
class Surface:
    """Maps before they are maps.

    Attributes:
        diffuse, specular: S×S×3, linear.
        roughness: S×S.
        height: S×S, half widths of the patch.
    """

    diffuse: NDArray[Any]
    specular: NDArray[Any]
    roughness: Field
    height: Field

    @staticmethod
    def of(diffuse: NDArray[Any], specular: NDArray[np.float32], roughness: Field | float, height: Field) -> Surface:
        """From whatever broadcasts to the height's size."""
        size = height.shape
        return Surface(
            np.broadcast_to(diffuse, (*size, 3)).astype(np.float32),
            np.broadcast_to(specular, (*size, 3)).astype(np.float32),
            np.broadcast_to(np.asarray(roughness, np.float32), size).astype(np.float32),
            height.astype(np.float32),
        )

    def maps(self) -> Maps:
        """1×…: clipped to what maps may hold."""
        dx, dy = (np.clip(each, -STEEPEST, STEEPEST) for each in slopes(self.height))
        normal = np.stack([-dx, -dy, np.ones_like(dx)])
        normal /= np.linalg.norm(normal, axis=0)

        def image(values: NDArray[Any], low: float, high: float) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(np.clip(values, low, high), np.float32))[None]

        return Maps(
            image(np.moveaxis(self.diffuse, -1, 0), 0.0, 0.95),
            image(np.moveaxis(self.specular, -1, 0), 0.01, 0.98),
            image(normal, -1.0, 1.0),
            image(self.roughness[None], ROUGHNESS_MIN, 1.0),
        )

    def stained(self, mask: Field, colour: Colour, *, strength: float = 1.0) -> Surface:
        """The diffuse colour taken towards another one."""
        share = (strength * mask)[..., None]
        return Surface(self.diffuse * (1 - share) + colour * share, self.specular, self.roughness, self.height)

    def rougher(self, change: Field | float) -> Surface:
        """Roughness plus a change."""
        return Surface(self.diffuse, self.specular, np.clip(self.roughness + change, 0.05, 1.0), self.height)

    def raised(self, change: Field) -> Surface:
        """Height plus a change, half widths of the patch."""
        return Surface(self.diffuse, self.specular, self.roughness, self.height + change)


def mixed(below: Surface, above: Surface, mask: Field, *, step: float = 0.0) -> Surface:
    """`above` where the mask is 1.

    Args:
        step: how much higher it lies, half widths of the patch.
    """
    share = mask[..., None]
    return Surface(
        below.diffuse * (1 - share) + above.diffuse * share,
        below.specular * (1 - share) + above.specular * share,
        below.roughness * (1 - mask) + above.roughness * mask,
        (below.height * (1 - mask) + (above.height + step) * mask).astype(np.float32),
    )
