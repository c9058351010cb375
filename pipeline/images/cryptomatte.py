"""Cryptomatte 1.2: mattes of every object by the hash of its name, with coverage in ranks.

A layer of mattes is a handful of 32-bit float channels, `CryptoObject00.R G B A …`: R and B are ids, G and A the share
of the pixel that they cover, the largest first. An id is the hash of a name, read as the bits of a float, so that the
channels must not be filtered, nor stored in half.

Source: Friedman and Jones, "Cryptomatte specification 1.2.0" (Psyop, 2018); the hash is MurmurHash3_x86_32 with seed 0.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["RANKS", "channel_names", "id_of", "matte", "metadata", "murmur3_32"]

RANKS: Final = 6
"""Names that a pixel tells, two a channel group of four."""

_CHUNK: Final = 2**16
_MASK: Final = 0xFFFFFFFF


def murmur3_32(data: bytes, seed: int = 0) -> int:
    """MurmurHash3_x86_32.

    >>> hex(murmur3_32(b"hello"))
    '0x248bfa47'
    """
    h, whole = seed, len(data) // 4 * 4

    def mixed(k: int) -> int:
        k = k * 0xCC9E2D51 & _MASK
        return (k << 15 | k >> 17) * 0x1B873593 & _MASK

    for (k,) in struct.iter_unpack("<I", data[:whole]):
        h ^= mixed(k)
        h = ((h << 13 | h >> 19) & _MASK) * 5 + 0xE6546B64 & _MASK
    if tail := data[whole:]:
        h ^= mixed(int.from_bytes(tail, "little"))
    h ^= len(data)
    h = (h ^ h >> 16) * 0x85EBCA6B & _MASK
    h = (h ^ h >> 13) * 0xC2B2AE35 & _MASK
    return h ^ h >> 16


def id_of(name: str) -> int:
    """The 32 bits that stand for a name: its hash, changed where the float would be 0, denormal, infinite or no number.

    >>> f"{id_of('hello'):08x}"
    '248bfa47'
    """
    bits = murmur3_32(name.encode())
    return bits ^ 1 << 23 if bits >> 23 & 255 in (0, 255) else bits


def channel_names(layer: str, ranks: int = RANKS) -> tuple[str, ...]:
    """Of a layer, `CryptoObject`: in the order of `matte`'s last axis."""
    return tuple(f"{layer}{group:02}.{axis}" for group in range((ranks + 1) // 2) for axis in "RGBA")


def metadata(layer: str, names: Sequence[str]) -> dict[str, Any]:
    """The header's attributes: what the layer is, and its manifest, name → id."""
    key = f"cryptomatte/{murmur3_32(layer.encode()):08x}"[: len("cryptomatte/") + 7]
    manifest = {name: f"{id_of(name):08x}" for name in sorted(set(names))}
    return {
        f"{key}/name": layer,
        f"{key}/hash": "MurmurHash3_32",
        f"{key}/conversion": "uint32_to_float32",
        f"{key}/manifest": json.dumps(manifest, separators=(",", ":"), ensure_ascii=True),
    }


def matte(votes: NDArray[np.uint32], names: Sequence[str], ranks: int = RANKS) -> NDArray[np.float32]:
    """The channels of a layer, from ballots.

    Args:
        votes: …×V: 0 no ballot, 1 background, index + 2 into `names`.
        names: of the shapes, repeated where several go by one name.
        ranks: even.

    Returns:
        …×2·ranks: id, coverage, id, coverage …, the largest coverage first; 0 where there are fewer names.
    """
    distinct = sorted(set(names))
    place = {name: index + 2 for index, name in enumerate(distinct)}
    lookup = np.array([0, 1, *(place[name] for name in names)], np.int64)
    ids = np.array([0, 0, *(id_of(name) for name in distinct)], np.uint32)
    flat = votes.reshape(-1, votes.shape[-1])
    out = np.zeros((len(flat), ranks, 2), np.float32)
    for first in range(0, len(flat), _CHUNK):
        part = slice(first, first + _CHUNK)
        found, counts = _runs(np.sort(lookup[flat[part]], axis=1))
        total = np.maximum(counts.sum(1, where=found > 0), 1)
        counts = np.where(found > 1, counts, 0)
        order = np.argsort(-counts, axis=1, kind="stable")[:, :ranks]
        best, held = np.take_along_axis(found, order, 1), np.take_along_axis(counts, order, 1)
        kept = best.shape[1]
        out[part, :kept, 0] = np.where(held > 0, ids[best], 0).astype(np.uint32).view(np.float32)
        out[part, :kept, 1] = held / total[:, None]
    return out.reshape(*votes.shape[:-1], 2 * ranks)


def _runs(ordered: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Distinct values of sorted rows and how often each stands there, from the left; 0 times where there are fewer."""
    rows, width = ordered.shape
    starts = np.concatenate([np.ones((rows, 1), bool), ordered[:, 1:] != ordered[:, :-1]], axis=1)
    run = np.cumsum(starts, axis=1) - 1
    cell = run + np.arange(rows)[:, None] * width
    counts = np.bincount(cell.ravel(), minlength=rows * width).reshape(rows, width)
    found = np.zeros((rows, width), np.int64)
    found.ravel()[cell.ravel()] = ordered.ravel()
    return found, counts
