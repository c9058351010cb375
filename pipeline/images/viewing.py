"""Viewing PNGs: scene-linear light to what a display shows, through OpenColorIO's built-in ACES config.

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

from pipeline.config.colour import SPACES, Rendering
from pipeline.errors import ConfigError, StoreError

__all__ = ["DISPLAY", "TRANSFORM", "VIEW", "displays", "png_bytes", "shader", "to_display", "to_png"]

_CONFIG = "cg-config-v2.1.0_aces-v1.3_ocio-v2.3"
DISPLAY = "sRGB - Display"
VIEW = "ACES 1.0 - SDR Video"

TRANSFORM = f"ocio://{_CONFIG}: {SPACES['linear_srgb']} > {DISPLAY} / {VIEW}"
"""The transform's full name; every PNG carries it as the text `ViewingTransform`."""


@lru_cache(maxsize=1)
def _config() -> Any:
    import PyOpenColorIO as ocio

    return ocio.Config.CreateFromBuiltinConfig(_CONFIG)


@lru_cache(maxsize=64)
def _transform(display: str, view: str, space: Rendering) -> Any:
    import PyOpenColorIO as ocio

    if view not in displays().get(display, ()):
        raise ConfigError(f"there is no view {view!r:.60} of a display {display!r:.60}")
    return _config().getProcessor(SPACES[space], display, view, ocio.TRANSFORM_DIR_FORWARD)


@lru_cache(maxsize=64)
def _processor(display: str, view: str, space: Rendering) -> Any:
    return _transform(display, view, space).getDefaultCPUProcessor()


@lru_cache(maxsize=1)
def displays() -> dict[str, tuple[str, ...]]:
    """Views by display, of the displays that a web page can be shown on: those of the standard dynamic range."""
    config = _config()
    ranges = {name: tuple(config.getViews(name)) for name in config.getDisplays()}
    return {name: views for name, views in ranges.items() if not any("HDR" in view for view in views)}


@lru_cache(maxsize=64)
def shader(display: str, view: str, space: Rendering = "linear_srgb") -> str:
    """The view transform as GLSL ES 3.0: `vec4 OCIOMain(vec4)`, from a rendering space to display values.

    Raises:
        ConfigError: there is no such view, or its program needs tables beside its text.
    """
    import PyOpenColorIO as ocio

    described = ocio.GpuShaderDesc.CreateShaderDesc(language=ocio.GPU_LANGUAGE_GLSL_ES_3_0)
    _transform(display, view, space).getDefaultGPUProcessor().extractGpuShaderInfo(described)
    if [*described.getTextures(), *described.get3DTextures()]:
        raise ConfigError(f"the view {view!r:.60} of {display!r:.60} needs tables, which a page does not have")
    text: str = described.getShaderText()
    return text


def to_display(
    rgb: NDArray[Any],
    *,
    exposure: float = 0.0,
    display: str = DISPLAY,
    view: str = VIEW,
    space: Rendering = "linear_srgb",
) -> NDArray[np.uint8]:
    """What a display shows of an image.

    Args:
        rgb: H×W×3, scene-linear.
        exposure: stops; +1 doubles the light before the view transform.
        display, view: of `displays`.
        space: that the image is in.

    Returns:
        uint8, H×W×3.

    Raises:
        ConfigError: there is no such view.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ValueError(f"an H×W×3 image is wanted, not {rgb.shape}")
    pixels = np.ascontiguousarray(rgb, dtype=np.float32) * np.float32(2.0**exposure)
    _processor(display, view, space).applyRGB(pixels)  # in place
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
