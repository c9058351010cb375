"""λ per pixel: a shape's own, above a painted map, above the shot's number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from PIL import Image

from pipeline.denoise.lambda_map import compose, constant, read
from pipeline.errors import ConfigError


def paint(path: Path, **channels: np.ndarray) -> Path:
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, channels).write(str(path))
    return path


def grey(value: float, shape: tuple[int, int] = (3, 4)) -> np.ndarray:
    return np.full(shape, value, np.float32)


def test_a_map_is_read_from_y_else_red_else_the_first_channel(tmp_path: Path) -> None:
    path = tmp_path / "map.exr"

    assert read(paint(path, A=grey(9), B=grey(9), Y=grey(2)))[0, 0] == 2
    assert read(paint(path, A=grey(9), B=grey(9), G=grey(9), R=grey(3)))[0, 0] == 3
    assert read(paint(path, strength=grey(4)))[0, 0] == 4


def test_a_map_is_clipped_to_what_the_network_knows(tmp_path: Path) -> None:
    values = np.array([[-1, 0.5, 1, 2], [5, 9.99, 10, 40]], np.float32)

    assert read(paint(tmp_path / "map.exr", Y=values), (2, 4)).tolist() == [
        [1, 1, 1, 2],
        [5, pytest.approx(9.99), 10, 10],
    ]


def test_a_map_of_another_size_is_refused_with_both_sizes(tmp_path: Path) -> None:
    path = paint(tmp_path / "map.exr", Y=grey(2, (3, 4)))

    with pytest.raises(ConfigError, match=r"map\.exr: denoise\.lambda_map: the λ map is 4×3 pixels, the frame 8×6$"):
        read(path, (6, 8))


def test_a_map_with_values_that_are_not_finite_is_refused(tmp_path: Path) -> None:
    values = grey(2)
    values[1, 1] = np.nan

    with pytest.raises(ConfigError, match="not finite"):
        read(paint(tmp_path / "map.exr", Y=values))


def test_a_png_is_neutral_where_it_is_black_and_ten_where_it_is_white(tmp_path: Path) -> None:
    grey = Image.fromarray(np.array([[0, 51, 255]], np.uint8))
    grey.save(tmp_path / "map.png")

    assert read(tmp_path / "map.png", (1, 3))[0] == pytest.approx([1.0, 10**0.2, 10.0])
    with pytest.raises(ConfigError, match=r"map\.png: denoise\.lambda_map: the λ map is 3×1 pixels, the frame 8×6$"):
        read(tmp_path / "map.png", (6, 8))
    (tmp_path / "bad.png").write_bytes(b"not a picture")
    with pytest.raises(ConfigError, match=r"bad\.png: denoise\.lambda_map: the λ map cannot be read as a PNG"):
        read(tmp_path / "bad.png")


@pytest.mark.parametrize("content", [b"", b"not a picture"])
def test_what_is_no_exr_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "map.exr"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=r"map\.exr: denoise\.lambda_map: the λ map cannot be read as an EXR"):
        read(path)


def test_without_a_map_every_pixel_has_the_shots_number() -> None:
    assert np.array_equal(compose((2, 3), 1.5), np.full((2, 3), 1.5, np.float32))


def test_a_shape_stands_above_the_map_and_the_map_above_the_number() -> None:
    ids = np.array([[0, 1], [2, 3]], np.uint32)
    painted = np.array([[2, 3], [4, 5]], np.float32)

    found = compose((2, 2), 1.0, painted=painted, by_shape={"ball": 8.0}, ids=ids, shapes=["floor", "ball", "lamp"])
    assert found.tolist() == [[2, 3], [8, 5]]
    assert compose((2, 2), 1.5, by_shape={"floor": 6.0}, ids=ids, shapes=["floor", "ball", "lamp"]).tolist() == [
        [1.5, 6.0],
        [1.5, 1.5],
    ]


def test_all_shapes_of_an_id_are_meant() -> None:
    ids = np.array([[1, 2, 3]], np.uint32)

    assert compose((1, 3), 1.0, by_shape={"leaf": 4.0}, ids=ids, shapes=["leaf", "stem", "leaf"]).tolist() == [
        [4, 1, 4]
    ]


def test_a_shape_that_this_frame_lacks_changes_nothing() -> None:
    ids = np.array([[0, 1]], np.uint32)

    assert compose((1, 2), 2.0, by_shape={"gone": 4.0}, ids=ids, shapes=["ball"]).tolist() == [[2, 2]]


def test_a_map_that_does_not_vary_is_a_number() -> None:
    assert constant(grey(3)) == 3.0
    assert constant(np.array([[3, 3.5]], np.float32)) is None
