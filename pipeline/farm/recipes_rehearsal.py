"""Recipes of the engine `rehearsal`: tasks that sleep, and small arrays that tell whether everything went right.

Each number is an integer function (modulo 2^64) of the job's seed and of the products that the task read, so that a
lost, doubled or exchanged input changes the deliverable, on every machine alike. A job of this engine goes through the
same plan, queues and parking as one that renders.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import FarmError
from pipeline.farm import names, plan, recipes_budget
from pipeline.farm.context import Context
from pipeline.farm.job import Job, Rehearsal
from pipeline.farm.limits import Limits
from pipeline.farm.names import Frame
from pipeline.farm.plan import JobPlan
from pipeline.farm.product import FORMAT_VERSION
from pipeline.farm.products import Products

__all__ = ["Numbers", "environment", "make"]

Numbers = NDArray[np.uint64]
Made = tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]]

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
    _sleep(rehearsal.task_seconds if name.kind in ("passes", "parts") else rehearsal.light_seconds, context)
    if name.kind == "budget":
        return recipes_budget.budget(name, job, products, context)
    if name.frame is None:
        return _report(job, products)
    frame, r = name.frame, name.round or 0
    match name.kind:
        case "samples":
            return _samples(job, rehearsal, products, frame, r)
        case "passes":
            return _slice(task, rehearsal, products, frame, r, name.slice or 0)
        case "stop":
            return _stop(job, products, task)
        case "frames":
            return _frame(job, products, task, frame)
        case "parts":
            return _part(job, rehearsal, products, frame)
    inputs = _inputs(job, products, task)
    if name.kind == "buffers":
        read = {each: products.read(each) for each in inputs}
        parts = [made.arrays["numbers"] for each, made in read.items() if names.parse(each).kind == "passes"]
        earlier = [made.arrays["numbers"] for each, made in read.items() if names.parse(each).kind == "buffers"]
        totals = {key: sum(made.facts[key] for made in read.values()) for key in ("samples", "seconds")}
        return totals, {"numbers": _mixed([np.concatenate(parts), *earlier])}
    numbers = _mixed(products.read(each).arrays["numbers"] for each in inputs)
    facts = {"inputs": inputs}
    if name.kind == "error":
        facts = _judged(rehearsal, frame, products.facts(names.buffers(frame, r)))
    return facts, {"numbers": numbers}


def _judged(rehearsal: Rehearsal, frame: Frame, sums: Mapping[str, Any]) -> dict[str, Any]:
    """The error of a synthetic noise, which is 1 to 8 times as large from frame to frame and falls with √n."""
    spp = sums["samples"] / rehearsal.size
    noise = 1 + int(_scrambled(np.array([rehearsal.seed * 1000 + frame], np.uint64))[0] % np.uint64(8))
    mean = noise / 8.0 / math.sqrt(spp)
    rate = sums["samples"] / sums["seconds"] if sums["seconds"] > 0 else 0.0
    return {"mean": mean, "p99": 2.0 * mean, "spp": spp, "samples_per_second": rate, "seconds": sums["seconds"]}


def _sleep(seconds: float, context: Context) -> None:
    end = time.monotonic() + seconds
    total = max(1, round(seconds / NAP_SECONDS))
    while (left := end - time.monotonic()) > 0:
        context.check()
        context.progress(total - round(left / NAP_SECONDS), total)
        time.sleep(min(left, NAP_SECONDS))


def _rounds(rehearsal: Rehearsal, frame: Frame) -> int:
    """How many rounds a frame gets in a rehearsal without a budget."""
    return rehearsal.stops.get(str(frame), rehearsal.rounds - 1) + 1


def _samples(job: Job, rehearsal: Rehearsal, products: Products, frame: Frame, r: int) -> Made:
    total, reason, spent = _total(job, rehearsal, products, frame, r)
    if total == 0:
        return {"slices": 0, "reason": reason, "samples": 0, "spent": spent}, {}
    bounds = [rehearsal.size * s // rehearsal.slices for s in range(rehearsal.slices + 1)]
    facts = {"slices": rehearsal.slices, "reason": "", "samples": total, "spent": spent, "bounds": bounds}
    counts = np.diff(total * np.arange(rehearsal.size + 1) // rehearsal.size).astype(np.uint32)
    return facts, {"map": counts}


def _total(job: Job, rehearsal: Rehearsal, products: Products, frame: Frame, r: int) -> tuple[int, str, int]:
    """Samples of a round, why there are none, and samples before it: one for each number, unless a budget says."""
    if rehearsal.budget_spp is None or r == 0:
        return (rehearsal.size if r < _rounds(rehearsal, frame) else 0), "rehearsed", r * rehearsal.size
    limits, judged = Limits.of(job), products.facts(names.error(frame, r - 1))
    before = products.facts(names.samples(frame, r - 1))
    spent = before["spent"] + before["samples"]
    if limits.reached(judged["mean"], judged["p99"]):
        return 0, "target", spent
    return *recipes_budget.granted(products, limits, frame, r, pixels=rehearsal.size, spent=spent), spent


def _slice(task: str, rehearsal: Rehearsal, products: Products, frame: Frame, r: int, s: int) -> Made:
    """The numbers of a slice's pixels: a function of (seed, frame, round, pixel, samples), and not of the slicing."""
    planned = products.read(names.samples(frame, r))
    bounds, counts = planned.facts["bounds"], planned.arrays["map"]
    first, last = int(bounds[s]), int(bounds[s + 1])
    label = f"{rehearsal.seed} {frame} {r}".encode()
    base = np.frombuffer(hashlib.blake2b(label, digest_size=8).digest(), "<u8")
    numbers = _scrambled(base + np.arange(first, last, dtype=np.uint64)) + counts[first:last]
    taken = int(counts[first:last].sum())
    return {"samples": taken, "asked": taken, "seconds": rehearsal.task_seconds}, {"numbers": numbers}


def _part(job: Job, rehearsal: Rehearsal, products: Products, part: int) -> Made:
    """The numbers of an errand's part: of (seed, part), and of the part before it in a chain."""
    label = f"{rehearsal.seed} {part}".encode()
    base = np.frombuffer(hashlib.blake2b(label, digest_size=8).digest(), "<u8")
    own = _scrambled(base + np.arange(rehearsal.size, dtype=np.uint64))
    read = (products.read(each).arrays["numbers"] for each in _inputs(job, products, names.part(part)))
    return {"seconds": rehearsal.task_seconds}, {"numbers": _mixed([own, *read])}


def _stop(job: Job, products: Products, task: str) -> Made:
    samples, judged = (names.parse(each) for each in _inputs(job, products, task))
    assert samples.frame is not None and samples.round is not None and judged.round is not None
    error = products.facts(names.error(samples.frame, judged.round))
    reason = products.facts(names.samples(samples.frame, samples.round))["reason"]
    facts = {"round": judged.round, "reason": reason, "mean": error["mean"], "p99": error["p99"], "spp": error["spp"]}
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
    made = [name.frame for name in told if name.kind in ("frames", "parts") and name.frame is not None]
    goal = names.frame_product if job.errand is None else names.part
    for frame in made:
        products.read(goal(frame))  # all of it: a deliverable that is damaged is made anew
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
