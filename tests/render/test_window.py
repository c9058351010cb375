"""Crops and overscan: parts of the picture plane, as the whole frame shows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

SCENE = """<emitter type="constant"><rgb name="radiance" value="0.4"/></emitter>
<shape type="rectangle" id="wall"><transform name="to_world"><scale value="6"/><translate z="-1"/></transform>
<bsdf type="diffuse"><texture type="checkerboard" name="reflectance">
<transform name="to_uv"><scale value="7"/></transform></texture></bsdf></shape>
<shape type="sphere" id="ball"><bsdf type="roughplastic"/></shape>"""
CAMERA = {
    "fov": 45.0,
    "keyframes": {1: {"origin": [0, 0, 4], "target": [0, 0, 0]}, 2: {"origin": [1, 0, 4], "target": [0, 0, 0]}},
}
SIZE = (32, 18)
CUT = (slice(4, 10), slice(8, 20))
LAYERS = ("beauty", "albedo", "normal", "depth", "forward", "alpha")


@pytest.fixture
def framed(program_of: Callable[..., Any], shot: Any) -> Callable[..., Any]:
    def make(**film: Any) -> Any:
        return shot(program_of(SCENE, resolution=SIZE, film=film, camera=CAMERA, max_depth=4), 8)

    return make


def test_a_crop_is_cut_from_the_frame_and_overscan_goes_around_it(framed: Any) -> None:
    whole = framed()
    part = framed(crop=[8, 4, 20, 10])
    wide = framed(overscan=[3, 2, 1, 4])
    assert part.shape == (6, 12)
    assert wide.shape == (24, 36)
    for name in LAYERS:
        # The same samples: rays that are traced beside others may differ in their last bit.
        np.testing.assert_allclose(getattr(part, name), getattr(whole, name)[CUT], atol=2e-3)
        np.testing.assert_allclose(getattr(wide, name)[2:20, 3:35], getattr(whole, name), atol=2e-3)


def test_points_are_projected_into_the_window(program_of: Any) -> None:
    whole, part = (
        program_of(SCENE, resolution=SIZE, film=film, camera=CAMERA).fs.cameras.current
        for film in ({}, {"crop": [8, 4, 20, 10]})
    )
    point = np.array([0.1, 0.2, 0.3, 1.0])
    seen, cut = (camera.world_to_film @ point for camera in (whole, part))
    np.testing.assert_allclose(cut[:2] / cut[3], seen[:2] / seen[3] - [8, 4])
