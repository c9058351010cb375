"""What is killed comes back: children, workers, all of Redis, the dispatcher."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

import psutil

from pipeline.farm import job as jobs
from pipeline.farm.queues import key


def test_a_killed_child_costs_its_task_one_attempt_and_nothing_else(rig: Any) -> None:
    job = rig.submit("child", frames=range(1, 3), rounds=1, slices=2, task_seconds=0.8)
    os.kill(rig.rendering(job).pid, signal.SIGKILL)

    assert rig.finish(job) == "done"
    assert rig.deliverables(job) == rig.made_here(job)
    assert rig.failures(job) == []
    tasks = rig.attempts(job)
    assert len(tasks) == len(set(tasks)) + 1


def test_a_worker_outlives_every_one_of_its_processes_but_its_own(rig: Any) -> None:
    job = rig.submit("helpers", frames=range(1, 2), rounds=1, slices=3, task_seconds=0.5)
    held = rig.rendering(job)
    for process in psutil.Process(rig.workers[held.worker].pid).children():
        if "semaphore_tracker" in " ".join(process.cmdline()):
            process.kill()
    os.kill(held.pid, signal.SIGKILL)  # the pool starts another one, and needs a tracker for it

    assert rig.finish(job) == "done"
    assert rig.workers[held.worker].poll() is None
    rig.wait_for(lambda: "semaphore tracker is gone" in rig.said(held.worker))


def test_a_lost_workers_task_runs_again_within_its_lease_and_fifteen_seconds(rig: Any) -> None:
    rig.start("doomed")
    job = rig.submit("worker", frames=range(1, 2), rounds=1, slices=6, task_seconds=2.0)
    lost = rig.rendering(job, "doomed").ticket
    rig.kill("doomed")
    killed = time.monotonic()

    rig.wait_for(lambda: [held for held in rig.farm.running(job) if held.ticket == lost and held.worker != "doomed"])
    assert time.monotonic() - killed < rig.config.lease_seconds + 15
    assert rig.finish(job) == "done"
    assert rig.deliverables(job) == rig.made_here(job)


def test_nothing_but_time_is_lost_when_redis_is_flushed_half_way(rig: Any) -> None:
    job = rig.submit("flushed", frames=range(1, 6), task_seconds=0.2)
    rig.wait_for(lambda: len(rig.store.list(f"{job.directory}/passes")) >= 8)
    rig.redis.flushall()

    assert rig.finish(job) == "done"
    assert rig.deliverables(job) == rig.made_here(job)


def test_a_job_goes_on_when_redis_was_away_and_comes_back_empty(make_rig: Any) -> None:
    rig = make_rig(restartable=True)
    rig.start("one", "two")
    job = rig.submit("restarted", frames=range(1, 5), task_seconds=0.2)
    rig.wait_for(lambda: len(rig.store.list(f"{job.directory}/passes")) >= 4)
    rig.redis_server.stop()
    time.sleep(2.0)
    rig.redis_server.start()

    assert rig.finish(job) == "done"
    assert rig.deliverables(job) == rig.made_here(job)
    assert rig.failures(job) == []


def test_a_flushed_lease_is_written_anew_and_the_task_is_not_started_twice(rig: Any) -> None:
    job = rig.submit("unleased", frames=range(1, 2), rounds=1, slices=1, task_seconds=4)
    rig.wait_for(lambda: [held for held in rig.farm.running(job) if held.ticket.task.startswith("passes")])
    before = sum(rig.said(name).count("written anew") for name in ("one", "two"))
    rig.redis.flushall()

    assert rig.finish(job) == "done"
    assert rig.attempts(job).count("passes/0001/r00.s00") == 1
    assert sum(rig.said(name).count("written anew") for name in ("one", "two")) > before


def test_another_worker_dispatches_when_the_dispatcher_is_killed(make_rig: Any) -> None:
    rig = make_rig()
    rig.start("first")
    rig.wait_for(lambda: rig.redis.hget(key("leader", rig.store.url), "worker") == "first")
    rig.start("second")
    job = rig.submit("led", frames=range(1, 6), task_seconds=0.1)
    rig.wait_for(lambda: rig.products(job))
    rig.kill("first")
    killed = time.monotonic()

    rig.wait_for(lambda: rig.redis.hget(key("leader", rig.store.url), "worker") == "second")
    assert time.monotonic() - killed < rig.config.lease_seconds + 3
    assert rig.finish(job) == "done"


def test_a_dispatcher_that_is_stopped_hands_over_at_once(make_rig: Any) -> None:
    rig = make_rig(lease_seconds=60.0)
    rig.start("first")
    rig.wait_for(lambda: rig.redis.hget(key("leader", rig.store.url), "worker") == "first")
    rig.start("second")
    rig.workers["first"].terminate()

    rig.wait_for(lambda: rig.redis.hget(key("leader", rig.store.url), "worker") == "second", seconds=30)


def test_a_job_survives_kills_a_flush_and_clocks_that_step_with_identical_numbers_and_nobody_parked(rig: Any) -> None:
    rig.start("three", fault="clock")
    job = rig.submit("stormy", frames=range(1, 9), task_seconds=0.15, light_seconds=0.02)
    for strike in range(6):
        time.sleep(0.7)
        if strike == 2:
            rig.redis.flushall()
        if strike == 4:
            rig.kill("three")
        elif job.id in jobs.active(rig.store) and (at_work := rig.farm.running(job)):
            os.kill(at_work[strike % len(at_work)].pid, signal.SIGKILL)

    assert rig.finish(job) == "done"
    assert rig.deliverables(job) == rig.made_here(job)
    assert rig.failures(job) == []


def test_children_are_replaced_after_so_many_tasks(make_rig: Any) -> None:
    rig = make_rig(child_tasks=5)
    rig.start("one")
    job = rig.submit("recycled", frames=range(1, 3), rounds=1)

    assert rig.finish(job) == "done"
    pids = {json.loads(rig.store.read(name))["pid"] for name in rig.store.list(f"{job.directory}/attempts")}
    assert len(pids) >= 2
