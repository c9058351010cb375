"""A denoised frame written: the source file again, with some of its channels replaced.

Parts, channels, attributes and compression stay as they are, and what is not denoised is copied bit for bit (but for
compressions that lose something themselves, DWAA, DWAB, B44 and B44A, which are applied anew).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
from numpy.typing import NDArray

from pipeline.denoise.sequence.layers import NOISY, Layout
from pipeline.denoise.sequence.read import Contents
from pipeline.errors import AssetError, StoreError
from pipeline.images.deliverable import HALF_MAX

__all__ = ["write"]

Array = NDArray[np.float32]

_MADE_ANEW = ("channels", "chunkCount", "version", "maxSamplesPerPixel")
"""Attributes that follow from the pixels."""


def write(
    out: Path, found: Contents, layout: Layout, parts: list[Any], replaced: Mapping[str, Array], *, lambda_: float
) -> None:
    """Writes the frame under a name of its own first, so that `out` is never half a file.

    Args:
        out: where to; a file that is there is replaced.
        found: contents of the source.
        layout: tells whether the noisy channels are kept.
        parts: of the source, with pixels; used up.
        replaced: H×W by full name of a channel.
        lambda_: the frame's λ, or its mean; goes into the attribute `lambda` of files that have it.

    Raises:
        AssetError: a channel to be replaced does not hold floating-point numbers.
        StoreError: `out` cannot be written.
    """
    added: dict[int, dict[str, NDArray[Any]]] = {}
    for name, values in replaced.items():
        place = found.places[name]
        channel = parts[place.part].channels[place.channel]
        if channel.pixels.dtype.kind != "f":
            raise AssetError(f"{found.path}: channel {name} holds whole numbers, not colour")
        if layout.keeps_noisy:
            added.setdefault(place.part, {})[NOISY + place.channel] = channel.pixels
        channel.pixels = _as_stored(values, channel.pixels.dtype)
    rebuilt = [_rebuilt(part, added.get(index, {}), lambda_) for index, part in enumerate(parts)]
    temporary = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        OpenEXR.File(rebuilt).write(str(temporary))
        os.replace(temporary, out)
    except (OSError, RuntimeError) as error:
        raise StoreError(f"{out}: cannot be written: {' '.join(str(error).split())}") from error
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def _rebuilt(part: Any, added: Mapping[str, NDArray[Any]], lambda_: float) -> Any:
    header = {name: value for name, value in part.header.items() if name not in _MADE_ANEW}
    if "lambda" in header:
        header["lambda"] = float(lambda_)
    if "tiles" in header:
        # Pixels are read at full resolution alone; smaller levels would be those of the noisy picture.
        header["tiles"].mode = OpenEXR.LevelMode.ONE_LEVEL
    return OpenEXR.Part(header, {**part.channels, **added}, header.get("name", ""))


def _as_stored(values: Array, dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype == np.float16:
        values = np.clip(values, -HALF_MAX, HALF_MAX)
    return np.ascontiguousarray(values.astype(dtype))
