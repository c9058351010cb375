"""The container of a product: named arrays and a few facts, with digests.

    0   8  magic "PENUMBRA"
    8   4  format version, uint32
    12  4  length of the header H, uint32
    16  16 BLAKE2b-128 of bytes 0 … 16 and of the header
    32  H  header, JSON: {"name", "job", "facts", "arrays": [{"name", "dtype", "shape", "offset"}]}, padded with blanks
    32+H   arrays, each at a multiple of 64 bytes from here (`offset`), little-endian, C order
    end-32 BLAKE2b-256 over everything before it

All numbers are little-endian. The header's own digest makes facts trustworthy without a read of the arrays.
Nothing is unpickled, and nothing is allocated for a header's claims before they are checked against the bytes that are
there.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ProductError

__all__ = [
    "DIGEST_SIZE",
    "FORMAT_VERSION",
    "HEAD_SIZE",
    "Product",
    "Section",
    "chunks",
    "decode",
    "encode",
    "head_length",
    "read_facts",
]

FORMAT_VERSION: Final = 1
HEAD_SIZE: Final = 32
"""Bytes that tell how long the header is: see `head_length`."""
DIGEST_SIZE: Final = 32
"""Bytes of the digest of everything before it, with which a product ends."""

_MAGIC: Final = b"PENUMBRA"
_FIXED: Final = struct.Struct("<8sII")
_HEAD_DIGEST: Final = 16
_ALIGN: Final = 64
_MAX_HEADER: Final = 1 << 24
_MAX_DIMENSIONS: Final = 8
_CHUNK: Final = 1 << 22
_DTYPES: Final = frozenset(f"{order}{code}" for order, codes in (
    ("<", ("f2", "f4", "f8", "i2", "i4", "i8", "u2", "u4", "u8")),
    ("|", ("i1", "u1", "b1")),
) for code in codes)  # fmt: skip

Section = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Product:
    """What a task made.

    Attributes:
        name: of the product.
        facts: small JSON values.
        arrays: by name; read-only views of the bytes that were decoded.
    """

    name: str
    facts: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Header:
    facts: dict[str, Any]
    arrays: list[tuple[str, np.dtype[Any], tuple[int, ...], int]]
    data: int
    """Where the arrays start."""
    size: int
    """Bytes of the whole product."""


def chunks(
    name: str, *, job_hash: str, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> Iterator[Section]:
    """The bytes of a product, a few MiB at a time, so that writing one holds no second copy of its arrays.

    Args:
        name: of the product.
        job_hash: of the job that it belongs to.
        facts: small JSON values; no NaN, no infinity.
        arrays: bools, integers and floats of up to 64 bits, up to eight dimensions.

    Raises:
        ProductError: facts or arrays of another kind. Raised before the first chunk.
    """
    offset = 0
    entries = []
    little: list[NDArray[Any]] = []
    for key, array in arrays.items():
        dtype = array.dtype.newbyteorder("<")
        if dtype.str not in _DTYPES or array.ndim > _MAX_DIMENSIONS:
            raise ProductError(f"{name}: array {key!r} ({array.dtype}, {array.ndim} dimensions) cannot be stored")
        entries.append({"name": key, "dtype": dtype.str, "shape": list(array.shape), "offset": offset})
        little.append(array)
        offset = _aligned(offset + array.nbytes)
    try:
        header = json.dumps(
            {"name": name, "job": job_hash, "facts": dict(facts), "arrays": entries},
            ensure_ascii=False, allow_nan=False, separators=(",", ":"),
        ).encode()  # fmt: skip
    except (TypeError, ValueError, RecursionError) as error:
        raise ProductError(f"{name}: facts cannot be stored: {error}") from error
    header += b" " * (-(HEAD_SIZE + len(header)) % _ALIGN)
    if len(header) > _MAX_HEADER:
        raise ProductError(f"{name}: facts take {len(header)} bytes, more than {_MAX_HEADER}")
    return _stream(header, little)


def _stream(header: bytes, arrays: list[NDArray[Any]]) -> Iterator[Section]:
    fixed = _FIXED.pack(_MAGIC, FORMAT_VERSION, len(header))
    head = fixed + _head_digest(fixed, header) + header
    digest = hashlib.blake2b(head, digest_size=DIGEST_SIZE)
    yield head
    for index, array in enumerate(arrays):
        data = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        view = data.reshape(-1).view(np.uint8).data if data.size else memoryview(b"")
        for start in range(0, len(view), _CHUNK):
            digest.update(view[start : start + _CHUNK])
            yield view[start : start + _CHUNK]
        padding = b"" if index == len(arrays) - 1 else bytes(-len(view) % _ALIGN)
        if padding:
            digest.update(padding)
            yield padding
    yield digest.digest()


def encode(name: str, *, job_hash: str, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The bytes of a product, in one piece. See `chunks`."""
    return b"".join(chunks(name, job_hash=job_hash, facts=facts, arrays=arrays))


