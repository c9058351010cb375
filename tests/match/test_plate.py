"""Plates that fit, and those that are refused."""

from __future__ import annotations

import numpy as np
import OpenEXR
import pytest
from numpy.testing import assert_allclose
from PIL import Image

from pipeline.errors import AssetError, ConfigError
from pipeline.images import size
from pipeline.images.viewing import to_display
from pipeline.match.plate import Plate, read_plate, reduced, size_for

IMAGE = np.random.default_rng(0).uniform(0.05, 0.5, (6, 8, 3)).astype(np.float32)
ACESCG = (0.713, 0.293, 0.165, 0.830, 0.128, 0.044, 0.32168, 0.33767)


def exr(path, pixels, **header):
    names = "RGBA"[: pixels.shape[2]]
    channels = {name: np.ascontiguousarray(pixels[..., i]) for i, name in enumerate(names)}
    OpenEXR.File({"type": OpenEXR.scanlineimage, **header}, channels).write(str(path))
    return path


def test_an_exr_is_light_and_pixels_that_are_not_numbers_do_not_count(tmp_path):
    pixels = np.concatenate([IMAGE, np.full((6, 8, 1), 0.5, np.float32)], axis=-1)
    pixels[2, 3, 1] = np.nan
    plate = read_plate(exr(tmp_path / "plate.exr", pixels), size=(8, 6))
    assert plate.weight.sum() == 47 and plate.weight[2, 3] == 0
    assert_allclose(plate.image[0], IMAGE[0])
    assert_allclose(plate.alpha, 0.5)


@pytest.mark.parametrize("view", ["srgb", "aces"])
def test_display_values_are_taken_back_through_their_view(tmp_path, view):
    if view == "aces":
        shown = to_display(IMAGE)
    else:
        shown = (255 * (1.055 * IMAGE ** (1 / 2.4) - 0.055) + 0.5).astype(np.uint8)
    shown[0, 0] = 255
    Image.fromarray(shown).save(tmp_path / "plate.png")
    plate = read_plate(tmp_path / "plate.png", size=(8, 6), view=view)
    assert plate.weight[0, 0] == 0 and plate.weight.sum() == 47
    assert_allclose(plate.image[1:], IMAGE[1:], atol=0.02)


def test_a_plate_that_does_not_fit_is_refused(tmp_path):
    path = exr(tmp_path / "plate.exr", IMAGE)
    with pytest.raises(ConfigError, match=r"plate.exr is 8×6, the shot 16×12"):
        read_plate(path, size=(16, 12))
    with pytest.raises(ConfigError, match="other primaries than Linear Rec"):
        read_plate(exr(tmp_path / "aces.exr", IMAGE, chromaticities=ACESCG), size=(8, 6))
    with pytest.raises(ConfigError, match="holds display values"):
        read_plate(tmp_path / "plate.png", size=(8, 6))
    with pytest.raises(AssetError, match="no pixel of the plate counts"):
        read_plate(exr(tmp_path / "nan.exr", IMAGE * np.float32(np.nan)), size=(8, 6))
    (tmp_path / "text.exr").write_text("no picture")
    with pytest.raises(AssetError, match="cannot be read as a plate"):
        read_plate(tmp_path / "text.exr", size=(8, 6))


def test_a_picture_that_claims_too_many_pixels_is_not_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # so that it is set back
    monkeypatch.setattr(size, "MAX_PIXELS", 20)
    Image.new("RGB", (8, 6)).save(tmp_path / "plate.png")
    with pytest.raises(AssetError, match=r"plate.png: cannot be read as a plate: .*too many"):
        read_plate(tmp_path / "plate.png", size=(8, 6), view="srgb")


def test_fewer_pixels_are_means_over_areas_by_weight():
    weight = np.ones((6, 8))
    weight[0, 0] = 0.0
    small = reduced(Plate(IMAGE.astype(float), weight, None), (4, 3))
    assert_allclose(small.image[1, 1], IMAGE[2:4, 2:4].mean(axis=(0, 1)), rtol=1e-6)
    assert_allclose(small.image[0, 0], (IMAGE[:2, :2].sum(axis=(0, 1)) - IMAGE[0, 0]) / 3, rtol=1e-6)
    assert_allclose(small.weight[0, 0], 0.75)
    odd = reduced(Plate(IMAGE.astype(float), np.ones((6, 8)), None), (3, 2))
    assert_allclose(odd.image.mean(axis=(0, 1)), IMAGE.mean(axis=(0, 1)), rtol=1e-6)


def test_sizes_keep_the_pictures_shape():
    assert size_for((480, 270), 16_000) == (160, 90)
    assert size_for((48, 32), 16_000) == (48, 32)
    width, height = size_for((1021, 577), 16_000)
    assert width * height <= 16_400 and abs(width / height - 1021 / 577) < 0.02
