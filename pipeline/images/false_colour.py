"""Maps of numbers as pictures: a colour scale, and a bar that says what its colours mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

__all__ = ["Scale", "bar", "colours"]

Pixels = NDArray[np.uint8]

BAR_HEIGHT = 30
"""Pixels of a bar with its numbers."""

_MAGMA = np.array(
    [
        [-0.002136485053939582, -0.000749655052795221, -0.005386127855323933],
        [0.2516605407371642, 0.6775232436837668, 2.494026599312351],
        [8.353717279216625, -3.577719514958484, 0.3144679030132573],
        [-27.66873308576866, 14.26473078096533, -13.64921318813922],
        [52.17613981234068, -27.94360607168351, 12.94416944238394],
        [-50.76852536473588, 29.04658282127291, 4.23415299384598],
        [18.65570506591883, -11.48977351997711, -5.601961508734096],
    ]
)
"""Polynomial of sixth degree of the scale `magma`: dark is little, bright is much, and grey prints keep the order.
Source: van der Walt, Smith 2015; the fit is Zucker's, in the public domain."""


@dataclass(frozen=True)
class Scale:
    """What the colours mean.

    Attributes:
        low, high: values of the darkest and of the brightest colour; what lies beyond them is shown as they are.
        logarithmic: equal steps of colour are equal factors; `low` must be positive.
    """

    low: float
    high: float
    logarithmic: bool = False

    def position(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Place on the scale, 0 … 1."""
        low, high = self.low, max(self.high, self.low * (1 + 1e-9) + 1e-12)
        clipped = np.clip(np.asarray(values, np.float64), low, high)
        if self.logarithmic:
            found: NDArray[np.float64] = np.log(clipped / low) / np.log(high / low)
        else:
            found = (clipped - low) / (high - low)
        return found

    def value(self, position: float) -> float:
        """The value at a place on the scale."""
        if self.logarithmic:
            return float(self.low * (self.high / self.low) ** position)
        return float(self.low + position * (self.high - self.low))


def colours(values: NDArray[Any], scale: Scale) -> Pixels:
    """H×W → H×W×3 display pixels."""
    powers = scale.position(values)[..., None] ** np.arange(len(_MAGMA))
    pixels: Pixels = (np.clip(powers @ _MAGMA, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    return pixels


def bar(scale: Scale, width: int) -> Pixels:
    """A colour bar with its numbers at both ends and in the middle: `BAR_HEIGHT`×width×3."""
    image = Image.new("RGB", (width, BAR_HEIGHT), (18, 19, 22))
    ramp = np.linspace(0.0, 1.0, width)[None].repeat(10, axis=0)
    image.paste(Image.fromarray(colours(ramp, Scale(0.0, 1.0))), (0, 0))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=11)
    for place, anchor in ((0.0, "lm"), (0.5, "mm"), (1.0, "rm")):
        text = f"{scale.value(place):.3g}"
        draw.text((place * (width - 1), 21), text, font=font, fill=(236, 238, 241), anchor=anchor)
    return np.asarray(image)
