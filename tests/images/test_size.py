"""Images are asked how large they are before they are decoded, and what claims too much is refused by every reader."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from PIL import Image

from pipeline.capture.photo.read import read as read_photograph
from pipeline.denoise import lambda_map
from pipeline.denoise.sequence import read
from pipeline.errors import AssetError, ConfigError, PenumbraError, ProductError
from pipeline.images import deliverable
from pipeline.images.beauty import read_beauty
from pipeline.images.masks import read_mask
from pipeline.images.size import MAX_PIXELS, ImageTooLarge, check_exr, check_image
from pipeline.match.plate import read_plate
from pipeline.optim.assets.source import read_source
from pipeline.scene.mentions import read_xml


def exr(width: int = 8, height: int = 8, *, parts: int = 1, **header: object) -> bytes:
    """An EXR of 8×8 pixels whose header claims others."""
    plane = np.zeros((8, 8), np.float16)
    head = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage, **header}
    stream = io.BytesIO()
    planes = {name: plane for name in "RGB"}
    if parts == 1:
        OpenEXR.File(head, planes).write(stream)
    else:
        OpenEXR.File([OpenEXR.Part(dict(head), planes, f"p{k}") for k in range(parts)]).write(stream)
    before, after = struct.pack("<4i", 0, 0, 7, 7), struct.pack("<4i", 0, 0, width - 1, height - 1)
    data = stream.getvalue()
    assert data.count(before) >= parts
    return data.replace(before, after)


@pytest.mark.parametrize("parts", [1, 3])
def test_what_openexr_writes_passes(parts: int) -> None:
    check_exr(exr(parts=parts))


@pytest.mark.parametrize(
    "data", [exr(60_000, 60_000), exr(60_000, 60_000, parts=2), exr(2**31 - 1, 1), exr(1, 2**31 - 1)]
)
def test_claims_beyond_reason_are_refused(data: bytes) -> None:
    with pytest.raises(ImageTooLarge, match="pixels are too many"):
        check_exr(data)


def test_many_parts_are_counted_together() -> None:
    with pytest.raises(ImageTooLarge, match="GiB of pixels are too many"):
        check_exr(exr(16_000, 16_000, parts=24))


def test_a_window_that_is_turned_over_and_huge_tiles_are_refused() -> None:
    with pytest.raises(ValueError, match="data window"):
        check_exr(exr(-4, 8))
    tiled = exr(type=OpenEXR.tiledimage, tiles=_tiles())
    before, after = struct.pack("<II", 32, 32), struct.pack("<II", 2**31, 2**31)
    with pytest.raises(ImageTooLarge):
        check_exr(tiled.replace(before, after))


def _tiles() -> object:
    made = OpenEXR.TileDescription()
    made.xSize = made.ySize = 32
    return made


def test_a_deep_part_is_refused_since_its_size_is_not_known() -> None:
    samples = np.empty((2, 2), dtype=object)
    for place in np.ndindex(2, 2):
        samples[place] = np.zeros(3, np.float32)
    stream = io.BytesIO()
    header = {"type": OpenEXR.deepscanline, "compression": OpenEXR.ZIPS_COMPRESSION}
    OpenEXR.File(header, {axis: samples for axis in "RGB"}).write(stream)

    with pytest.raises(ImageTooLarge, match="deep"):
        check_exr(stream.getvalue())


@pytest.mark.parametrize("end", [5, 9, 40, 100, 250])
def test_a_header_that_is_cut_short_is_malformed(end: int) -> None:
    with pytest.raises(ValueError, match="cut short"):
        check_exr(exr()[:end])


def test_what_is_no_exr_passes() -> None:
    check_exr(b"")
    check_exr(b"\x89PNG and so on")


def png(width: int, height: int) -> bytes:
    """A PNG of 8×8 pixels whose header claims others."""
    stream = io.BytesIO()
    Image.new("1", (8, 8)).save(stream, format="PNG")
    data = bytearray(stream.getvalue())
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_png_of_16k_passes_and_one_that_claims_more_does_not(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"

    picture.write_bytes(png(16_384, 16_384))
    check_image(picture)
    for size in ((16_384, 16_385), (60_000, 60_000)):
        picture.write_bytes(png(*size))
        with pytest.raises(ImageTooLarge):
            check_image(picture)
    assert MAX_PIXELS == 16_384**2


RADIANCE = b"#?RADIANCE\nEXPOSURE=1\nFORMAT=32-bit_rle_rgbe\n\n-Y %d +X %d\n"


@pytest.mark.parametrize(("name", "text"), [("a.hdr", RADIANCE), ("a.pfm", b"PF\n%d %d\n-1.0\n")])
def test_maps_that_pillow_does_not_know_are_asked_by_their_first_lines(name: str, text: bytes, tmp_path: Path) -> None:
    file = tmp_path / name

    file.write_bytes(text % (16_384, 16_384))
    check_image(file)
    for size in ((60_000, 60_000), (10**30, 1)):
        file.write_bytes(text % size)
        with pytest.raises(ImageTooLarge, match="pixels are too many"):
            check_image(file)
    file.write_bytes(b"neither")
    check_image(file)


READERS: list[tuple[Callable[[Path], object], type[PenumbraError]]] = [
    (read_mask, AssetError),
    (lambda_map.read, ConfigError),
    (lambda path: read.parts(read.contents(path)), AssetError),
    (read_beauty, AssetError),
    (deliverable.read, ProductError),
    (read_source, AssetError),
    (read_photograph, AssetError),
    (lambda path: read_plate(path, size=(8, 8)), AssetError),
]


@pytest.mark.parametrize(("reader", "error"), READERS)
def test_every_reader_refuses_a_bomb_in_its_own_words(
    reader: Callable[[Path], object], error: type[PenumbraError], tmp_path: Path
) -> None:
    bomb = tmp_path / "bomb.exr"
    bomb.write_bytes(exr(60_000, 60_000))

    with pytest.raises(error, match="60000×60000 pixels are too many"):
        reader(bomb)


@pytest.mark.parametrize(
    "reader", [read_photograph, read_source, lambda path: read_plate(path, size=(8, 8), view="srgb")]
)
def test_a_bomb_of_a_png_is_refused_as_well(reader: Callable[[Path], object], tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(png(60_000, 60_000))

    with pytest.raises(AssetError, match=r"bomb\.png: .*(pixels|megapixels)"):
        reader(bomb)


@pytest.mark.parametrize(
    ("name", "data"),
    [("bomb.exr", exr(60_000, 60_000)), ("bomb.hdr", RADIANCE % (60_000, 60_000)), ("bomb.png", png(60_000, 60_000))],
)
@pytest.mark.parametrize("node", ['texture type="bitmap"', 'emitter type="envmap"'])
def test_a_scene_that_names_a_bomb_is_refused_before_mitsuba_sees_it(
    name: str, data: bytes, node: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(data)
    scene = tmp_path / "scene.xml"
    kind = node.partition(" ")[0]
    scene.write_text(f'<scene version="3.0.0"><{node}><string name="filename" value="{name}"/></{kind}></scene>')

    (problem,) = read_xml(scene).judge(tmp_path)

    assert problem.startswith(f"{scene}:1: {name}: ") and "pixels" in problem
