"""What comes through the broker is refused unless it is a ticket of ours: a line in the log, nothing executed, and the
worker takes the next task. Who sends these has a worker's password.
"""

from __future__ import annotations

import base64
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from pipeline.farm import job as jobs
from pipeline.farm import recipes_rehearsal
from pipeline.farm.job import Frozen, Rehearsal
from pipeline.farm.queues import celery_app, device_of, queue_name
from tests.deployment import until

ENVIRONMENT = recipes_rehearsal.environment()
QUEUE = queue_name("light", device_of(ENVIRONMENT), ENVIRONMENT["key"])


class Bomb:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (str(self.path), "w"))


def push(deployed: Any, body: bytes, *, kind: str, task: str = "penumbra.light", encoding: str = "binary") -> None:
    """A message as whoever writes into the list makes it."""
    message = {
        "body": base64.b64encode(body).decode(),
        "content-encoding": encoding,
        "content-type": kind,
        "headers": {"lang": "py", "task": task, "id": "forged", "argsrepr": "", "kwargsrepr": ""},
        "properties": {
            "correlation_id": "forged",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": QUEUE},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "forged",
        },
    }
    with deployed.redis("worker") as redis:
        redis.lpush(QUEUE, json.dumps(message))


def ticket(deployed: Any, *args: Any, task: str = "penumbra.light", **kwargs: Any) -> None:
    app = celery_app(deployed.broker("worker"))
    app.send_task(task, args=args, kwargs=kwargs, queue=QUEUE, ignore_result=True)
    app.close()


def refused(deployed: Any, what: str) -> None:
    until(lambda: any(what in deployed.said(name) for name in ("one", "two")))
    assert deployed.lives("one") and deployed.lives("two")


@pytest.fixture
def job(deployed: Any, request: pytest.FixtureRequest) -> Any:
    """A job that nobody works on."""
    frozen = Frozen({}, ENVIRONMENT, {}, "rehearsal", Rehearsal())
    return jobs.claim(deployed.farm().store, "held", frozen, frames=[1])[0]


@pytest.mark.parametrize("kind", ["application/x-python-serialize", "application/x-pickle"])
def test_a_pickled_message_is_not_unpickled(deployed: Any, trap: Path, kind: str) -> None:
    push(deployed, pickle.dumps(((Bomb(trap),), {}, {})), kind=kind)

    refused(deployed, kind)
    assert not trap.exists()


def test_a_message_in_yaml_is_not_parsed(deployed: Any, trap: Path) -> None:
    body = f"- [!!python/object/apply:os.system ['touch {trap}']]\n- {{}}\n- {{}}\n"
    push(deployed, body.encode(), kind="application/x-yaml", encoding="utf-8")

    refused(deployed, "application/x-yaml")
    assert not trap.exists()


@pytest.mark.parametrize(
    "task", ["celery.backend_cleanup", "os.system", "penumbra.shell", "workers.tasks.desk", "celery.chord_unlock"]
)
def test_a_task_of_a_foreign_name_is_not_run(deployed: Any, trap: Path, task: str) -> None:
    ticket(deployed, f"touch {trap}", task=task)

    until(lambda: any(task in deployed.said(name) for name in ("one", "two")))
    assert not trap.exists() and deployed.lives("one") and deployed.lives("two")


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "/etc/passwd", "passes/../../../x", "passes/1001/r00.s00\x00.x"]
)
def test_a_task_whose_name_leads_out_of_the_job_is_refused(deployed: Any, job: Any, name: str) -> None:
    ticket(deployed, str(deployed.store), job.id, name)

    refused(deployed, "is not the name of a product")


@pytest.mark.parametrize("name", ["../../../../etc/passwd", "..", "/etc", "shot_010.v001/../../x"])
def test_a_job_whose_name_leads_out_of_the_store_is_refused(deployed: Any, name: str) -> None:
    before = {name: len(deployed.said(name)) for name in ("one", "two")}
    ticket(deployed, str(deployed.store), name, "samples/0001/r00")

    until(lambda: any("refused" in deployed.said(worker)[size:] for worker, size in before.items()))
    assert deployed.lives("one") and deployed.lives("two")


@pytest.mark.parametrize("url", ["/etc", "file:///etc", "s3://elsewhere/x", "http://169.254.169.254/latest", "../.."])
def test_a_store_that_the_worker_does_not_serve_is_not_opened(deployed: Any, url: str) -> None:
    ticket(deployed, url, "shot_010.v001", "samples/0001/r00")

    refused(deployed, f"not {url}")


@pytest.mark.parametrize("args", [(), (1, 2, 3), ("a",), ({"store": "x"}, None, [])])
def test_a_ticket_of_another_shape_is_refused(deployed: Any, args: tuple[Any, ...]) -> None:
    before = {name: len(deployed.said(name)) for name in ("one", "two")}
    ticket(deployed, *args)

    until(lambda: any("penumbra.light" in deployed.said(name)[size:] for name, size in before.items()))
    assert deployed.lives("one") and deployed.lives("two")


MALFORMED = [
    "no message at all", "", "null", "[]", "7", "{}", '{"body": "", "headers": {}, "properties": {}}', "[" * 100_000,
    '{"body": 3, "headers": 7, "properties": {"delivery_tag": 1, "delivery_info": 2}}',
]  # fmt: skip


def test_what_is_no_message_at_all_costs_a_line_and_no_worker(deployed: Any) -> None:
    with deployed.redis("worker") as redis:
        for raw in MALFORMED:
            redis.lpush(QUEUE, raw)

    refused(deployed, "refused a message that is malformed")
    with deployed.redis("worker") as redis:
        until(lambda: redis.llen(QUEUE) == 0)
    assert deployed.lives("one") and deployed.lives("two")


def test_a_forged_command_to_the_workers_is_refused(deployed: Any) -> None:
    before = {name: len(deployed.said(name)) for name in ("one", "two")}
    with deployed.redis("worker") as redis:
        redis.publish("/0.celery.pidbox", '{"body": "x"}')

    for name, size in before.items():
        until(lambda name=name, size=size: "malformed" in deployed.said(name)[size:])  # type: ignore[misc]
    assert deployed.lives("one") and deployed.lives("two")


def test_after_all_of_that_the_workers_work(deployed: Any) -> None:
    farm = deployed.farm()
    frozen = Frozen({}, ENVIRONMENT, {}, "rehearsal", Rehearsal(rounds=1, slices=2))
    job, _ = jobs.claim(farm.store, "afterwards", frozen, frames=[1, 2])
    farm.submit(job)

    until(lambda: farm.state(job) == "done")
    assert deployed.lives("one") and deployed.lives("two")
