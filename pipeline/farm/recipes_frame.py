"""What is made of a frame's buffers: denoised frames, error maps, decisions, the deliverable."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.colour import SPACES, Colour
from pipeline.config.denoise import Denoise
from pipeline.config.layers import Layers
from pipeline.denoise import lambda_map
from pipeline.denoise.backends import Denoiser, backend
from pipeline.denoise.cache import feature_cache
from pipeline.denoise.guides import Guide, Judgement, Noisy, Oracle, Predicted
from pipeline.denoise.weights import fingerprint, predictor
from pipeline.errors import AssetError, DeviceError, ProductError
from pipeline.farm import names, plan
from pipeline.farm.context import Context
from pipeline.farm.control import Control
from pipeline.farm.delivery import deliver
from pipeline.farm.extra_layers import extra_layers
from pipeline.farm.job import Job
from pipeline.farm.names import Name
from pipeline.farm.plan import JobPlan
from pipeline.farm.products import Products
from pipeline.farm.recipes import Made
from pipeline.farm.references import read_reference
from pipeline.farm.windows import StoredWindow
from pipeline.images import deliverable, viewing
from pipeline.images.channels import BEAUTY
from pipeline.images.colour_space import convert
from pipeline.images.proxy import proxies
from pipeline.render.buffers import FrameBuffers
from pipeline.render.moments import Moments, combine
from pipeline.scene import blobs

__all__ = ["denoised", "draft", "error", "frames", "planned", "stop"]


def planned(job: Job, products: Products) -> JobPlan:
    """The job's plan as the planner sees it now: with frames that were added, without skipped ones."""
    return JobPlan.of(job, Control(products.store, job.directory).look())


def error(name: Name, job: Job, products: Products, context: Context) -> Made:
    """Error per pixel in the shot's metric, and the map that guides the next round: see `pipeline.denoise.guides`."""
    assert name.frame is not None and name.round is not None
    made = products.read(names.buffers(name.frame, name.round))
    frame = _combined(job, made.arrays)
    guide = _guide(job, context)
    picture = None
    if guide.looks_at_denoised:
        drafts = planned(job, products).draft_radius is not None
        kind = names.draft if drafts else names.denoised
        picture = _beauty(products.read(kind(name.frame, name.round)).arrays)
    began = time.perf_counter()
    judged = guide.judge(name.frame, frame, picture)
    facts = {
        **_summary(judged),
        "spp": float(frame.count.mean(dtype=np.float64)),
        "samples_per_second": made.facts["samples_per_second"],
        "seconds": made.facts["seconds"],
        "judge_seconds": round(time.perf_counter() - began, 4),
    }
    return facts, {"error": judged.error, **({} if judged.guide is None else {"guide": judged.guide})}


def stop(name: Name, job: Job, products: Products, context: Context) -> Made:
    """The last round of a frame, and why it was the last."""
    assert name.frame is not None
    last = planned(job, products).rounds
    for r in range(1, last + 1):
        verdict = names.samples(name.frame, r)
        if not products.exists(verdict):
            break
        facts = products.facts(verdict)
        if facts["slices"] == 0:
            kept = {key: facts[key] for key in ("reason", "mean", "p99", "spp") if key in facts}
            return {"round": r - 1, **kept}, {}
    raise ProductError(f"frame {name.frame}: no round said that it was the last")


def denoised(name: Name, job: Job, products: Products, context: Context) -> Made:
    """The denoised components of a frame, from the buffers of the frames around it."""
    return _denoised(name, job, products, context, draft=False)


def draft(name: Name, job: Job, products: Products, context: Context) -> Made:
    """As `denoised`, from fewer neighbours: what the guide looks at in rounds that may not be the last."""
    return _denoised(name, job, products, context, draft=True)


def _denoised(name: Name, job: Job, products: Products, context: Context, *, draft: bool) -> Made:
    assert name.frame is not None and name.round is not None
    wanted = planned(job, products)
    sources = plan.window(wanted, name.frame, name.round, products, draft=draft)
    if sources is None:
        raise ProductError(f"frame {name.frame}: the frames around it are not decided yet")
    window = StoredWindow(products, sources, job.config["sampling"]["combination"])
    config = Denoise.model_validate(job.config["denoise"])
    lambda_: NDArray[np.float32] | float = config.lambda_
    if config.lambda_map is not None or config.lambda_by_shape:
        centre = window[name.frame]
        steered = _lambda(config, centre.shape, centre.ids, products.facts(sources[name.frame]), context)
        lambda_ = steered if (value := lambda_map.constant(steered)) is None else value
        del centre
    denoiser = _denoiser(job, config, context)
    began = time.perf_counter()
    result = denoiser.denoise(window, name.frame, lambda_)
    missing = [frame for frame in wanted.neighbours(name.frame, draft=draft) if frame not in window]
    facts = {
        "backend": denoiser.name,
        "lambda": lambda_ if isinstance(lambda_, float) else [float(lambda_.min()), float(lambda_.max())],
        "seconds": round(time.perf_counter() - began, 4),
        "window": sorted(window),
        "degraded": bool(missing),
    }
    parts = ("emission", "diffuse", "specular", "alpha")
    return facts, {part: np.ascontiguousarray(getattr(result, part), np.float32) for part in parts}


