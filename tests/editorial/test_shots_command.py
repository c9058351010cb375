import json

import opentimelineio as otio
import pytest
from click.testing import CliRunner

from pipeline.cli.shots import shots
from pipeline.errors import ConfigError


@pytest.fixture
def add_shot(tmp_path):
    (tmp_path / "shot_010").mkdir()
    (tmp_path / "shot_010" / "shot.yaml").write_text("shot: shot_010\nscene: scene.xml\nframes: 1\n")
    (tmp_path / "shot_010" / "scene.xml").write_text("<scene/>")


@pytest.mark.usefixtures("add_shot")
def test_shots_are_listed_with_their_ranges(write, clip):
    result = CliRunner().invoke(shots, [str(write(clip("sh010", mark={"handles": 2})))])
    assert result.exit_code == 0
    assert result.stdout == "shot_010  999-1010  12 frames, 24 fps  'sh010' at 0\n"


@pytest.mark.usefixtures("add_shot")
def test_json_is_one_document_on_stdout(write, clip):
    path = write(clip("sh010"))
    result = CliRunner().invoke(shots, [str(path), "--json"])
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["edit"] == str(path)
    assert document["problems"] == []
    (shot,) = document["shots"]
    assert (shot["shot"], shot["frames"], shot["count"], shot["fps"]) == ("shot_010", "1001-1008", 8, "24")
    assert shot["clips"] == [
        {
            "clip": "sh010",
            "track": "V1",
            "frames": "1001-1008",
            "handles": 0,
            "offset": "0",
            "notes": ["has no media yet"],
        }
    ]


@pytest.mark.parametrize("json_flag", [[], ["--json"]])
def test_problems_end_with_the_exit_code_of_bad_input(write, clip, json_flag):
    path = write(clip("slow", effects=[otio.schema.FreezeFrame()]))
    result = CliRunner().invoke(shots, [str(path), *json_flag])
    assert result.exit_code == 2
    assert "clip 'slow': is retimed by a FreezeFrame" in (result.stdout if json_flag else result.stderr)


def test_a_shot_that_cannot_be_loaded_is_a_problem(write, clip):
    result = CliRunner().invoke(shots, [str(write(clip("a", shot="nowhere")))])
    assert result.exit_code == 2
    assert "shot nowhere: there is no shot 'nowhere'" in result.stderr
    assert result.stdout.startswith("nowhere  1001-1008")


def test_an_edit_without_shots_is_no_error_and_says_how_to_name_them(write, time_range):
    result = CliRunner().invoke(shots, [str(write(otio.schema.Clip("plate", source_range=time_range(0, 5))))])
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no clip names a shot" in result.stderr


def test_an_unreadable_edit_is_a_config_error(tmp_path):
    (tmp_path / "edit.otio").write_text("{")
    with pytest.raises(ConfigError, match="truncated"):
        CliRunner().invoke(shots, [str(tmp_path / "edit.otio")], catch_exceptions=False)
