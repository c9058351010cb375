"""`pipeline --api URL`: the same commands, asked of a server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.api import client as api_client
from pipeline.cli.main import run


@pytest.fixture
def remote(served: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The server, which `--api http://localhost` reaches without a network."""
    monkeypatch.setenv("PIPELINE_API_TOKEN", served.write)
    monkeypatch.setattr(api_client.httpx, "Client", lambda **options: _through(served, options))
    return served


def _through(served: Any, options: dict[str, Any]) -> Any:
    from fastapi.testclient import TestClient

    return TestClient(served.app, base_url=options["base_url"], headers=options["headers"], follow_redirects=False)


def test_jobs_are_listed_told_and_controlled(remote: Any, rehearsed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    job = rehearsed.claim(remote.store)

    assert run(["list", "--api", "http://localhost"]) == 0
    assert run(["--api=http://localhost", "pause", "shot_010"]) == 0
    assert run(["status", "shot_010", "--json", "--api", "http://localhost"]) == 0
    said = capsys.readouterr().out

    assert f"{job.id}: paused" in said and remote.farm.control(job).paused
    assert json.loads(said[said.index("{") :])["state"] == "paused"


def test_status_tells_what_a_job_waits_for(remote: Any, rehearsed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    job = rehearsed.claim(remote.store)
    remote.farm.adjust(job, {"after": ["shot_009.v001"]})

    assert run(["status", "shot_010", "--api", "http://localhost"]) == 0
    said = capsys.readouterr().out

    assert "waits for shot_009.v001" in said
    assert remote.get("/v1/jobs/shot_010").json()["waits"] == ["for shot_009.v001"]


def test_logs_and_usage_are_told(remote: Any, rehearsed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    rehearsed.done(remote.store)

    assert run(["--api", "http://localhost", "logs", "shot_010", "samples/0001"]) == 0
    assert run(["--api", "http://localhost", "usage", "shot_010"]) == 0
    said = capsys.readouterr().out

    assert "== samples/0001/r00, attempt 1" in said and "outcome=made" in said and "8 attempts" in said


def test_wrangling_goes_through_the_server_with_the_same_arguments(
    remote: Any, rehearsed: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipeline.farm.client import Farm

    live = {"name": "w1", "host": "h", "state": "working", "device": "cpu", "slots": 2, "memory": 2048, "started": 1.0}
    monkeypatch.setattr(Farm, "workers", lambda farm: [{**live, "pools": ["film"], "tags": [], "reason": ""}])
    job = rehearsed.claim(remote.store, frames=(1, 2, 3))
    for words in (
        "priority shot_010 8", "skip shot_010 3", "adjust shot_010 order=middle-out approve=round", "approve shot_010",
        "bar w1 --job shot_010", "allow w1 --job shot_010", "bar w1 --reason loud", "pause shot_010 --after-task",
        "resume shot_010", "retry shot_010 --task samples/0001/r00", "drain w1", "workers",
    ):  # fmt: skip
        assert run(["--api", "http://localhost", *words.split()]) == 0, words
    said = capsys.readouterr().out

    state = remote.farm.control(job)
    assert (state.priority, state.skipped, state.approved, state.paused) == (8, {3}, True, False)
    assert f"{job.id}: paused after the tasks that run" in said and "w1: ends after the tasks that run" in said
    assert "w1      working" in said and "film" in said
    assert run(["--api", "http://localhost", "change", "shot_010", "--lambda", "2"]) == 2
    assert "renders nothing that could be changed" in capsys.readouterr().err


def test_what_the_server_refuses_is_one_line_and_bad_input(
    remote: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--api", "http://localhost", "submit", "nobody"]) == 2
    monkeypatch.setenv("PIPELINE_API_TOKEN", remote.read)
    assert run(["--api", "http://localhost", "cancel", "shot_010"]) == 2
    monkeypatch.setenv("PIPELINE_API_TOKEN", "wrong")
    assert run(["--api", "http://localhost", "list"]) == 2

    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("pipeline: ")]
    assert "there is no 'nobody' in the server's project" in lines[0]
    assert "looker may read, not write" in lines[1] and "unknown token" in lines[2]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--api", "http://localhost", "doctor"], "'doctor' works on this machine"),
        (["list", "--api", "http://a:b@localhost"], "must not hold credentials"),
        (["list", "--api", "ftp://localhost"], "is not the URL of an API"),
        (["list", "--api", "http://127.0.0.1:9"], "does not answer"),
    ],
)
def test_a_server_that_cannot_be_asked_is_told(
    words: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIPELINE_API_TOKEN", "t")

    assert run(words) == 2
    assert told in capsys.readouterr().err


def test_a_token_is_asked_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("PIPELINE_API_TOKEN", raising=False)

    assert run(["list", "--api", "http://localhost"]) == 2
    assert "PIPELINE_API_TOKEN" in capsys.readouterr().err
