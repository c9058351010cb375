"""Sample maps, render passes, and their sums."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.config.film import rendered_size
from pipeline.device import set_variant
from pipeline.errors import AssetError, ProductError
from pipeline.farm import names
from pipeline.farm.context import Context
from pipeline.farm.job import Job
from pipeline.farm.limits import Limits
from pipeline.farm.names import Name
from pipeline.farm.products import Products
from pipeline.farm.recipes import Made
from pipeline.farm.recipes_budget import granted
from pipeline.images.masks import read_mask
from pipeline.render import allocate
from pipeline.render.moments import Moments, add_round, join
from pipeline.scene import spec

if TYPE_CHECKING:
    from pipeline.render.passes import Program

__all__ = ["buffers", "passes", "samples"]

_SCENE_FACTS = ("shapes", "mattes", "aovs", "window", "world_to_camera", "world_to_film")


def samples(name: Name, job: Job, products: Products, context: Context) -> Made:
    """The sample map and the slice plan of a round, or the decision to stop before it (no slices)."""
    frame, r = _frame(name), _round(name)
    sampling, limits = job.config["sampling"], Limits.of(job)
    if r == 0:
        height, width = _resolution(job, frame, context)
        total = allocate.round_total(height * width, limits.first_spp, limits.max_spp, 0)
        counts = allocate.uniform((height, width), total)
        start = np.zeros_like(counts)
        rate = context.rate or context.farm.assumed_samples_per_second  # other frames of the job may know better
        return _plan(counts, start, rate, spent=0, context=context)

    before = products.read(names.samples(frame, r - 1))
    start = before.arrays["start"] + before.arrays["map"]
    spent = int(start.sum(dtype=np.int64))
    judged = products.read(names.error(frame, r - 1))
    mean, p99 = float(judged.facts["mean"]), float(judged.facts["p99"])
    verdict = {"spent": spent, "mean": mean, "p99": p99, "spp": spent / start.size}
    if limits.reached(mean, p99):
        return {"slices": 0, "samples": 0, "bounds": [], "reason": "target", **verdict}, {}
    total, reason = granted(products, limits, frame, r, pixels=start.size, spent=spent)
    if total == 0:
        return {"slices": 0, "samples": 0, "bounds": [], "reason": reason, **verdict}, {}
    counts = allocate.next_map(
        judged.arrays.get("guide"),
        start,
        total,
        importance=_importance(job, start.shape, context),
        unbiased=sampling["combination"] == "unbiased",
        seed=allocate.rounding_seed(sampling["seed"], frame, r),
    )
    rate = float(judged.facts["samples_per_second"]) or context.farm.assumed_samples_per_second
    return _plan(counts, start, rate, spent=spent, context=context)


def passes(name: Name, job: Job, products: Products, context: Context) -> Made:
    """The moments of one slice."""
    set_variant(job.environment["variant"])
    from pipeline.render.blur import render_blurred
    from pipeline.render.outputs import matte_names
    from pipeline.render.passes import Layers, render_pass

    frame, r, s = _frame(name), _round(name), name.slice
    assert s is not None
    plan = products.read(names.samples(frame, r))
    bounds = plan.facts["bounds"]
    program = _program(job, frame, context)

    def on_wave(done: int, total: int) -> None:
        context.progress(done, total)
        if done < total:
            context.check()

    options: dict[str, Any] = {
        "seed": job.config["sampling"]["seed"],
        "bounds": (bounds[s], bounds[s + 1]),
        "layers": Layers.ALL if r == 0 else Layers.COLOUR,
        "wave_samples": context.wave_samples,
        "on_wave": on_wave,
    }
    if program.fs.shutter is not None:
        options |= {"shutter": program.fs.shutter, "steps": program.fs.film.shutter_steps}
    render = render_pass if program.fs.shutter is None else render_blurred
    moments = render(program, plan.arrays["map"], plan.arrays["start"], **options)
    asked = int(plan.arrays["map"].ravel()[bounds[s] : bounds[s + 1]].sum(dtype=np.int64))
    taken = moments.facts
    facts: dict[str, Any] = {
        "asked": asked,
        "samples": taken["samples"] + taken["dropped"],
        "dropped": taken["dropped"],
        "clipped": taken["clipped"],
        "seconds": round(taken["seconds"], 4),
        "splits": program.splits,
    }
    if s == 0 and r == 0:
        facts["shapes"] = list(program.fs.shape_names)
        wanted = program.fs.layers
        if wanted.cryptomatte:
            named = matte_names(program.fs)
            facts["mattes"] = {kind: list(named[kind]) for kind in wanted.cryptomatte}
        if wanted.aovs:
            facts["aovs"] = list(program.outputs.aov_names)
        camera = program.fs.cameras.current
        if camera is not None:
            facts["world_to_camera"] = camera.world_to_camera.tolist()
            facts["world_to_film"] = camera.world_to_film.tolist()
        if (program.fs.width, program.fs.height) != program.fs.size:
            facts["window"] = [*program.fs.corner, *program.fs.size]
    return facts, moments.arrays()


def buffers(name: Name, job: Job, products: Products, context: Context) -> Made:
    """The frame's moments with one more round."""
    frame, r = _frame(name), _round(name)
    slices = products.facts(names.samples(frame, r))["slices"]
    parts = [products.read(names.passes(frame, r, s)) for s in range(slices)]
    this = join([Moments.from_arrays(part.arrays) for part in parts])
    facts: dict[str, Any] = {"samples": 0, "dropped": 0, "clipped": 0, "seconds": 0.0}
    total = None
    if r > 0:
        before = products.read(names.buffers(frame, r - 1))
        total = Moments.from_arrays(before.arrays)
        facts = dict(before.facts)
    else:
        facts |= {key: value for key, value in parts[0].facts.items() if key in _SCENE_FACTS}
    for key in ("samples", "dropped", "clipped", "seconds"):
        facts[key] += sum(part.facts[key] for part in parts)
    # The quickest slice tells the rate: others may have compiled kernels, or shared the device.
    rates = [part.facts["samples"] / part.facts["seconds"] for part in parts if part.facts["seconds"] > 0]
    facts["samples_per_second"] = round(max(rates, default=0.0), 1)
    facts["splits"] = all(part.facts["splits"] for part in parts)
    return facts, add_round(total, this, job.config["sampling"]["combination"]).arrays()


