"""What faults cost in time, and what more workers bring: rows of `benchmarks.farm`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.farm_rig import Rig, claim_shot
from benchmarks.farm_tasks import tasks_per_second
from benchmarks.results import Results, Row
from pipeline.config.farm import Farm
from pipeline.farm import job as jobs
from pipeline.farm import names, recipes_rehearsal
from pipeline.farm.job import Frozen, Job, Rehearsal
from pipeline.farm.leases import Held
from pipeline.farm.products import Products
from pipeline.farm.queues import Ticket, celery_app, device_of, key, queue_name

__all__ = ["measure"]

IDLE_PERCENT = 10.0
"""Of the machine's cores, that others may take while scaling is measured."""
PATIENCE = 300.0
TASKS, QUICK_TASKS = 10_000, 2_000


def measure(results: Results) -> None:
    with tempfile.TemporaryDirectory(prefix="penumbra-recovery-") as scratch:
        lost_worker(results, Path(scratch))
        double_delivery(results, Path(scratch))
        throughput(results)
        scale_out(results, Path(scratch))


def lost_worker(results: Results, scratch: Path) -> None:
    """With the default leases: a worker is killed over a task; how long until another one has begun it anew."""
    with _farm(scratch / "lost", workers=2) as rig:
        job = _claimed(rig, Rehearsal(task_seconds=3.0, slices=2))
        rig.farm.submit(job)
        held = _rendering(rig, job)
        rig.kill(held.worker)
        killed = time.monotonic()
        while not [each for each in rig.farm.running(job) if each.ticket == held.ticket and each.worker != held.worker]:
            _no_longer_than(killed)
            time.sleep(0.05)
        seconds = time.monotonic() - killed
    lease = Farm().lease_seconds
    what = f"a lost worker's task is begun by another one after (leases of {lease:.0f} s)"
    results.add(Row("lost", what, seconds, "s", must=lease + 15.0))


def double_delivery(results: Results, scratch: Path) -> None:
    """A message that comes again while its task runs, with a lease that was lost: as after a visibility time-out."""
    with _farm(scratch / "double", workers=2) as rig:
        job = _claimed(rig, Rehearsal(light_seconds=2.0, slices=1))
        task = names.samples(1, 0)
        ticket = Ticket(rig.store.url, job.id, task)
        queue = queue_name("light", device_of(job.environment), job.environment_key)
        app, began = celery_app(rig.config.broker_url or "", events=False), time.monotonic()
        for number in range(2):
            app.send_task("penumbra.light", args=[ticket.store, ticket.job, task], queue=queue, ignore_result=True)
            while number == 0 and not rig.farm.running(job):
                _no_longer_than(began)
                time.sleep(0.02)
            rig.redis.delete(key("lease", ticket))
        while len(rig.store.list(f"{job.directory}/logs/{task}")) < 2:
            _no_longer_than(began)
            time.sleep(0.05)
        executions = len(rig.store.list(f"{job.directory}/attempts/{task}"))
        rig.run(job)
        products = Products(rig.store, job)
        made = len(rig.store.list(f"{job.directory}/samples/0001")) - 1  # the other one says that the frame stops
        taken = products.facts(names.buffers(1, 0))["samples"]
    results.add(Row("double", f"products of a task that was delivered twice and made {executions} times", made, must=1))
    wrong = abs(taken - Rehearsal().size)
    results.add(Row("double-sum", "samples in its sums, too many or too few", wrong, must=0))


def throughput(results: Results) -> None:
    """Small tasks through plan, lease, run and publication."""
    found = tasks_per_second(QUICK_TASKS if results.quick else TASKS, workers=2)
    what = f"{found.tasks} small tasks: plan, queue, lease, run, publish; two workers, local store, events off"
    note = f"a durable file takes {found.fsync_ms:.2f} ms"
    results.add(Row("tasks", what, found.per_second, "tasks/s", must=300.0, better="higher", note=note))


def scale_out(results: Results, scratch: Path) -> None:
    """A job that renders, on one worker that has one core, and on two."""
    what = "2 workers against 1, with a core each: a job that renders, times as fast"
    others = psutil.cpu_percent(interval=3.0)
    cores = psutil.cpu_count() or 1
    if others > IDLE_PERCENT or cores < 2:
        note = f"skipped: others took {others:.0f} % of {cores} cores"
        results.add(Row("scale-out", what, None, "×", must=1.85, better="higher", note=note))
        return
    spp = 16 if results.quick else 128
    overrides = {
        "resolution": [480, 270],
        "frames": "1001-1004",
        "sampling.first_spp": spp,
        "sampling.max_spp": spp,
        "denoise.backend": "none",
    }
    walls = []
    for workers in (1, 2):
        place = scratch / f"scale{workers}"
        place.mkdir()
        with Rig(place, workers=workers, pinned=True, target_task_seconds=3.0) as rig:
            warm = {**overrides, "frames": "1001-1002", "sampling.seed": 1}  # children start, kernels compile
            rig.run(claim_shot(place, "shot_010", warm))
            walls.append(rig.run(claim_shot(place, "shot_010", overrides)))
    results.add(Row("scale-out", what, walls[0] / walls[1], "×", must=1.85, better="higher"))


@contextmanager
def _farm(place: Path, *, workers: int, **settings: Any) -> Iterator[Rig]:
    place.mkdir()
    with Rig(place, workers=workers, engine="rehearsal", **settings) as rig:
        yield rig


def _claimed(rig: Rig, work: Rehearsal) -> Job:
    frozen = Frozen({}, recipes_rehearsal.environment(), {}, "rehearsal", work)
    return jobs.claim(rig.store, "shot", frozen, frames=[1])[0]


def _rendering(rig: Rig, job: Job) -> Held:
    """A slice that somebody has begun."""
    began = time.monotonic()
    while True:
        for held in rig.farm.running(job):
            if held.total and names.parse(held.ticket.task).kind == "passes":
                return held
        _no_longer_than(began)
        time.sleep(0.05)


def _no_longer_than(began: float) -> None:
    if time.monotonic() - began > PATIENCE:
        raise TimeoutError(f"not within {PATIENCE:.0f} s")
