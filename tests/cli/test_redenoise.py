"""`pipeline redenoise`: what is rendered is denoised anew, and nothing is rendered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.farm import recipes_rehearsal
from pipeline.farm.job import Frozen, Rehearsal, claim, jobs, load
from pipeline.farm.store import LocalStore


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--window", "2"], "2 is even"),
        (["--window", "19"], "--window"),
        (["--lambda", "much"], "--lambda"),
        (["--detach"], "no farm is configured"),
        ([], "there is no job 'shot_a'"),
    ],
)
def test_bad_input_is_refused_with_exit_code_2(
    options: list[str], word: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["redenoise", "shot_a", *options]) == 2
    told = capsys.readouterr()
    assert word in told.err and "Traceback" not in told.err and told.out == ""


def test_a_rehearsal_is_refused_in_one_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frozen = Frozen({}, recipes_rehearsal.environment(), engine="rehearsal", rehearsal=Rehearsal())
    claim(LocalStore("renders"), "shot_r", frozen, frames=[1])
    assert main.run(["redenoise", "shot_r", "--lambda", "2"]) == 2
    assert capsys.readouterr().err == "pipeline: shot_r.v001 is a rehearsal, which has nothing to denoise\n"


@pytest.mark.slow
def test_a_submitted_shot_is_denoised_anew_by_an_embedded_farm_without_a_pass(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["submit", "shot_a", "--json"]) == 0
    capsys.readouterr()
    assert main.run(["redenoise", "shot_a", "--lambda", "3", "--frames", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    store = LocalStore(place / "renders")

    assert (told["job"], told["state"], list(told["frames"])) == ("shot_a.v002", "done", ["2"])
    above = "1 of 1 frames stopped at max_spp above target_error: 2"  # as the version that was rendered did
    assert told["warnings"] == [above]
    started = store.list("shot_a/v002/attempts")
    assert started and not [name for name in started if "/passes/" in name or "/samples/" in name]
    job = load(store, "shot_a.v002")
    assert job.config["denoise"]["lambda"] == 3.0 and job.replay is not None

    assert main.run(["redenoise", "shot_a.v001", "--lambda", "3", "--frames", "2"]) == 0
    assert "shot_a.v002: done" in capsys.readouterr().out
    assert jobs(store) == ["shot_a.v001", "shot_a.v002"]
