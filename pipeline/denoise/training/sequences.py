"""A rendered sequence on disk: format `sequence-v1`, an uncompressed `.npz` whose members are read in place.

Samples are kept as sub-buffers, so that every epoch may pool others of them, and with them other noise. float16 holds a
mean to 5e-4 of its value: a variance of a sample below about 1e-3 of the squared mean is rounding, not noise.
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import mmap
import os
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ProductError

__all__ = ["FORMAT", "SUFFIX", "Sequence", "fingerprint", "listing", "read", "write"]

FORMAT = "sequence-v1"

SUFFIX = ".npz"

LARGEST = float(np.finfo(np.float16).max)

LAYERS: dict[str, tuple[str, int]] = {
    "colour": ("FSHW", 9),  # means: emission RGB, diffuse RGB, specular RGB
    "rms": ("FSHW", 4),  # root of the mean squared luminance: beauty, emission, diffuse, specular
    "features": ("FSHW", 8),  # means: albedo RGB, normal XYZ, alpha, depth over the sequence's median depth
    "features_rms": ("FSHW", 2),  # root of the mean square (mean over axes): albedo, normal
    "motion": ("FHW", 6),  # forward x y, backward x y (pixels), forward valid, backward valid
    "reference": ("HW", 9),  # of the centre: median of three denoised renders
    "reference_albedo": ("HW", 3),  # of the centre
    "raw": ("HW", 9),  # of the centre: plain mean of the three renders
}
"""Axes and channels of every float16 member: F frames, S sub-buffers, H×W pixels."""

ALIGNMENT = 64
"""Bytes: where a member's numbers begin in the file. Unaligned ones are read several times slower."""

_LOCAL_HEADER = struct.Struct("<4s22sHH")  # signature, what the directory says too, length of name, length of extra
_SIGNATURE = b"PK\x03\x04"
_PADDING = 0xD935  # id of an extra field that aligns a member, as in Android packages


@dataclass(frozen=True, eq=False)
class Sequence:
    """F consecutive frames of one scene around a centre; float16 as stored, or float32.

    Attributes:
        spp: int32 [S], samples per pixel of the sub-buffers of every frame.
        colour, rms, features, features_rms: F×S×H×W×C; see `LAYERS`.
        motion: F×H×W×6.
        reference, reference_albedo, raw: H×W×C, of the centre frame.
        meta: seed, recipe, difficulty, and what it took; plain JSON values.
    """

    spp: NDArray[np.int32]
    colour: NDArray[Any]
    rms: NDArray[Any]
    features: NDArray[Any]
    features_rms: NDArray[Any]
    motion: NDArray[Any]
    reference: NDArray[Any]
    reference_albedo: NDArray[Any]
    raw: NDArray[Any]
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def radius(self) -> int:
        """Frames on either side of the centre; also the centre's index."""
        return len(self.colour) // 2

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        height, width = self.raw.shape[:2]
        return height, width


