"""`pipeline submit`: bad input is refused before anything is enqueued; good input becomes frames."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.farm.job import active, jobs
from pipeline.farm.store import LocalStore

BROKEN = {
    "unknown key": ("shot.yaml", "sampling: {guide: variance", "sampling: {gide: variance", "gide"),
    "wrong type": ("shot.yaml", "max_spp: 2", "max_spp: many", "max_spp"),
    "reversed range": ("shot.yaml", "frames: 1-2", "frames: 2-1", "backwards"),
    "missing scene": ("shot.yaml", "scene: scene.xml", "scene: scn.xml", "scn.xml"),
    "malformed XML": ("scene.xml", "</scene>", "", "scene.xml"),
    "unknown plugin": ("scene.xml", 'type="diffuse"', 'type="difuse"', "difuse"),
    "missing texture": (
        "scene.xml",
        '<bsdf type="diffuse" id="clay"/>',
        '<bsdf type="diffuse" id="clay"><texture type="bitmap" name="reflectance">'
        '<string name="filename" value="gone.png"/></texture></bsdf>',
        "gone.png",
    ),
    "zero resolution": ("shot.yaml", "frames: 1-2", "frames: 1-2\nresolution: [0, 4]", "resolution"),
    "camera that looks nowhere": (
        "shot.yaml",
        "frames: 1-2",
        "frames: 1-2\ncamera: {fov: 40, keyframes: {1: {origin: [0, 0, 1], target: [0, 0, 1]}}}",
        "target",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_bad_input_is_one_clear_message_with_exit_code_2_and_nothing_enqueued(
    case: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, before, after, word = BROKEN[case]
    path = place / "shots" / "shot_b" / file
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    assert main.run(["submit", "shot_a", "shot_b"]) == 2
    captured = capsys.readouterr()
    told = [line for line in captured.err.splitlines() if line.startswith("pipeline: ")]
    assert len(told) == 1 and word in told[0]
    assert "Traceback" not in captured.err and captured.out == ""
    assert jobs(LocalStore(place / "renders")) == []


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--max-spp", "0"], "--max-spp"),
        (["--lambda", "99"], "--lambda"),
        (["--frames", "9-1"], "backwards"),
        (["--priority", "10"], "--priority"),
        (["--target-error", "-1"], "--target-error"),
        (["--set", "sampling.sed=3"], "sampling.sed"),
        (["--set", "nonsense"], "KEY=VALUE"),
        (["--out", "s3://bucket/renders"], "s3://"),
        (["--out", "shots/shot_a/scene.xml"], "a part of the path is a file"),
        (["--detach"], "no farm is configured"),
        (["--workers", "0"], "--workers"),
        (["--farm", "nowhere"], "nowhere"),
    ],
)
def test_an_option_out_of_range_is_refused_by_its_name(
    options: list[str], word: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["submit", "shot_a", *options]) == 2
    assert word in capsys.readouterr().err
    assert not (place / "renders").exists() or jobs(LocalStore(place / "renders")) == []


def test_a_broker_that_is_down_is_told_in_one_line_and_nothing_is_claimed(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIPELINE_BROKER_URL", "redis://user:secret@127.0.0.1:1/0")
    assert main.run(["submit", "shot_a"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "does not answer" in told and "secret" not in told
    assert jobs(LocalStore(place / "renders")) == []


@pytest.mark.parametrize(("number", "word"), [(28, "the disk is full"), (30, "read-only")])
def test_a_store_that_is_full_or_read_only_is_refused_before_anything_is_claimed(
    number: int, word: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("pipeline.farm.store._write_all", refuse)
    assert main.run(["submit", "shot_a"]) == 2
    assert word in capsys.readouterr().err
    assert jobs(LocalStore(place / "renders")) == []


def test_with_a_farm_the_job_is_enqueued_and_its_id_printed(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipeline.farm.embedded import EmbeddedRedis

    with EmbeddedRedis() as redis:
        monkeypatch.setenv("PIPELINE_BROKER_URL", redis.broker_url)
        assert main.run(["submit", "shot_a", "--frames", "7", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["job"], told["state"], told["frames"]) == ("shot_a.v001", "waiting", {})
    assert "no live worker" in told["warnings"][0]
    assert active(LocalStore(place / "renders")) == ["shot_a.v001"]


def test_a_dry_run_says_what_it_would_take_and_leaves_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["submit", "shot_a", "--dry-run", "--no-probe", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["shot"], told["frames"], told["size"], told["probed"]) == ("shot_a", 2, [8, 6], False)
    assert told["forecast"]["samples"] == {"low": 96, "middle": pytest.approx(96 * 2**0.5), "high": 192}

    assert main.run(["submit", "shot_a", "shot_b", "--dry-run", "--no-probe"]) == 0
    out = capsys.readouterr().out
    assert "shot_b: 2 frames of 8×6, at most 2 rounds" in out and "assumed" in out
    assert not (place / "renders").exists()


def test_a_dry_run_refuses_what_a_submit_refuses(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "shots" / "shot_a" / "scene.xml").unlink()
    assert main.run(["submit", "shot_a", "--dry-run"]) == 2
    assert "scene.xml" in capsys.readouterr().err


@pytest.mark.slow
def test_a_dry_run_renders_a_probe(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["submit", "shot_a", "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["probed"] and told["warnings"] == []
    assert told["forecast"]["seconds"]["low"] > 0.0
    assert not (place / "renders").exists()


@pytest.mark.slow
def test_one_command_makes_the_frames_of_two_shots_and_the_same_again_finds_them(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["submit", "shot_a", "shot_b", "--frames", "1", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert [(each["job"], each["state"]) for each in first] == [("shot_a.v001", "done"), ("shot_b.v001", "done")]
    for each in first:
        exr = Path(each["frames"]["1"])
        assert exr.name == f"{each['shot']}.0001.exr" and exr.stat().st_size > 0
        assert Path(each["directory"], "report.json").is_file()
    assert active(LocalStore(place / "renders")) == []

    assert main.run(["submit", "shot_a", "--frames", "1"]) == 0
    told = capsys.readouterr()
    assert "shot_a.v001: done" in told.out and "contact_sheet.png" in told.out
    assert "workers" not in told.err, "nothing is started for frames that are there"
