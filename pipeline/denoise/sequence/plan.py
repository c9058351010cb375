"""What is to be denoised into what: every header is read and checked before the first frame is denoised."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.config.values import LAMBDA_RANGE
from pipeline.denoise.lambda_map import of_grey
from pipeline.denoise.sequence.files import find
from pipeline.denoise.sequence.layers import Layout, recognises, resolve
from pipeline.denoise.sequence.mapping import PACKAGED, ChannelMapping, load
from pipeline.denoise.sequence.read import Contents, DataWindow, contents
from pipeline.errors import AssetError, ConfigError
from pipeline.images.masks import read_mask

__all__ = ["Plan", "prepare"]


@dataclass(frozen=True)
class Plan:
    """A sequence that can be denoised, as far as its headers tell.

    Attributes:
        frames: contents of the files by frame number, ascending; all of one size.
        layouts: by frame number; they read the same layers.
        out: the folder that takes the denoised files, under the names of the given ones.
        lambda_: scalar, or H×W of the frames' size.
    """

    frames: Mapping[int, Contents]
    layouts: Mapping[int, Layout]
    out: Path
    lambda_: NDArray[np.float32] | float

    @property
    def mapping(self) -> str:
        """Name of the mapping that fits."""
        return next(iter(self.layouts.values())).mapping

    @property
    def source(self) -> str:
        """Source of the frames."""
        return next(iter(self.layouts.values())).source


def prepare(
    inputs: Sequence[str],
    out: Path,
    *,
    lambda_: float = 1.0,
    lambda_map: Path | None = None,
    mapping: str | None = None,
    warn: Callable[[str], None],
) -> Plan:
    """Finds the frames, reads their headers and checks all that can be checked without pixels. Writes nothing.

    Args:
        inputs: as `files.find` takes them.
        out: folder; need not be there.
        lambda_: 1 … 10.
        lambda_map: EXR or PNG with λ per pixel, in place of `lambda_`.
        mapping: a packaged mapping or a YAML file; None: the first packaged one that recognises the first frame.
        warn: takes one line.

    Raises:
        ConfigError: no frames, frames of several sequences, `out` holds the input, λ out of range, a wrong mapping.
        AssetError: a file is damaged, has no colour, lacks a layer that others have, or has another size; the λ map is
            unreadable, has another size or values out of range.
    """
    least, most = LAMBDA_RANGE
    if not least <= lambda_ <= most:
        raise ConfigError(f"must be {least:g} … {most:g}, not {lambda_:g}", path="--lambda")
    chosen = None if mapping is None else (Path(mapping).stem, load(mapping))
    paths = find(inputs, warn)
    for path in paths.values():
        if (out / path.name).resolve() == path.resolve():
            raise ConfigError("holds the frames to be denoised", path=out, suggestion="name another folder with --out")
    if out.exists() and not out.is_dir():
        raise ConfigError("is not a folder", path=out)
    frames = {number: contents(path) for number, path in paths.items()}
    layouts: dict[int, Layout] = {}
    for number, found in frames.items():
        chosen = chosen or _recognised(found)
        try:
            layouts[number] = resolve(*chosen, found.places)
        except AssetError as error:
            raise AssetError(f"{found.path}: {error}") from error
    window = _common_window(frames, layouts)
    return Plan(frames, layouts, out, lambda_ if lambda_map is None else _lambda_map(lambda_map, window))


def _recognised(found: Contents) -> tuple[str, ChannelMapping]:
    """The mapping for a file: the first that knows it, else the last, which knows no renderer in particular."""
    for name in PACKAGED[:-1]:
        mapping = load(name)
        if recognises(mapping, found.places):
            return name, mapping
    return PACKAGED[-1], load(PACKAGED[-1])


def _common_window(frames: Mapping[int, Contents], layouts: Mapping[int, Layout]) -> DataWindow:
    """The data window that all frames have; they have one set of layers, too, since windows reach over frames."""
    first, *others = frames
    window, layers = frames[first].window(layouts[first]), set(layouts[first].read)
    for number in others:
        found, theirs = frames[number], set(layouts[number].read)
        if found.window(layouts[number]) != window:
            raise AssetError(
                f"{found.path}: its size is {_sized(found.window(layouts[number]))}, "
                f"{frames[first].path.name} has {_sized(window)}"
            )
        if theirs != layers:
            lacking, which = (found, layers - theirs) if layers - theirs else (frames[first], theirs - layers)
            raise AssetError(f"{lacking.path}: lacks {', '.join(sorted(which))}, which other frames have")
    return window


def _sized(window: DataWindow) -> str:
    left, top, right, bottom = window
    place = f" at {left}, {top}" if (left, top) != (0, 0) else ""
    return f"{right - left + 1}×{bottom - top + 1}{place}"


def _lambda_map(path: Path, window: DataWindow) -> NDArray[np.float32]:
    values = of_grey(read_mask(path)) if path.suffix.lower() == ".png" else read_mask(path)
    left, top, right, bottom = window
    if values.shape != (bottom - top + 1, right - left + 1):
        height, width = values.shape
        raise AssetError(f"{path}: the λ map is {width}×{height}, the frames are {_sized(window)}")
    least, most = LAMBDA_RANGE
    if values.min() < least or values.max() > most:
        raise AssetError(f"{path}: λ must be {least:g} … {most:g}; the map has {values.min():g} … {values.max():g}")
    return values
