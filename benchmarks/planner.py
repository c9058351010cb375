"""How long the planner takes to say what comes next, in a job of 1,000 frames × 5 rounds × 4 slices (20,000 slices).

`benchmarks.farm` takes `measure()` into its page. Run by itself, it prints the rows:

    python -m benchmarks.planner
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.results import Row
from pipeline.farm import names, plan
from pipeline.farm.job import Frozen, Job, Rehearsal, claim
from pipeline.farm.plan import JobPlan
from pipeline.farm.product import encode
from pipeline.farm.products import Products
from pipeline.farm.store import LocalStore

__all__ = ["measure"]

FRAMES, ROUNDS, SLICES = 1000, 5, 4
MUST_MS = 20.0


@dataclass
class Memory:
    """A view in memory that counts what it is asked. Every frame stops after the last round."""

    there: set[str] = field(default_factory=set)
    asked: int = 0

    def exists(self, name: str) -> bool:
        self.asked += 1
        return name in self.there

    def facts(self, name: str) -> Mapping[str, Any]:
        return facts_of(name)


class CountingStore(LocalStore):
    """A store on disk that counts how often it is asked, and listed."""

    listings = questions = 0

    def exists(self, name: str) -> bool:
        self.questions += 1
        return super().exists(name)

    def list(self, prefix: str) -> Any:
        self.listings += 1
        return super().list(prefix)

    def children(self, prefix: str) -> Any:
        self.listings += 1
        return super().children(prefix)


def facts_of(name: str) -> dict[str, Any]:
    """Facts as a rendered job has them, as far as planning reads them."""
    parsed = names.parse(name)
    if parsed.kind == "samples":
        slices = SLICES if (parsed.round or 0) < ROUNDS else 0
        return {"slices": slices, "samples": slices, "bounds": list(range(slices + 1))}
    if parsed.kind == "budget":
        return {"going": list(range(1001, 1001 + FRAMES)) if (parsed.round or 0) < ROUNDS else []}
    return {"round": ROUNDS - 1} if parsed.kind == "stop" else {}


def measure() -> list[Row]:
    """Simulates whole jobs in memory, then one finished task after another on a store on disk.

    Returns:
        Milliseconds of `after` for one finished task (median, 99th percentile, worst), of the whole plan, and listings.
    """
    rows: list[Row] = []
    for key, guide, radius, every_round in (
        ("single", "variance", 0, False),
        ("window", "error, window of 7 frames", 3, True),
        ("budget", "error, window of 7 frames, budget", 3, True),
    ):
        frames = tuple(range(1001, 1001 + FRAMES))
        job = JobPlan(frames, ROUNDS, radius=radius, every_round=every_round, budget=key == "budget")
        milliseconds, asked = _whole_job(job)
        what = f"what comes after a finished task, guide {guide}, in memory"
        percentile = statistics.quantiles(milliseconds, n=100)[98]
        rows += [
            Row(f"after_median_{key}", f"{what}: median", statistics.median(milliseconds), "ms", must=MUST_MS),
            Row(f"after_p99_{key}", f"{what}: 99th percentile", percentile, "ms", must=MUST_MS),
            Row(f"after_worst_{key}", f"{what}: worst of {len(milliseconds)}", max(milliseconds), "ms"),
            Row(f"after_products_{key}", "products looked at for one finished task: median", asked, ""),
            Row(
                f"runnable_{key}",
                f"the whole plan of a half-done job, guide {guide}, in memory",
                _whole_plan(job),
                "ms",
            ),
        ]
    return rows + _on_disk()


def _whole_job(job: JobPlan) -> tuple[list[float], float]:
    """Milliseconds of every `after` of a job that is run to its end, and the median of products looked at."""
    view, milliseconds, asked = Memory(), [], []
    pool = plan.runnable(job, view)
    while pool:
        following: list[str] = []
        for task in pool:
            view.there.add(task)
            view.asked = 0
            start = time.perf_counter()
            found = plan.after(job, task, view)
            milliseconds.append((time.perf_counter() - start) * 1e3)
            asked.append(view.asked)
            following += found
        pool = following
    assert plan.is_done(job, view), "the increments did not finish the job"
    return milliseconds, statistics.median(asked)


def _half_done(job: JobPlan) -> set[str]:
    """Products of a job whose frames have all finished three rounds, and half of their fourth round's slices."""
    there = {names.budget(r) for r in range(1, 4)} if job.budget else set[str]()
    for frame in job.frames:
        for r in range(4):
            there |= {
                names.samples(frame, r),
                *(names.passes(frame, r, s) for s in range(SLICES if r < 3 else SLICES // 2)),
            }
            if r < 3:
                there |= {names.buffers(frame, r), names.error(frame, r)}
                if job.every_round:
                    there.add(names.denoised(frame, r))
    return there


def _whole_plan(job: JobPlan) -> float:
    view = Memory(_half_done(job))
    times = []
    for _ in range(5):
        start = time.perf_counter()
        found = plan.runnable(job, view)
        times.append((time.perf_counter() - start) * 1e3)
        assert len(found) == FRAMES * SLICES // 2
    return statistics.median(times)


def _on_disk(frames: int = 40) -> list[Row]:
    """`after` in a store on disk, in the job with a window: a round of some frames, and the last frame of all."""
    with tempfile.TemporaryDirectory() as directory:
        store = CountingStore(Path(directory))
        rehearsal = Rehearsal(rounds=ROUNDS, slices=SLICES, radius=3, every_round=True)
        frozen = Frozen({}, {"key": "planner"}, engine="rehearsal", rehearsal=rehearsal)
        job, _ = claim(store, "shot", frozen, frames=range(1001, 1001 + FRAMES))
        planned, products = JobPlan.of(job), Products(store, job)
        few = planned.frames[:frames]
        for name in sorted(_half_done(JobPlan(few, ROUNDS, radius=3, every_round=True))):
            _write(products, name)
        store.listings = store.questions = 0
        milliseconds: list[float] = []
        steps: list[Callable[[int], str]] = [
            lambda frame: names.passes(frame, 3, 2),
            lambda frame: names.passes(frame, 3, 3),
            lambda frame: names.buffers(frame, 3),
            lambda frame: names.denoised(frame, 3),
            lambda frame: names.error(frame, 3),
            lambda frame: names.samples(frame, 4),
        ]
        for make in steps:
            milliseconds += [_timed(store, job, planned, make(frame)) for frame in few]
        questions = store.questions / len(milliseconds)
        for frame in planned.frames[1:]:
            _write(products, names.frame_product(frame))
        last = _timed(store, job, planned, names.frame_product(planned.frames[0]))
        shared = JobPlan(planned.frames, ROUNDS, radius=3, every_round=True, budget=True)
        for frame in planned.frames:
            _write(products, names.samples(frame, 0))
            _write(products, names.error(frame, 0))
        barrier = _timed(store, job, shared, names.error(planned.frames[0], 0))
    percentile = statistics.quantiles(milliseconds, n=100)[98]
    what = "what comes after a finished task, on a local disk"
    return [
        Row("after_disk_median", f"{what}: median", statistics.median(milliseconds), "ms", must=MUST_MS),
        Row("after_disk_p99", f"{what}: 99th percentile", percentile, "ms", must=MUST_MS),
        Row(
            "after_disk_last",
            f"what comes after the last of {FRAMES} frames, on a local disk",
            last,
            "ms",
            must=MUST_MS,
        ),
        Row(
            "after_disk_budget",
            f"what comes after the last error of {FRAMES} frames that share a budget, on a local disk",
            barrier,
            "ms",
            must=MUST_MS,
        ),
        Row("after_disk_questions", "questions to the store for one finished task: mean", questions),
        Row("after_listings", "listings of the store on the hot path", float(store.listings), must=0.0),
    ]


def _timed(store: LocalStore, job: Job, planned: JobPlan, task: str) -> float:
    """Makes a product, and asks what comes after it as a worker that has not seen the job yet; milliseconds."""
    products = Products(store, job)
    _write(products, task)
    start = time.perf_counter()
    plan.after(planned, task, products)
    return (time.perf_counter() - start) * 1e3


def _write(products: Products, name: str) -> None:
    path = products.store.path(products.name(name))
    assert path is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(name, job_hash=products.job.hash, facts=facts_of(name), arrays={}))


def main() -> None:
    """Prints the rows."""
    for row in measure():
        held = {True: "holds", False: "FAILS", None: ""}[row.holds]
        print(f"{row.key:24} {row.value:10.3f} {row.unit:3} {held:6} {row.what}")


if __name__ == "__main__":
    main()
