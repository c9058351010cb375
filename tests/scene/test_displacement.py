"""Offsets of shapes and cameras on top of a scene and its keyframes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from pipeline.scene import animation, spec
from pipeline.scene.displacement import displacement, rotation_xyz, with_offsets
from pipeline.scene.spec import FrozenScene

CENTRE = np.array([1.0, 2.0, 3.0])


def test_angles_turn_about_the_worlds_x_then_y_then_z():
    turns = [animation.rotation_about(axis, angle) for axis, angle in zip(np.eye(3), (20.0, -35.0, 110.0), strict=True)]
    assert_allclose(rotation_xyz((20.0, -35.0, 110.0)), turns[2] @ turns[1] @ turns[0], atol=1e-14)


def test_a_displaced_centre_only_translates():
    moved = displacement({"rotate": [10, 20, 30], "scale": 2.0, "translate": [0, 1, 0]}, CENTRE) @ [*CENTRE, 1.0]
    assert_allclose(moved[:3], np.add(CENTRE, [0, 1, 0]))


def test_an_offset_acts_after_the_keyframes_about_where_the_centre_is_then():
    keyframes = {"1": {}, "5": {"translate": [4, 0, 0], "rotate": {"axis": [0, 0, 1], "angle": 90}}}
    offset = {"rotate": [0, 90, 0], "translate": [0, 0, 1]}
    animate, rest = with_offsets({"ball": keyframes}, {"ball": offset}, ["ball"])
    before, after = (animation.pose(keys, 3, CENTRE) for keys in (keyframes, animate["ball"]))
    assert not rest
    assert_allclose(after, displacement(offset, np.add(CENTRE, [2, 0, 0])) @ before, atol=1e-12)


def test_what_stands_still_gets_a_keyframe_and_lights_keep_their_offset():
    overrides = {"ball": {"scale": 2.0, "intensity": None}, "spot": {"translate": [1, 0, 0]}, "oak": {"texture": "a"}}
    animate, rest = with_offsets({}, overrides, ["ball"])
    assert_allclose(animation.pose(animate["ball"], 7, CENTRE)[:3, :3], 2 * np.eye(3))
    assert rest == {"spot": {"translate": [1, 0, 0]}}


@pytest.mark.parametrize("frame", [1, 2.5, 4])
def test_a_keyframed_camera_is_displaced_about_itself(frame):
    keyframes = {"1": {"origin": [0, 1, 4], "target": [0, 0, 0]}, "4": {"origin": [2, 1, 4], "target": [1, 0, 0]}}
    camera = {"fov": 40, "fov_axis": "y", "keyframes": keyframes}
    change = {"translate": [1, 2, 3], "rotate": [5, 6, 7], "fov": 30.0}
    made = spec.of({"camera": camera, "overrides": {"camera": change}}, {"*": FrozenScene("a.xml")}, 1)
    own = animation.camera_to_world(keyframes, frame)
    wanted = displacement({**change, "scale": None}, own[:3, 3]) @ own
    assert_allclose(animation.camera_to_world(made.camera["keyframes"], frame), wanted, atol=1e-12)
    assert (made.camera["fov"], made.camera["fov_axis"]) == (30.0, "x")
