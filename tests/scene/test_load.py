"""Loading frozen scenes, and moving them from frame to frame."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.errors import SceneError

ANIMATE = {
    "ball": {"1": {"translate": [0, 0, 0]}, "9": {"translate": [1, 0.5, 0], "scale": 1.5}},
    "box": {"1": {}, "9": {"rotate": {"axis": [0, 1, 0], "angle": 90}}},
    "copy": {"1": {}, "9": {"translate": [0, -1, 1]}},
    "lamp": {"1": {}, "9": {"translate": [1, 0, 0]}},
}
MOVING_CAMERA = {
    "fov": 40,
    "fov_axis": "x",
    "keyframes": {
        "1": {"origin": [0, 1, 6], "target": [0, 0.5, 0], "up": [0, 1, 0]},
        "9": {"origin": [1, 1, 6], "target": [0, 0.5, 0], "up": None},
    },
}


@pytest.fixture
def load(mitsuba: Any, blob_directory: Path):
    from pipeline.scene.load import load as load_scene

    return lambda spec, frame=1: load_scene(spec, frame, blob_directory)


@pytest.fixture
def update(mitsuba: Any):
    from pipeline.scene.load import update as update_scene

    return update_scene


def render(fs: Any, spp: int = 4) -> np.ndarray:
    import mitsuba as mi

    return np.array(mi.render(fs.scene, sensor=fs.sensor, integrator=fs.integrator, spp=spp, seed=0))


def compiled(history: list[dict]) -> set[str]:
    import drjit as dr

    return {str(kernel["hash"]) for kernel in history if kernel["type"] == dr.KernelType.JIT}


def test_an_updated_scene_renders_the_same_bits_as_a_loaded_one(load, update, spec_of):
    spec = spec_of(animate=ANIMATE, camera=MOVING_CAMERA, resolution=(32, 24))
    moved = update(update(load(spec, 1), spec, 9), spec, 4)
    image = render(moved)
    del moved
    assert_array_equal(image, render(load(spec, 4)))


def test_coming_back_to_a_frame_gives_its_bits_again(load, update, spec_of):
    spec = spec_of(animate=ANIMATE, camera=MOVING_CAMERA, resolution=(32, 24))
    fs = load(spec, 1)
    first = render(fs)
    fs = update(update(fs, spec, 7), spec, 1)
    assert_array_equal(first, render(fs))


def test_frames_share_their_kernels(load, update, spec_of, scene_xml):
    import drjit as dr

    spec = spec_of(animate=ANIMATE, camera=MOVING_CAMERA, resolution=(32, 24))
    with dr.scoped_set_flag(dr.JitFlag.KernelHistory, True):
        fs = load(spec, 1)
        dr.kernel_history_clear()
        render(fs)
        first = compiled(dr.kernel_history())
        fs = update(fs, spec, 5)
        dr.kernel_history_clear()
        render(fs)
        updated = compiled(dr.kernel_history())
        del fs
        gc.collect()
        other = spec_of(scene_xml.replace("0.5, 0.4, 0.3", "0.1, 0.2, 0.3"), animate=ANIMATE, resolution=(32, 24))
        fs = load(other, 3)
        dr.kernel_history_clear()
        render(fs)
        reloaded = compiled(dr.kernel_history())
    assert first and first == updated == reloaded


def test_the_scale_of_an_environment_map_is_no_part_of_the_kernel(mitsuba, load, spec_of, scene_xml, tmp_path):
    import drjit as dr

    path = str(tmp_path / "sky.exr")
    mitsuba.Bitmap(np.ones((4, 8, 3), np.float32)).write(path)
    sky = f'<emitter type="envmap"><string name="filename" value="{path}"/></emitter>'
    constant = '<emitter type="constant"><rgb name="radiance" value="0.2, 0.3, 0.4"/></emitter>'
    params = mitsuba.traverse(load(spec_of(scene_xml.replace(constant, sky))).scene)
    (scale,) = [value for name, value in params if name.endswith(".scale")]
    assert scale.state == dr.VarState.Evaluated


SHAPES = {
    "sphere": '<shape type="sphere" id="s">{}</shape>',
    "rectangle": '<shape type="rectangle" id="s">{}</shape>',
    "disk": '<shape type="disk" id="s">{}</shape>',
    "cylinder": '<shape type="cylinder" id="s">{}</shape>',
    "cube": '<shape type="cube" id="s">{}</shape>',
    "instance": '<shape type="shapegroup" id="g"><shape type="cube"/></shape>'
    '<shape type="instance" id="s"><ref id="g"/>{}</shape>',
    "emitter": '<shape type="sphere" id="s"><emitter type="area"><rgb name="radiance" value="5"/></emitter>{}</shape>',
    "mesh": '<shape type="ply" id="s"><string name="filename" value="PLY"/>{}</shape>',
    "curve": '<shape type="bsplinecurve" id="s"><string name="filename" value="CURVE"/>{}</shape>',
}
PLY = """ply
format ascii 1.0
element vertex 4
property float x
property float y
property float z
property float nx
property float ny
property float nz
element face 2
property list uchar int vertex_indices
end_header
-1 -1 0 0.3 0 1
1 -1 0 0 0.5 1
1 1 0 -0.4 0 1
-1 1 0 0.1 -0.2 1
3 0 1 2
3 0 2 3
"""


@pytest.mark.parametrize("name", SHAPES)
def test_every_kind_of_shape_moves_as_its_to_world_would_move_it(name, load, spec_of, tmp_path, camera_xml):
    (tmp_path / "mesh.ply").write_text(PLY)
    (tmp_path / "curve.txt").write_text("-1 0 0 .2\n-.3 .1 0 .2\n.3 0 .2 .2\n1 0 0 .2\n")
    shape = SHAPES[name].replace("PLY", str(tmp_path / "mesh.ply")).replace("CURVE", str(tmp_path / "curve.txt"))

    def scene(transform: str) -> str:
        own = f'<transform name="to_world"><translate x="0.2"/>{transform}</transform>'
        return f'<scene version="3.0.0">{camera_xml}<emitter type="constant"/>{shape.format(own)}</scene>'

    expected = render(load(spec_of(scene('<rotate z="1" angle="40"/><scale value="1.2"/><translate x="0.5" z="1"/>'))))
    keys = {"rotate": {"axis": [0, 0, 1], "angle": 40}, "scale": 1.2, "translate": [0.5, 0, 1], "pivot": [0, 0, 0]}
    moved = render(load(spec_of(scene(""), animate={"s": {"1": keys}})))
    still = render(load(spec_of(scene(""))))
    assert np.abs(moved - expected).mean() < 1e-4
    assert np.abs(still - expected).mean() > 1e-2


def test_the_pivot_is_the_centre_of_the_bounding_box(load, spec_of):
    fs = load(spec_of(animate={"box": {"1": {"scale": 2.0}}}))
    box = next(shape for shape in fs.scene.shapes() if shape.id() == "box").bbox()
    assert_allclose(np.array(box.min).ravel(), [0, -0.5, -1], atol=1e-6)
    assert_allclose(np.array(box.max).ravel(), [2, 1.5, 1], atol=1e-6)


def test_the_film_is_the_shots_or_else_the_scenes(load, spec_of):
    fs = load(spec_of(resolution=(40, 20)))
    assert (fs.width, fs.height) == (40, 20) == tuple(fs.sensor.film().size())
    fs = load(spec_of())
    assert (fs.width, fs.height) == (32, 32)
    assert "BoxFilter" in str(fs.sensor.film())


def test_the_integrator_is_the_shots_and_emitters_hide_as_the_scene_says(load, spec_of, scene_xml):
    xml = scene_xml.replace(
        '<integrator type="path"/>',
        '<integrator type="direct"><boolean name="hide_emitters" value="true"/></integrator>',
    )
    fs = load(spec_of(xml, integrator="volpath", max_depth=7, rr_depth=3))
    assert fs.integrator.class_name().startswith("VolumetricPath") or "volpath" in str(fs.integrator).lower()
    assert (fs.integrator_name, fs.max_depth, fs.rr_depth, fs.hide_emitters) == ("volpath", 7, 3, True)


@pytest.mark.parametrize("name", ["direct", "prb", "volpathmis", "ptracer"])
def test_other_integrators_of_mitsuba_are_taken(name, load, spec_of):
    assert load(spec_of(integrator=name, max_depth=4, rr_depth=5)).integrator_name == name


def test_a_thin_lens_of_the_scene_stays_when_the_shot_moves_the_camera(mitsuba, load, spec_of, scene_xml):
    lens = '<float name="aperture_radius" value="0.2"/><float name="focus_distance" value="3"/>'
    xml = scene_xml.replace('<sensor type="perspective" id="cam">', f'<sensor type="thinlens" id="cam">{lens}')
    kept = mitsuba.traverse(load(spec_of(xml, camera=MOVING_CAMERA)).sensor)
    assert float(kept["aperture_radius"][0]) == pytest.approx(0.2) and kept["focus_distance"] == 3
    named = mitsuba.traverse(load(spec_of(xml, camera={**MOVING_CAMERA, "focus_distance": 5.0})).sensor)
    assert named["focus_distance"] == 5


def test_an_aperture_of_the_shot_makes_a_thin_lens(load, spec_of):
    camera = {**MOVING_CAMERA, "aperture_radius": 0.1, "focus_distance": 4.0}
    assert "ThinLens" in load(spec_of(camera=camera)).sensor.class_name()


def test_a_scene_without_a_sensor_takes_the_shots_camera(load, spec_of, scene_xml, camera_xml):
    xml = scene_xml.replace(camera_xml, "")
    fs = load(spec_of(xml, camera=MOVING_CAMERA, resolution=(16, 8)))
    assert (fs.width, fs.height) == (16, 8)
    with pytest.raises(SceneError, match="no sensor"):
        load(spec_of(xml))


def test_shapes_are_found_by_the_number_of_what_a_ray_hit(load, spec_of):
    import drjit as dr
    import mitsuba as mi

    fs = load(spec_of())
    assert fs.shape_names == ("floor", "ball", "box", "copy", "lamp")
    rays = mi.Ray3f(mi.Point3f([-1, 1, 0, 3], 5, [0, 0, 0, 3]), mi.Vector3f(0, -1, 0))
    rays.o = mi.Point3f([-1, 1, 0, 3], [3, 3, 3, 3], [0, 0, 0, 3])
    si = fs.scene.ray_intersect(rays)
    instance, shape = (dr.reinterpret_array(mi.UInt32, pointer) for pointer in (si.instance, si.shape))
    found = dr.gather(mi.UInt32, mi.UInt32(fs.shape_lookup), dr.select(instance != 0, instance, shape))
    assert [fs.shape_names[i] for i in np.array(found)] == ["ball", "box", "copy", "floor"]


def test_a_damaged_blob_is_refused(load, spec_of, blob_directory):
    spec = spec_of()
    (blob_directory / spec.xml).write_text("<scene/>")
    with pytest.raises(SceneError, match="damaged"):
        load(spec)


def test_a_missing_blob_is_refused(load, spec_of, blob_directory):
    spec = spec_of()
    (blob_directory / spec.xml).unlink()
    with pytest.raises(SceneError, match="missing"):
        load(spec)
