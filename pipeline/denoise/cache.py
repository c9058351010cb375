"""A cache of arrays on a node's own disk: what is costly to compute, and a pure function of its key.

One file for each key, with a checksum that is looked at each time: a file that a crash, or a full disk, left damaged
is dropped, and what it held is computed anew. Files come to be by renaming, so that any number of processes may share a
directory. When the budget is used up, those that were read the longest ago go first (their times of change tell).

    0   8  magic "PENCACHE"
    8   4  length of the header H, uint32
    12  4  CRC-32 of all that follows
    16  H  header, JSON: [{"name", "dtype", "shape", "offset"}], padded with blanks
    16+H   arrays, each at a multiple of 64 bytes from here (`offset`), little-endian, C order
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import mmap
import os
import re
import secrets
import struct
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.device import cache_directory

__all__ = ["Cache", "feature_cache"]

log = logging.getLogger(__name__)

_MAGIC: Final = b"PENCACHE"
_FIXED: Final = struct.Struct("<8sII")
_ALIGN: Final = 64
_DTYPES: Final = ("<f2", "<f4", "<i2", "<u2")
"""Half, single, and the bits of bfloat16, which numpy does not know."""
_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,199}")
_SUFFIX: Final = ".arrays"
_TEMPORARY: Final = ".tmp-"
_ABANDONED_SECONDS: Final = 3600.0
"""Age from which an unfinished file is that of a process that died."""


class Cache:
    """Named arrays by key. Safe to use from many processes and threads.

    Args:
        directory: made with the first entry.
        most_bytes: that all entries may take together.
    """

    def __init__(self, directory: Path, most_bytes: int) -> None:
        self.directory, self.most_bytes = directory, most_bytes

    def get(self, key: str) -> dict[str, NDArray[Any]] | None:
        """The arrays of a key; None where there are none, or no whole ones.

        They are mapped from the file: pages come in when they are read, and writing to the arrays changes no file.

        Raises:
            ValueError: a key that is not made of letters, digits, _ and -.
        """
        file = self._file(key)
        try:
            with file.open("rb") as stream:
                mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
            arrays = _decoded(mapped)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning("%s is damaged (%s); it is dropped", file, error)
            with contextlib.suppress(OSError):
                file.unlink()
            return None
        with contextlib.suppress(OSError):
            os.utime(file)
        return arrays

    def put(self, key: str, arrays: Mapping[str, NDArray[Any]]) -> bool:
        """Keeps arrays, a pure function of the key. False: they take more than the budget, or cannot be written.

        Args:
            key: letters, digits, _ and -: digests, and what tells one use of them from another.
            arrays: float16, float32, int16 or uint16 (bfloat16's bits).

        Raises:
            ValueError: a key or an array of another kind.
        """
        file, sections = self._file(key), _encoded(arrays)
        size = sum(len(section) for section in sections)
        if size > self.most_bytes:
            return False
        temporary = self.directory / f"{_TEMPORARY}{os.getpid()}-{secrets.token_hex(8)}"
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._make_room(size)
            with temporary.open("xb", buffering=0) as stream:
                for section in sections:
                    _write_all(stream.fileno(), section)
            os.replace(temporary, file)
            self._make_room(0)  # others may have written meanwhile
        except OSError as error:
            log.warning("%s cannot be written (%s); it goes on without a cache", file, error.strerror or error)
            with contextlib.suppress(OSError):
                temporary.unlink()
            return False
        return True

    def _file(self, key: str) -> Path:
        if _KEY.fullmatch(key) is None:
            raise ValueError(f"{key!r:.80} is not a key: up to 200 letters, digits, _ and -")
        return self.directory / (key + _SUFFIX)

    def _make_room(self, size: int) -> None:
        """Removes what was read the longest ago, until so many bytes more fit."""
        found = sorted(self._entries())
        total = size + sum(taken for _, taken, _ in found)
        now = time.time()
        for changed, taken, file in found:
            abandoned = now - changed > _ABANDONED_SECONDS
            if abandoned if file.name.startswith(_TEMPORARY) else total > self.most_bytes:
                with contextlib.suppress(FileNotFoundError):  # another process was first
                    file.unlink()
                total -= taken

    def _entries(self) -> Iterator[tuple[float, int, Path]]:
        """Time of change, size and path of every file of the cache, unfinished ones too."""
        with os.scandir(self.directory) as entries:
            for entry in entries:
                if entry.name.endswith(_SUFFIX) or entry.name.startswith(_TEMPORARY):
                    with contextlib.suppress(FileNotFoundError):
                        state = entry.stat()
                        yield state.st_mtime, state.st_size, Path(entry.path)


def feature_cache(most_bytes: int) -> Cache | None:
    """The cache of this node's features, in the user's cache directory; None where it may take no bytes.

    Args:
        most_bytes: `feature_cache_bytes` of the farm's profile.
    """
    return Cache(cache_directory() / "features", most_bytes) if most_bytes else None


def _encoded(arrays: Mapping[str, NDArray[Any]]) -> list[bytes | memoryview]:
    """The sections of an entry's file. Raises ValueError for arrays of another kind."""
    entries: list[dict[str, Any]] = []
    body: list[bytes | memoryview] = []
    offset = 0
    for name, array in arrays.items():
        dtype = array.dtype.newbyteorder("<").str
        if dtype not in _DTYPES:
            raise ValueError(f"array {name!r:.80} is {array.dtype}, not float16, float32, int16 or uint16")
        entries.append({"name": name, "dtype": dtype, "shape": list(array.shape), "offset": offset})
        if array.size:
            padding = -array.nbytes % _ALIGN
            body += [np.ascontiguousarray(array, dtype).reshape(-1).view(np.uint8).data, bytes(padding)]
            offset += array.nbytes + padding
    header = json.dumps(entries).encode()
    header += b" " * (-(_FIXED.size + len(header)) % _ALIGN)
    checksum = 0
    for section in (header, *body):
        checksum = zlib.crc32(section, checksum)
    return [_FIXED.pack(_MAGIC, len(header), checksum), header, *body]


def _decoded(data: mmap.mmap) -> dict[str, NDArray[Any]]:
    """The arrays of an entry's file, views of it. Raises ValueError: what is wrong."""
    if len(data) < _FIXED.size:
        raise ValueError("truncated")
    magic, length, checksum = _FIXED.unpack_from(data)
    if magic != _MAGIC:
        raise ValueError("not a file of the cache")
    with memoryview(data) as view, view[_FIXED.size :] as rest:
        if zlib.crc32(rest) != checksum:
            raise ValueError("its checksum does not match")
    start = _FIXED.size + length
    arrays: dict[str, NDArray[Any]] = {}
    for entry in json.loads(data[_FIXED.size : start]):
        dtype, shape = np.dtype(entry["dtype"]), tuple(entry["shape"])
        count = math.prod(shape)
        flat = np.frombuffer(data, dtype, count, start + entry["offset"]) if count else np.empty(0, dtype)
        arrays[entry["name"]] = flat.reshape(shape)
    return arrays


def _write_all(handle: int, section: bytes | memoryview) -> None:
    left = memoryview(section)
    while left:
        left = left[os.write(handle, left) :]
