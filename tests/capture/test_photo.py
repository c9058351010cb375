"""Photographs from files: what is read, which part, seen from where, where the flash was, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
cv2 = pytest.importorskip("cv2")

from PIL import Image  # noqa: E402

from pipeline.capture.flash import srgb  # noqa: E402
from pipeline.capture.maps import Maps  # noqa: E402
from pipeline.capture.photo import card, rectify  # noqa: E402
from pipeline.capture.photo.highlight import find  # noqa: E402
from pipeline.capture.photo.prepare import Region, prepare  # noqa: E402
from pipeline.capture.photo.read import read  # noqa: E402
from pipeline.capture.shading import Shot, render  # noqa: E402
from pipeline.errors import AssetError  # noqa: E402

ANGLE = 53.13  # degrees: the camera two half widths away


def flash_photograph(size: int = 96, *, foot=(0.2, -0.1), rough: float = 0.35) -> np.ndarray:
    """Codes of a matt red plate with a highlight, H×W×3 uint8."""

    def flat(*values: float) -> torch.Tensor:
        return torch.tensor(values).reshape(1, -1, 1, 1).expand(1, -1, size, size)

    maps = Maps(flat(0.3, 0.1, 0.08), flat(0.05, 0.05, 0.05), flat(0.0, 0.0, 1.0), flat(rough))
    light, camera = torch.tensor([[[*foot, 2.0]]]), torch.tensor([[[0.0, 0.0, 2.0]]])
    light_power = torch.full((1, 1, 3), 1.6 * math.pi * 4)
    seen = srgb(render(maps, Shot(light, camera, light_power))[0, 0].clamp(0, 1))
    return (seen.permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8)


def saved(path: Path, pixels: np.ndarray, **options) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


# --- Files --------------------------------------------------------------------------------------------------------


def test_sixteen_bits_are_kept(tmp_path):
    codes = np.full((40, 48, 3), [10001, 20003, 30005], np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), codes[..., ::-1])
    cv2.imwrite(str(tmp_path / "a.tif"), codes[..., ::-1])
    for name in ("a.png", "a.tif"):
        pixels = read(tmp_path / name).pixels
        expected = (codes[0, 0] / 65535 + 0.055) ** 2.4 / 1.055**2.4
        assert np.allclose(pixels[0, 0], expected, rtol=1e-3)


def test_a_turned_photograph_is_turned_back(tmp_path):
    codes = np.zeros((40, 60, 3), np.uint8)
    codes[:, :30] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its left side: to be turned clockwise
    pixels = read(saved(tmp_path / "a.png", codes, exif=exif)).pixels
    assert pixels.shape == (60, 40, 3)
    assert pixels[:30].min() == 1 and pixels[30:].max() == 0


def test_the_field_of_view_comes_from_the_35_mm_equivalent(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0xA405: 26, 0x9209: 0x10})
    photo = read(saved(tmp_path / "a.jpg", np.zeros((300, 400, 3), np.uint8) + 90, exif=exif))
    assert photo.exif.field_of_view == pytest.approx(67.3, abs=0.1)
    assert photo.exif.flash is False


def test_cmyk_is_read_as_colour_with_a_note(tmp_path):
    Image.new("CMYK", (64, 64), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    photo = read(tmp_path / "a.jpg")
    assert photo.pixels[0, 0, 0] > 0.8 and photo.pixels[0, 0, 1] < 0.1
    assert "CMYK" in photo.notes[0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jpg", b"no picture", "not an image"),
        ("a.heic", b"\0\0\0\x18ftypheic....", "export HEIC"),
        ("a.exr", b"no picture", "cannot be read as an EXR"),
        ("a.dng", b"no picture", "raw"),
    ],
)
def test_what_is_no_photograph_is_refused_in_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AssetError, match=message) as refused:
        read(tmp_path / name)
    assert "\n" not in str(refused.value)


def test_missing_tiny_and_huge_photographs_are_refused(tmp_path, monkeypatch):
    with pytest.raises(AssetError, match="no such photograph"):
        read(tmp_path / "none.jpg")
    with pytest.raises(AssetError, match="too few"):
        read(saved(tmp_path / "small.png", np.zeros((8, 8, 3), np.uint8)))
    monkeypatch.setattr("pipeline.capture.photo.read.MOST_PIXELS", 1000)
    with pytest.raises(AssetError, match="megapixels"):
        read(saved(tmp_path / "large.png", np.zeros((40, 40, 3), np.uint8)))


# --- Places -------------------------------------------------------------------------------------------------------


def test_corners_say_where_the_camera_stood_and_how_long_the_sides_are():
    camera, focal, size = np.array([0.5, -0.7, 2.5]), 900.0, (800, 1000)
    z = camera / np.linalg.norm(camera)  # from the surface's centre towards the camera
    x = np.cross([0, 1, 0], z)
    x /= np.linalg.norm(x)
    y = np.cross(z, x)
    aspect = 0.6
    plane = np.array([[-1, aspect, 0], [1, aspect, 0], [1, -aspect, 0], [-1, -aspect, 0]]) - camera
    depth = plane @ -z
    corners = np.stack([plane @ x / depth, -(plane @ y) / depth], 1) * focal + np.array([500, 400])
    angle = 2 * math.degrees(math.atan(500 / focal))
    seen = rectify.view_of_corners(corners, size, angle)
    assert np.allclose(seen.camera, camera, atol=1e-2)
    assert seen.aspect == pytest.approx(aspect, abs=1e-3)
    assert seen.tilt == pytest.approx(math.degrees(math.acos(z[2])), abs=0.2)


def test_four_corners_become_a_rectangle():
    picture = np.zeros((100, 100, 3), np.float32)
    cv2.fillConvexPoly(picture, np.array([[20, 10], [90, 20], [80, 90], [10, 80]], np.int32), (0.5, 0.5, 0.5))
    corners = np.array([[22, 13], [87, 22], [78, 87], [13, 78]], np.float64)
    assert rectify.rectified(picture, corners, (32, 32)).min() > 0.45


def test_the_flash_is_found_by_its_highlight():
    pixels = (flash_photograph() / 255.0).astype(np.float32) ** 2.2
    found = find(pixels, (0.0, 0.0, 2.0), 1.6)
    assert np.allclose(found.foot, (0.2, -0.1), atol=0.08)
    assert found.confidence > 0.8 and found.gloss > 0.5 and found.inside
    assert found.roughness == pytest.approx(0.35, abs=0.1)


def test_the_printed_card_tells_window_size_view_and_brightness(tmp_path):
    card.write(tmp_path / "card.png")
    page = np.asarray(Image.open(tmp_path / "card.png").convert("RGB").resize((640, 640), Image.Resampling.BOX)).copy()
    low, high = round(640 * (24 + 10) / 168), round(640 * (124 + 10) / 168)
    inside = flash_photograph(high - low, foot=(0.0, 0.0))
    page = (page * 0.8).astype(np.uint8)
    page[low:high, low:high] = inside
    photo = saved(tmp_path / "photo.png", np.pad(page, ((40, 40), (60, 60), (0, 0)), constant_values=60))
    made = prepare([photo], Region(field_of_view=60), resolution=128)
    assert made.width == pytest.approx(0.1)
    assert made.facts[0]["region"] == "card" and made.facts[0]["exposure_from"] == "the card's paper"
    height, width = made.photographs.pixels.shape[-2:]
    assert abs(height - width) <= 1
    assert made.photographs.pixels[0, 0, 0].mean() > 2 * made.photographs.pixels[0, 0, 2].mean()  # red: the window


# --- What is told -------------------------------------------------------------------------------------------------


def test_a_good_photograph_is_taken_without_remarks(tmp_path):
    photo = saved(tmp_path / "a.png", flash_photograph(128))
    made = prepare([photo], Region(field_of_view=ANGLE), resolution=128)
    assert made.remarks == ()
    assert made.photographs.pixels.shape == (1, 1, 3, 128, 128)
    assert torch.allclose(made.photographs.shot.light[0, 0], torch.tensor([0.2, -0.1, 2.0]), atol=0.1)


def remarks(tmp_path, pixels, **region) -> str:
    made = prepare([saved(tmp_path / "a.png", pixels)], Region(field_of_view=ANGLE, **region), resolution=128)
    return " ".join(map(str, made.remarks))


def test_a_photograph_without_flash_is_told_with_its_confidence(tmp_path):
    noise = np.random.default_rng(0).integers(60, 120, (128, 128, 3), dtype=np.uint8)
    assert "no flash highlight is to be seen" in remarks(tmp_path, noise)
    assert "(confidence 0." in remarks(tmp_path, noise)


def test_exposure_and_size_are_told_or_refused(tmp_path):
    assert "48×48 texels show little detail" in remarks(tmp_path, flash_photograph(48))
    bright = flash_photograph(128)
    bright[:30] = 255
    assert "overexposed: 2" in remarks(tmp_path, bright)
    bright[:80] = 255
    with pytest.raises(AssetError, match="overexposed beyond use"):
        remarks(tmp_path, bright)
    with pytest.raises(AssetError, match="is black"):
        remarks(tmp_path, bright * 0)


def test_a_grazing_view_is_refused(tmp_path):
    corners = ((40.0, 60.0), (90.0, 60.0), (126.0, 72.0), (2.0, 72.0))
    with pytest.raises(AssetError, match="grazing view"):
        remarks(tmp_path, flash_photograph(128), corners=corners, aspect=1.0)


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ({"corners": ((0, 0), (0, 90), (90, 90), (90, 0))}, "clockwise"),
        ({"corners": ((0, 0), (500, 0), (90, 90), (0, 90))}, "outside"),
        ({"crop": (100, 100, 100, 100)}, "does not lie in"),
    ],
)
def test_regions_that_make_no_sense_are_refused(tmp_path, region, message):
    with pytest.raises(AssetError, match=message):
        remarks(tmp_path, flash_photograph(128), **region)


def test_photographs_of_other_sizes_are_not_of_one_patch(tmp_path):
    paths = [saved(tmp_path / f"{size}.png", flash_photograph(size)) for size in (64, 48)]
    with pytest.raises(AssetError, match=r"48×48 texels where 64\.png has 64×64"):
        prepare(paths, Region(field_of_view=ANGLE), resolution=128)
