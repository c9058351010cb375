"""Poison is parked with its reason, its frame is given up, and its neighbours go on."""

from __future__ import annotations

import os
import signal
from typing import Any

from pipeline.farm import attempts, names
from pipeline.farm import job as jobs
from pipeline.farm.products import Products


def test_a_task_that_always_raises_is_parked_with_its_log_and_its_neighbours_go_on(rig: Any) -> None:
    poison = "passes/1002/r01.s01"
    job = rig.submit("poisoned", frames=range(1001, 1005), poison=(poison,))

    assert rig.finish(job) == "failed"
    assert rig.failures(job) == [poison]
    failure = attempts.failure(rig.store, job.directory, poison)
    assert (failure.kind, failure.attempts) == ("raised", rig.config.max_raises)
    assert "poisoned, for the rehearsal" in failure.reason
    assert any("Traceback" in line for line in failure.log)
    products = Products(rig.store, job)
    assert [frame for frame in job.frames if products.exists(names.absent(frame))] == [1002]
    degraded = {f: products.facts(names.frame_product(f))["degraded"] for f in (1001, 1003, 1004)}
    assert degraded == {1001: True, 1003: True, 1004: False}


def test_retry_removes_the_marks_and_the_frame_is_tried_again(rig: Any) -> None:
    poison = "passes/1001/r00.s00"
    job = rig.submit("again", frames=range(1001, 1003), rounds=1, poison=(poison,))
    rig.finish(job)

    assert rig.farm.retry(job) == [poison]
    assert job.id in jobs.active(rig.store)
    assert rig.finish(job) == "failed"
    assert rig.attempts(job).count(poison) == 2 * rig.config.max_raises + 1  # one forgives those before it
    assert attempts.failure(rig.store, job.directory, poison).attempts == rig.config.max_raises


def test_a_report_that_cannot_be_made_ends_the_job(rig: Any) -> None:
    job = rig.submit("unreported", frames=range(1, 2), rounds=1, slices=1, poison=("report",))

    assert rig.finish(job) == "failed"
    assert rig.failures(job) == ["report"]


def test_a_task_that_crashes_its_process_is_parked_as_soon_as_one_that_raises(make_rig: Any) -> None:
    rig = make_rig()
    rig.start("one")
    job = rig.submit("crashing", frames=range(1, 2), rounds=1, slices=1, task_seconds=60)
    for _ in range(rig.config.max_raises):
        before = rig.rendering(job, "one").pid
        os.kill(before, signal.SIGSEGV)
        rig.wait_for(lambda before=before: before not in [held.pid for held in rig.farm.running(job)])

    assert rig.finish(job) == "failed"
    failure = attempts.failure(rig.store, job.directory, "passes/0001/r00.s00")
    assert failure.kind == "crashed"
    assert "SIGSEGV" in failure.reason
