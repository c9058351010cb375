from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.config.shot import Shot
from pipeline.errors import ConfigError

MINIMAL = {"shot": "shot_010", "scene": "scene.xml", "frames": "1001-1008"}
CAMERA = {"origin": [0, 1, 4], "target": [0, 1, 0]}


def faults(data):
    """Places and types of what is wrong with a shot."""
    with pytest.raises(ValidationError) as error:
        Shot.model_validate({**MINIMAL, **data})
    return {".".join(str(key) for key in details["loc"]) for details in error.value.errors()}


def test_three_keys_make_a_shot():
    shot = Shot.model_validate(MINIMAL)
    assert (shot.fps, shot.resolution, shot.camera, shot.priority) == (24, None, None, 5)
    assert (shot.sampling.guide, shot.denoise.backend, shot.denoise.lambda_, shot.denoise.radius) == (
        "auto",
        "kpcn",
        1,
        1,
    )
    assert shot.frame_list == list(range(1001, 1009))


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ({"shot": "../escape"}, "shot"),
        ({"shot": ".hidden"}, "shot"),
        ({"shot": "a/b"}, "shot"),
        ({"shot": "a\n"}, "shot"),
        ({"shot": "a" * 200}, "shot"),
        ({"shot": 10}, "shot"),
        ({"scene": "scene.blend"}, "scene"),
        ({"scene": "%04d.%04d.xml"}, "scene"),
        ({"scene": "%04d/scene.xml"}, "scene"),
        ({"scene": "a\0.xml"}, "scene"),
        ({"frames": "1008-1001"}, "frames"),
        ({"frames": ""}, "frames"),
        ({"frames": None}, "frames"),
        ({"frames": True}, "frames"),
        ({"fps": 0}, "fps"),
        ({"fps": "fast"}, "fps"),
        ({"resolution": [0, 270]}, "resolution"),
        ({"resolution": [480, -1]}, "resolution"),
        ({"resolution": [32769, 1]}, "resolution"),
        ({"resolution": [480.5, 270]}, "resolution"),
        ({"resolution": [480]}, "resolution"),
        ({"resolution": [True, True]}, "resolution"),
        ({"resolution": "480x270"}, "resolution"),
        ({"priority": 10}, "priority"),
        ({"priority": -1}, "priority"),
        ({"priority": "5"}, "priority"),
        ({"materials": {"floor": 5}}, "materials.floor"),
        ({"animate": {"ball": {}}}, "animate.ball"),
        ({"sampling": None}, "sampling"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_wrong_value_is_refused_at_its_key(data, place):
    assert faults(data) == {place}


@pytest.mark.parametrize(
    ("sampling", "key"),
    [
        ({"first_spp": 0}, "first_spp"),
        ({"max_spp": 2**20 + 1}, "max_spp"),
        ({"first_spp": 32, "max_spp": 16}, "max_spp"),
        ({"budget_spp": 8}, "budget_spp"),
        ({"target_error": 0}, "target_error"),
        ({"target_error": 1.0}, "target_error"),
        ({"target_error": float("nan")}, "target_error"),
        ({"guide": "luck"}, "guide"),
        ({"combination": "mean"}, "combination"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**31}, "seed"),
        ({"seed": 1.0}, "seed"),
        ({"max_depth": 0}, "max_depth"),
        ({"max_depth": -2}, "max_depth"),
        ({"rr_depth": 0}, "rr_depth"),
        ({"integrator": "Path; rm"}, "integrator"),
        ({"importance": "mask.jpg"}, "importance"),
    ],
)
def test_sampling_out_of_range_is_refused_at_its_key(sampling, key):
    assert faults({"sampling": sampling}) == {f"sampling.{key}"}


@pytest.mark.parametrize("lambda_", [0.99, 10.01, float("inf"), "2", True])
def test_lambda_outside_one_to_ten_is_refused(lambda_):
    assert faults({"denoise": {"lambda": lambda_}}) == {"denoise.lambda"}
    assert faults({"denoise": {"lambda_by_shape": {"ball": lambda_}}}) == {"denoise.lambda_by_shape.ball"}


def test_the_python_name_of_lambda_is_no_key():
    assert faults({"denoise": {"lambda_": 2.0}}) == {"denoise.lambda_"}


