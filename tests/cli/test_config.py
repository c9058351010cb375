"""`pipeline config`: what a shot's settings are, and where they stand."""

import json

from pipeline.cli.main import run


def test_each_value_is_printed_with_its_file_and_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "shots" / "a_010"
    folder.mkdir(parents=True)
    (folder / "scene.xml").write_text("<scene/>")
    (tmp_path / "shots" / "show.yaml").write_text("show: dragon\nsampling: {max_spp: 64}\n")
    (folder / "shot.yaml").write_text("shot: a_010\nscene: scene.xml\nframes: 1-4\n")
    assert run(["config", "a_010", "--explain", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sampling.max_spp"] == {"value": 64, "from": "shots/show.yaml:2"}
    assert found["shot"] == {"value": "a_010", "from": "shots/a_010/shot.yaml:1"}
    assert found["sampling.seed"]["from"] == "default"
