"""What wranglers ask of a farm, on real workers: pools, memory, permits, gates, waits, shares, pauses, drains."""

from __future__ import annotations

import json
import time
from typing import Any

from pipeline.farm.inspection import open_tasks
from pipeline.farm.permits import Permits
from pipeline.farm.progress import snapshot

SMALL = {"frames": range(1, 2), "rounds": 1, "slices": 1}


def makers(rig: Any, job: Any) -> set[str]:
    """The workers that made a job."""
    return {json.loads(rig.store.read(name))["worker"] for name in rig.store.list(f"{job.directory}/attempts")}


def test_jobs_reach_the_workers_of_their_pool_tags_and_memory_and_no_others(make_rig: Any) -> None:
    rig = make_rig()
    rig.start("plain", options=("--memory", "8"))
    rig.start("big", options=("--memory", "48", "--tags", "fast,quiet"))
    rig.start("film", options=("--pools", "film"))
    pooled = rig.submit("pooled", terms={"pool": "film"}, **SMALL)
    tagged = rig.submit("tagged", terms={"tags": ["fast"], "memory": 24.0}, **SMALL)
    nobody = rig.submit("nobodys", terms={"tags": ["slow"]}, **SMALL)

    assert rig.finish(pooled) == rig.finish(tagged) == "done"
    assert makers(rig, pooled) == {"film"}
    assert makers(rig, tagged) == {"big"}
    assert rig.attempts(nobody) == [] and len(rig.farm.unserved(nobody)) == 3

    rig.farm.adjust(nobody, {"tags": ["quiet"]})
    assert rig.finish(nobody) == "done"
    assert makers(rig, nobody) == {"big"}


def test_no_more_tasks_run_than_there_are_licences_also_after_a_flush_and_none_leaks(make_rig: Any) -> None:
    rig = make_rig(limits={"vray": 1})
    rig.start("one", "two", "three")
    job = rig.submit("licensed", frames=range(1, 4), rounds=1, slices=2, task_seconds=0.7, terms={"licences": ["vray"]})
    most, flushed, killed = 0, False, False

    def look() -> bool:
        nonlocal most, flushed, killed
        at_it = [held for held in rig.farm.running(job) if held.ticket.task.startswith("passes") and held.total]
        most = max(most, len(at_it))
        made = len(rig.store.list(f"{job.directory}/passes"))
        if made >= 1 and at_it and not killed:
            killed = True
            rig.kill(at_it[0].worker)  # with its licence in hand
        if made >= 3 and not flushed:
            flushed = True
            rig.redis.flushall()
        return job.id not in rig.store.children("active")

    rig.wait_for(look, every=0.02)
    assert rig.farm.state(job) == "done" and rig.deliverables(job) == rig.made_here(job)
    assert most == 1 and killed and flushed
    rig.wait_for(lambda: Permits.of(rig.redis, rig.config).used(["vray"]) == {"vray": 0})


def test_a_job_waits_for_an_approval_after_its_first_frames(rig: Any) -> None:
    job = rig.submit("gated", frames=range(1, 6), rounds=1, terms={"order": "every:2", "approve": "frames"})
    rig.wait_for(lambda: snapshot(rig.store, job).state == "review")
    assert sorted(rig.deliverables(job)) == [1, 3, 5]
    assert [frame.state for frame in snapshot(rig.store, job).frames if frame.frame in (2, 4)] == ["held", "held"]

    rig.farm.approve(job)
    assert rig.finish(job) == "done"
    assert rig.deliverables(job) == rig.made_here(job)


def test_frames_wait_for_the_same_frames_of_another_job(rig: Any) -> None:
    first = rig.claim("plates", frames=range(1, 3), rounds=1, slices=1, radius=0)
    second = rig.submit("comps", terms={"after": [f"{first.id}:frames"]}, frames=range(1, 3), rounds=1, radius=0)
    rig.wait_for(lambda: snapshot(rig.store, second).state == "blocked")
    time.sleep(1.0)
    assert rig.attempts(second) == []

    rig.farm.submit(first)
    assert rig.finish(first) == rig.finish(second) == "done"


def test_a_pause_after_the_task_lets_it_come_to_its_end(rig: Any) -> None:
    job = rig.submit("patient", frames=range(1, 2), rounds=1, slices=4, task_seconds=2.0)
    rig.wait_for(lambda: [held for held in rig.farm.running(job) if held.total])
    running = {held.ticket.task for held in rig.farm.running(job)}
    rig.farm.pause(job, after_task=True)
    rig.wait_for(lambda: not rig.farm.running(job))

    assert all(rig.store.exists(f"{job.directory}/{task}") for task in running)
    assert snapshot(rig.store, job).state == "paused"
    told = {task.task: task.state for task in open_tasks(rig.store, job, [])}
    assert "held" in told.values() and told["buffers/0001/r00"] == "waiting"
    rig.farm.cancel(job)


def test_shows_share_the_farm(rig: Any) -> None:
    slow = {"frames": range(1, 3), "rounds": 1, "slices": 8, "task_seconds": 0.25}
    first = rig.submit("one_show", show="a", **slow)
    rig.wait_for(lambda: rig.farm.running(first))
    second = rig.submit("other_show", show="b", **slow)
    rig.wait_for(lambda: len(rig.store.list(f"{second.directory}/passes")) >= 6)

    assert len(rig.store.list(f"{first.directory}/passes")) < 16  # the first one had far from all slots
    rig.finish(first), rig.finish(second)


def test_a_drained_worker_ends_after_its_task_and_one_that_is_out_takes_none(make_rig: Any) -> None:
    rig = make_rig()
    rig.start("leaving", "banned", "staying")
    rig.farm.order("banned", "out", "its fan is loud")
    rig.wait_for(lambda: {w["name"]: w["state"] for w in rig.farm.workers()}.get("banned") == "out")
    job = rig.submit("long", frames=range(1, 2), rounds=1, slices=3, task_seconds=1.5)
    task = rig.rendering(job, "leaving").ticket.task
    rig.farm.order("leaving", "drain")

    assert rig.finish(job) == "done"
    assert rig.workers["leaving"].wait(timeout=30) == 0
    assert rig.attempts(job).count(task) == 1
    assert makers(rig, job) <= {"leaving", "staying"}
    rig.farm.order("banned", "in")
    rig.wait_for(lambda: {w["name"]: w["state"] for w in rig.farm.workers()}["banned"] == "working")


def test_slice_plans_follow_the_measured_rate(rig: Any) -> None:
    from pipeline.farm.rates import note_rate, rate_of

    assert rate_of(rig.redis, rig.store.url, "rated.v001") is None
    note_rate(rig.redis, rig.store.url, "rated.v001", 1000, 2.0)
    note_rate(rig.redis, rig.store.url, "rated.v001", 3000, 2.0)
    assert rate_of(rig.redis, rig.store.url, "rated.v001") == 500 + 0.3 * 1000
