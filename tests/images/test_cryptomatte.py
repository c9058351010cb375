"""Mattes, decoded by a reader that shares no code with the writer: from the specification alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest

from pipeline.images import cryptomatte

NAMES = [
    "ball",
    "floor",
    "ball",
    "a very long name of an object: ÅÄÖ/№ 7",
    *(f"leaf_{k}" for k in range(9)),
]


def smhasher(data: bytes) -> int:
    """MurmurHash3_x86_32 as in SMHasher's C source, on numpy's wrapping 32-bit integers."""
    with np.errstate(over="ignore"):
        u = np.uint32
        c1, c2, h = u(0xCC9E2D51), u(0x1B873593), u(0)

        def rotl(x: Any, r: int) -> Any:
            return (x << u(r)) | (x >> u(32 - r))

        blocks = np.frombuffer(data[: len(data) // 4 * 4], "<u4")
        for k in blocks:
            h = rotl(h ^ (rotl(u(k) * c1, 15) * c2), 13) * u(5) + u(0xE6546B64)
        tail = data[len(blocks) * 4 :].ljust(4, b"\0")
        if len(data) % 4:
            h ^= rotl(u(int.from_bytes(tail, "little")) * c1, 15) * c2
        h ^= u(len(data))
        h = (h ^ (h >> u(16))) * u(0x85EBCA6B)
        h = (h ^ (h >> u(13))) * u(0xC2B2AE35)
        return int(h ^ (h >> u(16)))


@pytest.mark.parametrize(
    ("text", "hash_"),
    [
        (b"", 0),
        (b"a", 0x3C2569B2),
        (b"hello", 0x248BFA47),
        (b"hello, world", 0x149BBB7F),
    ],
)
def test_the_hash_is_murmur3(text: bytes, hash_: int) -> None:
    assert cryptomatte.murmur3_32(text) == hash_ == smhasher(text)


def test_hashes_agree_with_another_implementation() -> None:
    for name in NAMES:
        assert cryptomatte.murmur3_32(name.encode()) == smhasher(name.encode())


def test_an_id_is_always_a_number() -> None:
    for k in range(3000):
        value = np.array([cryptomatte.id_of(f"object{k}")], np.uint32).view(np.float32)[0]
        assert np.isfinite(value)
        assert abs(value) >= np.finfo(np.float32).tiny


def decoded(path: Path, layer: str) -> tuple[dict[str, int], np.ndarray]:
    """Manifest and H×W×rank×(id bits, coverage), read as any compositor would: metadata first, then channel names."""
    with OpenEXR.File(str(path), separate_channels=True) as file:
        for part in file.parts:
            keys = {key for key, value in part.header.items() if key.endswith("/name") and value == layer}
            if not keys:
                continue
            root = keys.pop().removesuffix("/name")
            assert root == f"cryptomatte/{smhasher(layer.encode()):08x}"[:19]
            assert part.header[f"{root}/hash"] == "MurmurHash3_32"
            assert part.header[f"{root}/conversion"] == "uint32_to_float32"
            manifest = {name: int(bits, 16) for name, bits in json.loads(part.header[f"{root}/manifest"]).items()}
            planes, group = [], 0
            while f"{layer}{group:02}.R" in part.channels:
                for pair in ("RG", "BA"):
                    bits, share = (np.array(part.channels[f"{layer}{group:02}.{axis}"].pixels) for axis in pair)
                    assert bits.dtype == np.float32
                    planes.append(np.stack([bits.view(np.uint32).astype(np.float64), share], -1))
                group += 1
            return manifest, np.stack(planes, 2)
    raise AssertionError(f"no {layer} in {path}")


def coverage(manifest: dict[str, int], planes: np.ndarray, name: str) -> np.ndarray:
    return np.sum(planes[..., 1] * (planes[..., 0] == manifest[name]), axis=-1)


def test_another_reader_finds_every_object_by_its_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    votes = rng.integers(1, len(NAMES) + 2, (6, 5, 16)).astype(np.uint32)
    votes[0, 0] = 0  # no sample at all
    votes[0, 1, 3:] = 0  # three samples
    votes[0, 2] = 1  # background
    layer = "CryptoObject"
    values = cryptomatte.matte(votes, NAMES, ranks=16)
    channels = cryptomatte.channel_names(layer, 16)
    planes = {name: np.ascontiguousarray(values[..., index]) for index, name in enumerate(channels)}
    header = {
        "compression": OpenEXR.ZIP_COMPRESSION,
        **cryptomatte.metadata(layer, NAMES),
    }
    OpenEXR.File(header, planes).write(str(tmp_path / "a.exr"))

    manifest, found = decoded(tmp_path / "a.exr", layer)
    assert set(manifest) == set(NAMES)
    cast = np.maximum((votes > 0).sum(-1), 1)
    for name in set(NAMES):
        wanted = sum((votes == index + 2).sum(-1) for index, each in enumerate(NAMES) if each == name) / cast
        np.testing.assert_allclose(coverage(manifest, found, name), wanted, atol=1e-6)
    assert (np.diff(found[..., 1], axis=-1) <= 0).all()  # the largest first
    np.testing.assert_allclose(found[..., 1].sum(-1), (votes > 1).sum(-1) / cast, atol=1e-6)


def test_few_ranks_keep_what_covers_most() -> None:
    votes = np.array([[2, 2, 2, 3, 3, 5, 1, 1]], np.uint32)
    found = cryptomatte.matte(votes, NAMES, ranks=2)
    assert found[0, 1::2].tolist() == [0.375, 0.25]
    assert np.ascontiguousarray(found[0, 0::2]).view(np.uint32).tolist() == [
        cryptomatte.id_of("ball"),
        cryptomatte.id_of("floor"),
    ]
