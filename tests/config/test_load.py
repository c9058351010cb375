import pytest

from pipeline.config.load import load_shot, overlaid
from pipeline.errors import ConfigError

YAML = """\
shot: shot_010
scene: scene.xml
frames: 1001-1008
sampling:
  first_spp: 16
  max_spp: 64
denoise: {lambda: 1.5}
"""


@pytest.fixture
def studio(tmp_path, monkeypatch):
    """A directory with one shot, as the current directory; writes the shot's file anew."""
    monkeypatch.chdir(tmp_path)
    directory = tmp_path / "shots" / "shot_010"
    directory.mkdir(parents=True)
    (directory / "scene.xml").write_text("<scene/>")

    def write(text):
        (directory / "shot.yaml").write_text(text)
        return directory

    write(YAML)
    return write


def refusal(where="shot_010", overrides=None):
    with pytest.raises(ConfigError) as error:
        load_shot(where, overrides)
    return str(error.value)


def test_a_shot_is_found_by_name_directory_and_file(studio):
    directory = studio(YAML)
    by_name = load_shot("shot_010")
    assert by_name == load_shot(directory) == load_shot(directory / "shot.yaml") == load_shot("shots/shot_010")
    assert by_name.directory.resolve() == directory


def test_relative_paths_start_from_the_shots_directory(studio):
    directory = studio(YAML)
    assert load_shot("shot_010").scene_path(1001).resolve() == directory / "scene.xml"


def test_an_unknown_key_is_told_with_file_line_and_suggestion(studio):
    studio(YAML.replace("max_spp", "max_sp"))
    assert refusal() == "shots/shot_010/shot.yaml:6: sampling.max_sp: unknown key (did you mean max_spp?)"


def test_a_key_of_another_section_is_told_where_it_belongs(studio):
    studio(YAML + "max_spp: 5\n")
    assert refusal() == "shots/shot_010/shot.yaml:8: max_spp: unknown key (did you mean sampling.max_spp?)"


def test_a_wrong_word_is_told_with_the_nearest_one(studio):
    studio(YAML.replace("first_spp: 16", "guide: varience"))
    assert refusal() == (
        "shots/shot_010/shot.yaml:5: sampling.guide: must be auto, variance, uniform, error or oracle, not 'varience'"
        " (did you mean variance?)"
    )


def test_all_problems_of_a_file_are_told_together_in_its_order(studio):
    studio(YAML.replace("1001-1008", "1008-1001").replace("16", "0").replace("1.5", "11") + "prioritty: 3\n")
    assert refusal().splitlines() == [
        "shots/shot_010/shot.yaml:3: frames: frame range 1008-1001 runs backwards (did you mean 1001-1008?)",
        "shots/shot_010/shot.yaml:5: sampling.first_spp: must be at least 1, not 0",
        "shots/shot_010/shot.yaml:7: denoise.lambda: must be at most 10, not 11",
        "shots/shot_010/shot.yaml:8: prioritty: unknown key (did you mean priority?)",
    ]


def test_a_missing_key_is_told(studio):
    studio("shot: a\nscene: scene.xml\n")
    assert refusal() == "shots/shot_010/shot.yaml: frames: missing"


def test_the_error_carries_place_and_key_of_the_first_problem(studio):
    studio(YAML.replace("16", "0").replace("1.5", "11"))
    with pytest.raises(ConfigError) as error:
        load_shot("shot_010")
    assert (error.value.line, error.value.key, error.value.exit_code) == (5, "sampling.first_spp", 2)


def test_overrides_stand_above_the_file(studio):
    shot = load_shot("shot_010", {"denoise.lambda": 2.0, "sampling.max_spp": 128, "frames": "1001", "camera": None})
    assert (shot.denoise.lambda_, shot.sampling.max_spp, shot.frame_list) == (2.0, 128, [1001])
    assert shot.sampling.first_spp == 16


def test_overrides_leave_the_file_alone(studio):
    load_shot("shot_010", {"denoise.lambda": 2.0})
    assert load_shot("shot_010").denoise.lambda_ == 1.5


def test_an_override_reaches_a_keyframe_by_its_frame(studio):
    studio(YAML + "animate: {ball: {1001: {scale: 2}}}\n")
    shot = load_shot("shot_010", {"animate.ball.1001.scale": 3})
    assert shot.animate["ball"][1001].scale == (3, 3, 3)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ({"denoise.lambda": 11.0}, "--lambda: denoise.lambda: must be at most 10, not 11.0"),
        ({"sampling.max_spp": 8}, "--max-spp: sampling.max_spp: must be at least first_spp, which is 16, not 8"),
        ({"frames": "9-1"}, "--frames: frames: frame range 9-1 runs backwards (did you mean 1-9?)"),
        ({"sampling.max_sp": 8}, "--max-sp: sampling.max_sp: unknown key (did you mean max_spp?)"),
        ({"frames.first": 8}, "--first: frames.first: frames holds no keys"),
        ({"scene": "scenee.xml"}, "--scene: scene: scene scenee.xml does not exist (did you mean scene.xml?)"),
    ],
)
def test_a_wrong_override_is_told_by_its_option(studio, overrides, told):
    assert refusal(overrides=overrides) == told


