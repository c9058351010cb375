"""World-space motion of shapes between neighbouring frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from pipeline.scene import animation, blobs

BALL = '<point name="center" x="-1" y="0.6" z="0"/><float name="radius" value="0.6"/>'


@pytest.fixture
def motion(mitsuba: Any, blob_directory: Path):
    """Spec and frame → the motion of each shape, by its id."""
    from pipeline.scene.load import load

    def of(spec: Any, frame: int = 1) -> dict[str, Any]:
        return {shape.id: shape for shape in load(spec, frame, blob_directory).shapes}

    return of


@pytest.fixture
def two_frames(spec_of, scene_xml, blob_directory):
    """What differs in the next frame → spec of the first of two frames."""

    def make(old: str, new: str, **fields: Any) -> Any:
        assert old in scene_xml
        following = blobs.put_text(blob_directory, scene_xml.replace(old, new), "xml")
        return spec_of(scene_xml, next=following, **fields)

    return make


def test_a_shape_without_keyframes_stands_still(motion, spec_of):
    floor = motion(spec_of())["floor"]
    assert floor.valid_previous and floor.valid_next
    assert_allclose([floor.to_previous, floor.to_next], [np.eye(4)] * 2)


def test_keyframed_motion_takes_vertices_to_where_they_are_in_the_next_frame(mitsuba, blob_directory, spec_of):
    from pipeline.scene.load import load

    keys = {1: {}, 3: {"rotate": {"axis": [1, 1, 0], "angle": 120}, "translate": [1, 2, 3], "scale": 2.0}}
    spec = spec_of(animate={"box": keys})

    def vertices(frame: int) -> np.ndarray:
        params = mitsuba.traverse(load(spec, frame, blob_directory).scene)
        return np.array(params["box.vertex_positions"]).reshape(-1, 3)

    fs = load(spec, 2, blob_directory)
    box = fs.shapes[fs.shape_names.index("box")]
    here = np.c_[vertices(2), np.ones(24)]
    assert_allclose((here @ box.to_next.T)[:, :3], vertices(3), atol=1e-5)
    assert_allclose((here @ box.to_previous.T)[:, :3], vertices(1), atol=1e-5)


def test_the_motion_of_a_sphere_follows_its_centre_and_radius(motion, two_frames):
    moved = '<point name="center" x="1" y="0.6" z="0"/><float name="radius" value="1.2"/>'
    ball = motion(two_frames(BALL, moved))["ball"]
    assert_allclose(ball.to_next @ [-1, 0.6 + 0.6, 0, 1], [1, 0.6 + 1.2, 0, 1], atol=1e-9)


def test_a_shape_whose_to_world_differs_moves_rigidly(motion, two_frames):
    shapes = motion(two_frames('<translate x="1" y="0.5"/>', '<translate x="1" y="0.7"/>'))
    assert_allclose(shapes["box"].to_next[:3, 3], [0, 0.2, 0], atol=1e-12)
    assert_allclose(shapes["ball"].to_next, np.eye(4))


def test_keyframes_add_to_the_motion_of_the_scene_itself(motion, two_frames):
    keys = {1: {}, 2: {"translate": [0, 0, 3], "scale": 2.0}}
    spec = two_frames('<translate x="1" y="0.5"/>', '<translate x="1" y="0.7"/>', animate={"box": keys})
    # The centre goes along with the shape, so the scale does not move it.
    assert_allclose(motion(spec)["box"].to_next @ [1, 0.5, 0, 1], [1, 0.7, 3, 1], atol=1e-9)


def test_a_shape_that_becomes_another_has_no_known_motion(motion, two_frames):
    shapes = motion(two_frames('type="cube" id="box"', 'type="sphere" id="box"'))
    assert not shapes["box"].valid_next and shapes["box"].valid_previous
    assert_allclose(shapes["box"].to_next, np.eye(4))
    assert shapes["floor"].valid_next


def test_a_mesh_of_another_file_has_no_known_motion(motion, spec_of, scene_xml, blob_directory, tmp_path):
    def scene(z: int) -> str:
        path = tmp_path / f"{z}.obj"
        path.write_text(f"v 0 0 0\nv 1 0 0\nv 0 1 {z}\nf 1 2 3\n")
        mesh = f'<shape type="obj" id="m"><string name="filename" value="{blobs.put(blob_directory, path)}"/></shape>'
        return scene_xml.replace('<shape type="sphere"', f'{mesh}<shape type="sphere"')

    following = blobs.put_text(blob_directory, scene(1), "xml")
    assert not motion(spec_of(scene(0), next=following))["m"].valid_next
    assert motion(spec_of(scene(0)))["m"].valid_next


def test_an_instance_of_a_group_that_changed_has_no_known_motion(motion, two_frames):
    shapes = motion(two_frames('<shape type="cube" id="inner">', '<shape type="sphere" id="inner">'))
    assert not shapes["copy"].valid_next


def test_a_frame_that_was_not_frozen_leaves_the_motion_unknown(motion, spec_of):
    shapes = motion(spec_of(previous=None))
    assert not shapes["box"].valid_previous and shapes["box"].valid_next


def test_a_material_that_changes_does_not_hide_the_motion(motion, two_frames):
    assert motion(two_frames("0.5, 0.4, 0.3", "0.1, 0.1, 0.1"))["box"].valid_next


def test_motion_before_the_first_keyframe_is_none(motion, spec_of):
    keys = {1: {"translate": [5, 0, 0]}, 3: {"translate": [6, 0, 0]}}
    box = motion(spec_of(animate={"box": keys}))["box"]
    assert_allclose(box.to_previous, np.eye(4), atol=1e-12)
    assert_allclose(box.to_next, animation.pose({0: {"translate": [0.5, 0, 0]}}, 0, [0, 0, 0]), atol=1e-12)
