"""Headers and single parts of EXRs: what OpenEXR wrote is found, and what is not whole is refused."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import OpenEXR
import pytest

from pipeline.errors import ProductError
from pipeline.images import exr_parts


def written(*parts: tuple[str, dict[str, np.ndarray]], **header: object) -> bytes:
    stream = io.BytesIO()
    head = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage, **header}
    if len(parts) == 1:
        OpenEXR.File(dict(head), parts[0][1]).write(stream)
    else:
        OpenEXR.File([OpenEXR.Part(dict(head), channels, name) for name, channels in parts]).write(stream)
    return stream.getvalue()


def plane(seed: int, dtype: type = np.float16, height: int = 40, width: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width)).astype(dtype)


def two() -> bytes:
    colour = {name: plane(seed) for seed, name in enumerate("RGB")}
    return written(("beauty", colour), ("depth", {"Z": plane(9, np.float32)}))


def test_headers_tell_parts_sizes_and_channels() -> None:
    parts = exr_parts.headers(two())

    assert [(part.name, part.width, part.height) for part in parts] == [("beauty", 7, 40), ("depth", 7, 40)]
    assert [(each.name, each.pixel) for each in parts[1].channels] == [("Z", "float")]
    assert len(parts[0].offsets) == 3  # 40 lines, sixteen a chunk


@pytest.mark.parametrize("compression", ["ZIP", "ZIPS", "PIZ", "RLE", "NO", "DWAA"])
def test_a_part_that_is_cut_out_is_what_it_was(compression: str) -> None:
    z = plane(3, np.float32)
    data = written(("a", {"R": plane(1)}), ("b", {"Z": z}), compression=getattr(OpenEXR, f"{compression}_COMPRESSION"))

    alone = OpenEXR.File(io.BytesIO(exr_parts.cut(data, exr_parts.headers(data), 1)), separate_channels=True)

    assert [part.name() for part in alone.parts] == ["b"]
    assert np.allclose(alone.parts[0].channels["Z"].pixels, z, atol=0.02 if compression == "DWAA" else 0)


def test_a_file_of_one_part_is_cut_as_it_is() -> None:
    data = written(("", {"Y": plane(1)}))

    (part,) = exr_parts.headers(data)

    assert part.channels[0].name == "Y"
    assert exr_parts.cut(data, [part], 0) == data


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"\x00" * 64,
        lambda data: data[:100],
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: data[:4] + b"\x02\x08\x00\x00" + data[8:],  # deep
        lambda data: data.replace(b"dataWindow\0box2i\0", b"dataWindov\0box2i\0"),
    ],
)
def test_what_is_not_a_whole_exr_is_refused(damage: Callable[[bytes], bytes]) -> None:
    data = damage(two())

    with pytest.raises(ProductError):
        for part in exr_parts.headers(data):
            exr_parts.require_whole(data, part)


def test_bytes_that_are_anything_end_in_an_error_or_in_a_header() -> None:
    data, rng = two(), np.random.default_rng(0)
    for _ in range(300):
        broken = bytearray(data)
        for at in rng.integers(0, 900, 4):
            broken[at] = rng.integers(0, 256)
        try:
            for part in exr_parts.headers(bytes(broken)):
                exr_parts.require_whole(bytes(broken), part)
        except ProductError:
            continue
