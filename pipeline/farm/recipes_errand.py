"""How the parts of an errand are made, and the report of them all."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.errors import FarmError, ProductError
from pipeline.farm import names, plan
from pipeline.farm.context import Context
from pipeline.farm.control import Control
from pipeline.farm.errands import Errand
from pipeline.farm.job import Job
from pipeline.farm.plan import JobPlan
from pipeline.farm.products import Products
from pipeline.farm.recipes import Made
from pipeline.scene import blobs

__all__ = ["REPORT_FILE", "make", "report_inputs"]

log = logging.getLogger(__name__)

REPORT_FILE = "report.json"


def make(task: str, job: Job, products: Products, context: Context) -> Made:
    """Makes a part, or the report.

    Raises:
        Cancelled: the task was asked to let go.
        MissingProduct: the part before it vanished: the planner makes it anew.
        PenumbraError: what went wrong, in one line.
    """
    if job.errand is None:
        raise FarmError(f"{job.id} has the engine 'errand' and says nothing about what is to be done")
    name = names.parse(task)
    context.check()
    if name.kind == "report":
        return _report(job, job.errand, products)
    if name.kind != "parts" or name.frame is None or str(name.frame) not in job.errand.items:
        raise ProductError(f"{task}: no task of {job.id} makes this")
    began = time.monotonic()
    match job.errand.kind:
        case "capture":
            facts, files = _material(job.errand, name.frame, context)
        case "preview":
            facts, files = _stretch(job, job.errand, name.frame, products, context)
    arrays = {path: np.frombuffer(data, np.uint8) for path, data in sorted(files.items())}
    return {**facts, "seconds": round(time.monotonic() - began, 3)}, arrays


def report_inputs(job: Job, products: Products) -> tuple[list[int], list[int]]:
    """The parts that are made, and those that were given up, ascending."""
    state = Control(products.store, job.directory).look()
    inputs = plan.inputs(JobPlan.of(job, state), names.REPORT, products)
    if inputs is None:
        raise ProductError("the report was started before all parts were accounted for")
    parsed = [names.parse(name) for name in inputs]
    made = sorted(name.frame for name in parsed if name.kind == "parts" and name.frame is not None)
    absent = sorted(name.frame for name in parsed if name.kind == "absent" and name.frame is not None)
    return made, absent


def _material(errand: Errand, part: int, context: Context) -> tuple[dict[str, Any], Mapping[str, bytes]]:
    """The material of one photograph."""
    from pipeline.capture.part import make as capture

    assert context.blobs is not None, "parts are made where frozen files are"
    item, weights = errand.item(part), errand.settings.get("weights")

    def say(line: str) -> None:
        log.info("%s", line)
        context.check()

    record, files = capture(
        errand.settings,
        item["name"],
        blobs.resolve(context.blobs, item["photograph"], {}),
        item["file"],
        weights=None if weights is None else blobs.resolve(context.blobs, weights, {}),
        say=say,
    )
    return {"record": record}, files


def _stretch(
    job: Job, errand: Errand, part: int, products: Products, context: Context
) -> tuple[dict[str, Any], Mapping[str, bytes]]:
    """A stretch of a preview's training."""
    from pipeline.device import set_variant

    set_variant(job.environment["variant"])
    from pipeline.radiosity import stretch

    assert context.blobs is not None, "parts are made where frozen files are"
    before = None if part == 1 else products.read(names.part(part - 1)).arrays["cache"].tobytes()
    key = f"preview {job.hash}"
    ground = context.cache.pop(key, None)
    context.cache.clear()  # one scene at a time: two may not fit
    ground = ground or stretch.ground(errand.settings, job.scenes, context.blobs)
    context.cache[key] = ground

    def on_steps(done: int, total: int) -> None:
        context.progress(done, total)
        context.check()

    told, cache = stretch.train(errand.settings, ground, int(errand.item(part)["until"]), before, on_steps=on_steps)
    return told, {"cache": cache}


def _report(job: Job, errand: Errand, products: Products) -> Made:
    """Reads every part once more, and writes what there is to tell of them."""
    made, absent = report_inputs(job, products)
    parts = {}
    for part in made:
        facts = dict(products.read(names.part(part)).facts)  # all of it: one that is damaged is made anew
        parts[str(part)] = {**errand.item(part), **facts}
    document = {
        "job": job.id,
        "hash": job.hash,
        "environment": job.environment,
        "errand": errand.kind,
        "state": "failed" if absent else "done",
        "parts": parts,
        "absent": {str(part): {**errand.item(part), **products.recorded(names.absent(part))} for part in absent},
    }
    full = products.name(REPORT_FILE)
    products.store.delete(full)  # it speaks of the parts that there are now
    products.store.create(full, json.dumps(document, indent=1, allow_nan=False).encode())
    return {"frames": made, "absent": absent}, {}
