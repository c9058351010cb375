"""Recipes of the engine `rehearsal`: tasks that sleep, and small arrays that tell whether everything went right.

Each number is an integer function (modulo 2^64) of the job's seed and of the products that the task read, so that a
lost, doubled or exchanged input changes the deliverable, on every machine alike. A job of this engine goes through the
same plan, queues and parking as one that renders.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import FarmError
from pipeline.farm import names, plan
from pipeline.farm.context import Context
from pipeline.farm.job import Job, Rehearsal
from pipeline.farm.names import Frame
from pipeline.farm.plan import JobPlan
from pipeline.farm.product import FORMAT_VERSION
from pipeline.farm.products import Products

__all__ = ["Numbers", "environment", "make"]

Numbers = NDArray[np.uint64]
Made = tuple[dict[str, Any], dict[str, NDArray[Any]]]

NAP_SECONDS: Final = 0.05
"""Time between two looks at whether the task was cancelled."""


def environment() -> dict[str, Any]:
    """The environment of rehearsals: any worker of this release gives the same numbers."""
    found = {"engine": "rehearsal", "products": FORMAT_VERSION}
    key = hashlib.blake2b(json.dumps(found, sort_keys=True).encode(), digest_size=6).hexdigest()
    return {**found, "key": key}


def make(task: str, job: Job, products: Products, context: Context) -> Made:
    """Makes one product of a rehearsal.

    Raises:
        FarmError: the task is poisoned by the rehearsal's settings.
        Cancelled: the task was asked to let go.
        ProductError: an input is missing or damaged.
    """
    rehearsal = job.rehearsal
    if rehearsal is None:
        raise FarmError(f"{job.id} has the engine 'rehearsal' and says nothing about what to rehearse")
    if task in rehearsal.poison:
        raise FarmError(f"{task} is poisoned, for the rehearsal")
    name = names.parse(task)
    _sleep(rehearsal.task_seconds if name.kind == "passes" else rehearsal.light_seconds, context)
    if name.frame is None:
        return _report(job, products)
    frame, r = name.frame, name.round or 0
    match name.kind:
        case "samples":
            return _samples(rehearsal, frame, r)
        case "passes":
            return _slice(task, rehearsal, products, frame, r, name.slice or 0)
        case "stop":
            return _stop(rehearsal, products, frame)
        case "frames":
            return _frame(job, products, task, frame)
    inputs = _inputs(job, products, task)
    if name.kind == "buffers":
        parts = [products.read(each).arrays["numbers"] for each in inputs if names.parse(each).kind == "passes"]
        earlier = [products.read(each).arrays["numbers"] for each in inputs if names.parse(each).kind == "buffers"]
        return {"samples": r + 1}, {"numbers": _mixed([np.concatenate(parts), *earlier])}
    numbers = _mixed(products.read(each).arrays["numbers"] for each in inputs)
    facts = {"mean": 1.0 / (r + 1), "p99": 2.0 / (r + 1), "spp": r + 1} if name.kind == "error" else {"inputs": inputs}
    return facts, {"numbers": numbers}


def _sleep(seconds: float, context: Context) -> None:
    end = time.monotonic() + seconds
    total = max(1, round(seconds / NAP_SECONDS))
    while (left := end - time.monotonic()) > 0:
        context.check()
        context.progress(total - round(left / NAP_SECONDS), total)
        time.sleep(min(left, NAP_SECONDS))


def _rounds(rehearsal: Rehearsal, frame: Frame) -> int:
    """How many rounds a frame gets."""
    return rehearsal.stops.get(str(frame), rehearsal.rounds - 1) + 1


def _samples(rehearsal: Rehearsal, frame: Frame, r: int) -> Made:
    if r >= _rounds(rehearsal, frame):
        return {"slices": 0, "reason": "rehearsed", "samples": 0, "spent": r * rehearsal.size}, {}
    bounds = [rehearsal.size * s // rehearsal.slices for s in range(rehearsal.slices + 1)]
    facts = {
        "slices": rehearsal.slices,
        "reason": "",
        "samples": rehearsal.size,
        "spent": r * rehearsal.size,
        "bounds": bounds,
    }
    return facts, {"map": np.ones(rehearsal.size, np.uint32), "start": np.full(rehearsal.size, r, np.uint32)}


def _slice(task: str, rehearsal: Rehearsal, products: Products, frame: Frame, r: int, s: int) -> Made:
    """The numbers of a slice's pixels: a function of (seed, frame, round, pixel), so that slicing changes none."""
    bounds = products.facts(names.samples(frame, r))["bounds"]
    first, last = int(bounds[s]), int(bounds[s + 1])
    label = f"{rehearsal.seed} {frame} {r}".encode()
    base = np.frombuffer(hashlib.blake2b(label, digest_size=8).digest(), "<u8")
    numbers = _scrambled(base + np.arange(first, last, dtype=np.uint64))
    return {"samples": last - first, "asked": last - first, "seconds": rehearsal.task_seconds}, {"numbers": numbers}


def _stop(rehearsal: Rehearsal, products: Products, frame: Frame) -> Made:
    last = _rounds(rehearsal, frame) - 1
    error = products.facts(names.error(frame, last))
    facts = {"round": last, "reason": "rehearsed", "mean": error["mean"], "p99": error["p99"], "spp": error["spp"]}
    return facts, {}


def _frame(job: Job, products: Products, task: str, frame: Frame) -> Made:
    inputs = _inputs(job, products, task)
    numbers = _mixed(products.read(each).arrays["numbers"] for each in inputs if names.parse(each).kind != "stop")
    radius = 0 if job.rehearsal is None else job.rehearsal.radius
    degraded = any(products.exists(names.absent(near)) for near in range(frame - radius, frame + radius + 1))
    return {"exr": None, "png": None, "degraded": degraded}, {"numbers": numbers}


def _report(job: Job, products: Products) -> Made:
    inputs = _inputs(job, products, names.REPORT)
    told = [names.parse(each) for each in inputs]
    made = [name.frame for name in told if name.kind == "frames"]
    return {"frames": made, "absent": [name.frame for name in told if name.kind == "absent"]}, {}


def _inputs(job: Job, products: Products, task: str) -> list[str]:
    from pipeline.farm.control import Control

    state = Control(products.store, job.directory).look()
    found = plan.inputs(JobPlan.of(job, state), task, products)
    if found is None:
        raise FarmError(f"{task} was started before its inputs can be known")
    return found


def _mixed(inputs: Iterable[NDArray[Any]]) -> Numbers:
    """One array from several, in which each input's place matters."""
    total: Numbers | None = None
    for numbers in inputs:
        total = numbers.astype(np.uint64) if total is None else _scrambled(total) + numbers
    if total is None:
        raise FarmError("a task of a rehearsal has no inputs")
    return total


def _scrambled(numbers: Numbers) -> Numbers:
    """SplitMix64's finaliser: a bijection of 64-bit integers.

    Source: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators", figure 17.
    """
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
