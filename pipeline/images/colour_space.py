"""Conversions between colour spaces by OpenColorIO's built-in ACES config; primaries of the rendering spaces."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.config.problems import nearest

__all__ = ["CHROMATICITIES", "check", "convert", "rendering_of"]

_CONFIG: Final = "cg-config-v2.1.0_aces-v1.3_ocio-v2.3"

CHROMATICITIES: Final = {
    "linear_srgb": (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290),
    "acescg": (0.713, 0.293, 0.165, 0.830, 0.128, 0.044, 0.32168, 0.33767),
}
"""CIE x, y of red, green, blue and white: ITU-R BT.709-6, table 1 item 1.3; SMPTE S-2014-004 (AP1), ACES white."""


def check(name: str) -> None:
    """Raises ValueError: the config has no such colour space."""
    known = [space.getName() for space in _config().getColorSpaces()]
    if name not in known:
        hint = nearest(name, known)
        raise ValueError(f"{name!r:.60} is no colour space of {_CONFIG}" + (f" ({hint})" if hint else ""))


def convert(rgb: NDArray[Any], source: str, target: str) -> NDArray[np.float32]:
    """…×3 from one colour space of the config to another; encoded ones hold their codes, 0 … 1."""
    pixels = np.array(rgb, dtype=np.float32, order="C")
    if source != target:
        _processor(source, target).applyRGB(pixels.reshape(-1, 3))
    return pixels


def rendering_of(chromaticities: Any) -> str | None:
    """The rendering space of an EXR, by its `chromaticities`; None for primaries of others."""
    if chromaticities is None:
        return None
    found = (name for name, known in CHROMATICITIES.items() if np.allclose(chromaticities, known, atol=1e-4))
    return next(found, None)


@lru_cache(maxsize=1)
def _config() -> Any:
    import PyOpenColorIO as ocio

    return ocio.Config.CreateFromBuiltinConfig(_CONFIG)


@lru_cache(maxsize=16)
def _processor(source: str, target: str) -> Any:
    return _config().getProcessor(source, target).getDefaultCPUProcessor()
