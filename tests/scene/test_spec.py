"""The data from which a worker loads a frame."""

from __future__ import annotations

import json

import pytest

from pipeline.errors import SceneError
from pipeline.scene import spec
from pipeline.scene.spec import FrozenScene, SceneSpec

CONFIG = {
    "resolution": [48, 27],
    "camera": None,
    "animate": {"ball": {"1": {"translate": [0, 0, 1]}}},
    "sampling": {"integrator": "volpath", "max_depth": 4, "rr_depth": 2},
}


def test_one_scene_serves_all_frames_and_their_neighbours():
    made = spec.of(CONFIG, {"*": FrozenScene("a.xml")}, 5)
    assert (made.xml, made.previous, made.next) == ("a.xml", "a.xml", "a.xml")
    assert (made.resolution, made.integrator, made.max_depth, made.rr_depth) == ((48, 27), "volpath", 4, 2)


def test_a_frame_knows_the_frozen_scenes_beside_it():
    frozen = {"1": FrozenScene("a.xml"), "2": FrozenScene("b.xml", references={"r.obj": "/r.obj"})}
    made = spec.of(CONFIG, frozen, 1)
    assert (made.xml, made.previous, made.next) == ("a.xml", None, "b.xml")
    assert made.references == {"r.obj": "/r.obj"}


def test_a_frame_that_was_not_frozen_is_refused():
    with pytest.raises(SceneError, match="frame 3"):
        spec.of(CONFIG, {"1": FrozenScene("a.xml")}, 3)


def test_a_spec_survives_json():
    made = spec.of(CONFIG, {"*": FrozenScene("a.xml").to_json()}, 1)
    assert SceneSpec.from_json(json.loads(json.dumps(made.to_json()))) == made
