"""Whether two ways of rendering have the same mean, and whether variance estimates tell the truth. Pure numpy.

A benchmark and the tests of the render pass ask the same questions of different scenes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

__all__ = ["BLOCKS", "Agreement", "Calibration", "Estimate", "agreement", "calibration", "from_repeats"]

BLOCKS = (9, 16)
"""Rows and columns of blocks that an image is compared in: 144 independent figures."""


ROUNDING = 1e-8
"""A variance of the mean below so much of its square is no noise but rounding: sums are held as float32."""


@dataclass(frozen=True)
class Estimate:
    """An image's luminance and the variance of each pixel mean, H×W, float64."""

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]


def from_repeats(images: Sequence[NDArray[Any]]) -> Estimate:
    """The mean of at least two independent renders of equal sample counts, with its variance as it shows between them.

    Args:
        images: H×W luminance.
    """
    stack = np.asarray(images, np.float64)
    return Estimate(stack.mean(0), stack.var(0, ddof=1) / len(stack))


@dataclass(frozen=True)
class Agreement:
    """Two images that should have the same expectation.

    Attributes:
        p: of the χ² test over the blocks: how often blocks differ by more if the expectations are the same.
        bias: difference of the means over the whole image, relative to the second.
        sigma: standard error of that.
        worst: largest difference of a block, in standard errors.
    """

    p: float
    bias: float
    sigma: float
    worst: float


def agreement(ours: Estimate, theirs: Estimate, blocks: tuple[int, int] = BLOCKS) -> Agreement:
    """χ² test of the difference of two images in blocks, and their global bias.

    A block in which both have no variance (seen directly, say) must be equal to 1e-5, and counts for nothing then.

    Raises:
        ValueError: the images do not divide into the blocks.
    """
    difference = _blocks(ours.mean - theirs.mean, blocks)
    pixels = ours.mean.size / difference.size
    variance = _blocks(ours.variance + theirs.variance, blocks) / pixels
    noisy = variance > 0
    still = ~noisy & (np.abs(difference) > 1e-5 * np.abs(_blocks(theirs.mean, blocks)))
    z = difference[noisy] / np.sqrt(variance[noisy])
    total = theirs.mean.mean()
    return Agreement(
        p=0.0 if still.any() else float(stats.chi2.sf(np.sum(z**2), z.size)) if z.size else 1.0,
        bias=float((ours.mean.mean() - total) / total),
        sigma=float(np.sqrt(np.sum(ours.variance + theirs.variance)) / ours.mean.size / total),
        worst=float(np.abs(z).max(initial=np.inf if still.any() else 0.0)),
    )


@dataclass(frozen=True)
class Calibration:
    """What repeated renders say of their own variance estimates.

    Attributes:
        share: of pixels whose mean lies within one estimated standard error of the truth; 0.68 for Gaussian errors.
        ratio: Σ empirical / Σ estimated variance.
    """

    share: float
    ratio: float


def calibration(
    means: Sequence[NDArray[Any]], variances: Sequence[NDArray[Any]], blocks: tuple[int, int] | None = None
) -> Calibration:
    """Compares the spread of repeated renders with the variances that they estimated of their means.

    The truth is taken to be the mean of the repeats, of which each is a part: its own distance to it has the variance
    (1 − 1/K) σ². Pixels without variance, apart from rounding, do not count.

    Args:
        means: K renders, H×W each.
        variances: of these means, as estimated, H×W each.
        blocks: rows and columns of blocks to compare in place of pixels: their errors are closer to Gaussian, where
            pixels have rare bright samples.
    """
    if blocks is not None:
        pixels = means[0].size / (blocks[0] * blocks[1])
        means = [_blocks(mean, blocks) for mean in means]
        variances = [_blocks(variance, blocks) / pixels for variance in variances]
    x, v = np.asarray(means, np.float64), np.asarray(variances, np.float64)
    noisy = v.mean(0) > ROUNDING * x.mean(0) ** 2
    x, v = x[:, noisy], v[:, noisy]
    expected = v * (1 - 1 / len(x))
    within = np.abs(x - x.mean(0)) < np.sqrt(expected)
    return Calibration(float(within.mean()), float(x.var(0, ddof=1).sum() / v.mean(0).sum()))


def _blocks(image: NDArray[Any], blocks: tuple[int, int]) -> NDArray[np.float64]:
    """Block means: rows×columns."""
    (height, width), (rows, columns) = image.shape, blocks
    if height % rows or width % columns:
        raise ValueError(f"{width}×{height} pixels do not divide into {columns}×{rows} blocks")
    tiles = image.reshape(rows, height // rows, columns, width // columns)
    return np.asarray(tiles.mean(axis=(1, 3), dtype=np.float64))
