"""Contact sheets: every frame has its place, gaps and states are marked, and the bytes repeat."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import ProductError, StoreError
from pipeline.images import contact_sheet
from pipeline.images.contact_sheet import Cell, compose
from pipeline.images.viewing import png_bytes

GREEN = (0, 200, 40)


def picture(colour: tuple[int, int, int] = GREEN, size: tuple[int, int] = (48, 27)) -> bytes:
    return png_bytes(np.full((size[1], size[0], 3), colour, np.uint8))


def share(sheet: Image.Image, colour: tuple[int, int, int]) -> float:
    return float(np.mean(np.all(np.asarray(sheet) == colour, axis=-1)))


def test_every_picture_is_on_the_sheet() -> None:
    colours = [(40 * i + 20, 10, 200 - 30 * i) for i in range(6)]

    sheet = compose([Cell(1001 + i, picture(colour)) for i, colour in enumerate(colours)], title="shot_010")

    assert sheet.width == contact_sheet.WIDTH
    shares = [share(sheet, colour) for colour in colours]
    assert min(shares) > 0.05
    assert np.ptp(shares) < 1e-3


@pytest.mark.parametrize("count", [1, 2, 3, 8, 24, 80])
def test_sheets_stay_of_a_shape_that_fits_a_screen(count: int) -> None:
    sheet = compose([Cell(i, None, state="absent") for i in range(count)], title="shot")

    assert 0.3 < sheet.height / sheet.width < 1.0


def test_states_are_marked_in_their_colours_and_done_frames_are_not() -> None:
    plain = compose([Cell(1, picture()), Cell(2, picture())], title="shot")
    marked = compose([Cell(1, picture(), state="degraded"), Cell(2, None, state="absent", note="why")], title="shot")

    assert share(plain, contact_sheet._WARNING) == share(plain, contact_sheet._BAD) == 0.0
    assert share(marked, contact_sheet._WARNING) > 1e-3
    assert share(marked, contact_sheet._BAD) > 1e-3


def test_errors_above_the_target_are_amber_and_below_are_green() -> None:
    good = compose([Cell(1, picture(), spp=16, error=0.01)], title="shot", target_error=0.02)
    bad = compose([Cell(1, picture(), spp=16, error=0.03)], title="shot", target_error=0.02)

    assert share(good, contact_sheet._GOOD) > 0.0 == share(good, contact_sheet._WARNING)
    assert share(bad, contact_sheet._WARNING) > 0.0 == share(bad, contact_sheet._GOOD)


def test_a_long_shot_shows_every_nth_frame() -> None:
    few = compose([Cell(i, picture()) for i in range(80)], title="shot")
    many = compose([Cell(i, picture()) for i in range(800)], title="shot")

    assert share(many, GREEN) == pytest.approx(share(few, GREEN), rel=0.01)


def test_narrow_and_small_pictures_keep_their_proportions() -> None:
    sheet = compose([Cell(1, picture(size=(10, 20))), Cell(2, picture(size=(20, 10)))], title="shot")

    where = np.all(np.asarray(sheet) == GREEN, axis=-1)
    left, right = where[:, : sheet.width // 2], where[:, sheet.width // 2 :]
    for half, aspect in ((left, 2.0), (right, 0.5)):
        rows, columns = np.nonzero(half.any(axis=1))[0], np.nonzero(half.any(axis=0))[0]
        assert np.ptp(rows) / np.ptp(columns) == pytest.approx(aspect, rel=0.02)


def test_the_sheet_repeats_to_the_byte_and_is_a_png(tmp_path: Path) -> None:
    cells = [
        Cell(1001, picture(), spp=16.5, error=0.02),
        Cell(1002, None, state="absent", note="λ × a long reason " * 9),
    ]
    source = tmp_path / "1001.png"
    source.write_bytes(picture())

    contact_sheet.write(tmp_path / "a.png", cells, title="shot_010", subtitle="λ 1.0 · 24 fps")
    contact_sheet.write(
        tmp_path / "b.png", [Cell(1001, source, 16.5, 0.02), cells[1]], title="shot_010", subtitle="λ 1.0 · 24 fps"
    )

    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert Image.open(io.BytesIO((tmp_path / "a.png").read_bytes())).format == "PNG"


def test_a_damaged_picture_is_named_by_its_frame() -> None:
    with pytest.raises(ProductError, match="frame 1007: its viewing image cannot be read"):
        compose([Cell(1007, b"not a picture")], title="shot")


def test_no_frames_and_no_place_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        compose([], title="shot")
    with pytest.raises(StoreError, match="nowhere"):
        contact_sheet.write(tmp_path / "nowhere" / "a.png", [Cell(1, None)], title="shot")
