"""Whether `combination: unbiased` is: many short adaptive renders, whose mean must be the reference's.

    z = (mean of the renders − reference) / standard error,   of means over blocks of 16×16 pixels

Pooling by sample counts is biased, since the counts of later rounds follow the samples of earlier ones. Its figures
stand beside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.adaptive_cache import Kept, kept
from benchmarks.adaptive_trials import FIRST_SPP, Stage
from pipeline.farm import rounds
from pipeline.farm.limits import Limits
from pipeline.farm.rounds import Course
from pipeline.render.buffers import FrameBuffers, luminance
from pipeline.render.moments import Combination

__all__ = ["BLOCK", "COMBINATIONS", "SPP", "Scatter", "block_means", "scatter", "z_scores"]

Array = NDArray[np.float64]

BLOCK = 16
"""Pixels of a block's side."""
SPP = 64
"""Mean samples per pixel of a render."""
COMBINATIONS: tuple[Combination, ...] = ("unbiased", "pooled")
FAMILY = 0.05
"""How often the largest of all z-scores lies above its bound by chance."""


@dataclass(frozen=True)
class Scatter:
    """How far a mean of renders is from the reference.

    Attributes:
        blocks: that were compared.
        spread: standard deviation of their z-scores about 0; 1 where there is no bias.
        largest: |z|.
        bound: of that, by Bonferroni, at `FAMILY`.
        bias: of the whole image, relative to the reference.
    """

    blocks: int
    spread: float
    largest: float
    bound: float
    bias: float


def scatter(stage: Stage, combination: Combination, renders: int) -> Scatter:
    """Of the first judged frame of a sequence under its kit's best guide; renders are made once, and kept."""
    means = np.stack([_blocks(stage, number)[combination] for number in range(renders)])
    truth = stage.truths[stage.clip.centre].both
    reference, variance = block_means(_beauty(truth)), block_means(truth.variance["beauty"].astype(np.float64))
    return z_scores(means, reference, variance / BLOCK**2)


def z_scores(means: Array, reference: Array, variance: Array) -> Scatter:
    """Compares renders with a reference.

    Args:
        means: K×B, block means of K renders.
        reference: B.
        variance: B, of the reference's block means.
    """
    count = len(means)
    error = np.sqrt(means.var(axis=0, ddof=1) / count + variance)
    seen = error > 1e-6 * np.abs(reference)  # a block without noise is a lamp or the background, up to rounding
    # The spread of K renders is itself an estimate: Student's t, brought to the normal's scale.
    t = (means.mean(axis=0) - reference)[seen] / error[seen]
    z = stats.norm.isf(stats.t.sf(np.abs(t), count - 1))
    bias = float(means.mean() / reference.mean() - 1.0)
    bound = float(stats.norm.isf(FAMILY / (2 * max(z.size, 1))))
    return Scatter(int(z.size), math.sqrt(float(np.mean(z**2))), float(z.max(initial=0.0)), bound, bias)


def block_means(image: Array) -> Array:
    """Means over whole blocks of `BLOCK`×`BLOCK` pixels, in one row; what is left at the edges does not count."""
    rows, columns = (length // BLOCK for length in image.shape)
    cut = image[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    return np.asarray(cut.mean(axis=(1, 3)).ravel(), np.float64)


def _blocks(stage: Stage, number: int) -> dict[str, Array]:
    """Block means of one render, by combination."""
    told = f"unbiased {stage.kit.told(stage.kit.best)} {SPP} {BLOCK}"
    stored = kept(stage.file(f"unbiased-s{number}", told), lambda: Kept(None, _rendered(stage, number)))
    return dict(stored.arrays)


def _rendered(stage: Stage, number: int) -> dict[str, Array]:
    """One render, averaged both ways."""
    frame = stage.clip.centre
    guide = stage.kit.guide(stage.kit.best, stage.truths)
    found: dict[str, Array] = {}
    for combination in COMBINATIONS:
        # Each way of averaging steers its own samples: a bias comes from that.
        course = Course(Limits(FIRST_SPP, SPP), guide, stage.kit.denoiser, combination=combination, seed=number)
        made: Sequence[FrameBuffers] = [
            one.buffers for one in rounds.run([frame], stage.shape, stage.sampler(1000 + number), course)
        ]
        found[combination] = block_means(_beauty(made[-1]))
    return found


def _beauty(buffers: FrameBuffers) -> Array:
    return np.asarray(luminance(buffers.beauty), np.float64)
