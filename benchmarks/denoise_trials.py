"""Runs every denoiser over every sequence, and keeps the figures that rows are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks import denoise_measures as measures
from benchmarks import denoise_motion as regions
from benchmarks.denoise_measures import Scores
from benchmarks.denoise_peers import PEERS, Make, window
from benchmarks.denoise_renders import Renders, Truth, standing_still
from benchmarks.denoise_sequences import Clip
from pipeline.denoise.backends import Denoised
from pipeline.images import metrics
from pipeline.render.buffers import COMPONENTS, FrameBuffers

__all__ = ["FULL", "OURS", "QUICK", "SINGLE", "Findings", "LambdaSweep", "Sizes", "trial"]

Image = NDArray[np.float32]

OURS, SINGLE = "ours", "single"
"""Keys of the network with its window, and of the network on single frames; the yardsticks have their own."""

IN_TIME = ("balanced", "clean_aux")
"""Yardsticks whose changes in time are judged."""

STILL_SPP = 16
LAMBDAS = (1.0, 1.8, 3.2, 5.6, 10.0)
LEAST_MASK = 64
"""Pixels; a region with fewer says nothing."""


@dataclass(frozen=True)
class Sizes:
    """How much is rendered and denoised.

    Attributes:
        resolution: (width, height).
        reference_spp: of each judged frame, in two halves.
        spps: of the inputs.
        seeds: of the inputs.
        high_spp: of the input that should be left all but alone.
        still_seeds: frames of the sequence in which nothing moves.
        still_clips: how many clips stand still for it.
    """

    resolution: tuple[int, int]
    reference_spp: int
    spps: tuple[int, ...]
    seeds: int
    high_spp: int
    still_seeds: int
    still_clips: int

    def with_references(self, spp: int) -> Sizes:
        """The same with other references; with smaller ones fewer seeds, and an input of "many" samples that has a
        quarter of theirs: a shorter run in all."""
        if spp >= self.reference_spp:
            return replace(self, reference_spp=spp)
        return replace(self, reference_spp=spp, seeds=min(self.seeds, 2), high_spp=min(self.high_spp, spp // 4))


FULL = Sizes((320, 180), 4096, (4, 16, 64), 5, 1024, 24, 8)
QUICK = Sizes((192, 108), 512, (4, 16, 64), 1, 128, 24, 1)


@dataclass
class LambdaSweep:
    """A frame at λ = 1 … 10."""

    to_noisy: list[float]  # SMAPE to the input
    noise: list[float]  # between two inputs
    fireflies: int  # at the largest λ
    blend_fireflies: int  # of the blend that looks like it
    beta: float  # of that blend


@dataclass
class Findings:
    """Figures of one clip.

    Attributes:
        scores: (method, spp, seed) → errors of the first judged frame.
        change: (method, spp, seed) → error of the change between the judged frames.
        ghosting: (region, spp, seed) → SMAPE with the window and of the single frame.
        regions: region → its share of the image.
        energy: (component, spp) → mean of the denoised over that of the input.
        halves: (plain, relative) ratios of squared errors at many samples.
        still: method → (flicker, SMAPE) where nothing moves.
        sweep: of λ.
        noise: of the reference.
        pictures: what is shown of it: name → linear image.
    """

    clip: Clip
    scores: dict[tuple[str, int, int], Scores] = field(default_factory=dict)
    change: dict[tuple[str, int, int], float] = field(default_factory=dict)
    ghosting: dict[tuple[str, int, int], tuple[float, float]] = field(default_factory=dict)
    regions: dict[str, float] = field(default_factory=dict)
    energy: dict[tuple[str, int], float] = field(default_factory=dict)
    halves: tuple[float, float] = (np.nan, np.nan)
    still: dict[str, tuple[float, float]] = field(default_factory=dict)
    sweep: LambdaSweep | None = None
    noise: float = np.nan
    pictures: dict[str, Image] = field(default_factory=dict)


def trial(renders: Renders, clip: Clip, make: Make, sizes: Sizes, *, still: bool) -> Findings:
    """All figures of one clip.

    Args:
        make: of the network.
        still: whether the clip stands still for the flicker of static scenes, too.
    """
    found = Findings(clip)
    radius = make().radius
    _render(renders, clip, sizes, radius, still=still)
    truths = [renders.truth(clip, frame, sizes.reference_spp) for frame in clip.judged]
    found.noise = truths[0].beauty.noise
    masks = _masks(renders, clip, truths, sizes)
    found.regions = {name: float(mask.mean()) for name, mask in masks.items()}
    for spp in sizes.spps:
        energies: dict[str, list[tuple[Image, Image]]] = {name: [] for name in COMPONENTS}
        for seed in range(sizes.seeds):
            buffers = _inputs(renders, clip, spp, seed, radius)
            pairs = _denoised(buffers, clip, make, seed)
            _judge(found, pairs, truths, masks, spp, seed)
            for name in COMPONENTS:
                energies[name].append((getattr(pairs[OURS][0], name), getattr(buffers[clip.centre], name)))
            if seed == 0:
                _picture(found, pairs, truths[0], spp)
        for name, both in energies.items():
            share = measures.mean_ratio([d for d, _ in both], [x for _, x in both])
            if share is not None:
                found.energy[name, spp] = share
    found.halves = _many_samples(renders, clip, make, truths[0], sizes.high_spp, radius)
    found.sweep = _sweep(renders, clip, make, truths[0], radius)
    if still:
        found.still = _still(renders, clip, make, truths[0], sizes.still_seeds)
    return found


def _render(renders: Renders, clip: Clip, sizes: Sizes, radius: int, *, still: bool) -> None:
    """Takes all samples that the figures need, one frame after the other: moving a scene on may mean loading it."""
    reach = max(radius, 1)
    for frame in clip.frames(reach):
        if frame in clip.judged:
            renders.truth(clip, frame, sizes.reference_spp)
        seeds = sizes.still_seeds if still and frame == clip.centre else max(sizes.seeds, 2)
        for seed in range(seeds):
            for spp in sizes.spps if seed < sizes.seeds else (STILL_SPP,):
                renders.buffers(clip, frame, spp, seed)
        if abs(frame - clip.centre) <= reach:
            renders.buffers(clip, frame, sizes.high_spp, 0)


def _inputs(renders: Renders, clip: Clip, spp: int, seed: int, radius: int) -> dict[int, FrameBuffers]:
    """Frames of one input sequence. Random numbers depend on seed and frame."""
    return {frame: renders.buffers(clip, frame, spp, seed) for frame in clip.frames(max(radius, 1))}


def _denoised(buffers: dict[int, FrameBuffers], clip: Clip, make: Make, seed: int) -> dict[str, list[Denoised]]:
    """By every method the first judged frame, and the second one where changes in time are judged."""
    frames = window(buffers)
    found = {}
    for key, contender in ((OURS, make()), (SINGLE, make(radius=0))):
        found[key] = [contender.denoise(frames, frame, 1.0) for frame in clip.judged]
    for peer in PEERS:
        if peer.seeds is not None and seed >= peer.seeds:
            continue
        wanted = clip.judged if peer.key in IN_TIME else clip.judged[:1]
        found[peer.key] = [peer.denoise(buffers, frame) for frame in wanted]
    return found


def _judge(
    found: Findings,
    pairs: dict[str, list[Denoised]],
    truths: Sequence[Truth],
    masks: dict[str, NDArray[np.bool_]],
    spp: int,
    seed: int,
) -> None:
    references = truths[0].beauty.image, truths[1].beauty.image
    for key, frames in pairs.items():
        images = [frame.beauty for frame in frames]
        found.scores[key, spp, seed] = measures.scores(images[0], references[0])
        if len(images) == 2:
            found.change[key, spp, seed] = measures.change_error((images[0], images[1]), references)
    for name, mask in masks.items():
        errors = [measures.masked_smape(pairs[key][0].beauty, references[0], mask) for key in (OURS, SINGLE)]
        found.ghosting[name, spp, seed] = errors[0], errors[1]


def _masks(renders: Renders, clip: Clip, truths: Sequence[Truth], sizes: Sizes) -> dict[str, NDArray[np.bool_]]:
    """The regions of the first judged frame that have enough pixels."""
    frame, following = truths[0].both, truths[1].both
    before = renders.buffers(clip, clip.centre - 1, sizes.high_spp, 0)
    ids = renders.moving(clip, clip.centre)
    halves, next_halves = (truths[0].a, truths[0].b), (truths[1].a, truths[1].b)
    masks = {
        "moving": regions.moving(frame, ids),
        "reprojection": regions.failing(frame, before, following),
        "shading": regions.changing(halves, next_halves, ids),
    }
    return {name: mask for name, mask in masks.items() if np.count_nonzero(mask) >= LEAST_MASK}


def _many_samples(renders: Renders, clip: Clip, make: Make, truth: Truth, spp: int, radius: int) -> tuple[float, float]:
    """What denoising does to a frame that hardly needs it."""
    frames = range(clip.centre - max(radius, 1), clip.centre + 1 + max(radius, 1))
    buffers = {frame: renders.buffers(clip, frame, spp, 0) for frame in frames}
    denoised = make().denoise(window(buffers), clip.centre, 1.0).beauty
    images = denoised, buffers[clip.centre].beauty, truth.beauty.a, truth.beauty.b
    return measures.error_ratio(*images), measures.error_ratio(*images, relative=True)


def _sweep(renders: Renders, clip: Clip, make: Make, truth: Truth, radius: int) -> LambdaSweep:
    """λ from neutral to its largest, on two inputs of 16 samples that share nothing."""
    images = []
    for seed in (0, 1):
        frames = range(clip.centre - radius, clip.centre + 1 + radius)
        buffers = {frame: renders.buffers(clip, frame, STILL_SPP, seed) for frame in frames}
        contender, seen = make(), window(buffers)
        images.append([contender.denoise(seen, clip.centre, value).beauty for value in LAMBDAS])
    noisy = renders.buffers(clip, clip.centre, STILL_SPP, 0).beauty
    reference = truth.beauty.image
    blend, beta = measures.blend_like(noisy, images[0][0], images[0][-1])
    return LambdaSweep(
        to_noisy=[measures.residual_noise(image, noisy) * 2 for image in images[0]],
        noise=[measures.residual_noise(a, b) for a, b in zip(*images, strict=True)],
        fireflies=measures.fireflies(images[0][-1], reference),
        blend_fireflies=measures.fireflies(blend, reference),
        beta=beta,
    )


def _still(renders: Renders, clip: Clip, make: Make, truth: Truth, seeds: int) -> dict[str, tuple[float, float]]:
    """Flicker and SMAPE over frames in which nothing changes but the seed."""
    frame = clip.centre
    buffers = {seed: standing_still(renders.buffers(clip, frame, STILL_SPP, seed)) for seed in range(seeds)}
    reference = truth.beauty.image
    seen, contender = window(buffers), make()
    found = {OURS: [contender.denoise(seen, seed, 1.0).beauty for seed in buffers]}
    for peer in PEERS:
        if peer.key in IN_TIME:
            found[peer.key] = [peer.denoise(buffers, seed).beauty for seed in buffers]
    return {
        key: (measures.adjacent_dssim(images), float(np.mean([metrics.smape(image, reference) for image in images])))
        for key, images in found.items()
    }


def _picture(found: Findings, pairs: dict[str, list[Denoised]], truth: Truth, spp: int) -> None:
    if spp != STILL_SPP:
        return
    for key in ("noisy", OURS, "balanced", "clean_aux"):
        found.pictures[key] = pairs[key][0].beauty
    found.pictures["reference"] = truth.beauty.image
