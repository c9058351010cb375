"""Whole jobs on real workers: the same numbers whatever the number of workers, and one product per task."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import Any

from pipeline.farm import job as jobs
from pipeline.farm import names
from pipeline.farm.products import Products
from pipeline.farm.queues import Queues, Ticket, celery_app, device_of, key, list_keys, queue_name


def test_a_job_ends_with_every_frame_and_the_numbers_of_a_run_in_one_process(rig: Any) -> None:
    job = rig.submit("normal")

    assert rig.finish(job) == "done"
    assert rig.deliverables(job) == rig.made_here(job)
    assert job.id not in jobs.active(rig.store)


def test_slices_go_once_the_job_is_done_and_sums_stay(rig: Any) -> None:
    job = rig.submit("cleaned")

    rig.finish(job)
    rig.wait_for(lambda: not rig.store.list(f"{job.directory}/passes"))
    assert rig.store.exists(f"{job.directory}/{names.buffers(1001, 1)}")


def test_three_workers_make_the_same_numbers_as_one_process(rig: Any) -> None:
    rig.start("three")
    job = rig.submit("shot", frames=range(1, 6), task_seconds=0.3)  # time for the third one to come up

    assert rig.finish(job) == "done"
    assert rig.deliverables(job) == rig.made_here(job)
    workers = {json.loads(rig.store.read(name))["worker"] for name in rig.store.list(f"{job.directory}/attempts")}
    assert workers == {"one", "two", "three"}
    rig.kill("three")


def test_frames_share_a_budget_and_stop_at_their_target_or_at_its_end(rig: Any) -> None:
    shared = {"frames": range(1001, 1005), "rounds": 5, "slices": 2, "every_round": True, "budget_spp": 4}
    job = rig.submit("shared", target_error=0.22, **shared)

    assert rig.finish(job) == "done"
    assert rig.deliverables(job) == rig.made_here(job)
    products = Products(rig.store, job)
    stops = [products.facts(names.stop(frame)) for frame in job.frames]
    taken = [
        products.facts(names.buffers(frame, stop["round"]))["samples"]
        for frame, stop in zip(job.frames, stops, strict=True)
    ]
    assert {stop["reason"] for stop in stops} == {"target", "budget"}
    assert sum(taken) == 4 * 4 * 64 and len(set(taken)) > 1


def test_rounds_that_only_guide_are_denoised_from_fewer_frames_and_the_last_one_from_all(rig: Any) -> None:
    job = rig.submit("drafted", frames=range(1, 4), slices=1, every_round=True, radius=2, draft_radius=0)

    assert rig.finish(job) == "done"
    assert rig.deliverables(job) == rig.made_here(job)
    products = Products(rig.store, job)
    assert [products.exists(names.draft(frame, r)) for frame in job.frames for r in (0, 1)] == [True] * 6
    assert [products.exists(names.denoised(frame, r)) for frame in job.frames for r in (0, 1)] == [False, True] * 3


def test_a_message_that_is_delivered_twice_makes_one_product(rig: Any) -> None:
    job = rig.claim("doubled", frames=range(1, 2), rounds=1, slices=1, light_seconds=0.5)
    queue = queue_name("light", device_of(job.environment), job.environment_key)
    app = celery_app(rig.config.broker_url)
    for _ in range(2):
        app.send_task(
            "penumbra.light", args=[rig.store.url, job.id, "samples/0001/r00"], queue=queue, ignore_result=True
        )
    rig.farm.submit(job)

    assert rig.finish(job) == "done"
    assert rig.attempts(job).count("samples/0001/r00") == 1
    assert rig.deliverables(job) == rig.made_here(job)


def test_two_workers_that_make_the_same_product_publish_one(rig: Any) -> None:
    job = rig.claim("raced", frames=range(1, 2), rounds=1, slices=1, light_seconds=1.0)
    queue = queue_name("light", device_of(job.environment), job.environment_key)
    app = celery_app(rig.config.broker_url)
    ticket = Ticket(rig.store.url, job.id, "samples/0001/r00")
    app.send_task("penumbra.light", args=[ticket.store, ticket.job, ticket.task], queue=queue, ignore_result=True)
    rig.wait_for(lambda: rig.farm.running(job))
    rig.redis.delete(key("lease", ticket))  # as if the first one's lease had been lost: the second cannot know
    app.send_task("penumbra.light", args=[ticket.store, ticket.job, ticket.task], queue=queue, ignore_result=True)
    rig.wait_for(lambda: len(rig.store.list(f"{job.directory}/logs/samples")) == 2)

    outcomes = {
        json.loads(rig.store.read(name).splitlines()[-1])["facts"]["outcome"]
        for name in rig.store.list(f"{job.directory}/logs/samples")
    }
    assert outcomes == {"made", "double"}
    jobs.deactivate(rig.store, job)


def test_a_job_of_a_higher_priority_overtakes_one_that_waits(rig: Any) -> None:
    slow = rig.submit("slow", frames=range(1, 7), priority=1, slices=6, task_seconds=0.2)
    rig.wait_for(lambda: rig.store.list(f"{slow.directory}/passes"))
    urgent = rig.submit("urgent", frames=range(1, 2), priority=9)

    rig.finish(urgent)
    assert slow.id in jobs.active(rig.store)
    rig.farm.cancel(slow)


def test_queues_hold_at_most_two_tasks_for_each_live_slot(rig: Any) -> None:
    job = rig.claim("deep", frames=range(1, 40), slices=4, task_seconds=0.1)
    queue = queue_name("render", device_of(job.environment), job.environment_key)
    rig.wait_for(lambda: rig.redis.get(key("room", queue)) == "4")  # a third worker is forgotten by now
    rig.farm.submit(job)
    queues = Queues(rig.redis)
    lengths = []

    def look() -> bool:
        lengths.append(len(queues.waiting([queue])[queue]))
        return len(rig.store.list(f"{job.directory}/passes")) >= 12

    rig.wait_for(look, every=0.01)
    assert 0 < max(lengths) <= 4
    assert len(list_keys(queue)) == 10
    rig.farm.cancel(job)


def test_importing_the_workers_imports_no_renderer() -> None:
    code = (
        "import sys, workers.run, workers.parent, workers.app; print({'mitsuba', 'drjit', 'torch'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == "set()"


def test_monitors_see_which_task_of_which_job_a_worker_makes(rig: Any) -> None:
    app = celery_app(rig.config.broker_url)
    seen: list[dict[str, Any]] = []
    with app.connection() as connection:
        monitor = app.events.Receiver(connection, handlers={"*": seen.append})
        listening = threading.Thread(target=monitor.capture, kwargs={"wakeup": False}, daemon=True)
        listening.start()
        rig.wait_for(lambda: [event for event in seen if event["type"] == "worker-heartbeat"])
        job = rig.submit("monitored", frames=range(1, 2), rounds=1, slices=1)
        rig.finish(job)
        rig.wait_for(lambda: [e for e in seen if e["type"] == "task-succeeded" and e["uuid"].startswith(f"{job.id}/")])
        monitor.should_stop = True
        listening.join()
    # The rig is shared: the last tasks of the jobs before this one may still be under way, and are seen too.
    mine = [event for event in seen if event["type"] == "task-received" and event["uuid"].startswith(f"{job.id}/")]
    first = next(event for event in mine if event["uuid"].startswith(f"{job.id}/samples/0001/r00~"))
    assert first["name"] == "penumbra.light"
    assert "'samples/0001/r00'" in first["args"]