def _plan(counts: Any, start: Any, rate: float, *, spent: int, context: Context) -> Made:
    """Slices of about the target run time at `rate` samples per second."""
    size = max(context.farm.target_task_seconds * rate, float(context.farm.min_slice_samples))
    bounds = allocate.slice_bounds(counts, size)
    total = int(counts.sum(dtype=np.int64))
    facts = {"slices": len(bounds) - 1, "samples": total, "spent": spent, "bounds": bounds}
    return facts, {"map": counts, "start": start}


def _program(job: Job, frame: int, context: Context) -> Program:
    """The frame's scene, loaded, or moved on from the frame that this process rendered last."""
    set_variant(job.environment["variant"])
    from pipeline.render.passes import prepare
    from pipeline.scene.load import load, update

    blobs = _blobs(context)
    wanted = spec.of(job.config, job.scenes, frame)
    key = f"program {job.hash}"
    kept: Program | None = context.cache.pop(key, None)
    context.cache.clear()  # one scene at a time: two may not fit, and leftovers of one change the other's kernels
    if kept is None or kept.fs.frame != frame:
        kept = prepare(load(wanted, frame, blobs) if kept is None else update(kept.fs, wanted, frame), kept)
    context.cache[key] = kept
    return kept


def _resolution(job: Job, frame: int, context: Context) -> tuple[int, int]:
    """(H, W) of what is rendered: of the shot's frame, else of the scene's own film."""
    if (known := rendered_size(job.config)) is not None:
        width, height = known
        return height, width
    fs = _program(job, frame, context).fs
    return fs.height, fs.width


def _blobs(context: Context) -> Path:
    if context.blobs is None:
        raise AssetError("frozen scenes can only be loaded from a store with a local directory")
    return context.blobs


def _importance(job: Job, shape: tuple[int, ...], context: Context) -> Any:
    mask = job.config["sampling"].get("importance")
    if mask is None:
        return None
    values = read_mask(_blobs(context) / mask)
    if values.shape != shape:
        (height, width), (rows, columns) = shape, values.shape
        raise AssetError(f"sampling.importance: the mask is {columns}×{rows}, the frame {width}×{height}")
    return values


def _frame(name: Name) -> int:
    if name.frame is None:
        raise ProductError(f"{name.kind}: no frame in the name")
    return name.frame


def _round(name: Name) -> int:
    if name.round is None:
        raise ProductError(f"{name.kind}: no round in the name")
    return name.round
