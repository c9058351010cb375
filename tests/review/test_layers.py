"""Layers of EXRs that anybody wrote, hostile ones among them."""

from __future__ import annotations

import io

import numpy as np
import OpenEXR
import pytest

from pipeline.errors import ProductError
from pipeline.review.layers import layers, pixels, shrunk

HOSTILE = '<script>alert("x")</script>'


def exr(channels: dict[str, np.ndarray]) -> bytes:
    stream = io.BytesIO()
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, channels).write(stream)
    return stream.getvalue()


def test_channels_are_grouped_by_what_stands_before_their_last_dot() -> None:
    half, single = np.ones((3, 4), np.float16), np.ones((3, 4), np.float32)
    data = exr(
        {"R": half, "G": half, "B": half, "A": half, "Z": single, "crypto.00.R": single, "N.X": half, "N.Y": half}
    )

    found = {layer.name: (layer.channels, layer.kind, layer.half) for layer in layers(data)}

    assert found["crypto.00"] == (("crypto.00.R",), "scalar", False)
    assert found["N"] == (("N.X", "N.Y"), "vector", True)
    assert found["beauty · 1"] == (("R", "G", "B", "A"), "colour", True)
    assert found["beauty · 2"] == (("Z",), "scalar", False)


def test_a_layer_with_a_hostile_name_is_a_layer_with_a_name() -> None:
    data = exr({f"{HOSTILE}.R": np.full((2, 2), 3, np.float32)})

    (layer,) = layers(data)

    assert layer.name == HOSTILE
    assert pixels(data, layer)[0, 0] == [3]


def test_numbers_that_are_none_come_through_as_they_are() -> None:
    plane = np.array([[np.nan, np.inf], [-1, 2]], np.float32)
    data = exr({"Y": plane})

    assert np.array_equal(pixels(data, layers(data)[0])[..., 0], plane, equal_nan=True)


def test_shrinking_averages_colours_and_picks_vectors() -> None:
    values = np.arange(16, dtype=np.float16).reshape(4, 4, 1)

    assert shrunk(values, 2, "colour")[..., 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert shrunk(values, 2, "vector")[..., 0].tolist() == [[5, 7], [13, 15]]
    assert shrunk(values, 9, "colour").shape == (4, 4, 1)


def test_what_is_no_exr_has_no_layers() -> None:
    with pytest.raises(ProductError, match="not a readable EXR"):
        layers(b"GIF89a")
