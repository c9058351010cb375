"""One procedural scene made into a sequence: its frames in sub-buffers, and the reference of the centre."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.denoise.training.reference import median_of_denoised
from pipeline.denoise.training.sequences import Sequence
from pipeline.denoise.training.take import RENDERS, Recipe, Scenes, Take
from pipeline.errors import SceneError
from pipeline.images.metrics import smape
from pipeline.render.buffers import luminance
from pipeline.render.moments import Moments
from pipeline.render.passes import Program, prepare, render_pass
from pipeline.scene.load import FrameScene, load, update
from pipeline.scene.spec import SceneSpec

__all__ = ["record"]

Array = NDArray[np.float32]

VECTORS = ("albedo", "normal")

GENERATOR = "1"
"""Version of what makes the data: of passes, of the procedural scenes, and of this file."""

DIFFICULTY_SPP = 16
"""Samples per pixel at which a scene's noise is stated."""

DARK = 1e-4
"""Luminance of a pixel that shows nothing."""

LIT = 0.1
"""Least share of pixels that have to show something."""

APART = 0.08
"""Mean SMAPE between the denoised renders and their median up to which that is a reference."""

EVEN = 1e-3
"""Spread of the luminance, relative to its mean, up to which a frame is of one colour."""


def record(
    scenes: Scenes, seed: int, blobs: Path, take: Take, *, on_launch: Callable[[], None] = lambda: None
) -> Sequence:
    """Renders the sequence of a seed: a pure function of seed and take, but for the seconds in `meta`.

    Args:
        scenes: makes the scene.
        seed: of the scene and of all random numbers.
        blobs: directory for the scene's files.
        take: what to render.
        on_launch: called after each launch: a sign of life.

    Raises:
        SceneError: Mitsuba refuses the scene, or there is nothing to learn from it: hardly a pixel is lit, all are
            alike, or the renders behind the reference do not agree.
        DeviceError: Open Image Denoise cannot be used.
    """
    began = time.perf_counter()
    recipe: Recipe = scenes.recipe(seed, resolution=(take.size, take.size), frames=take.frames)
    spec = scenes.place(recipe, blobs)
    centre = take.radius + 1
    layers: dict[int, dict[str, Array]] = {}
    for frame, program in _programs(spec, sorted(range(1, take.frames + 1), key=lambda f: abs(f - centre)), blobs):
        parts = _rendered(program, take.sub_buffers, seed, on_launch)
        layers[frame] = _layers(parts)
        if frame == centre:
            _judge(layers[frame])
            # The samples' numbers go on, so that no sample of the reference is one of the sub-buffers' too.
            runs = [take.reference_spp] * RENDERS
            renders = _rendered(program, runs, seed, on_launch, first=sum(take.sub_buffers))
            albedo, normal = (_mean_of_all([*parts, *renders], name) for name in ("albedo", "normal"))
    stacked = {name: np.stack([layers[frame][name] for frame in sorted(layers)]) for name in layers[centre]}
    depth = stacked["features"][..., 7]
    seen = depth[take.radius][depth[take.radius] > 0]
    stacked["features"][..., 7] = depth / (np.median(seen) if seen.size else 1.0)
    colours = [_colour(render) for render in renders]
    reference, apart = median_of_denoised(colours, albedo, normal, threads=1)
    if apart > APART:
        raise SceneError(f"the renders behind the reference do not agree: SMAPE {apart:.3f}")
    noisy = _noisy(stacked["colour"][take.radius], take.sub_buffers)
    return Sequence(
        spp=np.array(take.sub_buffers, np.int32),
        **stacked,
        reference=reference,
        reference_albedo=albedo,
        raw=np.mean(colours, axis=0),
        meta={
            "generator": GENERATOR,
            "seed": seed,
            "kind": recipe.kind,
            "tags": dict(recipe.tags),
            "reference_spp": take.reference_spp,
            "reference_apart": apart,
            "smape_16spp": smape(_beauty(noisy), _beauty(reference)),
            "seconds": round(time.perf_counter() - began, 3),
        },
    )


# --- Rendering --------------------------------------------------------------------------------------------------------


def _programs(spec: SceneSpec, frames: list[int], blobs: Path) -> Iterator[tuple[int, Program]]:
    """The scene at each of the frames in turn; each makes the one before it unusable."""
    fs: FrameScene | None = None
    program: Program | None = None
    for frame in frames:
        fs = load(spec, frame, blobs) if fs is None else update(fs, spec, frame)
        program = prepare(fs, program)
        yield frame, program


