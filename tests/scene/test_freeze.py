"""Freezing a shot's scenes, and the messages for all that can be wrong with them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config.shot import Shot
from pipeline.errors import SceneError
from pipeline.scene import spec
from pipeline.scene.fingerprint import fingerprint
from pipeline.scene.freeze import freeze
from pipeline.scene.spec import FrozenScene

OBJ = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"


@pytest.fixture
def shot(tmp_path: Path) -> Callable[..., Shot]:
    """Scene text (or file name → text) and shot keys → a shot in a directory of its own."""

    def make(texts: str | dict[str, str], **keys: Any) -> Shot:
        folder = tmp_path / "shot"
        for name, text in ({"scene.xml": texts} if isinstance(texts, str) else texts).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return Shot(**{"shot": "shot_010", "scene": "scene.xml", "frames": "1-2", **keys}).at(folder)

    return make


@pytest.fixture
def refusal(blob_directory: Path) -> Callable[[Shot], list[str]]:
    """The lines with which a shot is refused."""

    def lines(shot: Shot) -> list[str]:
        with pytest.raises(SceneError) as refused:
            freeze(shot, shot.frame_list, blob_directory)
        assert refused.value.exit_code == 2
        return [line.replace(f"{shot.directory}/", "") for line in str(refused.value).splitlines()]

    return lines


def wrapped(camera: str, inside: str) -> str:
    return f'<scene version="3.0.0">{camera}\n{inside}\n</scene>'


# --- What is frozen -----------------------------------------------------------------------------------------------


def test_a_frozen_scene_keeps_ids_and_is_loaded_without_its_source(mitsuba, shot, blob_directory, scene_xml):
    from pipeline.scene.load import load

    taken = shot(scene_xml.replace('type="cube" id="box"', 'type="cube"'), resolution=[16, 16])
    frozen = freeze(taken, [1, 2], blob_directory)
    assert list(frozen) == ["*"]
    assert frozen["*"].shapes == ("floor", "ball", "cube_1", "copy", "lamp")
    assert frozen["*"].bsdfs == ("grey",)
    shutil.rmtree(taken.directory)
    config = taken.model_dump(mode="json", by_alias=True)
    fs = load(spec.of(config, frozen, 2), 2, blob_directory)
    assert fs.shape_names == ("floor", "ball", "cube_1", "copy", "lamp")
    assert (fs.width, fs.max_depth, fs.rr_depth) == (16, 8, 5)


def test_scenes_of_others_render_the_same_after_freezing(mitsuba, shared_scene, blob_directory):
    from pipeline.scene.load import load

    keys = {"shot": "theirs", "scene": "scene.xml", "frames": "1", "resolution": [32, 24]}
    theirs = Shot(**keys).at(shared_scene.parent)
    frozen = freeze(theirs, [1], blob_directory)
    fs = load(spec.of(theirs.model_dump(mode="json", by_alias=True), frozen, 1), 1, blob_directory)
    plain = mitsuba.load_file(str(shared_scene), resx=32, resy=24, optimize=False, parallel=False)
    integrator = mitsuba.load_dict({"type": "path", "max_depth": 8})
    film = {"type": "hdrfilm", "width": 32, "height": 24, "rfilter": {"type": "box"}}
    params = mitsuba.traverse(plain.sensors()[0])
    sensor = mitsuba.load_dict(
        {
            "type": "perspective",
            "fov": float(params["x_fov"][0]),
            "to_world": mitsuba.ScalarTransform4f(np.array(params["to_world"].matrix).reshape(4, 4)),
            "film": film,
        }
    )
    ours = np.array(mitsuba.render(fs.scene, sensor=fs.sensor, integrator=fs.integrator, spp=64, seed=0))[..., :3]
    expected = np.array(mitsuba.render(plain, sensor=sensor, integrator=integrator, spp=64, seed=0))[..., :3]
    assert np.abs(ours - expected).mean() < 1e-3 * max(expected.mean(), 1e-3)


def test_the_blob_of_a_scene_does_not_depend_on_where_it_lies(shot, camera_xml, tmp_path):
    text = wrapped(camera_xml, '<shape type="obj"><string name="filename" value="m.obj"/></shape>')
    here = shot({"scene.xml": text, "m.obj": OBJ})
    there = tmp_path / "elsewhere"
    shutil.copytree(here.directory, there)
    first = freeze(here, [1], tmp_path / "a")
    second = freeze(here.at(there), [1], tmp_path / "b")
    assert first["*"].xml == second["*"].xml and first["*"].files == second["*"].files
    assert fingerprint(first) == fingerprint(second)
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == sorted([first["*"].xml, *first["*"].files])


def test_editing_a_file_after_freezing_changes_the_fingerprint_and_not_the_frozen_scene(
    shot, camera_xml, blob_directory
):
    text = wrapped(camera_xml, '<shape type="obj"><string name="filename" value="m.obj"/></shape>')
    taken = shot({"scene.xml": text, "m.obj": OBJ})
    before = freeze(taken, [1], blob_directory)
    (taken.directory / "m.obj").write_text(OBJ.replace("v 1 0 0", "v 2 0 0"))
    after = freeze(taken, [1], blob_directory)
    assert fingerprint(before) != fingerprint(after)
    (kept,) = before["*"].files
    assert (blob_directory / kept).read_text() == OBJ


def test_includes_defaults_and_spectra_are_resolved(mitsuba, shot, camera_xml, blob_directory):
    from pipeline.scene import nodes

    part = '<scene version="3.0.0"><shape type="obj" id="t"><string name="filename" value="$mesh"/></shape></scene>'
    main = wrapped(
        camera_xml,
        '<default name="mesh" value="meshes/m.obj"/><default name="r" value="0.25"/><include filename="inc/part.xml"/>'
        '<shape type="sphere" id="s"><float name="radius" value="$r"/></shape>'
        '<emitter type="constant"><spectrum name="radiance" filename="sky.spd"/></emitter>',
    )
    taken = shot(
        {"scene.xml": main, "inc/part.xml": part, "meshes/m.obj": OBJ, "sky.spd": "400 0.5\n500 0.25\n700 1.5\n"}
    )
    frozen = freeze(taken, [1], blob_directory)["*"]
    state = nodes.parse_text((blob_directory / frozen.xml).read_text())
    props = {node.props.id() or node.props.plugin_name(): node.props for node in state.nodes}
    assert frozen.shapes == ("t", "s")
    assert props["s"]["radius"] == 0.25
    assert list(props["constant_1"]["radiance"].values) == [0.5, 0.25, 1.5]
    assert frozen.files == {props["t"]["filename"]: "meshes/m.obj"}


def test_a_large_file_stays_where_it_is_and_is_checked_when_loaded(mitsuba, shot, camera_xml, blob_directory):
    from pipeline.scene.load import load

    text = wrapped(camera_xml, '<shape type="obj"><string name="filename" value="m.obj"/></shape>')
    taken = shot({"scene.xml": text, "m.obj": OBJ})
    frozen = freeze(taken, [1], blob_directory, copy_limit=8)
    assert list(frozen["*"].references.values()) == [str(taken.directory / "m.obj")]
    assert [path.suffix for path in blob_directory.iterdir()] == [".xml"]
    config = taken.model_dump(mode="json", by_alias=True)
    assert load(spec.of(config, frozen, 1), 1, blob_directory).shape_names == ("obj_1",)
    (taken.directory / "m.obj").write_text(OBJ + "\n")
    with pytest.raises(SceneError, match="has changed since"):
        load(spec.of(config, frozen, 1), 1, blob_directory)


def test_a_pattern_freezes_each_frame(shot, camera_xml, blob_directory):
    sphere = '<shape type="sphere"><float name="radius" value="{}"/></shape>'
    scenes = {f"s.{frame:04d}.xml": wrapped(camera_xml, sphere.format(frame)) for frame in (1, 2)}
    frozen = freeze(shot(scenes, scene="s.%04d.xml"), [1, 2], blob_directory)
    assert list(frozen) == ["1", "2"] and frozen["1"].xml != frozen["2"].xml


PYTHON = """
import numpy as np
import mitsuba as mi
def build(frame):
    print("hello from", frame)
    return {
        "type": "scene",
        "cam": {"type": "perspective", "to_world": mi.ScalarTransform4f().look_at([0, 0, 4], [0, 0, 0], [0, 1, 0])},
        "ball": {"type": "sphere", "center": [FRAME, 0, 0], "bsdf": {"type": "diffuse", "reflectance": {"type": "rgb",
            "value": [0.1, 0.2, 0.3]}}},
        "wall": {"type": "rectangle", "bsdf": {"type": "diffuse", "reflectance": PIXELS}},
        "mesh": mi.load_dict({"type": "cube"}),
        "light": {"type": "constant"},
    }
