"""What is made of a frame's buffers: error maps, decisions, denoised frames, the deliverable."""

from __future__ import annotations

import hashlib
import time
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.denoise import Denoise
from pipeline.denoise import lambda_map
from pipeline.denoise.backends import Denoiser, backend
from pipeline.denoise.cache import feature_cache
from pipeline.denoise.frame import Frame
from pipeline.denoise.weights import fingerprint
from pipeline.errors import AssetError, DeviceError, ProductError
from pipeline.farm import names, plan
from pipeline.farm.context import Context
from pipeline.farm.control import Control
from pipeline.farm.job import Job
from pipeline.farm.names import Name
from pipeline.farm.plan import JobPlan
from pipeline.farm.products import Products
from pipeline.farm.recipes import Made
from pipeline.farm.windows import StoredWindow
from pipeline.images import deliverable, viewing
from pipeline.images.channels import BEAUTY
from pipeline.render.allocate import predicted_smape
from pipeline.render.buffers import FrameBuffers, luminance
from pipeline.render.moments import Moments, combine
from pipeline.scene import blobs

if TYPE_CHECKING:
    from pipeline.denoise.error import ErrorEstimator

__all__ = ["denoised", "error", "frames", "planned", "stop"]


def planned(job: Job, products: Products) -> JobPlan:
    """The job's plan as the planner sees it now: with frames that were added, without skipped ones."""
    return JobPlan.of(job, Control(products.store, job.directory).look())


def error(name: Name, job: Job, products: Products, context: Context) -> Made:
    """Predicted error per pixel, and the map that guides the next round.

    Guide `error`: a network predicts the error of the denoised picture from it and the noisy one; that is the guide map
    too (Vogels et al. 2018, §5). Guides `variance` and `uniform`: the error is that of the noisy means, from their
    variance; the guide map is their relative variance (the same section's baseline).
    """
    assert name.frame is not None and name.round is not None
    made = products.read(names.buffers(name.frame, name.round))
    frame = _combined(job, made.arrays)
    if job.config["sampling"]["guide"] == "error":
        clean = products.read(names.denoised(name.frame, name.round)).arrays
        beauty = clean["emission"] + clean["diffuse"] + clean["specular"]
        config = Denoise.model_validate(job.config["denoise"])
        metric = job.config["sampling"]["metric"]
        predicted = guide = _estimator(job, config, context).predict(Frame.of(frame), beauty, metric)
    else:
        predicted = predicted_smape(luminance(frame.beauty), frame.variance["beauty"])
        guide = frame.relative_variance("beauty")
    facts = {
        "mean": float(predicted.mean(dtype=np.float64)),
        "p99": float(np.percentile(predicted, 99)),
        "spp": float(frame.count.mean(dtype=np.float64)),
        "samples_per_second": made.facts["samples_per_second"],
        "seconds": made.facts["seconds"],
    }
    return facts, {"error": predicted, "guide": guide}


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
    assert name.frame is not None and name.round is not None
    wanted = planned(job, products)
    sources = plan.window(wanted, name.frame, name.round, products)
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
    missing = [frame for frame in wanted.neighbours(name.frame) if frame not in window]
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
    """The deliverable EXR and its viewing PNG; the product is their manifest."""
    assert name.frame is not None
    number = name.frame
    stopped = products.facts(names.stop(number))
    last = stopped["round"]
    made = products.read(names.buffers(number, last))
    frame = _combined(job, made.arrays)
    clean = products.read(names.denoised(number, last))
    judged = products.read(names.error(number, last))
    config = Denoise.model_validate(job.config["denoise"])
    steered = _lambda(config, frame.shape, frame.ids, made.facts, context)
    page = _deliverable(job, number, frame, made.facts, clean.arrays, judged.arrays["error"], steered)
    exr, clamped = deliverable.encode(page)
    beauty = clean.arrays["emission"] + clean.arrays["diffuse"] + clean.arrays["specular"]
    png = viewing.png_bytes(viewing.to_display(beauty), text={"ViewingTransform": viewing.TRANSFORM})
    stem = f"{job.shot}.{names.frame_text(number)}"
    written = {}
    for kind, file, data in (("exr", f"frames/{stem}.exr", exr), ("png", f"review/{stem}.png", png)):
        _place(products, file, data)
        written[kind] = file
        written[f"{kind}_blake2b"] = hashlib.blake2b(data, digest_size=32).hexdigest()
    facts: dict[str, Any] = {
        **written,
        "round": last,
        "reason": stopped.get("reason"),
        "spp": float(frame.count.mean(dtype=np.float64)),
        "mean": judged.facts["mean"],
        "p99": judged.facts["p99"],
        "seconds": made.facts["seconds"],
        "denoise_seconds": clean.facts["seconds"],
        "dropped": made.facts["dropped"],
        "clipped": made.facts["clipped"],
        "clamped": clamped,
        "splits": made.facts["splits"],
        "degraded": clean.facts["degraded"],
    }
    return facts, {}


def _estimator(job: Job, config: Denoise, context: Context) -> ErrorEstimator:
    """The network that predicts the denoiser's errors, kept for the next task of this process."""
    from pipeline.denoise.error import ErrorEstimator

    key = f"estimator {config.preset} {sorted(job.weights.items())}"
    kept: ErrorEstimator | None = context.cache.get(key)
    if kept is None:
        _check_weights(job)
        kept = context.cache[key] = ErrorEstimator(config.preset)
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
    beauty = clean["emission"] + clean["diffuse"] + clean["specular"]

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
    return deliverable.Deliverable(
        shot=job.shot,
        frame=number,
        fps=Fraction(job.config["fps"]),
        job_hash=job.hash,
        samples_per_pixel=float(frame.count.mean(dtype=np.float64)),
        lambda_=float(job.config["denoise"]["lambda"]),
        layers=layers,
        world_to_camera=None if camera is None else np.array(camera),
        world_to_ndc=None if film is None else deliverable.world_to_ndc(np.array(film), width, height),
    )
