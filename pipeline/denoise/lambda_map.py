"""λ for each pixel of a frame: from the shot's number, a painted map, and numbers by shape.

A shape's number stands above the map, and the map above the shot's number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import OpenEXR
from numpy.typing import NDArray

from pipeline.config.values import LAMBDA_RANGE
from pipeline.errors import AssetError, ConfigError
from pipeline.images.masks import read_mask
from pipeline.images.size import check_exr

__all__ = ["compose", "constant", "of_grey", "read"]

Array = NDArray[np.float32]

KEY = "denoise.lambda_map"


def read(path: Path, shape: tuple[int, int] | None = None) -> Array:
    """A painted map, clipped to 1 … 10: channel `Y` of an EXR, else `R`, else the first one; of a PNG see `of_grey`.

    Args:
        path: of the EXR or PNG.
        shape: (H, W) that it must have; None takes any.

    Returns:
        H×W float32, dimensionless.

    Raises:
        ConfigError: it cannot be read, has values that are not finite, or is of another size.
    """
    values = _grey(path) if path.suffix.lower() == ".png" else _channel(path)
    if shape is not None and values.shape != shape:
        (rows, columns), (height, width) = values.shape, shape
        raise ConfigError(f"the λ map is {columns}×{rows} pixels, the frame {width}×{height}", path=path, key=KEY)
    if not np.isfinite(values).all():
        raise ConfigError("the λ map has values that are not finite", path=path, key=KEY)
    return np.clip(values, *LAMBDA_RANGE)


def of_grey(grey: Array) -> Array:
    """λ of a grey that is painted in 0 … 1: black is 1 (neutral), white 10, and equal steps are equal factors.

    >>> of_grey(np.array([[0.0, 0.5, 1.0]], np.float32)).round(2).tolist()
    [[1.0, 3.16, 10.0]]
    """
    least, most = LAMBDA_RANGE
    return np.clip((least * (most / least) ** grey).astype(np.float32), least, most)


def _grey(path: Path) -> Array:
    try:
        return of_grey(read_mask(path))
    except AssetError as error:
        raise ConfigError("the λ map cannot be read as a PNG", path=path, key=KEY) from error


def _channel(path: Path) -> Array:
    try:
        check_exr(path)
        with OpenEXR.File(str(path), separate_channels=True) as file:
            channels = {name: channel.pixels for name, channel in file.parts[0].channels.items()}
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(f"the λ map cannot be read as an EXR: {error}", path=path, key=KEY) from error
    name = next((name for name in ("Y", "R", *channels) if name in channels), None)
    if name is None:
        raise ConfigError("the λ map has no channels", path=path, key=KEY)
    return np.asarray(channels[name], np.float32)


def compose(
    shape: tuple[int, int],
    value: float,
    *,
    painted: Array | None = None,
    by_shape: Mapping[str, float] | None = None,
    ids: NDArray[np.uint32] | None = None,
    shapes: Sequence[str] = (),
) -> Array:
    """λ of every pixel.

    Args:
        shape: (H, W) of the frame.
        value: λ where nothing else is said.
        painted: H×W, in place of `value`.
        by_shape: λ by the id of a shape, in place of both on the pixels that show it more than others.
        ids: H×W, index + 1 into `shapes`; 0 where no shape is seen. Needed for `by_shape`.
        shapes: ids of the scene's shapes; several may bear one id.

    Returns:
        H×W float32.
    """
    result = np.full(shape, value, np.float32) if painted is None else painted.astype(np.float32)
    if by_shape and ids is not None:
        own = np.array([np.nan, *(by_shape.get(name, np.nan) for name in shapes)], np.float32)[ids]
        result = np.where(np.isnan(own), result, own)
    return result


def constant(values: Array) -> float | None:
    """The one λ of a map that does not vary; None where it does."""
    least, most = float(values.min()), float(values.max())
    return least if least == most else None