"""
BITMAP = '{"type": "bitmap", "bitmap": mi.Bitmap(np.full((2, 3, 3), 128, np.uint8)), "raw": False}'
TENSOR = '{"type": "bitmap", "data": np.full((2, 3, 3), 0.25), "raw": True}'


def test_a_python_scene_that_stands_still_is_frozen_once(mitsuba, shot, blob_directory):
    from pipeline.scene.load import load

    taken = shot({"scene.py": PYTHON.replace("FRAME", "0").replace("PIXELS", BITMAP)}, scene="scene.py")
    frozen = freeze(taken, [1, 2, 3], blob_directory)
    assert list(frozen) == ["*"]
    assert frozen["*"].shapes == ("ball", "wall", "mesh")
    assert frozen["*"].bsdfs == ("ball.bsdf", "wall.bsdf")
    fs = load(spec.of(taken.model_dump(mode="json", by_alias=True), frozen, 1), 1, blob_directory)
    pixels = mitsuba.traverse(fs.scene)["wall.bsdf.reflectance.data"]
    assert np.array(pixels).mean() == pytest.approx(((128 / 255 + 0.055) / 1.055) ** 2.4, rel=1e-3)


def test_a_python_scene_that_moves_is_frozen_frame_by_frame(mitsuba, shot, blob_directory):
    from pipeline.scene.load import load

    taken = shot({"scene.py": PYTHON.replace("FRAME", "frame").replace("PIXELS", TENSOR)}, scene="scene.py")
    frozen = freeze(taken, [1, 2], blob_directory)
    assert list(frozen) == ["1", "2"]
    config = taken.model_dump(mode="json", by_alias=True)
    fs = load(spec.of(config, frozen, 1), 1, blob_directory)
    assert np.array(mitsuba.traverse(fs.scene)["wall.bsdf.reflectance.data"]).ravel() == pytest.approx(0.25)
    ball = fs.shapes[fs.shape_names.index("ball")]
    assert ball.valid_next and not ball.valid_previous
    assert ball.to_next[:3, 3] == pytest.approx([1, 0, 0])


def test_frozen_scenes_survive_json():
    scene = FrozenScene("a.xml", {"b.obj": "m.obj"}, {}, ("s",), ("m",), ("careful",))
    assert FrozenScene.from_json(scene.to_json()) == scene


def test_a_scene_may_name_an_integrator_and_a_film_that_mitsuba_no_longer_has(mitsuba, shot, scene_xml, blob_directory):
    from pipeline.scene.load import load

    old = scene_xml.replace(
        '<integrator type="path"/>', '<integrator type="bdpt"><integer name="x" value="1"/></integrator>'
    )
    taken = shot(old.replace('type="hdrfilm"', 'type="ldrfilm"'))
    frozen = freeze(taken, [1], blob_directory)
    fs = load(spec.of(taken.model_dump(mode="json", by_alias=True), frozen, 1), 1, blob_directory)
    assert (fs.width, fs.integrator_name) == (32, "path")
    assert "'bdpt' gives way to the shot's 'path'" in "".join(frozen["*"].warnings)


# --- What is refused ----------------------------------------------------------------------------------------------


def test_everything_that_is_missing_is_told_at_once(shot, refusal, camera_xml):
    scene = wrapped(
        camera_xml,
        """<shape type="obj"><string name="filename" value="meshes/wal.obj"/></shape>
