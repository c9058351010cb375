"""Scenes that name neural maps: frozen as small files, loaded as pixels, refused where they cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config.shot import Shot
from pipeline.errors import SceneError
from pipeline.images import neural_map
from pipeline.images.neural_map import Layer, NeuralMap
from pipeline.scene import spec
from pipeline.scene.freeze import freeze


def constant(codes: list[int], coding: str, *, size: tuple[int, int], wraps: bool = False) -> NeuralMap:
    """A map of one colour: the output layer's bias alone."""
    top = neural_map.HALF_TOP if coding == "half" else 0xFFFF
    height, width = size
    bias = np.rint((2 * np.array(codes) / top - 1) * 2**24).astype(np.int32)[None]
    layer = Layer(np.zeros((1, 2, len(codes)), np.int16), bias, 24)
    none = np.zeros(0, np.int64)
    return NeuralMap(
        height, width, len(codes), coding, wraps, 64, 0, (layer,), none, np.zeros((0, len(codes)), np.uint16)
    )


FLOOR = """<bsdf type="diffuse" id="floor_bsdf"><texture type="bitmap" name="reflectance">
<string name="filename" value="oak.neural"/>{extra}</texture></bsdf>
<shape type="rectangle" id="floor"><ref id="floor_bsdf"/></shape>
<emitter type="envmap" id="sky"><string name="filename" value="sky.neural"/></emitter>"""


@pytest.fixture
def shot(tmp_path: Path, camera_xml: str) -> Callable[..., Shot]:
    """A shot whose floor and sky are neural maps."""

    def make(inside: str = FLOOR.format(extra="")) -> Shot:
        folder = tmp_path / "shot"
        folder.mkdir(exist_ok=True)
        half = int(np.array([0.75], np.float16).view(np.uint16)[0])
        oak = constant([32768, 16384, 65535], "display", size=(8, 16))
        neural_map.save(folder / "oak.neural", oak)
        neural_map.save(folder / "sky.neural", constant([half] * 3, "half", size=(8, 16), wraps=True))
        (folder / "scene.xml").write_text(f'<scene version="3.0.0">{camera_xml}{inside}</scene>')
        keys = {"shot": "shot_010", "scene": "scene.xml", "frames": "1", "resolution": [8, 8]}
        return Shot(**keys).at(folder)

    return make


def loaded(shot: Shot, blobs: Path) -> Any:
    from pipeline.scene.load import load

    frozen = freeze(shot, [1], blobs)
    assert sorted(name.rpartition(".")[2] for name in frozen["*"].files) == ["neural", "neural"]
    return load(spec.of(shot.model_dump(mode="json", by_alias=True), frozen, 1), 1, blobs)


def srgb(encoded: float) -> float:
    return encoded / 12.92 if encoded <= 0.04045 else ((encoded + 0.055) / 1.055) ** 2.4


def test_a_texture_and_a_sky_are_decoded_at_load_and_their_blobs_stay_small(mitsuba, shot, blob_directory):
    fs = loaded(shot(), blob_directory)
    params = mitsuba.traverse(fs.scene)
    texels = np.array(params["floor_bsdf.reflectance.data"]).reshape(-1, 3)
    assert texels.shape == (8 * 16, 3)
    np.testing.assert_allclose(texels[0], [srgb(32768 / 65535), srgb(16384 / 65535), 1.0], atol=2e-3)
    sky = np.array(mitsuba.traverse(fs.scene.environment())["data"])
    np.testing.assert_allclose(sky[..., :3], 0.75, rtol=2e-3)


def test_raw_textures_keep_their_numbers(mitsuba, shot, blob_directory):
    fs = loaded(shot(FLOOR.format(extra='<boolean name="raw" value="true"/>')), blob_directory)
    texels = np.array(mitsuba.traverse(fs.scene)["floor_bsdf.reflectance.data"]).reshape(-1, 3)
    np.testing.assert_allclose(texels[0], [32768 / 65535, 16384 / 65535, 1.0], atol=2e-3)


def test_a_damaged_map_and_a_plugin_that_takes_none_are_refused_by_their_names(mitsuba, shot, blob_directory):
    broken = shot()
    (broken.directory / "oak.neural").write_bytes(b"PK\x03\x04 half of a file")
    with pytest.raises(SceneError, match=r"oak\.neural: is not a neural map, or is damaged"):
        freeze(broken, [1], blob_directory)
    mesh = '<shape type="obj" id="m"><string name="filename" value="oak.neural"/></shape>'
    with pytest.raises(SceneError, match="not by 'obj'"):
        freeze(shot(mesh), [1], blob_directory)
