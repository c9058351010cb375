"""Versions of a scene rendered together are what Mitsuba renders of each, and parameters mean what overrides mean."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from pipeline.errors import ConfigError

SPP = 256
LOOKING = {"fov": 45, "keyframes": {"1": {"origin": [0, 2, 6], "target": [0, 0.5, 0]}}}


@pytest.fixture(scope="module")
def overridden(room, frozen_room):
    """Overrides → Mitsuba's own picture of the shot, H×W×3."""
    import mitsuba as mi

    from pipeline.scene import spec
    from pipeline.scene.load import load

    frozen, blobs = frozen_room

    def make(overrides):
        config = room(overrides=overrides, resolution=[24, 16], camera=LOOKING).model_dump(mode="json", by_alias=True)
        fs = load(spec.of(config, frozen, 1), 1, blobs)
        return np.array(mi.render(fs.scene, sensor=fs.sensor, integrator=fs.integrator, spp=2 * SPP, seed=7))[..., :3]

    return make


@pytest.mark.parametrize(
    "params, theta",
    [
        (("ball.translate", "ball.rotate:y", "ball.scale"), [0.4, 0.1, 0.5, 30.0, 0.5]),
        (("lamp.translate:xz", "lamp.intensity", "sky.color"), [0.8, -0.5, 1.0, 1.0, 0.0, -1.0]),
        (("bulb.translate:x", "camera.translate:z", "camera.rotate:y", "camera.fov"), [1.5, 0.5, 4.0, 50.0]),
        (
            ("lacquer.roughness", "grey.reflectance:rg", "box.rotate:y", "lacquer.reflectance:g"),
            [0.4, 0.8, 0.1, 40.0, 0.5],
        ),
    ],
    ids=["shape", "lights", "camera", "materials"],
)
def test_two_versions_are_what_mitsuba_renders_of_each(renders_of, overridden, params, theta):
    renders = renders_of(*params, camera=LOOKING)
    both = np.array([renders.start, theta])
    images = renders.images(both, spp=SPP, seed=1)[..., :3]
    for image, row in zip(images, both, strict=True):
        wanted = overridden(renders.overrides(row))
        # Noise is judged by the two halves; pixel means of 512 samples differ by a few standard errors at most.
        noise = np.abs(image[0] - image[1]).mean() / 2 + 1e-4
        assert np.abs(image.mean(axis=0) - wanted).mean() < 2.5 * noise
        assert_allclose(image.mean(axis=(0, 1, 2)), wanted.mean(axis=(0, 1)), rtol=0.02)
    assert np.abs(images[0] - images[1]).max() > 0.05


def test_equal_versions_are_equal_to_the_bit_and_a_seed_is_a_seed(renders_of):
    renders = renders_of("ball.translate:x")
    twice = renders.images(np.zeros((2, 1)), spp=1, seed=3)
    np.testing.assert_array_equal(twice[0], twice[1])
    assert renders.launches == 1
    assert np.abs(renders.images(np.zeros((1, 1)), spp=1, seed=4) - twice[:1]).max() > 0


def test_plain_colours_share_a_launch_and_other_materials_take_turns(renders_of):
    plain = renders_of("grey.reflectance:r")
    plain.images(np.array([[0.2], [0.6], [0.9]]), spp=1, seed=3)
    coated = renders_of("lacquer.reflectance:r")
    coated.images(np.array([[0.2], [0.6], [0.9]]), spp=1, seed=3)
    assert (plain.launches, coated.launches) == (1, 3) and coated.pictures == 3


def test_the_search_starts_from_the_shots_own_overrides(renders_of):
    own = {"lamp": {"translate": [0.5, 0, 1], "intensity": 4.0}, "camera": {"fov": 40.0}}
    renders = renders_of("lamp.translate:x", "lamp.intensity", "camera.fov", overrides=own)
    assert_allclose(renders.start, [0.5, 2.0, 40.0])
    kept = renders.overrides(renders.start)
    assert_allclose(kept["lamp"]["translate"], [0.5, 0, 1])
    assert kept["lamp"]["intensity"] == 4.0


def test_parameters_have_units_and_scales(renders_of):
    found = {p.name: p for p in renders_of("ball.translate:x", "ball.rotate:y", "lamp.intensity").parameters}
    assert [found[name].unit for name in found] == ["world units", "degrees", "factor"]
    assert 0.3 < found["ball.translate:x"].scale < 1.0


@pytest.mark.parametrize(
    "param, message",
    [
        ("bal.translate", "no 'bal' .did you mean 'ball'"),
        ("ball.transalte", "no property 'transalte' .did you mean 'translate'"),
        ("ball.translate:w", "translate has the components xyz"),
        ("ball.intensity", "'ball' does not emit"),
        ("grey.fov", "only the camera has a fov"),
        ("intensity", "is not ID.PROPERTY"),
    ],
)
def test_an_unknown_parameter_is_told_with_what_was_meant(renders_of, param, message):
    with pytest.raises(ConfigError, match=message):
        renders_of(param)