<shape type="ply"><string name="filename" value="chair.ply"/></shape>
<bsdf type="diffuse"><texture type="bitmap" name="reflectance"><string name="filename" value="textures/oak.png"/>
</texture></bsdf>
<emitter type="constant"><spectrum name="radiance" filename="sky.spd"/></emitter>
<include filename="lights.xml"/>
<bsdf type="difuse"/>
""",
    )
    taken = shot(
        {"scene.xml": scene, "meshes/wall.obj": OBJ, "geo/chair.ply": ""},
        animate={"bal": {1: {"scale": 2.0}}},
        materials={"oak": "assets/oak"},
    )
    lines = refusal(taken)
    assert lines[:6] == [
        "scene.xml:7: missing file: meshes/wal.obj (did you mean 'wall.obj'?)",
        "scene.xml:8: missing file: chair.ply (there is geo/chair.ply)",
        "scene.xml:9: missing file: textures/oak.png",
        "scene.xml:11: missing file: sky.spd",
        "scene.xml:12: missing file: lights.xml",
        "scene.xml:13: there is no bsdf plugin 'difuse' (did you mean 'diffuse'?)",
    ]
    assert lines[6:] == [
        "materials.oak: missing asset assets/oak",
        "animate.bal: no shape of scene.xml has this id",
        "materials.oak: no BSDF of scene.xml has this id",
    ]


SPHERE = '<shape type="sphere" id="ball"/>'


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ("<shape type='sphere'>", "scene.xml:8: malformed XML: start-end tags mismatch"),
        ("<!DOCTYPE scene [<!ENTITY x SYSTEM 'file:///etc/hostname'>]>", "scene.xml:7: a DOCTYPE is not allowed"),
        ('<shape type="spher"/>', "scene.xml:7: there is no shape plugin 'spher' (did you mean 'sphere'?)"),
        (
            '<shape type="sphere"><float name="radiuss" value="1"/></shape>\n'
            '<shape type="cube"><string name="x" value="y"/></shape>',
            "scene.xml:8: shape 'cube' has no property 'x'",
        ),
        ('<ref id="nobody"/>', 'unresolved reference to "nobody"'),
        (f"{SPHERE}\n{SPHERE}", 'scene.xml:8: duplicate ID: "ball"'),
        ('<shape type="sphere"><float name="radius" value="one"/></shape>', "could not parse floating point"),
        ('<shape type="obj"><string name="filename" value="$gone"/></shape>', "undefined parameter"),
    ],
)
def test_a_scene_that_mitsuba_cannot_read_is_refused_with_its_line(inside, message, shot, refusal, camera_xml):
    lines = refusal(shot(wrapped(camera_xml, inside)))
    assert any(message in line for line in lines), lines


def test_all_unknown_properties_and_unreadable_files_are_told_at_once(shot, refusal, camera_xml):
    texture = '<texture type="bitmap" name="reflectance"><string name="filename" value="{}"/></texture>'
    scene = wrapped(
        camera_xml,
        '<shape type="ply"><string name="filename" value="cut.ply"/></shape>\n'
        f'<shape type="sphere"><bsdf type="diffuse">{texture.format("cut.png")}</bsdf></shape>\n'
        f'<shape type="sphere"><bsdf type="diffuse">{texture.format("empty.exr")}</bsdf></shape>',
    )
    ply = "ply\nformat binary_little_endian 1.0\nelement vertex 9\nproperty float x\nproperty float y\n"
    ply += "property float z\nelement face 1\nproperty list uchar int vertex_indices\nend_header\nabc"
    taken = shot({"scene.xml": scene, "cut.ply": ply, "empty.exr": ""})
    (taken.directory / "cut.png").write_bytes(bytes.fromhex("89504e470d0a1a0a0000000d49484452"))
    lines = refusal(taken)
    assert [line.partition(": ")[0] for line in lines] == ["scene.xml:7", "scene.xml:8", "scene.xml:9"], lines
    assert "cut.ply" in lines[0] and "cut.png" in lines[1] and "empty.exr" in lines[2]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"animate": {"bal": {1: {}}}}, "animate.bal: no shape of scene.xml has this id (did you mean 'ball'?)"),
        ({"animate": {"grey": {1: {}}}}, "animate.grey: is a bsdf in scene.xml, not a shape"),
        ({"animate": {"inner": {1: {}}}}, "animate.inner: is part of a shape group in scene.xml; animate the instance"),
        ({"materials": {"gray": "."}}, "materials.gray: no BSDF of scene.xml has this id (did you mean 'grey'?)"),
        ({"materials": {"grey": "oak"}}, "materials.grey: missing asset oak"),
        (
            {"sampling": {"integrator": "volpth"}},
            "sampling.integrator: there is no plugin 'volpth' (did you mean 'volpath'?)",
        ),
        ({"sampling": {"integrator": "sphere"}}, "sampling.integrator: 'sphere' is not an integrator"),
    ],
)
def test_names_in_the_shot_that_the_scene_lacks_are_refused(keys, message, shot, refusal, scene_xml):
    assert message in refusal(shot(scene_xml, **keys))


def test_a_camera_that_passes_through_its_target_is_refused_at_that_frame(shot, refusal, scene_xml):
    keys = {1: {"origin": [0, 0, 4], "target": [0, 0, 0]}, 3: {"origin": [0, 0, -4], "target": [0, 0, 0]}}
    lines = refusal(shot(scene_xml, camera={"fov": 40, "keyframes": keys}, frames="1-3"))
    assert lines == ["camera.keyframes: at frame 2 origin and target are the same point"]


def test_a_film_without_pixels_is_refused(shot, refusal, scene_xml):
    lines = refusal(shot(scene_xml.replace('name="width" value="32"', 'name="width" value="0"')))
    assert lines == ["scene.xml: the film has 0×32 pixels; set resolution in the shot, or mend the film"]


def test_a_scene_without_a_sensor_needs_a_camera(shot, refusal, scene_xml, camera_xml):
    assert refusal(shot(scene_xml.replace(camera_xml, ""))) == ["scene.xml: has no sensor, and the shot no camera"]


def test_a_scene_that_is_not_there_is_refused(shot, refusal):
    assert refusal(shot({}, scene="nope.xml")) == ["nope.xml: no such file or directory"]
    lines = refusal(shot({}, scene="nope.%04d.xml"))
    assert lines == [f"nope.000{frame}.xml: no such file or directory" for frame in (1, 2)]


def python_scene(body: str) -> str:
    return f"import mitsuba as mi\nimport os\ndef build(frame):\n    {body}\n"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "return {'type': 'scene', 'walls': {'type': 'cube', 'bsdf': {'type': 'diffuse', 'reflectance': None}}}",
            "scene.py: walls.bsdf.reflectance: is None; leave the key out, or give it a value",
        ),
        ("return {'type': 'scene', 'ball': None}", "scene.py: ball: is None; leave the key out, or give it a value"),
        ("return None", 'scene.py: build(1) must return a dict with "type": "scene"'),
        ("return frame / 0", "scene.py:4: ZeroDivisionError: division by zero in build(1)"),
        ("return {'type': 'scene', 'a': {'type': 'spher'}}", "scene.py: a: there is no Mitsuba plugin 'spher'"),
        (
            "return {'type': 'scene', 'a': {'type': 'ply', 'filename': 'x.ply'}}",
            "scene.py: a.filename: missing file: x.ply",
        ),
        ("return {'type': 'scene', 'a': {'type': 'sphere', 'radius': [1, 2]}}", "[a.radius] could not assign"),
        (
            "return {'type': 'scene', 'a': mi.load_dict({'type': 'sphere'})}",
            "scene.py: a is a live Sphere, which cannot be kept",
        ),
        ("os.abort()", "was ended by SIGABRT while running build(1) of"),
    ],
)
def test_a_python_scene_that_is_wrong_is_refused_by_the_path_of_its_key(body, message, shot, refusal):
    lines = refusal(shot({"scene.py": python_scene(body)}, scene="scene.py"))
    assert any(message in line for line in lines), lines


def test_a_python_scene_that_does_not_compile_is_refused_with_its_line(shot, refusal):
    lines = refusal(shot({"scene.py": "def build(frame):\n    return {\n"}, scene="scene.py"))
    assert lines[0].startswith("scene.py:2: SyntaxError: ")


def test_what_is_replaced_or_ignored_is_told_as_warnings(shot, blob_directory, scene_xml, camera_xml):
    xml = scene_xml.replace('<integrator type="path"/>', '<integrator type="volpath"/>')
    xml = xml.replace('name="height" value="32"/>', 'name="height" value="32"/><integer name="crop_width" value="4"/>')
    warnings = freeze(shot(xml), [1], blob_directory)["*"].warnings
    assert any("crop is ignored" in line for line in warnings)
    assert any("'volpath' gives way to the shot's 'path'" in line for line in warnings)
