"""Workers refuse what is not theirs, and say so; nothing is unpickled."""

from __future__ import annotations

import base64
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from pipeline.device import with_weights
from pipeline.errors import FarmError
from pipeline.farm import job as jobs
from pipeline.farm import recipes_rehearsal
from pipeline.farm.client import BrokerDown, Farm
from pipeline.farm.job import Frozen, Rehearsal
from pipeline.farm.queues import celery_app, device_of, queue_name


class Bomb:
    """Leaves a file where it was unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (str(self.path), "w"))


def send(rig: Any, *args: str) -> None:
    environment = recipes_rehearsal.environment()
    queue = queue_name("light", device_of(environment), environment["key"])
    celery_app(rig.config.broker_url).send_task("penumbra.light", args=args, queue=queue, ignore_result=True)


def refused(rig: Any, what: str) -> None:
    rig.wait_for(lambda: any(what in rig.said(name) for name in rig.workers))


def test_a_job_of_another_environment_is_refused_with_a_line_that_says_so(rig: Any) -> None:
    foreign = Frozen({}, {"key": "ffff00001111"}, {}, "rehearsal", Rehearsal())
    job, _ = jobs.claim(rig.store, "foreign", foreign, frames=[1])
    send(rig, rig.store.url, job.id, "samples/0001/r00")

    refused(rig, "refused samples/0001/r00 of foreign.v001: its environment is ffff00001111")
    assert rig.attempts(job) == []


def test_a_job_of_other_weights_is_refused_with_a_line_that_says_so(rig: Any) -> None:
    environment = with_weights(recipes_rehearsal.environment(), {"fast": "00ff"})
    job, _ = jobs.claim(rig.store, "other", Frozen({}, environment, {}, "rehearsal", Rehearsal()), frames=[1])
    send(rig, rig.store.url, job.id, "samples/0001/r00")

    refused(rig, "refused samples/0001/r00 of other.v001: its weights of fast are 00ff, this worker's ")
    assert rig.attempts(job) == []


def test_a_store_that_the_worker_does_not_serve_is_refused(rig: Any) -> None:
    send(rig, "/somewhere/else", "foreign.v001", "samples/0001/r00")

    refused(rig, "not /somewhere/else")


def test_a_name_that_is_no_tasks_is_refused(rig: Any) -> None:
    job = rig.claim("named")
    send(rig, rig.store.url, job.id, "../../etc/passwd")

    refused(rig, "is not the name of a product")


def test_a_task_whose_inputs_are_missing_is_not_started(rig: Any) -> None:
    job = rig.claim("early")
    jobs.deactivate(rig.store, job)
    send(rig, rig.store.url, job.id, "buffers/1001/r00")

    refused(rig, "buffers/1001/r00 of early.v001 is not made: its inputs are not there")
    assert rig.attempts(job) == []


def test_a_pickled_message_is_refused_and_not_unpickled(rig: Any, tmp_path: Path) -> None:
    body = pickle.dumps(((Bomb(tmp_path / "exploded"),), {}, {}))
    environment = recipes_rehearsal.environment()
    queue = queue_name("light", device_of(environment), environment["key"])
    message = {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "binary",
        "content-type": "application/x-python-serialize",
        "headers": {"lang": "py", "task": "penumbra.light", "id": "pickled", "argsrepr": "", "kwargsrepr": ""},
        "properties": {
            "correlation_id": "pickled",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "pickled",
        },
    }
    rig.redis.lpush(queue, json.dumps(message))

    refused(rig, "application/x-python-serialize")
    job = rig.submit("afterwards", frames=range(1, 2), rounds=1)
    assert rig.finish(job) == "done"
    assert not (tmp_path / "exploded").exists()


def test_a_job_that_no_live_worker_can_take_waits_and_the_user_is_told(rig: Any) -> None:
    foreign = Frozen({}, {"variant": "cuda_ad_rgb", "key": "ffff00002222"}, {}, "rehearsal", Rehearsal())
    job, _ = jobs.claim(rig.store, "waiting", foreign, frames=[1])

    assert "no live worker serves denoise.cuda.ffff0000" in rig.farm.submit(job)[0]
    jobs.deactivate(rig.store, job)


def test_a_broker_that_is_down_is_one_clear_line_and_exit_code_2(tmp_path: Path, rig: Any) -> None:
    config = rig.config.model_copy(update={"broker_url": f"redis+socket://{tmp_path}/none.sock"})

    with pytest.raises(BrokerDown, match="does not answer") as raised:
        Farm.connect(rig.store, config)
    assert raised.value.exit_code == 2
    assert "\n" not in str(raised.value)


def test_a_profile_without_a_broker_is_refused(rig: Any) -> None:
    with pytest.raises(FarmError, match="PIPELINE_BROKER_URL"):
        Farm.connect(rig.store, rig.config.model_copy(update={"broker_url": None}))
