"""The headers of an EXR, whoever wrote it, and one of its parts as an EXR of its own.

OpenEXR's Python bindings decode a file whole. A deliverable has a part for each layer, so that cutting one out before
it is decoded makes looking at one layer of twenty cost one layer. Nothing is believed of a file that is not checked:
sizes, offsets, and that every chunk lies within the file.

Format: OpenEXR file layout, https://openexr.com/en/latest/OpenEXRFileLayout.html.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from pipeline.errors import ProductError

__all__ = ["Channel", "Part", "cut", "headers", "require_whole"]

Buffer = bytes | memoryview
Pixel = Literal["uint", "half", "float"]

_MAGIC: Final = 20000630
_TILED: Final = 0x200
_LONG_NAMES: Final = 0x400
_DEEP: Final = 0x800
_MULTIPART: Final = 0x1000
_PIXELS: Final[tuple[Pixel, ...]] = ("uint", "half", "float")
_MOST_PARTS: Final = 1024
_MOST_CHANNELS: Final = 4096
_MOST_SIDE: Final = 1 << 16
_LINES: Final = {0: 1, 1: 1, 2: 1, 3: 16, 4: 32, 5: 16, 6: 32, 7: 32, 8: 32, 9: 256}
"""Scan lines a chunk holds, by compression: none, RLE, ZIPS, ZIP, PIZ, PXR24, B44, B44A, DWAA, DWAB."""


@dataclass(frozen=True)
class Channel:
    """One channel of a part.

    Attributes:
        name: as stored; what is not UTF-8 in it is shown as �.
        pixel: what is stored.
        sampled: a value for every pixel; else it is subsampled.
    """

    name: str
    pixel: Pixel
    sampled: bool


@dataclass(frozen=True)
class Part:
    """What the header of a part says.

    Attributes:
        name: of the part; empty in files of one part, which need none.
        kind: `scanlineimage`, `tiledimage`, …
        width, height: of the data window, pixels.
        channels: in file order.
        offsets: of its chunks, from the beginning of the file.
    """

    name: str
    kind: str
    width: int
    height: int
    channels: tuple[Channel, ...]
    offsets: tuple[int, ...] = field(repr=False)
    _header: tuple[int, int] = field(repr=False)  # bytes of its attributes


def headers(data: Buffer) -> list[Part]:
    """The parts of an EXR.

    Raises:
        ProductError: not an EXR, truncated, deep, or with numbers that make no sense.
    """
    try:
        return _headers(memoryview(data))
    except (struct.error, IndexError, ValueError) as error:
        raise ProductError(f"not a readable EXR: {error or 'truncated'}") from error


def require_whole(data: Buffer, part: Part) -> None:
    """Raises ProductError unless every chunk of a part lies within the file: a file may be cut short at any place."""
    multipart = _flags(memoryview(data)) & _MULTIPART
    fixed = (4 if multipart else 0) + (16 if part.kind == "tiledimage" else 4)
    for offset in part.offsets:
        if offset <= 0 or offset + fixed + 4 > len(data):
            raise ProductError("the file is not whole: it was cut short, or is still being written")
        (size,) = struct.unpack_from("<i", data, offset + fixed)
        if size < 0 or offset + fixed + 4 + size > len(data):
            raise ProductError("the file is not whole: it was cut short, or is still being written")


def cut(data: Buffer, parts: list[Part], index: int) -> bytes:
    """One part as an EXR of its own; a file of one part is given back as it is.

    Args:
        data: of the file.
        parts: from `headers`.
        index: of the part.

    Raises:
        ProductError: the file is not whole.
    """
    view, part = memoryview(data), parts[index]
    require_whole(view, part)
    flags = _flags(view)
    if not flags & _MULTIPART:
        return bytes(view)
    tiled = part.kind == "tiledimage"
    head = struct.pack("<ii", _MAGIC, 2 | (flags & _LONG_NAMES) | (_TILED if tiled else 0))
    head += bytes(view[slice(*part._header)]) + b"\0"
    fixed = 16 if tiled else 4
    at, table, chunks = len(head) + 8 * len(part.offsets), [], []
    for offset in part.offsets:
        number, size = struct.unpack_from("<i", view, offset)[0], struct.unpack_from("<i", view, offset + 4 + fixed)[0]
        if number != index:
            raise ProductError(f"a chunk of part {index} says that it belongs to part {number}")
        chunk = view[offset + 4 : offset + 8 + fixed + size]
        table.append(at)
        chunks.append(chunk)
        at += len(chunk)
    return b"".join([head, struct.pack(f"<{len(table)}Q", *table), *chunks])


def _flags(view: memoryview) -> int:
    magic, version = struct.unpack_from("<ii", view, 0)
    if magic != _MAGIC or version & 0xFF != 2:
        raise ValueError("it does not begin as one")
    return int(version)


def _headers(view: memoryview) -> list[Part]:
    flags = _flags(view)
    if flags & _DEEP:
        raise ValueError("deep data are not shown")
    found: list[tuple[dict[str, memoryview], tuple[int, int]]] = []
    at = 8
    while len(found) < (_MOST_PARTS if flags & _MULTIPART else 1):
        attributes, end = _attributes(view, at)
        if not attributes:  # the empty header that ends those of several parts
            break
        found.append((attributes, (at, end)))
        at = end + 1
    if not found:
        raise ValueError("it has no header")
    if flags & _MULTIPART:
        at += 1
    parts = []
    for attributes, span in found:
        part, at = _part(view, attributes, span, at, tiled=bool(flags & _TILED))
        parts.append(part)
    return parts


def _attributes(view: memoryview, at: int) -> tuple[dict[str, memoryview], int]:
    """Attributes from a place on, and the place of the null byte behind them."""
    found: dict[str, memoryview] = {}
    while view[at] != 0:
        name, at = _text(view, at)
        _, at = _text(view, at)
        (size,) = struct.unpack_from("<i", view, at)
        if size < 0 or at + 4 + size > len(view):
            raise ValueError("truncated")
        found[name] = view[at + 4 : at + 4 + size]
        at += 4 + size
    return found, at


def _part(
    view: memoryview, attributes: Mapping[str, memoryview], span: tuple[int, int], at: int, *, tiled: bool
) -> tuple[Part, int]:
    """A part, whose table of offsets begins at `at`; and where the next one begins."""
    for needed in ("channels", "dataWindow", "compression"):
        if needed not in attributes:
            raise ValueError(f"attribute {needed} is missing")
    x0, y0, x1, y1 = struct.unpack_from("<4i", attributes["dataWindow"])
    width, height = x1 - x0 + 1, y1 - y0 + 1
    if not (0 < width <= _MOST_SIDE and 0 < height <= _MOST_SIDE):
        raise ValueError(f"a data window of {width}×{height} pixels")
    kind = bytes(attributes["type"]).decode("utf-8", "replace") if "type" in attributes else ""
    kind = kind or ("tiledimage" if tiled else "scanlineimage")
    if kind not in ("scanlineimage", "tiledimage"):
        raise ValueError(f"parts of type {kind!r:.40} are not shown")
    if "chunkCount" in attributes:
        (count,) = struct.unpack_from("<i", attributes["chunkCount"])
    elif kind == "scanlineimage":
        lines = _LINES.get(attributes["compression"][0])
        if lines is None:
            raise ValueError(f"compression {attributes['compression'][0]} is not known")
        count = -(-height // lines)
    else:
        count = _tiles(attributes["tiles"], width, height)
    if count < 0 or at + 8 * count > len(view):
        raise ValueError("truncated")
    offsets = struct.unpack_from(f"<{count}Q", view, at)
    name = bytes(attributes["name"]).decode("utf-8", "replace") if "name" in attributes else ""
    part = Part(name, kind, width, height, _channels(attributes["channels"]), offsets, span)
    return part, at + 8 * count


def _tiles(tiles: memoryview, width: int, height: int) -> int:
    """Tiles of a part of one level. Raises ValueError: it has several."""
    across, down, mode = (int(each) for each in struct.unpack_from("<IIB", tiles))
    if mode & 0xF or not (across and down):
        raise ValueError("mipmaps in a file of one part are not shown")
    return -(-width // across) * -(-height // down)


def _channels(data: memoryview) -> tuple[Channel, ...]:
    found, at = [], 0
    while data[at] != 0:
        name, at = _text(data, at)
        pixel, _, across, down = struct.unpack_from("<iIii", data, at)
        if not 0 <= pixel < len(_PIXELS):
            raise ValueError(f"channel {name!r:.40} has pixels of type {pixel}")
        found.append(Channel(name, _PIXELS[pixel], (across, down) == (1, 1)))
        at += 16
        if len(found) > _MOST_CHANNELS:
            raise ValueError(f"more than {_MOST_CHANNELS} channels")
    return tuple(found)


def _text(view: memoryview, at: int) -> tuple[str, int]:
    """A text up to its null byte, and what is behind it."""
    for end in range(at, min(at + 256, len(view))):
        if view[end] == 0:
            return bytes(view[at:end]).decode("utf-8", "replace"), end + 1
    raise ValueError("a name without an end")
