"""What the farm promises: the same pixels whatever happens, and little time beside rendering.

python -m benchmarks.farm [--quick] [--json FILE]
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import farm_recovery, planner
from benchmarks.farm_rig import Rig, claim_shot
from benchmarks.machine import ROOT
from benchmarks.results import Results, Row, main
from pipeline.farm import job as jobs
from pipeline.farm import names, plan, recipes_rehearsal
from pipeline.farm.context import Context
from pipeline.farm.job import Frozen, Job, Rehearsal
from pipeline.farm.job_plan import JobPlan
from pipeline.farm.products import Products
from pipeline.farm.recipes import make
from pipeline.farm.store import open_store
from pipeline.images import deliverable

SHOT = "shot_010"
SMALL = {
    "resolution": [96, 54],
    "frames": "1001-1004",
    "sampling.first_spp": 4,
    "sampling.max_spp": 32,
    "sampling.target_error": 0.001,
    "denoise.backend": "none",
}
"""A job with many tasks: four frames of four rounds."""
MANY_SLICES = {"target_task_seconds": 0.001, "min_slice_samples": 6_000}
ONE_SLICE = {"target_task_seconds": 3600.0}
SHORT_LEASES = {"lease_seconds": 5.0, "heartbeat_seconds": 1.0, "sweep_seconds": 1.0}


def measure(results: Results) -> None:
    with tempfile.TemporaryDirectory(prefix="penumbra-bench-") as scratch:
        same_pixels(results, Path(scratch))
        overhead_of_sleeping(results, Path(scratch))
        overhead_of_rendering(results, Path(scratch))
    farm_recovery.measure(results)
    for row in planner.measure():
        results.add(row)
    help_time(results)


# --- The same pixels ----------------------------------------------------------------------------------------------


def same_pixels(results: Results, scratch: Path) -> None:
    """One job four ways: calm with one worker, with three, under faults, and cut into other slices."""
    kills = 6 if results.quick else 20
    small = {**SMALL, "frames": "1001-1002"} if results.quick else SMALL
    calm = _rendered(scratch / "one", small, workers=1, settings=MANY_SLICES)
    three = _rendered(scratch / "three", small, workers=3, settings=MANY_SLICES)
    chaos = _rendered(scratch / "chaos", small, workers=3, settings={**MANY_SLICES, **SHORT_LEASES}, kills=kills)
    sliced = _rendered(scratch / "sliced", small, workers=1, settings=ONE_SLICE)
    rows = (
        ("workers-3", "3 workers against 1: deliverables whose pixels differ", _differing(calm, three)),
        (
            "chaos",
            f"{kills} random kill -9 of children and workers and a FLUSHALL half way: deliverables whose pixels differ",
            _differing(calm, chaos),
        ),
    )
    for key, what, value in rows:
        results.add(Row(key, what, value, "frames", must=0))
    worst = max(_largest_difference(calm[frame], sliced[frame]) for frame in calm)
    results.add(Row("slicing", "other slices: largest relative difference of any pixel", worst, must=1e-6))
    parked = len(open_store(str(scratch / "chaos")).list(f"{SHOT}/v001/failures"))
    results.add(Row("innocent-parked", "tasks parked in the run with faults, none of them guilty", parked, must=0))


def _rendered(
    directory: Path, overrides: dict[str, Any], *, workers: int, settings: dict[str, Any], kills: int = 0
) -> dict[int, dict[str, Any]]:
    directory.mkdir()
    job = claim_shot(directory, SHOT, overrides)
    with Rig(directory, workers=workers, **settings) as rig:
        rig.run(job, _faults(rig, job, kills) if kills else lambda: None)
    frames = {}
    for frame in job.frames:
        path = directory / job.directory / "frames" / f"{job.shot}.{names.frame_text(frame)}.exr"
        frames[frame] = dict(deliverable.read(path).layers)
    return frames


def _faults(rig: Rig, job: Job, kills: int) -> Callable[[], None]:
    """Every few seconds: `kill -9` of a child or, each fourth time, of a worker; half way Redis is flushed too."""
    rng = random.Random(5)
    left = [kills]
    due = [time.monotonic() + 3.0]

    def strike() -> None:
        if not left[0] or time.monotonic() < due[0]:
            return
        if left[0] == kills // 2:
            rig.redis.flushall()
        if left[0] % 4 == 0:
            rig.kill_worker(rng)
        else:
            rig.kill_child(rng)
        left[0] -= 1
        due[0] = time.monotonic() + rng.uniform(1.0, 4.0)

    return strike


def _differing(a: dict[int, dict[str, Any]], b: dict[int, dict[str, Any]]) -> int:
    return sum(any(not np.array_equal(a[f][layer], b[f][layer]) for layer in a[f]) for f in a)


def _largest_difference(a: dict[str, Any], b: dict[str, Any]) -> float:
    return max(float(np.max(np.abs(a[n] - b[n]) / np.maximum(np.abs(a[n]), 1e-3))) for n in a)


# --- Overhead -----------------------------------------------------------------------------------------------------


def overhead_of_sleeping(results: Results, scratch: Path) -> None:
    """Twenty tasks of a minute that only wait: what leases, plans, products and the queue add."""
    seconds = 3.0 if results.quick else 60.0
    directory = scratch / "sleep"
    directory.mkdir()
    with Rig(directory, workers=1, engine="rehearsal") as rig:
        work = Rehearsal(task_seconds=seconds, slices=20)
        frozen = Frozen({}, recipes_rehearsal.environment(), {}, "rehearsal", work)
        job = jobs.claim(rig.store, "rehearsal", frozen, frames=[1001])[0]
        wall = rig.run(job)
    share = (wall - 20 * seconds) / wall
    results.add(
        Row(
            "overhead",
            f"(job wall time − its passes) / job wall time: 20 tasks of {seconds:.0f} s",
            100 * share,
            "%",
            must=5.0,
            note="each task waits for its time, as a rehearsal does" + _shorter(results),
        )
    )


def overhead_of_rendering(results: Results, scratch: Path) -> None:
    """A 1080p frame in slices, from the start of the worker's child; then the same passes called in this process."""
    directory = scratch / "hd"
    directory.mkdir()
    spp = 4 if results.quick else 128  # four slices of about a minute
    overrides = {
        "resolution": [1920, 1080],
        "frames": "1001",
        "sampling.first_spp": spp,
        "sampling.max_spp": spp,
        "denoise.backend": "none",
    }
    job = claim_shot(directory, SHOT, overrides)
    settings = {"target_task_seconds": 60.0, "assumed_samples_per_second": 1920 * 1080 * spp / 4 / 60.0}  # four slices
    with Rig(directory, workers=1, **settings) as rig:
        wall = rig.run(job)
    store = open_store(str(directory))
    products = Products(store, job)
    context = Context(blobs=directory / "blobs")
    passes = plan.inputs(JobPlan.of(job), names.buffers(1001, 0), products) or []
    make(passes[0], job, products, context)  # warm: the scene is loaded, kernels compiled
    began = time.monotonic()
    size = 0
    for task in passes:
        _, arrays = make(task, job, products, context)
        size += sum(array.nbytes for array in arrays.values())
    alone = time.monotonic() - began
    results.add(
        Row(
            "overhead-1080p",
            f"the same for a 1080p frame of {spp} spp in {len(passes)} slices, with child start, loading, sums and EXR",
            100 * (wall - alone) / wall,
            "%",
            must=10.0,
            note=f"slices of {alone / len(passes):.1f} s" + _shorter(results),
        )
    )
    results.add(Row("bytes-1080p", "bytes of a 1080p pass with all channels", size / 1e6, "MB"))


def _shorter(results: Results) -> str:
    return "; shorter tasks than in the full run, so a larger share" if results.quick else ""


# --- The command --------------------------------------------------------------------------------------------------


def help_time(results: Results) -> None:
    """Median of nine runs after a warm one."""
    command = [str(Path(sys.executable).with_name("pipeline")), "--help"]
    times = []
    for _ in range(10):
        began = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True, cwd=ROOT)
        times.append(time.perf_counter() - began)
    results.add(Row("help", "`pipeline --help`, median", statistics.median(times[1:]), "s", must=0.4))


if __name__ == "__main__":
    raise SystemExit(main("farm", "The farm", __doc__.splitlines()[0], measure))
