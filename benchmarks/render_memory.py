"""Resident memory of a worker process that makes a whole frame. Run by `benchmarks.render`, in a process of its own:

    python -m benchmarks.render_memory SPP

Everything that a worker does is done: passes, sums, error map, denoising, deliverable. Prints one JSON document.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT
from benchmarks.render_subjects import ANIMATED
from pipeline.config.load import load_shot
from pipeline.device import choose_variant, environment, environment_key
from pipeline.farm import names, plan, recipes, submission
from pipeline.farm.context import Context
from pipeline.farm.products import Products
from pipeline.farm.recipes_frame import planned
from pipeline.farm.store import BLOBS, LocalStore

WIDTH, HEIGHT = 1920, 1080


def worker(spp: int, folder: Path) -> dict[str, Any]:
    """Makes one frame at 1920×1080 with all of its samples in one slice: peak memory, and seconds by kind of task."""
    overrides = {
        **{"frames": "1001", "resolution": [WIDTH, HEIGHT], "denoise.backend": "none"},
        **{"sampling.first_spp": spp, "sampling.max_spp": spp},
    }
    variant = choose_variant()
    found = environment(variant)
    store = LocalStore(folder)
    shot = load_shot(ROOT / "shots" / ANIMATED, overrides)
    ready = submission.prepare([shot], store, {**found, "key": environment_key(found)})
    job = submission.claim_all(ready, store)[0].job
    products, context = Products(store, job), Context(blobs=store.path(BLOBS))
    context = Context(blobs=store.path(BLOBS), farm=context.farm.model_copy(update={"target_task_seconds": 3600.0}))
    seconds: dict[str, float] = {}
    peaks: dict[str, float] = {}
    while tasks := plan.runnable(planned(job, products), products):
        for task in tasks:
            kind, began = names.parse(task).kind, time.perf_counter()
            products.publish(task, *recipes.make(task, job, products, context))
            seconds[kind] = seconds.get(kind, 0.0) + time.perf_counter() - began
            peaks[kind] = peak_gib()
    slices = products.facts(names.samples(1001, 0))["slices"]
    return {"peak_gib": peak_gib(), "seconds": seconds, "peaks": peaks, "slices": slices, "wave": context.wave_samples}


def peak_gib() -> float:
    """Largest resident set of this process so far.

    Where /proc tells it, from there: what `getrusage` tells begins with that of the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 2**20
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(worker(int(sys.argv[1]), Path(scratch))))
