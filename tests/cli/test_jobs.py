"""Looking at jobs, and asking things of them: status, list, logs, watch, pause, resume, cancel, retry."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.config.farm import Farm as Settings
from pipeline.errors import ConfigError
from pipeline.farm import job as jobs
from pipeline.farm.client import Farm
from pipeline.farm.control import Control
from pipeline.farm.lookup import find_job
from pipeline.farm.progress import JobSnapshot
from pipeline.farm.store import LocalStore

POISON = "frames/0002"


def control(place: Path, job_id: str):
    store = LocalStore(place / "renders")
    return Control(store, jobs.directory_of(job_id)).look()


def test_a_rehearsed_job_is_done_and_every_command_says_so(rehearse, place: Path, capsys) -> None:
    seen: list[str] = []

    def show(snapshots: Sequence[JobSnapshot], note: str) -> None:
        seen.extend(job.state for job in snapshots)

    result = rehearse(show=show)
    assert result.state == "done" and result.warnings == []
    assert seen[-1] == "done"

    assert main.run(["status", "shot_r", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["job"], told["state"], [frame["frame"] for frame in told["frames"]]) == ("shot_r.v001", "done", [1, 2])

    assert main.run(["status", "shot_r.v001"]) == 0
    assert "shot_r.v001  done, 2/2 frames" in capsys.readouterr().out

    assert main.run(["list", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["job"], row["state"], row["done"], row["frames"]) == ("shot_r.v001", "done", 2, 2)

    assert main.run(["list"]) == 0
    assert "shot_r.v001  done   2/2" in capsys.readouterr().out

    assert main.run(["logs", "shot_r", "passes/0001"]) == 0
    out = capsys.readouterr().out
    assert "== passes/0001/r00.s00, attempt 1" in out and "passes/0002" not in out

    assert main.run(["watch"]) == 2
    assert "is unfinished" in capsys.readouterr().err


def test_a_failed_job_is_told_with_its_reason_and_retry_removes_the_marks(rehearse, place: Path, capsys) -> None:
    result = rehearse(poison=(POISON,))
    assert result.state == "failed"
    assert any(POISON in warning and "poisoned" in warning for warning in result.warnings)
    assert "frame 2 could not be made" in result.warnings

    assert main.run(["status", "shot_r"]) == 1
    assert f"failed {POISON}" in capsys.readouterr().out

    assert main.run(["logs", "shot_r"]) == 0
    assert f"== {POISON}, attempt 1" in capsys.readouterr().out

    assert main.run(["retry", "shot_r"]) == 0
    assert "1 failed task will be tried again" in capsys.readouterr().out
    assert jobs.active(LocalStore("renders")) == ["shot_r.v001"]
    assert main.run(["retry", "shot_r", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"job": "shot_r.v001", "told": "nothing has failed"}


def test_ctrl_c_ends_the_farm_and_leaves_the_job_paused(rehearse, place: Path) -> None:
    def interrupt(snapshots: Sequence[JobSnapshot], note: str) -> None:
        if snapshots:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rehearse(show=interrupt, task_seconds=30.0)
    assert control(place, "shot_r.v001").paused
    store = LocalStore("renders")
    assert Farm.offline(store, Settings()).state(find_job(store, "shot_r")) == "active"


def test_pause_resume_and_cancel_are_written_into_the_job(rehearse, place: Path, capsys) -> None:
    rehearse()
    assert main.run(["pause", "shot_r"]) == 0
    assert control(place, "shot_r.v001").paused
    assert main.run(["resume", "shot_r.v001"]) == 0
    assert not control(place, "shot_r.v001").held
    assert main.run(["cancel", "shot_r"]) == 0
    assert control(place, "shot_r.v001").cancelled
    assert "shot_r.v001: cancelled" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["status", "logs", "pause", "resume", "cancel", "retry", "watch"])
def test_a_job_that_is_not_there_is_bad_input(command: str, place: Path, capsys) -> None:
    assert main.run([command, "shot_x"]) == 2
    assert "there is no job 'shot_x'" in capsys.readouterr().err


def test_a_shot_stands_for_its_newest_version_and_a_near_name_is_suggested(place: Path) -> None:
    store = LocalStore("renders")
    for seed in (1, 2):
        frozen = jobs.Frozen({"sampling": {"seed": seed}}, {"key": "0" * 12})
        jobs.claim(store, "shot_r", frozen, frames=(1,))
    assert find_job(store, "shot_r").id == "shot_r.v002"
    assert find_job(store, "shots/shot_r").id == "shot_r.v002"
    assert find_job(store, "shot_r.v001").id == "shot_r.v001"
    with pytest.raises(ConfigError, match="did you mean shot_r"):
        find_job(store, "shot_rr")
    with pytest.raises(ConfigError, match=r"did you mean shot_r\.v00"):
        find_job(store, "shot_r.v003")


def test_an_empty_store_lists_nothing(place: Path, capsys) -> None:
    assert main.run(["list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
