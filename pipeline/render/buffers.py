"""What one frame looks like after its passes were summed: means, variances, features, halves.

Everything downstream (guides, denoisers, the deliverable, the review page) reads a `FrameBuffers` and nothing below it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["COMPONENTS", "FrameBuffers", "luminance"]

Array = NDArray[np.float32]

COMPONENTS = ("emission", "diffuse", "specular")
"""Radiance components. Emission is what reaches the camera straight from a light or the environment, if need be through
delta surfaces; diffuse and specular are split at the first surface that scatters. Their sum is the beauty."""

_REC709 = np.array([0.212671, 0.715160, 0.072169], dtype=np.float32)


def luminance(rgb: NDArray[Any]) -> NDArray[Any]:
    """Rec. 709 luminance of linear RGB: ...×3 → ..."""
    return rgb @ _REC709.astype(rgb.dtype)


@dataclass(frozen=True)
class FrameBuffers:
    """Means and variances of one frame; float32, linear, scene-referred; lengths in scene units.

    Shapes: H×W×3 colours and vectors, H×W×2 motion, H×W scalars.
    """

    emission: Array  # H×W×3
    diffuse: Array  # H×W×3, albedo multiplied in
    specular: Array  # H×W×3
    albedo: Array  # H×W×3, [0, 1]: diffuse reflectance, or what a surface without a diffuse lobe reflects
    normal: Array  # H×W×3, world space, shading normal towards the viewer; shorter than 1 where a pixel sees several
    depth: Array  # H×W, distance to the camera; mean over the samples that hit something, 0 where none did
    alpha: Array  # H×W, [0, 1]
    forward: Array  # H×W×2, pixels (x right, y down) from this frame to the next
    backward: Array  # H×W×2, pixels from this frame to the previous
    forward_valid: Array  # H×W, [0, 1]: share of samples whose motion is known
    backward_valid: Array  # H×W
    ids: NDArray[np.uint32]  # H×W: index + 1 into the scene's shape names, 0 for background
    count: Array  # H×W: samples in the means
    half_a: Array  # H×W×9: emission, diffuse, specular of the samples of even index
    half_b: Array  # H×W×9: … of odd index
    variance: dict[str, Array] = field(default_factory=dict)
    """Of the mean, H×W: beauty, emission, diffuse, specular (luminance); albedo, normal (mean over axes); depth."""

    @property
    def beauty(self) -> Array:
        """Emission + diffuse + specular: H×W×3."""
        return self.emission + self.diffuse + self.specular

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        height, width = self.depth.shape
        return height, width

    def relative_variance(self, component: str) -> Array:
        """Variance of the pixel mean over its squared mean, clamped to [0, 1]: H×W, dimensionless.

        Args:
            component: a key of `variance`.

        Source: Vogels et al. 2018, §6.1.
        """
        if component in ("beauty", *COMPONENTS):
            squared_mean = luminance(getattr(self, component)) ** 2
        elif component == "depth":
            squared_mean = self.depth**2
        else:
            squared_mean = np.mean(getattr(self, component) ** 2, axis=-1)
        variance = self.variance[component]
        return np.clip(variance / np.maximum(squared_mean, 1e-12), 0.0, 1.0).astype(np.float32)