def head_length(start: bytes | memoryview, *, name: str = "product") -> int:
    """How many bytes from the start of a product `read_facts` needs, from its first `HEAD_SIZE` bytes.

    Raises:
        ProductError: truncated, no product, another format version, or a header of an absurd length.
    """
    if len(start) < HEAD_SIZE:
        raise ProductError(f"{name}: truncated in its first {HEAD_SIZE} bytes ({len(start)} are there)")
    magic, version, length = _FIXED.unpack_from(start)
    if magic != _MAGIC:
        raise ProductError(f"{name}: this is not a product (it starts with {bytes(start[:8])!r})")
    if version != FORMAT_VERSION:
        raise ProductError(f"{name}: format version {version}; this release reads {FORMAT_VERSION}")
    if length > _MAX_HEADER:
        raise ProductError(f"{name}: the header claims {length} bytes, more than {_MAX_HEADER}")
    return HEAD_SIZE + int(length)


def read_facts(start: bytes | memoryview, *, name: str, job_hash: str) -> dict[str, Any]:
    """The facts of a product, from its first `head_length` bytes (more may follow).

    Raises:
        ProductError: what is wrong with the head; see `decode`.
    """
    return _header(start, name, job_hash).facts


def decode(data: bytes | memoryview, *, name: str, job_hash: str) -> Product:
    """Check and read a product.

    Args:
        data: all of its bytes. The arrays are views of them.
        name: that it must bear.
        job_hash: of the job that it must belong to.

    Raises:
        ProductError: truncated, too long, a digest that does not match, of another name or job or format version, or a
            header that makes no sense.
    """
    header = _header(data, name, job_hash)
    if len(data) < header.size:
        raise ProductError(f"{name}: truncated ({len(data)} of {header.size} bytes are there)")
    if len(data) > header.size:
        raise ProductError(f"{name}: {len(data) - header.size} bytes too many")
    view = memoryview(data)
    if hashlib.blake2b(view[:-DIGEST_SIZE], digest_size=DIGEST_SIZE).digest() != view[-DIGEST_SIZE:]:
        raise ProductError(f"{name}: digest does not match its content")
    arrays = {}
    for key, dtype, shape, offset in header.arrays:
        count = _size(shape)
        array = (
            np.frombuffer(view, dtype=dtype, count=count, offset=header.data + offset) if count else np.empty(0, dtype)
        )
        array = array.reshape(shape)
        array.flags.writeable = False
        arrays[key] = array
    return Product(name, header.facts, arrays)


def _header(start: bytes | memoryview, name: str, job_hash: str) -> _Header:
    end = head_length(start, name=name)
    if len(start) < end:
        raise ProductError(f"{name}: truncated in its header ({len(start)} of {end} bytes are there)")
    fixed, digest = bytes(start[: _FIXED.size]), bytes(start[_FIXED.size : HEAD_SIZE])
    text = bytes(start[HEAD_SIZE:end])
    if _head_digest(fixed, text) != digest:
        raise ProductError(f"{name}: digest of the header does not match")
    try:
        header = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ProductError(f"{name}: the header is not JSON: {error}") from error
    if not isinstance(header, dict) or not isinstance(header.get("facts"), dict):
        raise ProductError(f"{name}: the header lacks its facts")
    if header.get("name") != name:
        raise ProductError(f"{name}: this is another product ({str(header.get('name'))[:80]!r})")
    if header.get("job") != job_hash:
        raise ProductError(f"{name}: of another job ({str(header.get('job'))[:12]}…, not {job_hash[:12]}…)")
    entries = header.get("arrays")
    if not isinstance(entries, list):
        raise ProductError(f"{name}: the header lacks its list of arrays")
    arrays, used = [], 0
    for entry in entries:
        array = _array(entry, name)
        if array[3] != _aligned(used):
            raise ProductError(f"{name}: array {array[0][:80]!r} is said to lie at {array[3]}, not at {_aligned(used)}")
        used = array[3] + _size(array[2]) * array[1].itemsize
        arrays.append(array)
    if len({array[0] for array in arrays}) != len(arrays):
        raise ProductError(f"{name}: two arrays of one name")
    return _Header(header["facts"], arrays, end, end + used + DIGEST_SIZE)


def _array(entry: Any, name: str) -> tuple[str, np.dtype[Any], tuple[int, ...], int]:
    if not isinstance(entry, dict) or set(entry) != {"name", "dtype", "shape", "offset"}:
        raise ProductError(f"{name}: an array's entry in the header makes no sense")
    key, dtype, shape, offset = entry["name"], entry["dtype"], entry["shape"], entry["offset"]
    if not isinstance(key, str) or not isinstance(dtype, str) or dtype not in _DTYPES:
        raise ProductError(f"{name}: array {str(key)[:80]!r} has the type {str(dtype)[:40]!r}, which is not stored")
    if (
        not isinstance(shape, list)
        or len(shape) > _MAX_DIMENSIONS
        or not all(type(n) is int and 0 <= n < 1 << 48 for n in shape)
        or _size([max(n, 1) for n in shape]) >= 1 << 48
        or type(offset) is not int
    ):
        raise ProductError(
            f"{name}: array {key[:80]!r} has an impossible shape or place ({str(shape)[:80]}, {str(offset)[:40]})"
        )
    return key, np.dtype(dtype), tuple(shape), offset


def _size(shape: tuple[int, ...] | list[int]) -> int:
    count = 1
    for n in shape:
        count *= n
    return count


def _aligned(offset: int) -> int:
    return offset + -offset % _ALIGN


def _head_digest(fixed: bytes, header: bytes) -> bytes:
    return hashlib.blake2b(fixed + header, digest_size=_HEAD_DIGEST).digest()


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not a number")
