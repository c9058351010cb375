"""Projections of world points onto the film, against Mitsuba's own rays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from pipeline.scene import cameras

MOVING = {
    "fov": 50,
    "fov_axis": "y",
    "keyframes": {
        1: {"origin": [0, 1, 6], "target": [0.3, 0.5, 0], "up": [0.2, 1, 0]},
        3: {"origin": [2, 2, 5], "target": [0, 0.5, 1], "up": [0, 1, 0]},
    },
}


def project(camera: cameras.Camera, points: np.ndarray) -> np.ndarray:
    film = np.c_[points, np.ones(len(points))] @ camera.world_to_film.T
    return film[:, :2] / film[:, 3:]


def seen(fs: Any, aperture: tuple[float, float] = (0.5, 0.5)) -> tuple[np.ndarray, np.ndarray]:
    """Random film positions in pixels, and the world points that rays through them hit (rows that hit something)."""
    import mitsuba as mi

    position = np.random.default_rng(3).random((2, 200))
    rays, _ = fs.sensor.sample_ray(0.0, 0.5, mi.Point2f(position.astype(np.float32)), mi.Point2f(*aperture))
    si = fs.scene.ray_intersect(mi.Ray3f(rays))
    hit = np.array(si.is_valid())
    assert hit.sum() > 50
    return (position * [[fs.width], [fs.height]]).T[hit], np.array(si.p).T[hit]


@pytest.fixture
def load(mitsuba: Any, blob_directory: Path):
    from pipeline.scene.load import load as load_scene

    return lambda spec, frame=1: load_scene(spec, frame, blob_directory)


@pytest.mark.parametrize("fov_axis", ["x", "y", "diagonal", "smaller", "larger"])
def test_a_point_that_a_pixel_sees_is_projected_onto_it(fov_axis, load, spec_of):
    fs = load(spec_of(camera={**MOVING, "fov_axis": fov_axis}, resolution=(48, 27)), 2)
    pixels, points = seen(fs)
    assert_allclose(project(fs.cameras.current, points), pixels, atol=1e-3)


def test_a_principal_point_offset_is_respected(load, spec_of, scene_xml):
    offset = '<float name="principal_point_offset_x" value="0.2"/><float name="principal_point_offset_y" value="-0.1"/>'
    fs = load(spec_of(scene_xml.replace('<float name="fov"', f'{offset}<float name="fov"'), resolution=(40, 30)))
    pixels, points = seen(fs)
    assert_allclose(project(fs.cameras.current, points), pixels, atol=1e-3)


def test_a_thin_lens_is_projected_through_its_centre(load, spec_of):
    fs = load(spec_of(camera={**MOVING, "aperture_radius": 0.5, "focus_distance": 5.0}, resolution=(48, 27)))
    pixels, points = seen(fs)
    assert_allclose(project(fs.cameras.current, points), pixels, atol=1e-3)


def test_the_neighbours_cameras_are_those_of_the_frames_beside(load, spec_of):
    spec = spec_of(camera=MOVING, resolution=(48, 27))
    here, before, after = load(spec, 2), load(spec, 1), load(spec, 3)
    assert_allclose(here.cameras.previous.world_to_film, before.cameras.current.world_to_film)
    assert_allclose(here.cameras.next.world_to_film, after.cameras.current.world_to_film)
    assert_allclose(here.cameras.current.origin, [1, 1.5, 5.5])


def test_a_camera_that_each_frames_scene_has_is_read_from_the_neighbour(load, spec_of, scene_xml):
    other = scene_xml.replace('lookat origin="0, 1, 6"', 'lookat origin="1, 1, 6"').replace('value="45"', 'value="40"')
    neighbour = spec_of(other)
    fs = load(spec_of(next=neighbour.xml, previous=None))
    assert fs.cameras.previous is None
    assert_allclose(fs.cameras.next.world_to_film, load(neighbour).cameras.current.world_to_film)


def test_a_sensor_that_is_not_perspective_has_no_projection(load, spec_of, scene_xml):
    xml = scene_xml.replace(
        'type="perspective" id="cam"><float name="fov" value="45"/>', 'type="orthographic" id="cam">'
    )
    assert load(spec_of(xml)).cameras == cameras.Cameras(None, None, None)


def test_points_behind_the_camera_have_a_negative_weight():
    camera = cameras.perspective(np.eye(4), fov=60, width=10, height=10)
    assert (camera.world_to_film @ [0, 0, -1, 1])[3] < 0 < (camera.world_to_film @ [0, 0, 1, 1])[3]
