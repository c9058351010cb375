"""Faults of workers and devices, on real workers: each costs the task that it hit, and nothing else."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from pipeline.farm import attempts
from pipeline.farm.progress import snapshot


def test_a_worker_that_fails_what_others_make_is_kept_off_the_job_and_may_come_back(make_rig: Any) -> None:
    rig = make_rig(bar_failures=2)
    rig.start("good")
    rig.start("bad", fault="raise")
    job = rig.submit("contested", frames=range(1, 9), rounds=1, slices=2, task_seconds=0.2)

    assert rig.finish(job) == "done"
    assert rig.deliverables(job) == rig.made_here(job)
    seen = snapshot(rig.store, job)
    assert seen.barred == ("bad",)
    assert seen.first_failure is not None and "this device is broken" in "\n".join(seen.first_failure.log)
    rig.farm.allow(job, "bad")
    assert snapshot(rig.store, job).barred == ()


def test_memory_that_runs_out_leads_to_a_larger_device(make_rig: Any) -> None:
    rig = make_rig()
    rig.start("small", options=("--memory", "8"), fault="memory")
    rig.start("large", options=("--memory", "48", "--queues", "denoise,render"))
    job = rig.claim("hungry", frames=range(1, 2), rounds=1, slices=1)
    rig.farm.bar(job, "large")  # so that the small one has it first
    rig.farm.submit(job)
    task = "passes/0001/r00.s00"
    rig.wait_for(lambda: len([t for t in attempts.history(rig.store, job.directory, task) if t.outcome]) >= 2)
    rig.farm.allow(job, "large")

    assert rig.finish(job) == "done"
    tried = attempts.history(rig.store, job.directory, task)
    assert {each.outcome for each in tried if each.worker == "small"} == {"memory"}
    assert (tried[-1].worker, tried[-1].outcome) == ("large", "made")


def test_a_missing_licence_costs_no_attempt(make_rig: Any, tmp_path: Path) -> None:
    rig = make_rig()
    down = tmp_path / "down"
    down.touch()
    rig.start("one", fault="licence", FARM_FAULT_FILE=str(down))
    job = rig.submit("unlicensed", frames=range(1, 2), rounds=1, slices=1)
    rig.wait_for(lambda: rig.farm.back_off(job))
    assert "license server" in rig.farm.back_off(job)
    time.sleep(0.5)
    down.unlink()

    assert rig.finish(job) == "done"
    assert rig.failures(job) == []
    assert rig.attempts(job).count("passes/0001/r00.s00") == 1


def test_a_task_that_makes_no_progress_is_ended_and_told_with_where_it_stood(make_rig: Any) -> None:
    rig = make_rig(stuck_seconds=2.0, max_raises=1)
    rig.start("hung", fault="hang")
    job = rig.submit("stuck", frames=range(1, 2), rounds=1, slices=1)

    assert rig.finish(job) == "failed"
    failure = attempts.failure(rig.store, job.directory, "passes/0001/r00.s00")
    assert failure.kind == "stuck" and "no progress for 2 s" in failure.reason
    assert "time.sleep(600)" in "\n".join(failure.log)