def frames(name: Name, job: Job, products: Products, context: Context) -> Made:
    """The deliverable EXR and its viewing PNG; the product is their manifest, and has the proxies of a review."""
    assert name.frame is not None
    number = name.frame
    stopped = products.facts(names.stop(number))
    last = stopped["round"]
    made = products.read(names.buffers(number, last))
    frame = _combined(job, made.arrays)
    clean = products.read(names.denoised(number, last))
    beauty = _beauty(clean.arrays)
    judged = _judged(job, products, context, number, last, frame, beauty)
    config = Denoise.model_validate(job.config["denoise"])
    steered = _lambda(config, frame.shape, frame.ids, made.facts, context)
    page = _deliverable(job, number, frame, made.facts, clean.arrays, judged.error, steered)
    wanted = Layers.model_validate(job.config.get("layers") or {})
    sums, is_clean = Moments.from_arrays(made.arrays), config.backend != "none"
    page = replace(page, extras=tuple(extra_layers(wanted, sums, made.facts, frame, beauty, denoised=is_clean)))
    exr, clamped = deliverable.encode(page)
    seen = convert(_shown(beauty, made.facts.get("window")), SPACES[page.space], SPACES["linear_srgb"])
    shown = viewing.to_display(seen)
    png = viewing.png_bytes(shown, text={"ViewingTransform": viewing.TRANSFORM})
    stem = f"{job.shot}.{names.frame_text(number)}"
    written = {}
    for kind, file, data in (("exr", f"frames/{stem}.exr", exr), ("png", f"review/{stem}.png", png)):
        _place(products, file, data)
        if (second := deliver(products.store, job, kind, number, products.name(file), data)) is not None:
            written[f"{kind}_delivered"] = second
        written[kind] = file
        written[f"{kind}_blake2b"] = hashlib.blake2b(data, digest_size=32).hexdigest()
    facts: dict[str, Any] = {
        **written,
        "size": [frame.shape[1], frame.shape[0]],
        "round": last,
        "reason": stopped.get("reason"),
        "spp": float(frame.count.mean(dtype=np.float64)),
        **_summary(judged),
        "seconds": made.facts["seconds"],
        "denoise_seconds": clean.facts["seconds"],
        "dropped": made.facts["dropped"],
        "clipped": made.facts["clipped"],
        "clamped": clamped,
        "splits": made.facts["splits"],
        "degraded": clean.facts["degraded"],
    }
    return facts, proxies(page.layers)


def _shown(beauty: NDArray[np.float32], window: Sequence[int] | None) -> NDArray[np.float32]:
    """What is looked at: the picture without its overscan."""
    x, y, width, height = window or (0, 0, beauty.shape[1], beauty.shape[0])
    return beauty[max(-y, 0) : height - y, max(-x, 0) : width - x]


def _judged(
    job: Job, products: Products, context: Context, number: int, last: int, frame: FrameBuffers, beauty: Any
) -> Judgement:
    """How good the delivered picture is: as the last round was judged, unless that was judged by a draft."""
    if planned(job, products).draft_radius is not None:
        return _guide(job, context).judge(number, frame, beauty)
    return Judgement(products.read(names.error(number, last)).arrays["error"], None)


def _summary(judged: Judgement) -> dict[str, float]:
    return {"mean": judged.mean, "p99": judged.p99}


def _beauty(clean: Any) -> NDArray[np.float32]:
    beauty: NDArray[np.float32] = clean["emission"] + clean["diffuse"] + clean["specular"]
    return beauty


def _guide(job: Job, context: Context) -> Guide:
    """The shot's guide; one that asks a network is kept for the next task of this process."""
    sampling = job.config["sampling"]
    kind, metric = sampling["guide"], sampling["metric"]
    if kind == "error":
        return _predicted(job, context, metric)
    if kind == "oracle":
        if context.blobs is None:
            raise AssetError("references can only be read from a store with a local directory")
        found, frozen = context.blobs, sampling["reference"]
        return Oracle(lambda number, shape: read_reference(found, frozen, number, shape), metric)
    return Noisy(metric, steers=kind == "variance")