def test_a_missing_scene_is_told_with_the_nearest_file(studio):
    studio(YAML.replace("scene.xml", "scen.xml"))
    assert refusal() == "shots/shot_010/shot.yaml:2: scene: scene scen.xml does not exist (did you mean scene.xml?)"


def test_a_scene_that_is_a_directory_is_refused(studio):
    directory = studio(YAML.replace("scene.xml", "set.xml"))
    (directory / "set.xml").mkdir()
    assert refusal() == "shots/shot_010/shot.yaml:2: scene: scene set.xml is not a file"


def test_frames_without_a_scene_are_told_as_a_range(studio):
    directory = studio(YAML.replace("scene.xml", "scene.%04d.xml"))
    for frame in (1001, 1002, 1008):
        (directory / f"scene.{frame}.xml").write_text("<scene/>")
    assert refusal() == "shots/shot_010/shot.yaml:2: scene: scene.%04d.xml does not exist for 5 frames: 1003-1007"
    assert load_shot("shot_010", {"frames": "1001-1002"}).scene_path(1002).name == "scene.1002.xml"


def test_all_missing_files_are_told_together(studio):
    studio(YAML + "materials: {floor: ../oak}\n")
    lines = refusal(overrides={"sampling.importance": "mask.exr", "denoise.lambda_map": "map.exr"}).splitlines()
    assert "--importance: sampling.importance: mask mask.exr does not exist" in lines
    assert "--lambda-map: denoise.lambda_map: λ map map.exr does not exist" in lines
    assert "shots/shot_010/shot.yaml:8: materials.floor: material ../oak does not exist" in lines


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"denoise.backend": "kpcn"}, "none are shipped yet (use oidn or none)"),
        (
            {"sampling.guide": "error", "denoise.backend": "none"},
            "guide error predicts the errors of the denoiser kpcn, and denoise.backend is none",
        ),
        ({"sampling.guide": "oracle"}, "guide oracle needs a reference, such as reference.%04d.exr"),
    ],
)
def test_what_needs_weights_is_refused_with_what_to_use_instead(studio, monkeypatch, overrides, words):
    monkeypatch.setattr("pipeline.denoise.weights.shipped", lambda: ())
    told = refusal(overrides=overrides)
    assert words in told
    assert "\n" not in told


def test_the_guide_error_needs_weights_of_its_own(studio, monkeypatch):
    monkeypatch.setattr("pipeline.denoise.weights.shipped", lambda: ("fast",))
    told = refusal(overrides={"denoise.backend": "kpcn", "sampling.guide": "error"})
    assert (
        "guide error needs network weights, and none are shipped yet for preset fast (use variance or uniform)" in told
    )


def test_what_needs_weights_is_told_with_its_line(studio, monkeypatch):
    studio(YAML.replace("lambda: 1.5", "backend: kpcn, preset: paper"))
    monkeypatch.setattr("pipeline.denoise.weights.shipped", lambda: ())
    assert refusal().startswith("shots/shot_010/shot.yaml:7: denoise.backend: ")
    monkeypatch.setattr("pipeline.denoise.weights.shipped", lambda: ("fast",))
    assert refusal().endswith("denoise.preset: preset paper needs network weights, and none are shipped yet (use fast)")


def test_a_network_whose_weights_are_shipped_can_be_asked_for(studio, monkeypatch):
    monkeypatch.setattr("pipeline.denoise.weights.shipped", lambda: ("fast",))
    assert load_shot("shot_010", {"denoise.backend": "kpcn"}).denoise.backend == "kpcn"


def test_a_frozen_shot_takes_other_values_and_its_files_are_not_looked_for(studio):
    frozen = load_shot("shot_010").model_dump(mode="json", by_alias=True)
    frozen["denoise"]["lambda_map"] = "0" * 64 + ".exr"
    shot = overlaid(frozen, {"denoise.lambda": 3.0, "frames": "1002"})
    assert (shot.denoise.lambda_, shot.frame_list, shot.sampling.max_spp) == (3.0, [1002], 64)
    assert overlaid(frozen, {}).model_dump(mode="json", by_alias=True) == frozen
    with pytest.raises(ConfigError, match=r"^--lambda: denoise\.lambda: must be at most 10, not 11$"):
        overlaid(frozen, {"denoise.lambda": 11})


@pytest.mark.parametrize("where", ["shot_01", "no/such/place", "a\0b", "x" * 5000, "../shots"])
def test_what_is_no_shot_is_one_clear_line(studio, where):
    told = refusal(where)
    assert "shot" in told
    assert "\n" not in told
    assert "\0" not in told


def test_a_nearly_right_shot_name_is_suggested(studio):
    assert refusal("shot_01").endswith("(did you mean shot_010?)")


def test_a_directory_without_a_shot_is_refused(studio, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "has no shot.yaml" in refusal(tmp_path / "empty")
