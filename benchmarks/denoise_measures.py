"""What is measured of denoised frames beside the metrics of `pipeline.images.metrics`. Pure functions of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, uniform_filter
from scipy.optimize import minimize_scalar

from pipeline.images import metrics
from pipeline.render.buffers import luminance

__all__ = [
    "Scores",
    "adjacent_dssim",
    "blend_like",
    "change_error",
    "error_ratio",
    "fireflies",
    "masked_smape",
    "mean_ratio",
    "monotone",
    "residual_noise",
    "scores",
]

Image = NDArray[Any]
Mask = NDArray[np.bool_]

FIREFLY = 2.0
"""A pixel brighter than so many times the brightest of the reference's 3×3 pixels around it is a firefly …"""
FIREFLY_FLOOR = 0.1
"""… unless it is brighter by less than this share of the reference's mean."""

_RELATIVE = 1e-2
"""Added to squared radiance that errors are divided by; as ε of relMSE."""
_BLUR = 7
"""Pixels a side."""


@dataclass(frozen=True)
class Scores:
    """Errors of one image against its reference; lower is better."""

    smape: float
    dssim: float
    flip: float


def scores(image: Image, reference: Image) -> Scores:
    """The metrics that rows are made of. Raises PenumbraError without `flip-evaluator`."""
    return Scores(metrics.smape(image, reference), metrics.dssim(image, reference), metrics.flip(image, reference))


# --- Time ---------------------------------------------------------------------------------------------------------


def adjacent_dssim(images: Sequence[Image]) -> float:
    """Mean DSSIM between each image and the one after it: flicker, where nothing moves.

    Source: Vogels et al. 2018, Figure 12.
    """
    return float(np.mean([metrics.dssim(a, b) for a, b in pairwise(images)]))


def change_error(images: tuple[Image, Image], references: tuple[Image, Image]) -> float:
    """Mean |Δd − Δr|: Δ is the difference of two frames at the same pixel, of sRGB-encoded values clipped to [0, 1].

    Args:
        images: d, two consecutive frames.
        references: r, the same two.
    """
    d, r = ([metrics.srgb_encode(frame) for frame in pair] for pair in (images, references))
    return float(np.mean(np.abs((d[1] - d[0]) - (r[1] - r[0]))))


def masked_smape(image: Image, reference: Image, mask: Mask) -> float:
    """Mean of the SMAPE over the pixels of an H×W mask, which must have some."""
    return float(metrics.smape_map(image, reference)[mask].mean())


# --- Against a reference in halves --------------------------------------------------------------------------------


def error_ratio(image: Image, noisy: Image, a: Image, b: Image, *, relative: bool = False) -> float:
    """Squared error of a denoised image over that of its input, free of the reference's own noise.

    mean((d − A)(d − B)) / mean((x − A)(x − B)): the noise of A and of B is independent, so that it averages out.

    Args:
        image, noisy: d and x, H×W×3.
        a, b: halves A and B of the reference.
        relative: each pixel's error is divided by the squared reference + 1e-2, so that no highlight rules the mean;
            the reference is blurred for it, so that its noise does not choose the weights.
    """
    d, x, a, b = (np.asarray(each, np.float64) for each in (image, noisy, a, b))
    weight = 1.0 / (uniform_filter((a + b) / 2, size=(_BLUR, _BLUR, 1)) ** 2 + _RELATIVE) if relative else 1.0
    return float(np.mean((d - a) * (d - b) * weight) / np.mean((x - a) * (x - b) * weight))


# --- Energy, λ ----------------------------------------------------------------------------------------------------


def mean_ratio(images: Sequence[Image], inputs: Sequence[Image]) -> float | None:
    """Mean of all images over the mean of all inputs; None where the inputs are black."""
    total = float(np.mean(inputs, dtype=np.float64))
    return float(np.mean(images, dtype=np.float64)) / total if total > 0 else None


def residual_noise(a: Image, b: Image) -> float:
    """Half of the SMAPE between two images that were made in the same way of independent inputs."""
    return metrics.smape(a, b) / 2


def monotone(values: Sequence[float], *, slack: float = 1e-9) -> bool:
    """Whether each value is larger than the one before it; by no less than `slack` of it."""
    return all(after > before * (1 + slack) for before, after in pairwise(values))


def fireflies(image: Image, reference: Image) -> int:
    """Pixels that stick out above all of the reference around them."""
    bright = luminance(np.asarray(image, np.float64))
    around = luminance(np.asarray(reference, np.float64))
    ceiling = FIREFLY * maximum_filter(around, size=3, mode="nearest") + FIREFLY_FLOOR * around.mean()
    return int(np.count_nonzero(bright > ceiling))


def blend_like(noisy: Image, denoised: Image, target: Image) -> tuple[Image, float]:
    """The blend β·noisy + (1 − β)·denoised that is nearest to `target`, and β.

    β is tuned on sRGB-encoded values, on which the eye judges; on linear ones a few fireflies would choose it.

    Source: Vogels et al. 2018, §8.3 and Figure 18.
    """
    x, d = np.asarray(noisy, np.float64), np.asarray(denoised, np.float64)
    shown = metrics.srgb_encode(target)

    def blend(beta: float) -> Image:
        return beta * x + (1.0 - beta) * d

    def distance(beta: float) -> float:
        return float(np.mean((metrics.srgb_encode(blend(beta)) - shown) ** 2))

    beta = float(minimize_scalar(distance, bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-3}).x)
    return blend(beta), beta