def write(path: Path, sequence: Sequence) -> None:
    """Stores a sequence: the file appears whole or not at all.

    Raises:
        ProductError: the arrays do not fit together.
        OSError: the file cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = {"spp": np.asarray(sequence.spp, np.int32)}
    for name in LAYERS:
        arrays[name] = np.clip(getattr(sequence, name), -LARGEST, LARGEST).astype(np.float16)
    arrays["meta"] = np.array(json.dumps({"format": FORMAT, **sequence.meta}))
    _check_shapes(path, arrays)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, array in arrays.items():
                _write_member(archive, file.tell(), f"{name}.npy", array)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _write_member(archive: zipfile.ZipFile, offset: int, name: str, array: NDArray[Any]) -> None:
    """Adds a member whose numbers are aligned; `offset` is where its header will begin."""
    content = io.BytesIO()
    np.lib.format.write_array(content, array.copy(order="C"), allow_pickle=False)
    info = zipfile.ZipInfo(name)
    extra = -(offset + _LOCAL_HEADER.size + len(name) + 4) % ALIGNMENT
    info.extra = struct.pack("<HH", _PADDING, extra) + bytes(extra)
    archive.writestr(info, content.getvalue())


def read(path: Path) -> Sequence:
    """Opens a sequence. Arrays are views of the file, read from disk where they are looked at.

    Raises:
        ProductError: the file is damaged, or of another format version.
        FileNotFoundError: there is none.
    """
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            with zipfile.ZipFile(file) as archive:
                members = {info.filename.removesuffix(".npy"): _member(data, info) for info in archive.infolist()}
        meta = json.loads(str(members["meta"]))
        found = meta.pop("format")
    except FileNotFoundError:
        raise
    except (zipfile.BadZipFile, OSError, ValueError, KeyError, AttributeError, TypeError, struct.error) as error:
        raise ProductError(f"{path} is damaged: {error}") from error
    if found != FORMAT:
        raise ProductError(f"{path} is of format {found}; this version reads {FORMAT}")
    _check_shapes(path, members)
    return Sequence(**{name: members[name] for name in ("spp", *LAYERS)}, meta=meta)


def _member(data: mmap.mmap, info: zipfile.ZipInfo) -> NDArray[Any]:
    """An uncompressed member's array, in the file's memory map. ValueError if it is not one, or is cut short."""
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{info.filename} is compressed")
    signature, _, name_length, extra_length = _LOCAL_HEADER.unpack_from(data, info.header_offset)
    if signature != _SIGNATURE:
        raise ValueError(f"{info.filename} is not where the directory says")
    start = info.header_offset + _LOCAL_HEADER.size + name_length + extra_length
    header = 10 + int.from_bytes(data[start + 8 : start + 10], "little")
    shape, dtype = _npy_header(data[start : start + header])
    count = int(np.prod(shape, dtype=np.int64))
    if header + count * dtype.itemsize != info.file_size or start + info.file_size > len(data):
        raise ValueError(f"{info.filename} is cut short")
    return np.frombuffer(data, dtype, count, start + header).reshape(shape)


@lru_cache
def _npy_header(data: bytes) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type as the header of an `.npy` file of version 1 has them. ValueError if it is none.

    Remembered: all files of a folder have the same few headers, and to parse them took almost half of the time of
    opening a file.
    """
    if data[:8] != b"\x93NUMPY\x01\x00":
        raise ValueError("not an array")
    try:
        header = ast.literal_eval(data[10:].decode("latin-1"))
    except SyntaxError as error:
        raise ValueError("not an array") from error
    dtype = np.dtype(header["descr"])
    if header["fortran_order"] or dtype.hasobject:
        raise ValueError("an array of another layout")
    return tuple(int(extent) for extent in header["shape"]), dtype


def _check_shapes(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    missing = [name for name in ("spp", *LAYERS) if name not in arrays]
    if missing:
        raise ProductError(f"{path} has no {', '.join(missing)}")
    extents = {}
    if arrays["colour"].ndim == 5:
        extents = dict(zip("FSHW", arrays["colour"].shape, strict=False))
    for name, (axes, channels) in LAYERS.items():
        wanted = (*(extents.get(axis) for axis in axes), channels)
        if arrays[name].shape != wanted or arrays[name].dtype != np.float16:
            raise ProductError(f"{path}: {name} is {arrays[name].dtype} {arrays[name].shape}, not float16 {wanted}")
    spp = arrays["spp"]
    if spp.shape != (extents["S"],) or spp.dtype != np.int32 or spp.min() < 2 or extents["F"] % 2 == 0:
        raise ProductError(f"{path}: {extents['F']} frames of {extents['S']} sub-buffers with {spp.tolist()} samples")


def listing(folder: Path) -> list[Path]:
    """The sequences of a folder, by name."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def fingerprint(folder: Path) -> str:
    """BLAKE2b of a folder's sequences: hexadecimal, the same wherever and however slowly they were rendered.

    Made of names, sizes and checksums alone (`meta` left out); no array is read.

    Raises:
        ProductError: a file is damaged.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in listing(folder):
        try:
            with zipfile.ZipFile(path) as archive:
                members = [(info.filename, info.file_size, info.CRC) for info in archive.infolist()]
        except zipfile.BadZipFile as error:
            raise ProductError(f"{path} is damaged: {error}") from error
        kept = sorted(member for member in members if member[0] != "meta.npy")
        digest.update(json.dumps([path.name, kept]).encode())
    return digest.hexdigest()
