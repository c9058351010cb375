"""What the farm itself costs: small tasks through plan, queue, lease, run and publication; the overhead of long ones.

`python -m benchmarks.farm_tasks [--tasks N] [--workers W] [--store DIR] [--json FILE]` prints both. `benchmarks.farm`
calls the two functions.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.config.farm import Farm as FarmConfig
from pipeline.errors import FarmError
from pipeline.farm import job as jobs
from pipeline.farm import recipes_rehearsal
from pipeline.farm.client import Farm
from pipeline.farm.job import Frozen, Job, Rehearsal
from pipeline.farm.store import Store, open_store

__all__ = ["Overhead", "Throughput", "fsync_milliseconds", "overhead", "tasks_per_second"]

SLICES = 12
"""Of a round of one frame. With the seven other tasks of a frame of one round, nineteen tasks a frame."""
TASKS_PER_FRAME = SLICES + 7
NO_RECYCLING = 1_000_000


@dataclass(frozen=True)
class Throughput:
    """How many small tasks a farm makes.

    Attributes:
        tasks: that were made.
        seconds: from the first product to the last.
        per_second: tasks in each second.
        fsync_ms: what one fsync of a small file costs on the store's disk; a task waits for two of them, or three.
    """

    tasks: int
    seconds: float
    per_second: float
    fsync_ms: float


@dataclass(frozen=True)
class Overhead:
    """What a farm adds to the work itself.

    Attributes:
        tasks: render tasks.
        work_seconds: the same tasks' own time, divided among the workers.
        wall_seconds: of the job, from its submission to its report, on workers that are ready.
        share: (wall − work) / wall.
    """

    tasks: int
    work_seconds: float
    wall_seconds: float
    share: float


def tasks_per_second(tasks: int, *, workers: int = 2, store: Path | None = None, events: bool = False) -> Throughput:
    """Small tasks that a farm on this machine makes in a second: plan, queue, lease, run, publish.

    Args:
        tasks: about how many.
        workers: processes.
        store: where products go; by default a temporary directory.
        events: tell monitors about each task, as workers do by default.
    """
    frames = max(2, tasks // TASKS_PER_FRAME)
    with tempfile.TemporaryDirectory(dir=store) as folder:
        place = open_store(folder)
        fsync = fsync_milliseconds(Path(folder))
        rehearsal = Rehearsal(rounds=1, slices=SLICES, size=SLICES)
        with _farm(place, workers, events) as farm:
            _run(farm, "warm_up", Rehearsal(rounds=1), range(1, workers + 1))
            start = time.perf_counter()
            _run(farm, "small", rehearsal, range(1, frames + 1))
            seconds = time.perf_counter() - start
    made = frames * TASKS_PER_FRAME + 1
    return Throughput(made, seconds, made / seconds, fsync)


def overhead(tasks: int, seconds: float, *, workers: int = 1, store: Path | None = None) -> Overhead:
    """The share of a job's wall time that is not its render tasks' own.

    Args:
        tasks: render tasks, in one frame.
        seconds: that each takes.
        workers: processes.
        store: where products go; by default a temporary directory.
    """
    with tempfile.TemporaryDirectory(dir=store) as folder:
        place = open_store(folder)
        with _farm(place, workers, events=True) as farm:
            _run(farm, "warm_up", Rehearsal(rounds=1), range(1, workers + 1))
            rehearsal = Rehearsal(rounds=1, slices=tasks, size=tasks, task_seconds=seconds)
            start = time.perf_counter()
            _run(farm, "long", rehearsal, range(1, 2))
            wall = time.perf_counter() - start
    work = -(-tasks // workers) * seconds
    return Overhead(tasks, work, wall, (wall - work) / wall)


def fsync_milliseconds(folder: Path, *, files: int = 50) -> float:
    """What creating a small durable file costs in a directory, on average: two of its parts wait for the disk."""
    store = open_store(folder)
    store.create("fsync/0", b"warm")
    start = time.perf_counter()
    for number in range(1, files + 1):
        store.create(f"fsync/{number}", b"small")
    return 1000 * (time.perf_counter() - start) / files


def _farm(store: Store, workers: int, events: bool) -> Farm:
    farm = Farm.embedded(
        store, FarmConfig(child_tasks=NO_RECYCLING), workers=workers, engine="rehearsal", events=events
    )
    while len(farm.workers()) < workers:
        time.sleep(0.05)
    return farm


def _run(farm: Farm, shot: str, rehearsal: Rehearsal, frames: range) -> Job:
    frozen = Frozen({}, recipes_rehearsal.environment(), {}, "rehearsal", rehearsal)
    job, _ = jobs.claim(farm.store, shot, frozen, frames=frames)
    farm.submit(job)
    state = farm.wait(job, every=0.02)
    if state != "done":
        raise FarmError(f"{job.id} is {state}, so that there is nothing to measure")
    return job


def main() -> None:
    """Prints both measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rate = tasks_per_second(options.tasks, workers=options.workers, store=options.store)
    print(f"{rate.per_second:.0f} tasks/s: {rate.tasks} in {rate.seconds:.1f} s; a durable file {rate.fsync_ms:.2f} ms")
    cost = overhead(10, 1.0, store=options.store)
    print(f"{cost.share:.1%} overhead: {cost.work_seconds:.0f} s of work in {cost.wall_seconds:.2f} s")
    if options.json:
        options.json.write_text(json.dumps({"throughput": asdict(rate), "overhead": asdict(cost)}, indent=1))


if __name__ == "__main__":
    main()
