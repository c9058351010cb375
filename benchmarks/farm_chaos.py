"""Storms on a farm: every job ends with the pixels of a calm run, and no fault costs more than the tasks that it hit.

python -m benchmarks.farm_chaos [--quick] [--json FILE]

A storm is a farm of its own: a real Redis, three workers, jobs, and every kind of fault in random order
(`benchmarks.farm_faults`). What a storm found is kept under `~/.cache/penumbra/farm_chaos`, by commit and seed: who
runs this again goes on with the storms that are missing. A quick run makes a storm of synthetic tasks and one that
renders, about a minute and a half each; a full run makes half an hour of them.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.farm_faults import Account, Disk, Storm, account
from benchmarks.farm_rig import RestartableRedis, Rig, claim_shot
from benchmarks.machine import commit
from benchmarks.results import Results, Row, main
from pipeline.device import cache_directory
from pipeline.farm import job as jobs
from pipeline.farm import names, plan, recipes_rehearsal
from pipeline.farm.client import BrokerDown
from pipeline.farm.context import Context
from pipeline.farm.job import Frozen, Job, Rehearsal
from pipeline.farm.plan import JobPlan
from pipeline.farm.products import Products
from pipeline.farm.store import BLOBS, Store, open_store

SETTINGS = {
    "lease_seconds": 5.0,
    "heartbeat_seconds": 1.0,
    "sweep_seconds": 1.0,
    "control_seconds": 2.0,
    "retry_seconds": 0.2,
    "stuck_seconds": 12.0,
    "target_task_seconds": 0.001,
    "min_slice_samples": 6_000,
}
"""Short times, so that a minute sees many leases end; many slices."""
SYNTHETIC = Rehearsal(rounds=3, slices=4, radius=1, every_round=True, task_seconds=0.3, size=512)
FRAMES = range(1, 9)
RENDERED = {
    "resolution": [96, 54],
    "frames": "1001-1003",
    "sampling.first_spp": 4,
    "sampling.max_spp": 16,
    "sampling.target_error": 0.001,
    "denoise.backend": "none",
}
SHOT = "shot_010"
SLOW = ("stopped", "redis_stopped")
"""Faults that a short storm of a rendering farm leaves out: the synthetic one has them."""
GAP_SECONDS = (0.5, 3.0)
"""Between two faults."""
PATIENCE = 900.0
STORMS, QUICK_STORMS = 18, 2


@dataclass(frozen=True)
class Found:
    """What one storm found.

    Attributes:
        seed: of the storm.
        engine: of its jobs.
        jobs: that were submitted.
        done: of them, those that ended done.
        frames: deliverables of all jobs.
        differing: of them, those with other pixels than the calm run's, or none.
        parked: tasks, none of which was at fault.
        faults: that struck, by kind.
        seconds: from the first job to the end of the last.
        small_disk: the disk that was filled was a real one, not a quota.
        cost: executions against products.
    """

    seed: int
    engine: str
    jobs: int
    done: int
    frames: int
    differing: int
    parked: int
    faults: dict[str, int]
    seconds: float
    small_disk: bool
    cost: Account


def measure(results: Results) -> None:
    kept = cache_directory() / "farm_chaos" / (commit() or "no commit")
    storms = [_kept(kept, seed, quick=results.quick) for seed in range(QUICK_STORMS if results.quick else STORMS)]
    faults = sum((Counter(storm.faults) for storm in storms), Counter())
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(faults.items()))
    wall = sum(storm.seconds for storm in storms)
    tried = sum(storm.jobs for storm in storms)
    frames = sum(storm.frames for storm in storms)
    results.add(Row("faults", f"faults in {len(storms)} storms on three workers, {wall:.0f} s", sum(faults.values())))
    lost = tried - sum(storm.done for storm in storms)
    results.add(Row("lost-jobs", f"of {tried} jobs, those that did not end done", lost, must=0))
    differing = sum(storm.differing for storm in storms)
    what = f"of {frames} deliverables, those with other pixels than in the calm run"
    results.add(Row("differing", what, differing, must=0))
    results.add(Row("parked", "tasks parked, none of them guilty", sum(storm.parked for storm in storms), must=0))
    worst = max(storms, key=lambda storm: storm.cost.excess).cost
    what = "executions − products − tasks running at the faults − products damaged, worst storm"
    note = f"{worst.executions} − {worst.products} − {worst.hit} − {worst.damaged}"
    results.add(Row("excess", what, worst.excess, must=0, note=note))
    repeated = sum(s.cost.executions - s.cost.products for s in storms) / max(1, sum(s.cost.products for s in storms))
    results.add(Row("repeated", "executions that made no product, of all products", 100 * repeated, "%"))
    full = "a small disk without room" if all(storm.small_disk for storm in storms) else "a quota"
    results.text(
        f"Faults that struck: {told}. Processes are killed with `kill -9`, or stopped for longer than every time-out;"
        " Redis comes back empty; `truncated` and `flipped` are products damaged in place; `errors` are three seconds"
        f" in which one in twenty requests to the store fails; `full` is {full}; `clock` is a step of all workers'"
        " clocks of up to a day. A calm run makes the same jobs, one task after the other, in one process."
    )
    results.table(
        ["seed", "engine", "jobs", "frames", "faults", "executions", "products", "running at faults", "damaged", "s"],
        [
            [s.seed, s.engine, s.jobs, s.frames, sum(s.faults.values()), *_counts(s.cost), round(s.seconds)]
            for s in storms
        ],
    )


def _counts(cost: Account) -> list[int]:
    return [cost.executions, cost.products, cost.hit, cost.damaged]


def _kept(folder: Path, seed: int, *, quick: bool) -> Found:
    """What an earlier run of the same commit found, or a new storm. A tree that was changed is not remembered."""
    engine = "mitsuba" if seed % 3 == 1 else "rehearsal"
    path = folder / f"{engine}.{seed}.json"
    remembered = not folder.name.endswith("+")
    if remembered and path.exists():
        kept = json.loads(path.read_text())
        return Found(**{**kept, "cost": Account(**kept["cost"])})
    found = storm(seed, engine, left_out=SLOW if quick and engine == "mitsuba" else ())
    if remembered:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(found), indent=1))
    return found


def storm(seed: int, engine: str, *, left_out: tuple[str, ...] = (), jobs_at_least: int = 1) -> Found:
    """One storm: jobs are submitted until every fault has struck, then come to their end.

    Args:
        seed: of the jobs and of the faults.
        engine: `mitsuba`, or `rehearsal`.
        left_out: kinds of faults that do not come.
        jobs_at_least: how many jobs, however soon the faults are over.
    """
    with tempfile.TemporaryDirectory(prefix="penumbra-chaos-") as scratch:
        flags, logs = Path(scratch) / "flags", Path(scratch) / "logs"
        flags.mkdir(), logs.mkdir()
        (flags / "journal").touch()
        disk = Disk(Path(scratch) / "disk")
        try:
            place, submitted = disk.place / "store", list[Job]()
            place.mkdir()
            store, broker = open_store(str(place)), RestartableRedis(logs)
            chaos = {"PYTHONPATH": str(Path(__file__).parent / "faults"), "FARM_CHAOS": str(flags)}
            with Rig(place, workers=3, engine=engine, logs=logs, broker=broker, variables=chaos, **SETTINGS) as rig:
                weather = Storm(rig, disk, flags, seed=seed, left_out=left_out)
                began = time.monotonic()
                while not weather.over or len(submitted) < jobs_at_least:
                    submitted.append(_claimed(store, engine, seed=100 * seed + len(submitted)))
                    _submit(rig, submitted[-1])
                    _endure(rig, submitted[-1], weather)
                weather.calm()
                seconds = time.monotonic() - began
                done = sum(rig.farm.state(job) == "done" for job in submitted)
            calm, frames, differing = Path(scratch) / "calm", 0, 0
            for job in submitted:
                wanted = _calm_run(calm, job, store)
                found = _deliverables(store, job)
                frames += len(job.frames)
                differing += sum(wanted[frame] != found.get(frame) for frame in job.frames)
            parked = sum(len(store.list(f"{job.directory}/failures")) for job in submitted)
            struck = dict(Counter(weather.struck))
            cost = account(flags / "journal")
        finally:
            disk.close()
    return Found(seed, engine, len(submitted), done, frames, differing, parked, struck, seconds, disk.mounted, cost)


def _endure(rig: Rig, job: Job, weather: Storm) -> None:
    """Faults strike until a job has ended, or there are none any more."""
    began = due = time.monotonic()
    while job.id in jobs.active(rig.store):
        weather.tick()
        if time.monotonic() >= due:
            weather.strike()
            due = time.monotonic() + weather.gap(*GAP_SECONDS)
        if time.monotonic() - began > PATIENCE:
            return  # a job that is lost
        time.sleep(0.05)


def _submit(rig: Rig, job: Job) -> None:
    with contextlib.suppress(BrokerDown):  # the mark of an active job is in the store; the sweep finds it
        rig.farm.submit(job)


# --- jobs, and their calm run -------------------------------------------------------------------------------------


def _claimed(store: Store, engine: str, *, seed: int) -> Job:
    if engine == "mitsuba":
        return claim_shot(Path(store.url), SHOT, {**RENDERED, "sampling.seed": seed})
    work = SYNTHETIC.model_copy(update={"seed": seed})
    frozen = Frozen({}, recipes_rehearsal.environment(), {}, "rehearsal", work)
    return jobs.claim(store, "storm", frozen, frames=FRAMES)[0]


def _calm_run(place: Path, job: Job, store: Store) -> dict[int, Any]:
    """The job's deliverables, made one task after the other in this process."""
    calm = open_store(str(place / job.id))
    if job.rehearsal is not None:
        work = job.rehearsal.model_copy(update={"task_seconds": 0.0})  # no number depends on it
        copy = jobs.claim(calm, job.shot, Frozen({}, job.environment, {}, "rehearsal", work), frames=job.frames)[0]
        make: Any = recipes_rehearsal.make
    else:
        from pipeline.farm import recipes

        frozen = Frozen(job.config, job.environment, job.scenes)
        copy, make = jobs.claim(calm, job.shot, frozen, frames=job.frames)[0], recipes.make
    products, context = Products(calm, copy), Context(blobs=store.path(BLOBS))
    while ready := plan.runnable(JobPlan.of(copy), products):
        for task in ready:
            products.publish(task, *make(task, copy, products, context))
    return _deliverables(calm, copy)


def _deliverables(store: Store, job: Job) -> dict[int, Any]:
    """Of each frame that is there, all of its pixels."""
    products = Products(store, job)
    found: dict[int, Any] = {}
    for frame in job.frames:
        name = names.frame_product(frame)
        if not products.exists(name):
            continue
        if job.rehearsal is not None:
            found[frame] = products.read(name).arrays["numbers"].tobytes()
            continue
        from pipeline.images import deliverable

        path = store.path(products.name(str(products.facts(name)["exr"])))
        assert path is not None
        layers = deliverable.read(path).layers
        found[frame] = {layer: pixels.tobytes() for layer, pixels in layers.items()}
    return found


if __name__ == "__main__":
    raise SystemExit(main("farm_chaos", "Storms on a farm", __doc__.splitlines()[0], measure))
