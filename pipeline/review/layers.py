"""What can be looked at in an EXR: its channels as layers of up to four, and their pixels as a browser takes them."""

from __future__ import annotations

import io
import warnings
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import OpenEXR
from numpy.typing import NDArray

from pipeline.errors import ProductError
from pipeline.images import exr_parts
from pipeline.images.exr_parts import Buffer, Part
from pipeline.images.proxy import block_means

__all__ = ["Kind", "Layer", "kind_of", "layers", "pixels", "shrunk"]

Kind = Literal["colour", "scalar", "vector"]

_ORDER: Final = {axis: rank for rank, axis in enumerate(("R", "G", "B", "A", "X", "Y", "Z", "V", "U", "W"))}
_TEXTURE: Final = 4
"""Channels that one texture holds."""


@dataclass(frozen=True)
class Layer:
    """Up to four channels that belong together.

    Attributes:
        index: its place among the layers of its file; requests name it by that.
        name: for people, as the file has it: nothing is known of what it contains.
        channels: full names.
        kind: colour goes through the view transform, scalars are shown in false colour, vectors as they are.
        half: 16-bit floats hold its values exactly.
        width, height: pixels.
        part: index of the part that has it.
    """

    index: int
    name: str
    channels: tuple[str, ...]
    kind: Kind
    half: bool
    width: int
    height: int
    part: int


def layers(data: Buffer) -> list[Layer]:
    """The layers of an EXR, in file order.

    Raises:
        ProductError: it is not a readable, whole EXR.
    """
    parts = exr_parts.headers(data)
    found: list[Layer] = []
    for index, part in enumerate(parts):
        exr_parts.require_whole(data, part)
        for prefix, channels in _groups(part).items():
            name = prefix or part.name or "beauty"
            if prefix and part.name and len(parts) > 1 and prefix != part.name:
                name = f"{part.name} · {prefix}"
            for first in range(0, len(channels), _TEXTURE):
                some = channels[first : first + _TEXTURE]
                half = all(channel.pixel == "half" for channel in some)
                names = tuple(channel.name for channel in some)
                told = name if len(channels) <= _TEXTURE else f"{name} · {first // _TEXTURE + 1}"
                found.append(Layer(len(found), told, names, kind_of(names), half, part.width, part.height, index))
    return found


def pixels(data: Buffer, layer: Layer) -> NDArray[Any]:
    """The pixels of a layer: H×W×C, float16 where that is what the file has, else float32.

    Raises:
        ProductError: it cannot be decoded.
    """
    parts = exr_parts.headers(data)
    try:
        # OpenEXR prints what is wrong with a part and carries on without it.
        with redirect_stdout(io.StringIO()):
            alone = io.BytesIO(exr_parts.cut(data, parts, layer.part))
            channels = OpenEXR.File(alone, separate_channels=True).parts[0].channels
            planes = [np.asarray(channels[name].pixels) for name in layer.channels]
    except (RuntimeError, ValueError, KeyError, IndexError) as error:
        raise ProductError(
            f"layer {layer.name!r:.60} cannot be decoded: {' '.join(str(error).split()):.160}"
        ) from error
    if any(plane.shape != (layer.height, layer.width) for plane in planes):
        raise ProductError(f"layer {layer.name!r:.60} has channels of different sizes")
    return np.stack(planes, axis=-1).astype(np.float16 if layer.half else np.float32, copy=False)


def shrunk(values: NDArray[Any], step: int, kind: Kind) -> NDArray[Any]:
    """A picture of one `step`-th of the size: means of colours; of what has no mean, every `step`-th pixel.

    Args:
        values: H×W×C.
        step: pixels to either side that become one; what is left at the right and at the bottom is dropped.
        kind: of the layer.
    """
    if step == 1:
        return values
    height, width = (side // step for side in values.shape[:2])
    if not height or not width:
        return values
    if kind != "colour":
        return np.ascontiguousarray(values[: height * step, : width * step][step // 2 :: step, step // 2 :: step])
    with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        return block_means(values, step).astype(values.dtype)


def _groups(part: Part) -> dict[str, list[exr_parts.Channel]]:
    """Channels by what stands before their last dot, each in the order in which they are shown."""
    found: dict[str, list[exr_parts.Channel]] = {}
    for channel in part.channels:
        if channel.sampled:
            found.setdefault(channel.name.rpartition(".")[0], []).append(channel)
    for channels in found.values():
        channels.sort(key=lambda channel: (_ORDER.get(_axis(channel.name), len(_ORDER)), channel.name))
    return found


def _axis(name: str) -> str:
    return name.rpartition(".")[2].upper()


def kind_of(names: tuple[str, ...]) -> Kind:
    """How channels are shown that belong together, by what stands behind their last dots."""
    axes = [_axis(name) for name in names]
    if axes[:3] == ["R", "G", "B"]:
        return "colour"
    return "scalar" if len(axes) == 1 else "vector"
