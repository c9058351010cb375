"""Maps to be encoded: an image file as codes, the numbers that a neural map learns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import AssetError
from pipeline.images.neural_map import HALF_TOP, SUFFIX
from pipeline.images.size import check_exr, check_image

__all__ = ["Source", "read_source"]

DISPLAY = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
LINEAR = (".exr",)

SMALLEST = 8
"""Texels of a side, at least."""


@dataclass(frozen=True)
class Source:
    """A map's codes.

    Attributes:
        name: of the file.
        codes: uint16, H×W×C with C of 1, 3 or 4.
        coding: `display` for files of display-encoded integers, `half` for linear floats.
        size: of the file, bytes.
    """

    name: str
    codes: NDArray[np.uint16]
    coding: Literal["display", "half"]
    size: int

    @property
    def top(self) -> int:
        """The largest code."""
        return HALF_TOP if self.coding == "half" else 0xFFFF


def read_source(path: Path) -> Source:
    """An image file as codes.

    Raises:
        AssetError: it is missing, of an unknown kind, too small, or holds values that a map cannot.
    """
    if not path.is_file():
        raise AssetError(f"{path}: missing file")
    suffix = path.suffix.lower()
    if suffix in DISPLAY:
        codes, coding = _display(path), "display"
    elif suffix in LINEAR:
        codes, coding = _half(path), "half"
    else:
        kinds = ", ".join((*DISPLAY, *LINEAR))
        hint = "it is encoded already" if suffix == SUFFIX else f"one of {kinds}"
        raise AssetError(f"{path}: cannot encode '{suffix}' files ({hint})")
    if min(codes.shape[:2]) < SMALLEST:
        raise AssetError(f"{path}: {codes.shape[1]}×{codes.shape[0]} texels are too few to be worth a network")
    return Source(path.name, codes, coding, path.stat().st_size)  # type: ignore[arg-type]


def _display(path: Path) -> NDArray[np.uint16]:
    from PIL import Image, UnidentifiedImageError

    try:
        check_image(path)
        with Image.open(path) as image:
            if image.mode in ("I;16", "I;16B", "I"):
                return np.clip(np.asarray(image, dtype=np.int64), 0, 0xFFFF).astype(np.uint16)[..., np.newaxis]
            mode = {"L": "L", "1": "L", "RGBA": "RGBA", "LA": "RGBA", "PA": "RGBA"}.get(image.mode, "RGB")
            pixels = np.asarray(image.convert(mode), dtype=np.uint16)
    except (OSError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise AssetError(f"{path}: cannot be read as an image: {error}") from error
    wide: NDArray[np.uint16] = pixels * np.uint16(257)  # 255 → 65535
    return wide[..., np.newaxis] if wide.ndim == 2 else wide


def _half(path: Path) -> NDArray[np.uint16]:
    import OpenEXR

    try:
        check_exr(path)
        with OpenEXR.File(str(path), separate_channels=True) as file:
            channels = {name: np.asarray(channel.pixels) for name, channel in file.channels().items()}
    except (RuntimeError, ValueError, OSError) as error:
        raise AssetError(f"{path}: cannot be read as an EXR: {error}") from error
    names = next((n for n in (("R", "G", "B", "A"), ("R", "G", "B"), ("Y",)) if all(c in channels for c in n)), None)
    if names is None:
        raise AssetError(f"{path}: has channels {', '.join(sorted(channels))}; wanted R G B, R G B A or Y")
    pixels = np.stack([channels[name] for name in names], axis=-1).astype(np.float32)
    if not np.isfinite(pixels).all():
        raise AssetError(f"{path}: holds values that are not finite")
    if pixels.min() < 0:
        raise AssetError(f"{path}: holds negative values, which a neural map cannot ({pixels.min():.3g})")
    bits: NDArray[np.uint16] = np.minimum(pixels, np.finfo(np.float16).max).astype(np.float16).view(np.uint16)
    return bits & np.uint16(0x7FFF)  # −0 is 0