def _rendered(
    program: Program, runs: Collection[int], seed: int, on_launch: Callable[[], None], *, first: int = 0
) -> list[Moments]:
    """Passes of so many samples per pixel each, one after another; `first` samples were taken before."""
    shape = program.fs.height, program.fs.width
    moments = []
    for spp, taken in zip(runs, np.cumsum([first, *runs]), strict=False):
        counts, start = np.full(shape, spp, np.uint32), np.full(shape, taken, np.uint32)
        moments.append(render_pass(program, counts, start, seed=seed, on_wave=lambda done, total: on_launch()))
    return moments


def _judge(centre: Mapping[str, Array]) -> None:
    """Raises SceneError where there is nothing to learn from a frame."""
    light = luminance(_beauty(centre["colour"]).mean(axis=0))
    if np.mean(light > DARK) < LIT:
        raise SceneError("hardly a pixel is lit")
    if np.ptp(light) <= EVEN * light.mean() and np.ptp(centre["features"], axis=(0, 1, 2)).max() <= EVEN:
        raise SceneError("all pixels are alike")


# --- Sums made into layers --------------------------------------------------------------------------------------------


def _layers(parts: list[Moments]) -> dict[str, Array]:
    """A frame's sub-buffers as the members of a `Sequence` that have an axis of frames, without that axis."""
    return {
        "colour": np.stack([_colour(part) for part in parts]),
        "rms": np.stack([_image(part, np.sqrt(_mean(part, "squares"))) for part in parts]),
        "features": np.stack([_features(part) for part in parts]),
        "features_rms": np.stack(
            [
                _image(part, np.sqrt(np.concatenate([_mean(part, f"{name}_square") for name in VECTORS], axis=1)))
                for part in parts
            ]
        ),
        "motion": _motion(parts),
    }


def _mean(moments: Moments, name: str) -> Array:
    """Over a pixel's samples: pixels×channels; 0 where every sample was dropped."""
    mean: Array = moments.sums[name] / np.maximum(moments.sums["count"].sum(axis=1, keepdims=True), 1)
    return mean


def _image(moments: Moments, values: NDArray[Any]) -> Array:
    """Pixels×channels → H×W×channels."""
    return values.astype(np.float32).reshape(moments.height, moments.width, -1)


def _colour(moments: Moments) -> Array:
    """Emission, diffuse, specular: H×W×9."""
    return _image(moments, _mean(moments, "half_a") + _mean(moments, "half_b"))


def _beauty(colour: Array) -> Array:
    """…×9 → …×3."""
    return colour[..., 0:3] + colour[..., 3:6] + colour[..., 6:9]


def _features(moments: Moments) -> Array:
    """Albedo, normal, alpha, depth: H×W×8."""
    depth = moments.sums["depth"] / np.maximum(moments.sums["hit"], 1)
    means = [_mean(moments, name) for name in (*VECTORS, "alpha")]
    return _image(moments, np.concatenate([*means, depth], axis=1))


def _motion(parts: list[Moments]) -> Array:
    """Forward x y, backward x y, and the share of the samples whose forward and backward motion is known: H×W×6."""
    sums = {
        name: np.sum([part.sums[name] for part in parts], axis=0)
        for name in ("forward", "backward", "motion_valid", "count")
    }
    known = np.maximum(sums["motion_valid"], 1)
    share = sums["motion_valid"] / np.maximum(sums["count"].sum(axis=1, keepdims=True), 1)
    return _image(
        parts[0], np.concatenate([sums["forward"] / known[:, 0:1], sums["backward"] / known[:, 1:2], share], 1)
    )


def _mean_of_all(renders: list[Moments], name: str) -> Array:
    """Of the samples of all renders together: H×W×channels."""
    count = np.sum([render.sums["count"].sum(axis=1, keepdims=True) for render in renders], axis=0)
    total = np.sum([render.sums[name] for render in renders], axis=0)
    return _image(renders[0], total / np.maximum(count, 1))


def _noisy(colour: Array, spp: tuple[int, ...]) -> Array:
    """The first sub-buffers pooled, up to `DIFFICULTY_SPP` samples: S×H×W×9 → H×W×9."""
    last = max(int(np.searchsorted(np.cumsum(spp), DIFFICULTY_SPP, side="right")), 1)
    pooled: Array = np.average(colour[:last], axis=0, weights=spp[:last])
    return pooled
