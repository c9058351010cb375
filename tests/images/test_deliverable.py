"""The deliverable EXR: what is written is what readers find, twice the same, and never NaN."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import OpenEXR
import pytest

from pipeline.errors import ProductError, StoreError
from pipeline.images import deliverable
from pipeline.images.channels import BY_NAME, LAYERS, Layer
from pipeline.images.deliverable import HALF_MAX, Deliverable

HEIGHT, WIDTH = 5, 7


def make_frame(**changes: object) -> Deliverable:
    rng = np.random.default_rng(3)
    layers = {
        layer.name: rng.uniform(0.0, 2.0, (HEIGHT, WIDTH, len(layer.channels))).astype(np.float32) for layer in LAYERS
    }
    world_to_camera = np.eye(4)
    world_to_camera[:3, 3] = (1.0, 2.0, 3.0)
    frame = Deliverable(
        shot="shot_010",
        frame=1001,
        fps=Fraction(24000, 1001),
        job_hash="0f" * 16,
        samples_per_pixel=16.5,
        lambda_=1.25,
        layers=layers,
        world_to_camera=world_to_camera,
        world_to_ndc=deliverable.world_to_ndc(np.diag([7.0, 5.0, 1.0, 1.0]), WIDTH, HEIGHT),
    )
    return dataclasses.replace(frame, **changes)  # type: ignore[arg-type]


def with_layer(name: str, values: np.ndarray) -> Deliverable:
    frame = make_frame()
    return dataclasses.replace(frame, layers={**frame.layers, name: values})


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    frame = make_frame()
    path = tmp_path / "shot_010.1001.exr"

    assert deliverable.write(path, frame) == {}
    back = deliverable.read(path)

    assert back.shape == (HEIGHT, WIDTH)
    for layer in LAYERS:
        stored = frame.layers[layer.name].astype(layer.dtype).astype(np.float32)
        assert np.array_equal(back.layers[layer.name].reshape(stored.shape), stored), layer.name
    for name in ("shot", "frame", "fps", "job_hash", "samples_per_pixel", "lambda_"):
        assert getattr(back, name) == getattr(frame, name)
    assert np.allclose(back.world_to_camera, frame.world_to_camera)
    assert np.allclose(back.world_to_ndc, np.eye(4))


def test_float_layers_keep_every_bit() -> None:
    depth = np.full((HEIGHT, WIDTH), 1e6 + 0.25, dtype=np.float32)

    back = deliverable.decode(deliverable.encode(with_layer("Z", depth))[0])

    assert np.array_equal(back.layers["Z"], depth)


def test_the_same_frame_gives_the_same_bytes() -> None:
    assert deliverable.encode(make_frame())[0] == deliverable.encode(make_frame())[0]


def test_parts_carry_full_channel_names_pixel_types_and_lossless_compression(tmp_path: Path) -> None:
    path = tmp_path / "a.exr"
    deliverable.write(path, make_frame())

    parts = OpenEXR.File(str(path), separate_channels=True).parts

    assert [part.name() for part in parts] == [layer.name for layer in LAYERS]
    assert set(parts[0].channels) == {"R", "G", "B", "A"}
    for part, layer in zip(parts, LAYERS, strict=True):
        assert set(part.channels) == set(layer.channels)
        assert {channel.pixels.dtype for channel in part.channels.values()} == {np.dtype(layer.dtype)}
        assert part.header["compression"] == OpenEXR.ZIP_COMPRESSION
        assert np.array_equal(part.header["dataWindow"], part.header["displayWindow"])


def test_colour_is_half_and_measurements_are_float() -> None:
    halves = {layer.name for layer in LAYERS if layer.pixel == "half"}

    assert halves == {"beauty", "noisy", "diffuse", "specular", "emission", "albedo", "N"}
    assert BY_NAME["motion.forward"].channels == ("motion.forward.X", "motion.forward.Y", "motion.forward.V")


def test_the_stored_matrix_has_its_translation_in_the_last_row(tmp_path: Path) -> None:
    path = tmp_path / "a.exr"
    deliverable.write(path, make_frame())

    stored = OpenEXR.File(str(path)).parts[0].header["worldToCamera"]

    assert np.array_equal(stored[3], [1.0, 2.0, 3.0, 1.0])


def test_cameras_without_a_matrix_leave_the_attribute_out() -> None:
    back = deliverable.decode(deliverable.encode(make_frame(world_to_camera=None, world_to_ndc=None))[0])

    assert back.world_to_camera is None
    assert back.world_to_ndc is None


def test_values_beyond_half_are_clamped_and_counted() -> None:
    noisy = make_frame().layers["noisy"].copy()
    noisy[0, 0] = (1e6, -1e6, 65519.0)

    data, clamped = deliverable.encode(with_layer("noisy", noisy))

    assert clamped == {"noisy": 3}
    assert np.array_equal(deliverable.decode(data).layers["noisy"][0, 0], [HALF_MAX, -HALF_MAX, HALF_MAX])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_values_are_refused_with_layer_and_pixel(bad: float) -> None:
    depth = np.ones((HEIGHT, WIDTH), dtype=np.float32)
    depth[2, 3] = bad

    with pytest.raises(ProductError, match=r"shot_010 frame 1001: layer Z is not finite in 1 pixel, first at x=3 y=2"):
        deliverable.encode(with_layer("Z", depth))


def test_a_missing_layer_and_a_wrong_shape_are_named() -> None:
    frame = make_frame()
    without = {name: values for name, values in frame.layers.items() if name != "error"}

    with pytest.raises(ProductError, match="lacks layer error"):
        deliverable.encode(dataclasses.replace(frame, layers=without))
    with pytest.raises(ProductError, match="has no layer colour"):
        deliverable.encode(with_layer("colour", frame.layers["noisy"]))
    with pytest.raises(ProductError, match="layer Z is"):
        deliverable.encode(with_layer("Z", np.ones((HEIGHT + 1, WIDTH), np.float32)))


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_a_truncated_file_is_refused_quietly(share: float, capfd: pytest.CaptureFixture[str]) -> None:
    data, _ = deliverable.encode(make_frame())

    with pytest.raises(ProductError, match=r"frame\.exr"):
        deliverable.decode(data[: int(len(data) * share)], source="frame.exr")

    assert capfd.readouterr().out == ""


def test_files_that_are_absent_or_of_others_are_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.exr"
    OpenEXR.File({}, {"Y": np.zeros((2, 2), np.float32)}).write(str(foreign))

    with pytest.raises(StoreError, match=r"absent\.exr"):
        deliverable.read(tmp_path / "absent.exr")
    with pytest.raises(ProductError, match="part `beauty` is missing"):
        deliverable.read(foreign)
    with pytest.raises(StoreError, match="cannot write"):
        deliverable.write(tmp_path / "no" / "a.exr", make_frame())


def test_another_reader_finds_the_same(tmp_path: Path) -> None:
    oiio = pytest.importorskip("OpenImageIO")
    frame = make_frame()
    path = tmp_path / "a.exr"
    deliverable.write(path, frame)

    image = oiio.ImageInput.open(str(path))
    for index, layer in enumerate(LAYERS):
        assert image.seek_subimage(index, 0)
        spec = image.spec()
        assert spec.getattribute("oiio:subimagename") == layer.name
        assert sorted(spec.channelnames) == sorted(layer.channels)
        assert spec.getattribute("compression") == "zip"
        pixels = image.read_image(index, 0, 0, spec.nchannels, oiio.FLOAT)
        order = [spec.channelnames.index(channel) for channel in layer.channels]
        stored = frame.layers[layer.name].astype(layer.dtype).astype(np.float32)
        assert np.array_equal(pixels[..., order], stored), layer.name
    image.seek_subimage(0, 0)
    spec = image.spec()
    assert spec.getattribute("jobHash") == frame.job_hash
    assert tuple(spec.getattribute("FramesPerSecond")) == (24000, 1001)
    assert spec.getattribute("lambda") == frame.lambda_
    assert spec.getattribute("worldToCamera")[12:15] == (1.0, 2.0, 3.0)
    image.close()


def test_a_crop_tells_its_place_in_the_frame_and_extras_come_back(tmp_path: Path) -> None:
    matte = deliverable.Extra(
        Layer("CryptoObject", ("CryptoObject00.R", "CryptoObject00.G"), "float", ""),
        np.arange(HEIGHT * WIDTH * 2, dtype=np.uint32).reshape(HEIGHT, WIDTH, 2).view(np.float32),
        {"cryptomatte/1234567/name": "CryptoObject"},
    )
    path = tmp_path / "crop.exr"
    frame = dataclasses.replace(make_frame(), window=(-3, 2, 40, 30), extras=(matte,))
    deliverable.write(path, frame)
    back = deliverable.read(path)
    assert back.window == (-3, 2, 40, 30)
    with OpenEXR.File(str(path), separate_channels=True) as file:
        assert [list(corner) for corner in file.header()["dataWindow"]] == [[-3, 2], [-3 + WIDTH - 1, 2 + HEIGHT - 1]]
        assert [list(corner) for corner in file.header()["displayWindow"]] == [[0, 0], [39, 29]]
    (found,) = back.extras
    assert found.layer.channels == matte.layer.channels
    assert found.attributes == matte.attributes
    assert np.array_equal(found.values.view(np.uint32), matte.values.view(np.uint32))  # to the bit