@pytest.mark.parametrize(
    ("keyframe", "words"),
    [
        ({"target": [0, 1, 4]}, "origin equals its target"),
        ({"origin": [1e6, 0, 0], "target": [1e6 + 1e-3, 0, 0]}, "origin equals its target"),
        ({"up": [0, 0, 0]}, "up must not be"),
        ({"up": [0, 0, -3]}, "parallel"),
        ({"up": [0, 0, 1]}, "parallel"),
        ({"origin": [0, 1]}, "three finite numbers"),
        ({"origin": [0, 1, float("inf")]}, "three finite numbers"),
        ({"origin": "0 1 4"}, "three finite numbers"),
        ({"eye": [0, 0, 0]}, "Extra inputs"),
    ],
)
def test_a_camera_that_cannot_see_is_refused(keyframe, words):
    data = {**MINIMAL, "camera": {"fov": 45, "keyframes": {1001: {**CAMERA, **keyframe}}}}
    with pytest.raises(ValidationError, match=words):
        Shot.model_validate(data)


@pytest.mark.parametrize(
    ("camera", "place"),
    [
        ({"fov": 0}, "camera.fov"),
        ({"fov": 180}, "camera.fov"),
        ({"fov_axis": "z"}, "camera.fov_axis"),
        ({"keyframes": {}}, "camera.keyframes"),
        ({"aperture_radius": 0, "focus_distance": 1}, "camera.aperture_radius"),
        ({"focus_distance": 1}, "camera.focus_distance"),
        ({"aperture_radius": 0.1}, "camera"),
    ],
)
def test_a_lens_that_cannot_be_is_refused(camera, place):
    assert faults({"camera": {"fov": 45, "keyframes": {1001: CAMERA}, **camera}}) == {place}


@pytest.mark.parametrize("frame", ["x", 1.5, True, None, 2**31])
def test_a_keyframe_stands_at_a_frame(frame):
    places = faults({"camera": {"fov": 45, "keyframes": {frame: CAMERA}}})
    assert len(places) == 1
    assert places.pop().startswith("camera.keyframes")


@pytest.mark.parametrize(
    ("keyframe", "place"),
    [
        ({"translat": [0, 0, 0]}, "translat"),
        ({"translate": [0, 0]}, "translate"),
        ({"scale": 0}, "scale"),
        ({"scale": [1, 0, 1]}, "scale"),
        ({"scale": [1, 1]}, "scale"),
        ({"scale": "big"}, "scale"),
        ({"rotate": {"axis": [0, 0, 0], "angle": 1}}, "rotate.axis"),
        ({"rotate": {"axis": [0, 1, 0]}}, "rotate.angle"),
        ({"rotate": 90}, "rotate"),
        ({"pivot": 1}, "pivot"),
    ],
)
def test_a_wrong_shape_keyframe_is_refused_at_its_key(keyframe, place):
    assert faults({"animate": {"ball": {1001: keyframe}}}) == {f"animate.ball.1001.{place}"}


def test_a_scale_is_kept_as_three_factors():
    shot = Shot.model_validate({**MINIMAL, "animate": {"ball": {1: {"scale": 2}, 2: {"scale": [1, -2, 3]}}}})
    assert [keyframe.scale for keyframe in shot.animate["ball"].values()] == [(2, 2, 2), (1, -2, 3)]


def test_keyframes_are_in_the_order_of_frames():
    shot = Shot.model_validate({**MINIMAL, "animate": {"ball": {"12": {}, 3: {}, -1: {}}}})
    assert list(shot.animate["ball"]) == [-1, 3, 12]


def test_frame_patterns_name_a_file_per_frame():
    shot = Shot.model_validate({**MINIMAL, "scene": "set/scene.%04d.xml"}).at(Path("/shots/a"))
    assert shot.scene_per_frame
    assert shot.scene_path(7) == Path("/shots/a/set/scene.0007.xml")
    assert shot.scene_path(-3) == Path("/shots/a/set/scene.-003.xml")


def test_a_scene_without_a_pattern_serves_all_frames():
    shot = Shot.model_validate({**MINIMAL, "scene": "50%.xml"}).at(Path("/shots/a"))
    assert not shot.scene_per_frame
    assert shot.scene_path(1) == shot.scene_path(2) == Path("/shots/a/50%.xml")


