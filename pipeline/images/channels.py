"""The channels of a deliverable EXR: one table, read by the writer, the reader and everything that looks into a frame.

Each layer is a part of its own, so that a reader which wants the beauty alone skips the rest. Colour is half float;
what half would overflow or round (distances, motion, variances, sample counts, predicted errors, λ) is 32-bit float.
Channels keep their full name inside their part (`diffuse.R`, not `R`), so that readers which flatten parts do not mix
them up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import DTypeLike

__all__ = ["BEAUTY", "BY_NAME", "LAYERS", "Layer"]


@dataclass(frozen=True)
class Layer:
    """One part of the file."""

    name: str  # of the part, and of the layer in `Deliverable.layers`
    channels: tuple[str, ...]  # full channel names, in the order of the array's last axis
    pixel: Literal["half", "float"]
    what: str

    @property
    def dtype(self) -> DTypeLike:
        """The numpy type that the file stores."""
        return np.float16 if self.pixel == "half" else np.float32


def _layer(name: str, axes: str, pixel: Literal["half", "float"], what: str) -> Layer:
    return Layer(name, tuple(f"{name}.{axis}" for axis in axes), pixel, what)


BEAUTY = Layer("beauty", ("R", "G", "B", "A"), "half", "denoised beauty, linear Rec. 709, associated alpha")

LAYERS: tuple[Layer, ...] = (
    BEAUTY,
    _layer("noisy", "RGB", "half", "beauty before denoising"),
    _layer("diffuse", "RGB", "half", "denoised diffuse component, albedo multiplied in"),
    _layer("specular", "RGB", "half", "denoised specular component"),
    _layer("emission", "RGB", "half", "denoised emission and environment as seen from the camera"),
    _layer("albedo", "RGB", "half", "reflectance, [0, 1]"),
    _layer("N", "XYZ", "half", "shading normal, world space"),
    Layer("Z", ("Z",), "float", "distance to the camera, scene units; 0 where nothing was hit"),
    _layer("motion.forward", "XYV", "float", "X, Y: pixels (right, down) to the next frame; V: share of samples known"),
    _layer("motion.backward", "XYV", "float", "X, Y: pixels to the previous frame; V: share of samples known"),
    _layer("variance", "Y", "float", "variance of the pixel mean of the noisy beauty's luminance"),
    _layer("samples", "Y", "float", "samples per pixel"),
    _layer("error", "Y", "float", "predicted SMAPE of the denoised beauty"),
    _layer("lambda", "Y", "float", "the denoiser's λ"),
)
"""Every layer, in file order: beauty is part 0; diffuse + specular + emission is the beauty, up to half's rounding."""

BY_NAME: dict[str, Layer] = {layer.name: layer for layer in LAYERS}