def _predicted(job: Job, context: Context, metric: str) -> Predicted:
    from pipeline.denoise import error

    preset = job.config["denoise"]["preset"]
    key = f"guide {metric} {preset} {sorted(job.weights.items())}"
    kept: Predicted | None = context.cache.get(key)
    if kept is None:
        _check_weights(job)
        name = next((each for each in job.weights if each.startswith(predictor(preset))), None)
        kept = context.cache[key] = Predicted(error.shipped_estimator(preset, metric, name=name), metric)
    return kept


def _check_weights(job: Job) -> None:
    """Raises DeviceError where this worker's weights are no longer those of the job."""
    for name, wanted in job.weights.items():
        if fingerprint(name) != wanted:
            raise DeviceError(f"the weights of {name} were changed under this worker: start it again")


def _denoiser(job: Job, config: Denoise, context: Context) -> Denoiser:
    """The shot's denoiser, kept for the next task of this process: it is costly to load, and remembers features."""
    key = f"denoiser {config.backend} {config.preset} {config.radius} {sorted(job.weights.items())}"
    kept: Denoiser | None = context.cache.get(key)
    if kept is None:
        for other in [other for other in context.cache if other.startswith("denoiser ")]:
            del context.cache[other]
        _check_weights(job)
        kept = backend(config, cache=feature_cache(context.farm.feature_cache_bytes))
        context.cache[key] = kept
    return kept


def _lambda(
    config: Denoise, shape: tuple[int, int], ids: NDArray[np.uint32] | None, facts: Any, context: Context
) -> NDArray[np.float32]:
    """λ of every pixel: see `lambda_map.compose`. `facts` are those of the frame's sums."""
    painted = None
    if config.lambda_map is not None:
        if context.blobs is None:
            raise AssetError("a λ map can only be read from a store with a local directory")
        painted = lambda_map.read(blobs.resolve(context.blobs, config.lambda_map, {}), shape)
    return lambda_map.compose(
        shape,
        config.lambda_,
        painted=painted,
        by_shape=config.lambda_by_shape,
        ids=ids,
        shapes=facts.get("shapes", ()),
    )


def _combined(job: Job, arrays: Any) -> FrameBuffers:
    return combine(Moments.from_arrays(arrays), job.config["sampling"]["combination"])


def _place(products: Products, file: str, data: bytes) -> None:
    """Creates a file beside the products. A file of other content, from before a retry, is moved aside."""
    full = products.name(file)
    if not products.store.create(full, data) and products.store.read(full) != data:
        products.store.quarantine(full)
        products.store.create(full, data)


def _deliverable(
    job: Job,
    number: int,
    frame: FrameBuffers,
    facts: Any,
    clean: Any,
    predicted: NDArray[np.float32],
    lambda_: NDArray[np.float32],
) -> deliverable.Deliverable:
    height, width = frame.shape
    beauty = _beauty(clean)

    def motion(offset: NDArray[np.float32], valid: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.concatenate([offset, valid[..., None]], axis=-1)

    layers = {
        BEAUTY.name: np.concatenate([beauty, clean["alpha"][..., None]], axis=-1),
        "noisy": frame.beauty,
        "diffuse": clean["diffuse"],
        "specular": clean["specular"],
        "emission": clean["emission"],
        "albedo": frame.albedo,
        "N": frame.normal,
        "Z": frame.depth,
        "motion.forward": motion(frame.forward, frame.forward_valid),
        "motion.backward": motion(frame.backward, frame.backward_valid),
        "variance": frame.variance["beauty"],
        "samples": frame.count,
        "error": predicted,
        "lambda": lambda_,
    }
    film, camera = facts.get("world_to_film"), facts.get("world_to_camera")
    window = facts.get("window")
    x, y, full_width, full_height = window or (0, 0, width, height)
    return deliverable.Deliverable(
        shot=job.shot,
        frame=number,
        fps=Fraction(job.config["fps"]),
        job_hash=job.hash,
        samples_per_pixel=float(frame.count.mean(dtype=np.float64)),
        lambda_=float(lambda_.mean(dtype=np.float64)),
        layers=layers,
        world_to_camera=None if camera is None else np.array(camera),
        world_to_ndc=None
        if film is None
        else deliverable.world_to_ndc(np.array(film), full_width, full_height, corner=(x, y)),
        window=None if window is None else (x, y, full_width, full_height),
        space=Colour.model_validate(job.config.get("colour") or {}).rendering,
    )
