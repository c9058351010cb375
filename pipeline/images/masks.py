"""Maps that artists paint: importance, λ. One number a pixel, from an EXR or a PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenEXR
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import AssetError
from pipeline.images.size import check_image

__all__ = ["read_mask"]


def read_mask(path: Path) -> NDArray[np.float32]:
    """H×W float32. EXR: channel `Y`, else the mean of R, G, B, else the only channel, as stored. PNG: grey, 0 … 1, no
    transfer curve.

    Raises:
        AssetError: not an image, no such channel, or not finite.
    """
    try:
        check_image(path)
        values = _exr(path) if path.suffix.lower() == ".exr" else _png(path)
    except (OSError, ValueError, RuntimeError, Image.DecompressionBombError) as error:
        raise AssetError(f"{path.name}: cannot be read as a mask: {error}") from error
    if not np.isfinite(values).all():
        raise AssetError(f"{path.name}: the mask has values that are not finite")
    return values


def _exr(path: Path) -> NDArray[np.float32]:
    with OpenEXR.File(str(path), separate_channels=True) as file:
        channels = {name: channel.pixels for name, channel in file.parts[0].channels.items()}
    if "Y" in channels:
        chosen = [channels["Y"]]
    elif all(c in channels for c in "RGB"):
        chosen = [channels[c] for c in "RGB"]
    elif len(channels) == 1:
        chosen = list(channels.values())
    else:
        raise ValueError(f"no channel Y or R, G, B among {', '.join(sorted(channels))}")
    mean: NDArray[np.float32] = np.mean([np.asarray(c, np.float32) for c in chosen], axis=0, dtype=np.float32)
    return mean


def _png(path: Path) -> NDArray[np.float32]:
    with Image.open(path) as image:
        deep = image.mode.startswith("I")
        values: NDArray[np.float32] = np.array(image if deep else image.convert("L"), dtype=np.float32)
        values /= np.float32(65535.0 if deep else 255.0)
        return values
