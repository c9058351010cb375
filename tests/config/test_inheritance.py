"""Shows, sequences and shots: the nearest file wins, and every value knows where it stands."""

import pytest

from pipeline.config.explain import settings
from pipeline.config.load import load_explained, load_shot
from pipeline.errors import ConfigError

SHOW = """\
show: dragon
fps: 25
sampling: {max_spp: 512, first_spp: 8}
denoise:
  lambda_map: masks/eyes.exr
"""
SEQUENCE = "sequence: sq010\nsampling:\n  max_spp: 128\n"
SHOT = "shot: a_010\nscene: scene.xml\nframes: 1-4\nsampling:\n  seed: 3\n"


@pytest.fixture
def show(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "show" / "sq" / "a_010"
    folder.mkdir(parents=True)
    (tmp_path / "show" / "masks").mkdir()
    (tmp_path / "show" / "masks" / "eyes.exr").write_bytes(b"")
    (folder / "scene.xml").write_text("<scene/>")
    (folder.parent.parent / "show.yaml").write_text(SHOW)
    (folder.parent / "sequence.yaml").write_text(SEQUENCE)
    (folder / "shot.yaml").write_text(SHOT)
    return folder


def refusal(folder):
    with pytest.raises(ConfigError) as error:
        load_shot(folder.relative_to(folder.parents[2]))
    return str(error.value)


def test_the_nearest_file_wins_key_by_key(show):
    shot = load_shot(show)
    assert (shot.sampling.first_spp, shot.sampling.max_spp, shot.sampling.seed) == (8, 128, 3)
    assert (shot.show, shot.sequence, int(shot.fps)) == ("dragon", "sq010", 25)


def test_paths_start_from_the_file_that_they_stand_in(show):
    shot = load_shot(show)
    assert shot.resolve(shot.denoise.lambda_map).resolve() == (show.parents[1] / "masks" / "eyes.exr").resolve()


def test_errors_name_the_file_that_holds_the_value(show):
    (show.parent / "sequence.yaml").write_text("sampling:\n  max_spp: many\n")
    assert refusal(show) == "show/sq/sequence.yaml:2: sampling.max_spp: must be a whole number, not 'many'"


def test_a_show_names_no_shot(show):
    (show.parents[1] / "show.yaml").write_text("show: dragon\nshot: a_010\n")
    assert refusal(show) == "show/show.yaml:2: shot: show.yaml is for many shots, and names none"


def test_keyframes_are_replaced_as_a_whole(show):
    camera = "camera:\n  fov: 40\n  keyframes:\n    {}: {{origin: [0, 0, 4], target: [0, 0, 0]}}\n"
    (show.parent / "sequence.yaml").write_text(camera.format(1))
    (show / "shot.yaml").write_text(SHOT + camera.format(9).replace("  fov: 40\n", ""))
    found = load_shot(show).camera
    assert found.fov == 40 and list(found.keyframes) == [9]


def test_each_value_says_where_it_came_from(show):
    shot, source = load_explained(show.relative_to(show.parents[2]), {"sampling.rr_depth": 4})
    origins = {each.key: each.origin for each in settings(shot, source)}
    assert origins["sampling.max_spp"] == "show/sq/sequence.yaml:3"
    assert origins["sampling.seed"] == "show/sq/a_010/shot.yaml:5"
    assert origins["sampling.first_spp"] == "show/show.yaml:3"
    assert origins["sampling.rr_depth"] == "--rr-depth"
    assert origins["sampling.max_depth"] == "default"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{shot}/v{version:03}/a.exr", "makes one file of different frames (put {frame:04} into it)"),
        ("{shot}/{frame:04}.exr", "makes one file of different versions (put {version:03} into it)"),
        ("v{version:03}/{frame:04}.exr", "makes one file of different shots (put {shot} into it)"),
        ("{shot}/v{version}/{fram:04}.exr", "did you mean frame?"),
        ("../{shot}/v{version}/{frame}.exr", "must be a path below the store"),
        ("{shot}/v{version}/{frame}.png", "must end in .exr"),
    ],
)
def test_templates_that_collide_are_refused_with_their_line(show, template, message):
    (show / "shot.yaml").write_text(SHOT + f'output:\n  frames: "{template}"\n')
    told = refusal(show)
    assert told.startswith("show/sq/a_010/shot.yaml:7: output.frames: ") and message in told
