"""The picture that shows a match: plate, render and their difference, side by side."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.errors import StoreError
from pipeline.images.viewing import png_bytes, to_display
from pipeline.match.plate import Plate

__all__ = ["compared", "write"]

HEIGHT = 240  # pixels that a picture is enlarged to, by a whole factor
GAP = 4
BAR = 18  # pixels of the line of text
MIDDLE = 0.18
FOURFOLD = 4.0


def compared(plate: Plate, picture: NDArray[Any], line: str) -> NDArray[np.uint8]:
    """Plate, render, and four times their difference around grey, with a line of text below: H×W×3, display values.

    Both are shown at the exposure that makes the plate's geometric mean middle grey. Masked pixels are dark.
    """
    weight = plate.weight[..., None] > 0
    shown = plate.image[plate.weight > 0].mean(axis=-1)
    exposure = float(np.clip(np.log2(MIDDLE) - np.mean(np.log2(np.maximum(shown, 1e-6))), -8.0, 8.0))
    left = to_display(np.where(weight, plate.image, plate.image * 0.1), exposure=exposure, space=plate.space)
    middle = to_display(np.maximum(picture, 0.0), exposure=exposure, space=plate.space)
    change = (middle.astype(np.float64) - left) * FOURFOLD
    right = np.where(weight, np.clip(128.0 + change, 0, 255), 40).astype(np.uint8)
    factor = max(1, HEIGHT // left.shape[0])
    panels = [np.repeat(np.repeat(image, factor, axis=0), factor, axis=1) for image in (left, middle, right)]
    gap = np.full((panels[0].shape[0], GAP, 3), 24, np.uint8)
    row = np.concatenate([panels[0], gap, panels[1], gap, panels[2]], axis=1)
    canvas = Image.new("RGB", (row.shape[1], row.shape[0] + BAR), (24, 24, 24))
    canvas.paste(Image.fromarray(row), (0, 0))
    ImageDraw.Draw(canvas).text(
        (4, row.shape[0] + 3), f"plate | render | 4 x difference    {line}", fill=(220, 220, 220)
    )
    return np.asarray(canvas)


def write(path: Path, plate: Plate, picture: NDArray[Any], line: str) -> None:
    """Writes the comparison as a PNG; whoever looks meanwhile sees the one before.

    Raises:
        StoreError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(png_bytes(compared(plate, picture, line)))
        temporary.replace(path)
    except OSError as error:
        raise StoreError(f"{path}: cannot write the comparison: {error.strerror or error}") from error
