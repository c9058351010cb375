"""Viewing PNGs: scene-linear Rec. 709 to what a display shows, through OpenColorIO's built-in ACES config.

The config is named in full, so that a frame looks the same under the next release of the library, whose `default`
moves on.
"""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from pipeline.errors import StoreError

__all__ = ["TRANSFORM", "png_bytes", "to_display", "to_png"]

_CONFIG = "cg-config-v2.1.0_aces-v1.3_ocio-v2.3"
_SOURCE = "Linear Rec.709 (sRGB)"
_DISPLAY = "sRGB - Display"
_VIEW = "ACES 1.0 - SDR Video"

TRANSFORM = f"ocio://{_CONFIG}: {_SOURCE} > {_DISPLAY} / {_VIEW}"
"""The transform's full name; every PNG carries it as the text `ViewingTransform`."""


@lru_cache(maxsize=1)
def _processor() -> Any:
    import PyOpenColorIO as ocio

    config = ocio.Config.CreateFromBuiltinConfig(_CONFIG)
    transform = config.getProcessor(_SOURCE, _DISPLAY, _VIEW, ocio.TRANSFORM_DIR_FORWARD)
    return transform.getDefaultCPUProcessor()


def to_display(rgb: NDArray[Any], *, exposure: float = 0.0) -> NDArray[np.uint8]:
    """What an sRGB display shows of an image.

    Args:
        rgb: H×W×3, scene-linear Rec. 709.
        exposure: stops; +1 doubles the light before the view transform.

    Returns:
        uint8, H×W×3.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ValueError(f"an H×W×3 image is wanted, not {rgb.shape}")
    pixels = np.ascontiguousarray(rgb, dtype=np.float32) * np.float32(2.0**exposure)
    _processor().applyRGB(pixels)  # in place
    shown: NDArray[np.uint8] = (np.clip(pixels, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    return shown


def png_bytes(pixels: NDArray[np.uint8], *, text: dict[str, str] | None = None) -> bytes:
    """A PNG of H×W×3 display pixels, the same bytes for the same input; `text` becomes tEXt chunks."""
    info = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        info.add_text(key, value)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG", pnginfo=info)
    return stream.getvalue()


def to_png(beauty: NDArray[Any], path: Path, *, exposure: float = 0.0) -> None:
    """Writes the viewing PNG of a scene-linear Rec. 709 H×W×3 image; `exposure` in stops.

    Raises:
        StoreError: `path` cannot be written.
    """
    data = png_bytes(to_display(beauty, exposure=exposure), text={"ViewingTransform": TRANSFORM})
    try:
        path.write_bytes(data)
    except OSError as error:
        raise StoreError(f"{path}: cannot write the viewing image: {error.strerror or error}") from error
