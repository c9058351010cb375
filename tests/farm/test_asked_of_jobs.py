"""Pause, resume, cancel, skip and priority act within five seconds."""

from __future__ import annotations

import time
from typing import Any

from pipeline.farm import job as jobs

SOON = 5.0
SLOW = {"frames": range(1, 4), "rounds": 1, "slices": 2, "task_seconds": 20.0}


def start_slow(rig: Any, shot: str) -> Any:
    job = rig.submit(shot, **SLOW)
    rig.wait_for(lambda: [held for held in rig.farm.running(job) if held.ticket.task.startswith("passes")])
    return job


def test_pause_makes_running_tasks_let_go_and_resume_goes_on(rig: Any) -> None:
    job = start_slow(rig, "paused")
    rig.farm.pause(job)
    rig.wait_for(lambda: not rig.farm.running(job), seconds=SOON)
    assert sum(rig.farm.queues().values()) == 0
    assert rig.farm.state(job) == "active"
    started = len(rig.attempts(job))
    time.sleep(1.5)
    assert len(rig.attempts(job)) == started

    rig.farm.resume(job)
    rig.wait_for(lambda: rig.farm.running(job), seconds=SOON)
    assert rig.failures(job) == []
    rig.farm.cancel(job)
    rig.wait_for(lambda: not rig.farm.running(job), seconds=SOON)


def test_cancel_ends_a_job_and_resume_brings_it_back(rig: Any) -> None:
    job = start_slow(rig, "cancelled")
    rig.farm.cancel(job)
    rig.wait_for(lambda: not rig.farm.running(job), seconds=SOON)
    rig.wait_for(lambda: job.id not in jobs.active(rig.store), seconds=SOON)
    assert rig.farm.wait(job) == "cancelled"

    rig.farm.resume(job)
    rig.wait_for(lambda: rig.farm.running(job), seconds=SOON)
    rig.farm.cancel(job)
    rig.wait_for(lambda: not rig.farm.running(job), seconds=SOON)


def test_a_cancel_that_redis_does_not_hear_of_acts_as_soon(rig: Any) -> None:
    from pipeline.farm.client import Farm

    job = start_slow(rig, "unheard")
    Farm.offline(rig.store, rig.config).cancel(job)

    rig.wait_for(lambda: not rig.farm.running(job), seconds=SOON)


def test_skipped_frames_are_left_out_and_the_job_ends_without_them(rig: Any) -> None:
    job = rig.submit("skipped", frames=range(1, 4), rounds=1, slices=1, stops={}, task_seconds=1.5)
    rig.wait_for(lambda: rig.farm.running(job))
    rig.farm.skip(job, [2, 3])

    assert rig.finish(job) == "done"
    assert list(rig.deliverables(job)) == [1]


def test_a_new_priority_reaches_the_tasks_that_wait(rig: Any) -> None:
    first, second = start_slow(rig, "first"), rig.submit("second", frames=range(1, 2), rounds=1, slices=1)
    rig.farm.priority(second, 9)
    rig.farm.cancel(first)

    assert rig.finish(second) == "done"
    assert rig.farm.control(second).priority == 9
