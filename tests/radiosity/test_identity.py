"""What makes another scene, another light, and what changes nothing."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.radiosity.identity import Identity, identity_of
from pipeline.scene.spec import SceneSpec

SCENE = """<scene version="3.0.0">
  <integrator type="path"><integer name="max_depth" value="8"/></integrator>
  <sensor type="perspective"><float name="fov" value="40"/></sensor>
  <bsdf type="diffuse" id="grey"><rgb name="reflectance" value="0.5"/></bsdf>
  <shape type="sphere" id="ball"><ref name="bsdf" id="grey"/><float name="radius" value="1"/></shape>
  <emitter type="constant"><rgb name="radiance" value="1"/></emitter>
</scene>"""


def identity(folder: Path, text: str, spec: SceneSpec | None = None, frame: int = 1) -> Identity:
    data = text.encode()
    name = hashlib.sha256(data).hexdigest() + ".xml"
    (folder / name).write_bytes(data)
    return identity_of(replace(spec or SceneSpec(xml=name), xml=name), frame, folder)


@pytest.mark.parametrize(
    ("old", "new", "fits", "resembles"),
    [
        ('name="fov" value="40"', 'name="fov" value="50"', True, True),  # the camera
        ('value="8"/></integrator>', 'value="4"/></integrator>', True, True),
        ('name="radiance" value="1"', 'name="radiance" value="2"', False, True),  # a light
        ('name="reflectance" value="0.5"', 'name="reflectance" value="0.6"', False, True),  # a material
        ('name="radius" value="1"', 'name="radius" value="2"', False, False),  # a shape
    ],
)
def test_lights_and_materials_make_another_light_and_shapes_another_scene(
    tmp_path: Path, old: str, new: str, fits: bool, resembles: bool
) -> None:
    assert old in SCENE
    before, after = identity(tmp_path, SCENE), identity(tmp_path, SCENE.replace(old, new))
    assert (after.fits(before), after.resembles(before)) == (fits, resembles)


def test_frames_differ_where_a_shape_moves(tmp_path: Path) -> None:
    keys = {"1": {"translate": [0, 0, 0]}, "3": {"translate": [2, 0, 0]}}
    spec = SceneSpec(xml="", animate={"ball": keys})
    first, second = (identity(tmp_path, SCENE, spec, frame) for frame in (1, 2))
    assert not first.fits(second) and first.resembles(second)
    assert identity(tmp_path, SCENE, spec, 3).fits(identity(tmp_path, SCENE, spec, 9))  # it holds after the last


def test_overrides_count(tmp_path: Path) -> None:
    spec = SceneSpec(xml="", overrides={"grey": {"reflectance": [0.1, 0.2, 0.3]}})
    assert not identity(tmp_path, SCENE, spec).fits(identity(tmp_path, SCENE))
