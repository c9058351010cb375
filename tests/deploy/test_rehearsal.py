"""The farm of `deploy/` on bare metal: a job goes through it, each role can do its work, and no role more."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from redis.exceptions import NoPermissionError

from pipeline.api.client import ApiClient
from pipeline.farm import job as jobs
from pipeline.farm import recipes_rehearsal
from pipeline.farm.job import Frozen, Rehearsal
from tests.deployment import until


@pytest.fixture(scope="module")
def done(deployed: Any) -> Any:
    """A job that went through the farm, and what the stream of events told of it meanwhile."""
    farm = deployed.farm()
    frozen = Frozen({}, recipes_rehearsal.environment(), {}, "rehearsal", Rehearsal(rounds=2, slices=3, radius=1))
    job, _ = jobs.claim(farm.store, "shot_010", frozen, frames=range(1001, 1005))
    told: list[dict[str, Any]] = []
    with deployed.api() as client, client.stream("GET", "/v1/events", params={"job": job.id}) as stream:
        farm.submit(job)
        until_then = time.monotonic() + 120
        for line in stream.iter_lines():  # a comment comes every 15 seconds at least
            assert time.monotonic() < until_then, told
            if line.startswith("data: "):
                told.append(json.loads(line[6:]))
                if told[-1]["state"] in ("done", "failed"):
                    break
    return job, told


def test_a_job_is_made_and_the_stream_tells_of_its_way(deployed: Any, done: Any) -> None:
    job, told = done

    assert (told[-1]["job"], told[-1]["state"], told[-1]["done"]) == (job.id, "done", 4)
    assert {each["state"] for each in told[:-1]} <= {"waiting", "running"}  # of a quick job only the end may be seen
    with deployed.api() as api:
        assert api.get("/v1/scaling").json()["any"]["tasks"] == 0
        assert {worker["name"] for worker in api.get("/v1/workers").json()} == {"one", "two"}
        said = api.get("/metrics").text
    assert f'penumbra_job_progress_ratio{{job="{job.id}",shot="shot_010"}} 1.0' in said
    assert 'penumbra_worker_memory_bytes{device="auto"' in said


def test_no_role_met_a_door_that_it_needs(deployed: Any, done: Any) -> None:
    mine = [
        each for each in deployed.redis("operator").acl_log() if each["username"] in ("worker", "control", "monitor")
    ]

    asked = [(each["username"], each["reason"], each["object"]) for each in mine if "test" not in each["object"]]
    assert asked == []


def test_flower_shows_workers_and_tasks_that_read_well(deployed: Any, done: Any) -> None:
    job, _ = done
    with deployed.http("flower", auth=deployed.flower_login) as flower:
        tasks = until(lambda: flower.get("/api/tasks").json())
        assert any(each.startswith(f"{job.id}/passes/1001/r00.s00~") for each in tasks)
        one = next(each for each in tasks if "/frames/1001~" in each)
        assert f"frames/1001 of {job.id}" in flower.get(f"/task/{one}").text
        workers = until(lambda: flower.get("/api/workers", params={"refresh": "1"}).json())
        assert {name.partition("@")[0] for name in workers} == {"one", "two"}
        metrics = flower.get("/metrics").text
    assert 'flower_events_total{task="penumbra.render",type="task-succeeded"' in metrics


def test_what_is_asked_through_the_api_is_in_the_audit_log(deployed: Any, done: Any) -> None:
    job, _ = done
    with deployed.api("write") as api:
        assert api.put(f"/v1/jobs/{job.id}/priority", params={"value": 3}).is_success
        assert api.post("/v1/workers/two/bar", params={"reason": "a test"}).is_success
        until(lambda: {w["name"]: w["state"] for w in api.get("/v1/workers").json()}["two"] == "out")
        assert api.post("/v1/workers/two/allow").is_success

    said = [json.loads(line) for line in (deployed.directory / "audit.log").read_text().splitlines()]
    assert {("test-write", "priority"), ("test-write", "bar"), ("test-write", "allow")} <= {
        (line["who"], line["action"]) for line in said
    }


def test_the_command_line_reaches_the_api_under_tls(deployed: Any, done: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(deployed.etc / "tls" / "ca.crt"))

    with ApiClient(f"https://localhost:{deployed.ports['api']}", deployed.tokens["read"]) as client:
        assert [job["job"] for job in client.jobs()] == [done[0].id]


@pytest.mark.parametrize(
    ("role", "command"),
    [
        ("worker", ("FLUSHALL",)),
        ("worker", ("CONFIG", "SET", "dir", "/tmp")),
        ("worker", ("SET", "test:foreign", "1")),
        ("control", ("LPUSH", "render.any.test", "a task")),
        ("control", ("FLUSHDB",)),
        ("control", ("PUBLISH", "/0.celery.pidbox", "test: shutdown")),
        ("monitor", ("LPUSH", "light.any.test", "a task")),
        ("monitor", ("GET", "penumbra:worker:test")),
        ("monitor", ("SHUTDOWN",)),
    ],
)
def test_a_role_can_do_no_more_than_its_work(deployed: Any, role: str, command: tuple[str, ...]) -> None:
    with deployed.redis(role) as redis, pytest.raises(NoPermissionError):
        redis.execute_command(*command)


def test_redis_keeps_what_it_was_told_through_a_restart_and_refuses_when_it_is_full(deployed: Any) -> None:
    with deployed.redis("operator") as redis:
        settings = redis.config_get("appendonly", "appendfsync", "maxmemory-policy")
        info = redis.info("persistence")

    assert settings == {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
    assert info["aof_enabled"] == 1 and info["aof_last_write_status"] == "ok"
