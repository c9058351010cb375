"""How large an image says that it is, asked before anything is decoded: a kilobyte may claim a terabyte.

EXR headers are read here, byte by byte and in bounds, because the library allocates what they claim before it looks
for the pixels. Layout: https://openexr.com/en/latest/OpenEXRFileLayout.html
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["MAX_BYTES", "MAX_PIXELS", "ImageTooLarge", "check_exr", "check_image", "check_pixels"]

MAX_PIXELS: Final = 2**28
"""Of one part: 16 384 × 16 384."""
MAX_BYTES: Final = 2**35
"""Decoded, of all channels of all parts: 32 GiB, which is 8K with two hundred float channels."""

_MAGIC: Final = b"\x76\x2f\x31\x01"
_MULTIPART: Final = 0x1000
_MAX_HEADER: Final = 2**24
_MAX_NAME: Final = 255
_BYTES: Final = {0: 4, 1: 2, 2: 4}
"""By pixel type: UINT, HALF, FLOAT."""
_MAX_TEXT: Final = 2**16
_DECLARED: Final = {
    ".hdr": re.compile(rb"#\?.*?\n\s*\n[-+][XY] +(\d+) +[-+][XY] +(\d+)", re.DOTALL),
    ".pfm": re.compile(rb"P[Ff]\s+(\d+)\s+(\d+)\s"),
}
"""Formats that Pillow does not know, by suffix: the two sides of the picture in the text at their beginning."""


class ImageTooLarge(ValueError):
    """An image claims more pixels than are decoded, or does not say how many it has."""


def check_pixels(width: int, height: int) -> None:
    """Raises ImageTooLarge: more pixels than any image of ours."""
    if width * height > MAX_PIXELS:
        raise ImageTooLarge(f"{width}×{height} pixels are too many; {MAX_PIXELS} are read at most")


def check_image(source: Path) -> None:
    """An EXR, a Radiance map (.hdr) and a .pfm by their headers, another image by what Pillow says of it; what is no
    image to them passes.

    Raises:
        ImageTooLarge: see `check_exr`.
        ValueError: the header of an EXR cannot be followed.
        OSError: it cannot be read.
    """
    if source.suffix.lower() == ".exr":
        check_exr(source)
        return
    if source.suffix.lower() in _DECLARED:
        _check_declared(source)
        return
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # Pillow's own is a third of a texture of 16K
    try:
        with Image.open(source) as image:
            check_pixels(image.width, image.height)
    except Image.DecompressionBombError as error:
        raise ImageTooLarge(f"it has too many pixels: {error}") from error
    except (UnidentifiedImageError, SyntaxError):
        return
    except OSError as error:
        if error.errno is not None:
            raise
        # Pillow found it cut off: who decodes it tells of it, with all else that is wrong.


def _check_declared(source: Path) -> None:
    """Looks at the size in the text that a Radiance map or a PFM begins with. What has none is no such image."""
    with source.open("rb") as file:
        found = _DECLARED[source.suffix.lower()].match(file.read(_MAX_TEXT))
    if found is not None:
        check_pixels(int(found[1][:20]), int(found[2][:20]))


def check_exr(source: Path | bytes) -> None:
    """Looks at the headers of an EXR. What is no EXR at all passes: the library says so better.

    Args:
        source: of the file, or what is in it.

    Raises:
        ImageTooLarge: a part has too many pixels, all of them too many bytes, tiles are larger than a part may be, or
            a part is deep: its size stands nowhere but in its pixels.
        ValueError: a header cannot be followed.
        OSError: it cannot be read.
    """
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        if file.read(4) != _MAGIC:
            return
        flags = _number(file, "<I")
        total = 0
        for header in _headers(file, several=bool(flags & _MULTIPART)):
            total += _decoded(header)
            if total > MAX_BYTES:
                raise ImageTooLarge(
                    f"{total / 2**30:.0f} GiB of pixels are too many; {MAX_BYTES >> 30} are read at most"
                )


Header = list[tuple[str, bytes]]


def _headers(file: BinaryIO, *, several: bool) -> Iterator[Header]:
    while header := list(_attributes(file)):
        yield header
        if not several:
            return


def _attributes(file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    while name := _text(file):
        kind = _text(file)
        size = _number(file, "<i")
        if size < 0 or file.tell() + size > _MAX_HEADER:
            raise ValueError(f"the attribute {name} claims {size} bytes")
        yield f"{name}:{kind}", _exactly(file, size)


def _decoded(header: Header) -> int:
    """Bytes of a part's pixels. An attribute that is there twice counts as it is largest."""
    pixels, per_pixel = 0, 0
    for name, value in header:
        if name == "dataWindow:box2i":
            left, top, right, bottom = _unpacked("<4i", value)
            width, height = right - left + 1, bottom - top + 1
            if width < 1 or height < 1:
                raise ValueError(f"the data window is {width}×{height}")
            check_pixels(width, height)
            pixels = max(pixels, width * height)
        elif name == "channels:chlist":
            per_pixel += _channel_bytes(value)
        elif name == "tiles:tiledesc":
            width, height, _ = _unpacked("<IIB", value)
            check_pixels(width, height)
        elif name == "type:string" and value.startswith(b"deep"):
            raise ImageTooLarge("a part is deep, so that nobody knows how large it is before it is read")
    return pixels * per_pixel


def _channel_bytes(channels: bytes) -> int:
    """Bytes of a pixel, all channels together, as if all were sampled in full."""
    found, file = 0, io.BytesIO(channels)
    while _text(file):
        kind = _number(file, "<i")
        if kind not in _BYTES:
            raise ValueError(f"a channel has pixels of the unknown type {kind}")
        found += _BYTES[kind]
        _exactly(file, 12)
    return found


def _text(file: BinaryIO) -> str:
    found = bytearray()
    while (byte := _exactly(file, 1)) != b"\0":
        found += byte
        if len(found) > _MAX_NAME:
            raise ValueError("the header holds a name that does not end")
    return found.decode("latin-1")


def _number(file: BinaryIO, code: str) -> int:
    return int(_unpacked(code, _exactly(file, struct.calcsize(code)))[0])


def _unpacked(code: str, data: bytes) -> tuple[int, ...]:
    if len(data) != struct.calcsize(code):
        raise ValueError("the header is malformed")
    return struct.unpack(code, data)


def _exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise ValueError("the header is cut short")
    return data
