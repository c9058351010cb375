"""A smaller stand-in for a frame: a part of it, or all of it at a fraction of its size.

Fewer pixels of means are means of more samples: variances shrink, and motion is counted in larger pixels.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.denoise.frame import Frame
from pipeline.images.proxy import block_means

__all__ = ["cropped", "shrunk"]


def cropped(frame: Frame, rows: slice, columns: slice) -> Frame:
    """The pixels of a frame in a rectangle, as they are."""
    return _each(frame, lambda values: np.ascontiguousarray(values[rows, columns]))


def shrunk(frame: Frame, step: int) -> Frame:
    """A frame of one `step`-th of the size; each pixel is the mean of `step`² pixels, whose noise is independent.

    Rows and columns that are left over at the bottom and at the right are dropped. Of ids, the upper left stands.
    """
    if step == 1:
        return frame

    def mean(values: NDArray[Any]) -> NDArray[Any]:
        if values.dtype.kind == "f":
            return block_means(values, step)
        height, width = values.shape[0] // step, values.shape[1] // step
        return np.ascontiguousarray(values[: height * step : step, : width * step : step])

    smaller = _each(frame, mean)
    return replace(
        smaller,
        variance={name: values / np.float32(step * step) for name, values in smaller.variance.items()},
        count=None if smaller.count is None else smaller.count * np.float32(step * step),
        forward=None if smaller.forward is None else smaller.forward / np.float32(step),
        backward=None if smaller.backward is None else smaller.backward / np.float32(step),
    )


def _each(frame: Frame, change: Any) -> Frame:
    """A frame with every layer changed by the same function."""
    changed: dict[str, Any] = {}
    for each in fields(frame):
        value = getattr(frame, each.name)
        if isinstance(value, np.ndarray):
            changed[each.name] = change(value)
        elif each.name in ("components", "variance"):
            changed[each.name] = {name: change(values) for name, values in value.items()}
        elif each.name == "halves" and value is not None:
            changed[each.name] = tuple(change(half) for half in value)
    return replace(frame, **changed)
