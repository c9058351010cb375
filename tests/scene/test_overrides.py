"""Overrides of a loaded scene's parameters, and of a scene that is frozen."""

from __future__ import annotations

import numpy as np
import OpenEXR
import pytest
from numpy.testing import assert_allclose

from pipeline.config.shot import Shot
from pipeline.errors import SceneError
from pipeline.scene import spec
from pipeline.scene.freeze import freeze

LIGHTS = """
<emitter type="point" id="bulb"><point name="position" x="1" y="2" z="3"/>
<rgb name="intensity" value="4, 4, 4"/></emitter>
<bsdf type="roughplastic" id="lacquer"><float name="alpha" value="0.2"/>
<rgb name="diffuse_reflectance" value="0.1, 0.2, 0.3"/></bsdf>
<shape type="sphere" id="knob"><ref id="lacquer"/></shape></scene>"""


@pytest.fixture
def loaded(mitsuba, spec_of, scene_xml, blob_directory):
    """Overrides → the parameters of the loaded scene."""
    from pipeline.scene.load import load

    def make(**overrides):
        made = spec_of(scene_xml.replace("</scene>", LIGHTS), overrides=overrides)
        return mitsuba.traverse(load(made, 1, blob_directory).scene)

    return make


def test_lights_and_materials_take_their_overrides(loaded):
    params = loaded(
        lamp={"intensity": 0.5, "color": [1, 2, 4]},
        bulb={"intensity": 3.0, "translate": [1, 1, 1]},
        lacquer={"roughness": 0.4, "reflectance": [0.5, 0.6, 0.7]},
        grey={"reflectance": [0.9, 0.8, 0.7]},
    )
    assert_allclose(np.ravel(params["lamp.emitter.radiance.value"]), [3, 6, 12])
    assert_allclose(np.ravel(params["bulb.intensity.value"]), [12, 12, 12])
    assert_allclose(np.ravel(params["bulb.position"]), [2, 3, 4])
    assert_allclose(np.ravel(params["lacquer.alpha"]), 0.4)
    assert_allclose(np.ravel(params["lacquer.diffuse_reflectance.value"]), [0.5, 0.6, 0.7])
    assert_allclose(np.ravel(params["grey.brdf_0.reflectance.value"]), [0.9, 0.8, 0.7])


def test_what_the_scene_does_not_have_is_named_with_what_was_meant(loaded):
    with pytest.raises(SceneError, match=r"lmap.intensity: the scene has no light.*did you mean 'lamp'"):
        loaded(lmap={"intensity": 2.0})
    with pytest.raises(SceneError, match="'ball' does not emit"):
        loaded(ball={"intensity": 2.0})
    with pytest.raises(SceneError, match="'grey' has no roughness"):
        loaded(grey={"roughness": 0.5})


def test_a_scene_is_frozen_with_its_texture_swapped_and_its_camera_turned(mitsuba, tmp_path, blob_directory, scene_xml):
    from pipeline.scene.load import load

    (tmp_path / "scene.xml").write_text(scene_xml)
    pixels = {"RGB": np.full((4, 4, 3), 0.25, np.float32)}
    OpenEXR.File({"compression": OpenEXR.ZIP_COMPRESSION}, pixels).write(str(tmp_path / "cloth.exr"))
    overrides = {
        "grey": {"texture": "cloth.exr"},
        "camera": {"fov": 30.0, "translate": [1, 0, 0]},
        "ball": {"translate": [0, 1, 0]},
    }
    shot = Shot(shot="a", scene="scene.xml", frames="1", overrides=overrides).at(tmp_path)
    frozen = freeze(shot, [1], blob_directory)
    fs = load(spec.of(shot.model_dump(mode="json", by_alias=True), frozen, 1), 1, blob_directory)
    params = mitsuba.traverse(fs.scene)
    assert_allclose(np.array(params["grey.brdf_0.reflectance.data"]), 0.25, atol=1e-3)
    assert fs.cameras.current.fov == pytest.approx(30.0)
    assert_allclose(fs.cameras.current.origin, [1, 1, 6], atol=1e-6)
    assert_allclose(np.ravel(fs.scene.shapes()[1].bbox().min), [-1.6, 1.0, -0.6], atol=1e-6)

    wrong = Shot(shot="a", scene="scene.xml", frames="1", overrides={"gray": {"scale": 2.0}}).at(tmp_path)
    with pytest.raises(SceneError, match=r"overrides.gray: nothing in scene.xml has this id \(did you mean 'grey'"):
        freeze(wrong, [1], blob_directory)
