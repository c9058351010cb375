"""Viewing PNGs: the ACES view of known scene values, exposure in stops, and bytes that repeat."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import StoreError
from pipeline.images import viewing


def grey(*values: float) -> np.ndarray:
    return np.repeat(np.array(values, np.float32)[None, :, None], 3, axis=-1)


def test_middle_grey_black_and_white_land_where_the_aces_sdr_view_puts_them() -> None:
    # The RRT and the SDR output transform take scene 0.18 to a tenth of the display's white.
    middle = 255.0 * (1.055 * 0.1 ** (1 / 2.4) - 0.055)
    shown = viewing.to_display(grey(0.0, 0.18, 1.0, 1000.0))[0, :, 0].astype(int)

    assert shown[0] == 0
    assert abs(shown[1] - middle) <= 2
    assert 200 < shown[2] < 215
    assert shown[3] == 255


def test_neutral_stays_neutral_and_brighter_is_never_darker() -> None:
    ramp = viewing.to_display(grey(*np.geomspace(1e-3, 100.0, 200))).astype(int)

    assert np.ptp(ramp, axis=-1).max() <= 1
    assert (np.diff(ramp[0, :, 1]) >= 0).all()


def test_one_stop_is_twice_the_light() -> None:
    image = np.random.default_rng(0).uniform(0.0, 2.0, (4, 5, 3)).astype(np.float32)

    assert np.array_equal(viewing.to_display(image, exposure=1.0), viewing.to_display(2.0 * image))


def test_the_input_is_left_as_it_was() -> None:
    image = np.random.default_rng(0).uniform(0.0, 2.0, (4, 5, 3)).astype(np.float32)
    before = image.copy()

    viewing.to_display(image)

    assert np.array_equal(image, before)


def test_pngs_repeat_to_the_byte_and_name_their_transform(tmp_path: Path) -> None:
    image = np.random.default_rng(0).uniform(0.0, 2.0, (6, 5, 3)).astype(np.float32)

    viewing.to_png(image, tmp_path / "a.png")
    viewing.to_png(image, tmp_path / "b.png")

    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as png:
        assert png.text["ViewingTransform"] == viewing.TRANSFORM
        assert png.size == (5, 6)
        assert np.array_equal(np.asarray(png), viewing.to_display(image))


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nowhere"):
        viewing.to_png(grey(1.0), tmp_path / "nowhere" / "a.png")
