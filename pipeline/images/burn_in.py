"""What review movies tell beside the picture: a slate before the first frame, and a line burnt into each.

Drawn on display pixels; sizes follow the picture's height.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

__all__ = ["burnt_in", "slate"]

Pixels = NDArray[np.uint8]

_GROUND: Final = (18, 18, 20)
_TEXT: Final = (235, 235, 235)
_FAINT: Final = (150, 150, 155)
_LEAST: Final = 10
"""Size of the type, pixels, at least."""


def slate(shape: tuple[int, int], title: str, lines: Sequence[tuple[str, str]]) -> Pixels:
    """The picture before the first one.

    Args:
        shape: (H, W) of the movie.
        title: of the version.
        lines: (what, value), from above.

    Returns:
        uint8, H×W×3.
    """
    height, width = shape
    page = Image.new("RGB", (width, height), _GROUND)
    draw = ImageDraw.Draw(page)
    size = max(height // 22, _LEAST)
    large, font = ImageFont.load_default(2 * size), ImageFont.load_default(size)
    left, top = width // 12, height // 10
    draw.text((left, top), title, _TEXT, large)
    column = left + max((draw.textlength(what, font) for what, _ in lines), default=0.0) + size
    for index, (what, value) in enumerate(lines):
        y = top + 3 * size + int(1.6 * size * index)
        draw.text((left, y), what, _FAINT, font)
        draw.text((column, y), value, _TEXT, font)
    return np.array(page)


def burnt_in(pixels: Pixels, left: str, right: str) -> Pixels:
    """The picture with a line of text along its lower edge, on a darkened ground.

    Args:
        pixels: uint8, H×W×3; it is left as it is.
        left, right: texts at the two ends.
    """
    height, width = pixels.shape[:2]
    size = max(height // 36, _LEAST)
    ground = pixels.copy()
    ground[height - 2 * size :] //= 3
    page = Image.fromarray(ground)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size)
    y = height - size - size // 2
    draw.text((size, y), left, _TEXT, font)
    draw.text((width - size - draw.textlength(right, font), y), right, _TEXT, font)
    return np.array(page)