def test_the_directory_is_no_part_of_the_shot():
    shot = Shot.model_validate(MINIMAL)
    moved = shot.at(Path("/elsewhere"))
    assert moved == shot
    assert hash(moved) == hash(shot)
    assert moved.model_dump_json() == shot.model_dump_json()
    assert moved.resolve("a.exr") == Path("/elsewhere/a.exr")
    assert moved.resolve("/b/a.exr") == Path("/b/a.exr")


def test_a_shot_of_plain_data_has_no_directory_to_start_from():
    with pytest.raises(ConfigError, match="not loaded from a file"):
        _ = Shot.model_validate(MINIMAL).directory


def test_shots_that_differ_are_not_equal():
    assert Shot.model_validate(MINIMAL) != Shot.model_validate({**MINIMAL, "sampling": {"seed": 1}})
    assert Shot.model_validate(MINIMAL) != "shot_010"


def test_shots_are_immutable():
    with pytest.raises(ValidationError, match="frozen"):
        Shot.model_validate(MINIMAL).priority = 9


def test_every_key_is_described_for_the_reference():
    def undescribed(schema, place):
        for name, field in schema.get("properties", {}).items():
            if "description" not in field:
                yield f"{place}.{name}"
        for name, definition in schema.get("$defs", {}).items():
            yield from undescribed(definition, name)

    assert list(undescribed(Shot.model_json_schema(), "Shot")) == []


finite = st.floats(-100, 100).map(lambda x: round(x, 3))
vectors = st.tuples(finite, finite, finite)
shape_keyframes = st.fixed_dictionaries(
    {},
    optional={
        "translate": vectors,
        "scale": st.one_of(st.floats(0.1, 5), st.lists(st.floats(0.1, 5), min_size=3, max_size=3)),
        "pivot": st.one_of(st.none(), vectors),
        "rotate": st.fixed_dictionaries({"axis": st.just([0, 1, 0]), "angle": finite}),
    },
)
shots = st.fixed_dictionaries(
    {
        "shot": st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,20}\Z"),
        "scene": st.sampled_from(["scene.xml", "a b/scène.%04d.xml", "build.py"]),
        "frames": st.sets(st.integers(-50, 2000), min_size=1, max_size=9).map(lambda s: ",".join(map(str, s))),
    },
    optional={
        "fps": st.sampled_from([24, 25, 23.976, "30000/1001", Fraction(25, 2)]),
        "resolution": st.one_of(st.none(), st.tuples(st.integers(1, 32768), st.integers(1, 32768))),
        "camera": st.fixed_dictionaries(
            {
                "fov": st.floats(0.1, 179),
                "keyframes": st.dictionaries(
                    st.integers(-50, 2000), st.just({"origin": [0, 1, 4], "target": [0, 1, 0]}), min_size=1, max_size=3
                ),
            }
        ),
        "animate": st.dictionaries(
            st.text(min_size=1, max_size=8),
            st.dictionaries(st.integers(1, 99), shape_keyframes, min_size=1, max_size=3),
            max_size=2,
        ),
        "sampling": st.fixed_dictionaries(
            {}, optional={"first_spp": st.integers(1, 64), "seed": st.integers(0, 2**31 - 1)}
        ),
        "denoise": st.fixed_dictionaries(
            {}, optional={"lambda": st.floats(1, 10), "lambda_by_shape": st.just({"ball": 2})}
        ),
        "priority": st.integers(0, 9),
    },
)


@settings(max_examples=80, deadline=None)
@given(shots)
def test_shots_survive_json(data):
    shot = Shot.model_validate(data)
    assert Shot.model_validate(shot.model_dump(mode="json")) == shot
    assert Shot.model_validate_json(shot.model_dump_json()) == shot
    assert shot.model_dump(mode="json")["denoise"]["lambda"] == shot.denoise.lambda_


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(Shot.model_fields)), json_values)
def test_any_value_of_a_key_is_taken_or_refused_and_never_crashes(key, value):
    try:
        shot = Shot.model_validate({**MINIMAL, key: value})
    except ValidationError as error:
        assert all(details["loc"][0] == key for details in error.errors())
    else:
        assert Shot.model_validate(shot.model_dump(mode="json")) == shot
