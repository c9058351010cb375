"""From what a display shows back to scene-linear Rec. 709: the inverse of `viewing.to_display`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.images.viewing import TRANSFORM

__all__ = ["from_display"]


def from_display(shown: NDArray[Any], *, curve_only: bool = False) -> NDArray[np.float32]:
    """Scene-linear light of display values.

    Args:
        shown: H×W×3, 0 … 1. What is burnt out (1) does not come back.
        curve_only: the inverse of sRGB's curve (IEC 61966-2-1) in place of that of the view transform.
    """
    values = np.clip(np.ascontiguousarray(shown, dtype=np.float32), 0.0, 1.0)
    if curve_only:
        linear: NDArray[np.float32] = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
        return linear.astype(np.float32)
    _processor().applyRGB(values)  # in place
    return values


@lru_cache(maxsize=1)
def _processor() -> Any:
    import PyOpenColorIO as ocio

    name, _, rest = TRANSFORM.removeprefix("ocio://").partition(": ")
    source, _, shown = rest.partition(" > ")
    display, _, view = shown.partition(" / ")
    config = ocio.Config.CreateFromBuiltinConfig(name)
    return config.getProcessor(source, display, view, ocio.TRANSFORM_DIR_INVERSE).getDefaultCPUProcessor()
