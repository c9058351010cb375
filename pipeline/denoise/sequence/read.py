"""EXR files read: what is in them without their pixels, all of their channels, and frames as they are asked for."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
from numpy.typing import NDArray

from pipeline.denoise.frame import Frame
from pipeline.denoise.sequence.layers import Layout, frame_from
from pipeline.errors import AssetError
from pipeline.images.size import check_exr

__all__ = ["Contents", "DataWindow", "FrameWindow", "Place", "contents", "digest", "frame", "parts", "stored"]

DataWindow = tuple[int, int, int, int]
"""Left, top, right, bottom; pixels, the last ones included."""


@dataclass(frozen=True)
class Place:
    """A channel in its file."""

    part: int
    channel: str
    window: DataWindow
    obstacle: str = ""  # why it cannot be denoised; empty where it can


@dataclass(frozen=True)
class Contents:
    """What a file says it holds.

    Attributes:
        path: the file.
        parts: how many it has.
        places: channels by full name, in the file's order. A channel of a named part that is not the first one goes
            by `part.channel` as well, unless its own name says so already: `R` of part `diffuse` is `diffuse.R`.
    """

    path: Path
    parts: int
    places: Mapping[str, Place]

    def window(self, layout: Layout) -> DataWindow:
        """The data window of the channels that the layout uses.

        Raises:
            AssetError: they cannot be denoised: deep, sampled at intervals, or on different windows.
        """
        places = [(name, self.places[name]) for name in sorted(layout.channels)]
        for name, place in places:
            if place.obstacle:
                raise AssetError(f"{self.path}: channel {name} {place.obstacle}")
            if place.window != places[0][1].window:
                raise AssetError(f"{self.path}: channels {places[0][0]} and {name} have different data windows")
        return places[0][1].window


def contents(path: Path) -> Contents:
    """Reads the headers alone.

    Raises:
        AssetError: not a readable EXR.
    """
    headers = [part.header for part in _open(path, header_only=True)]
    places: dict[str, Place] = {}
    for index, header in enumerate(headers):
        window = _data_window(header)
        deep = header.get("type") in (OpenEXR.deepscanline, OpenEXR.deeptile)
        for channel in header["channels"]:
            obstacle = "is deep" if deep else ""
            if (channel.xSampling, channel.ySampling) != (1, 1):
                obstacle = "does not have a value for every pixel"
            place = Place(index, channel.name, window, obstacle)
            for name in _full_names(channel.name, index, header.get("name", "")):
                places.setdefault(name, place)
    return Contents(path, len(headers), places)


def parts(found: Contents) -> list[Any]:
    """The parts of a file with all of their pixels.

    Raises:
        AssetError: damaged.
    """
    said = io.StringIO()
    read = _open(found.path, said=said)
    if len(read) != found.parts:
        # The library prints what is wrong with a part, and carries on without it.
        reason = said.getvalue().strip().rpartition(" - ")[2].partition("\n")[0]
        raise AssetError(f"{found.path}: damaged: {reason or 'a part cannot be read'}")
    return read


def stored(found: Contents, layout: Layout, read: list[Any]) -> dict[str, NDArray[Any]]:
    """The channels that the layout uses, as stored: H×W by name."""
    return {name: _pixels(found.places[name], read) for name in layout.channels}


def frame(found: Contents, layout: Layout) -> Frame:
    """The frame in a file, `sane`.

    Raises:
        AssetError: damaged.
    """
    return frame_from(layout, stored(found, layout, parts(found))).sane()


def digest(found: Contents, layout: Layout) -> str:
    """Identifies the layers that a layout finds in a file, as long as the file is not changed: hexadecimal.

    Raises:
        AssetError: the file is gone.
    """
    try:
        state = found.path.stat()
    except OSError as error:
        raise AssetError(f"{found.path}: cannot be read: {error.strerror or error}") from error
    text = f"{found.path.resolve()}\n{state.st_size} {state.st_mtime_ns}\n{layout.source} {sorted(layout.read.items())}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class FrameWindow(Mapping[int, Frame | None]):
    """Frames around a centre. Each is loaded when it is asked for, and dropped once the window has left it behind.

    Args:
        numbers: all frames of the sequence.
        radius: frames on either side of the centre that belong to the window.
        load: gives a frame of the sequence.
        digest: identifies a frame's layers, hexadecimal: denoisers keep what they make of it under this key.
    """

    def __init__(
        self, numbers: list[int], radius: int, load: Callable[[int], Frame], digest: Callable[[int], str]
    ) -> None:
        self._all, self._radius, self._load, self.digest = numbers, radius, load, digest
        self._inside: list[int] = []
        self._loaded: dict[int, Frame] = {}

    def centre_on(self, centre: int) -> None:
        """Moves the window."""
        self._inside = [number for number in self._all if abs(number - centre) <= self._radius]
        self._loaded = {number: self._loaded[number] for number in self._inside if number in self._loaded}

    def __getitem__(self, number: int) -> Frame | None:
        if number not in self._inside:
            raise KeyError(number)
        if number not in self._loaded:
            self._loaded[number] = self._load(number)
        return self._loaded[number]

    def __iter__(self) -> Iterator[int]:
        return iter(self._inside)

    def __len__(self) -> int:
        return len(self._inside)


def _open(path: Path, *, header_only: bool = False, said: io.StringIO | None = None) -> list[Any]:
    try:
        if not header_only:
            check_exr(path)
        with redirect_stdout(said or io.StringIO()):
            return list(OpenEXR.File(str(path), separate_channels=True, header_only=header_only).parts)
    except (RuntimeError, ValueError, OSError, MemoryError) as error:
        reason = str(error).replace(str(path), "").strip(" :\n'\"") or type(error).__name__
        raise AssetError(f"{path}: not a readable EXR: {' '.join(reason.split())}") from error


def _data_window(header: Mapping[str, Any]) -> DataWindow:
    (left, top), (right, bottom) = header["dataWindow"]
    return int(left), int(top), int(right), int(bottom)


def _full_names(channel: str, part: int, name: str) -> Iterator[str]:
    if part == 0 or "." in channel or channel == name:
        yield channel
    if name and channel != name and not channel.startswith(f"{name}."):
        yield f"{name}.{channel}"


def _pixels(place: Place, read: list[Any]) -> NDArray[Any]:
    pixels: NDArray[Any] = np.asarray(read[place.part].channels[place.channel].pixels)
    return pixels
