"""What may be wrong with a photograph: refusals, and warnings with the number that they rest on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.capture.likelihood import SATURATED
from pipeline.capture.photo.exif import Exif
from pipeline.capture.photo.highlight import BELIEVED, SEEN, Highlight
from pipeline.errors import AssetError

__all__ = ["Remark", "exposure", "flash", "size", "view"]

SMALL = 128
"""Texels of a side, below which detail is lost."""

BLOWN, TOO_BLOWN = 0.06, 0.35
"""Share of saturated pixels: where a warning is due, and where nothing can be made of the photograph."""

DARK = 0.004
"""Linear; a median below it is mostly noise in 8 bits."""

TILTED, TOO_TILTED = 25.0, 60.0
"""Degrees."""

MATT = 0.05
"""Of `Highlight.gloss`: below it nothing is seen of the highlight but the light's falling off."""


@dataclass(frozen=True)
class Remark:
    """A warning: what, and how sure the result still is.

    Attributes:
        text: one line.
        confidence: [0, 1]; 1 would need no warning.
    """

    text: str
    confidence: float

    def __str__(self) -> str:
        return f"{self.text} (confidence {self.confidence:.2f})"


def size(name: str, pixels: NDArray[np.float32]) -> list[Remark]:
    """Of a patch that is small."""
    height, width = pixels.shape[:2]
    if min(height, width) >= SMALL:
        return []
    return [Remark(f"{name}: {width}×{height} texels show little detail", min(height, width) / SMALL)]


def exposure(name: str, pixels: NDArray[np.float32]) -> list[Remark]:
    """Of a patch that is too bright or too dark.

    Raises:
        AssetError: nothing can be made of it.
    """
    blown = float((pixels >= SATURATED).any(-1).mean())
    if blown > TOO_BLOWN:
        raise AssetError(f"{name}: overexposed beyond use: {100 * blown:.0f} % of the pixels are at white")
    if float(pixels.max()) <= 0:
        raise AssetError(f"{name}: is black")
    median = float(np.median(pixels))
    if blown > BLOWN:
        return [Remark(f"{name}: overexposed: {100 * blown:.0f} % of the pixels are at white", 1 - blown / TOO_BLOWN)]
    if median < DARK:
        return [Remark(f"{name}: underexposed: the median is {100 * median:.2f} % of white", median / DARK)]
    return []


def view(name: str, tilt: float) -> list[Remark]:
    """Of a camera that looks at the surface aslant.

    Raises:
        AssetError: too much so.
    """
    if tilt > TOO_TILTED:
        raise AssetError(f"{name}: grazing view: {tilt:.0f}° from the surface's normal; at most {TOO_TILTED:.0f}°")
    if tilt > TILTED:
        return [Remark(f"{name}: seen at {tilt:.0f}° from the surface's normal", 1 - tilt / 90)]
    return []


def flash(name: str, exif: Exif, found: Highlight) -> list[Remark]:
    """Of a flash that was not there, is not seen, or lies outside."""
    remarks = []
    if exif.flash is False:
        remarks.append(Remark(f"{name}: its EXIF says that the flash did not fire", found.confidence))
    if found.confidence < SEEN:
        text = f"{name}: no flash highlight is to be seen; the flash is taken to be at the camera"
        remarks.append(Remark(text, found.confidence))
    elif found.confidence >= BELIEVED and not found.inside:
        remarks.append(Remark(f"{name}: the flash's highlight lies outside of the patch", 0.5 * found.confidence))
    elif found.gloss < MATT:
        remarks.append(
            Remark(f"{name}: no highlight stands out; gloss and roughness are guesses", found.gloss / MATT / 2)
        )
    return remarks
