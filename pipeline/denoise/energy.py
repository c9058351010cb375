"""What the rendered component tells of the denoised one: its mean, and of emission every pixel.

Kernels that weigh fireflies down lose their energy: at few samples, caustics and small lights come out darker by
several per cent. The mean of the noisy component is without bias, so the difference is given back, where it costs
the picture least and was most probably lost: in proportion to the square of the brightness, as the lost energy comes
from skewed distributions, and those from bright transport. (Given back to all pixels alike in relative terms, it
would brighten what is right.)

Emission is seen by the first ray: its noise is that of coverage (edges, depth of field, motion), bounded by the lamp's
own radiance, so that the variance that was measured can be believed. Kernels that soften the edge of a lamp a thousand
times brighter than the wall beside it are off by a hundred standard deviations there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from pipeline.render.buffers import luminance

__all__ = ["MOST", "Rendered", "balanced", "believable"]

Array = NDArray[np.float32]

MOST = 1.5
"""No pixel is changed by a larger factor: what would need more stays lost, as a frame's own noise is in its mean."""

ROUNDS = 8
"""Solutions, each with the pixels that the last one held at `MOST`."""


def balanced(denoised: Array, wanted: float) -> Array:
    """The denoised component with the noisy one's mean over pixels and channels.

    Pixels keep their hue: one factor each, 1 + a · brightness, within 1 / `MOST` … `MOST`, with `a` such that the
    means agree.

    Args:
        denoised: H×W×C, linear, finite, ≥ 0.
        wanted: that mean.

    Returns:
        H×W×C, float32; `denoised` itself where either is black.
    """
    brightness = denoised.mean(axis=-1, dtype=np.float32)
    mean = float(brightness.mean(dtype=np.float64))
    if mean <= 0 or wanted <= 0:
        return denoised
    limit = MOST if wanted > mean else 1 / MOST
    if wanted / mean > MOST or wanted / mean < 1 / MOST:
        return denoised * np.float32(limit)
    relative = brightness / np.float32(mean)
    # Σ min(1 + a x, limit) x = wanted / mean · Σ x, solved for `a` with the held pixels of the last round.
    total = wanted / mean * relative.size
    held = np.zeros(relative.shape, bool)
    a = 0.0
    for _ in range(ROUNDS):
        free = np.where(held, np.float32(0), relative)
        squares = float(np.vdot(free, free))
        if squares <= 0:
            break
        first = float(free.sum(dtype=np.float64))
        a = (total - first - limit * (float(relative.sum(dtype=np.float64)) - first)) / squares
        now = 1 + np.float32(a) * relative
        now = now >= limit if limit > 1 else now <= limit
        if (now == held).all():
            break
        held = now
    factor = 1 + np.float32(a) * relative
    return np.asarray(denoised * np.clip(factor, 1 / MOST, MOST)[..., None], np.float32)


@dataclass(frozen=True)
class Rendered:
    """An emission as rendered, and how far it can be believed. One serves all λ: nothing here was denoised.

    Attributes:
        mean: x, H×W×C.
        noise: H×W, variance of the mean's luminance, the largest of each pixel's 3×3 neighbourhood.
        count: n, H×W.
        brightest: M, radiance of the brightest lamp.
    """

    mean: Array
    noise: Array
    count: Array
    brightest: float

    @staticmethod
    def of(mean: Array, variance: Array, count: Array) -> Rendered:
        """M is E X² / E X of samples that are a lamp's radiance or nothing."""
        x = luminance(mean)
        known = np.where(np.isfinite(variance), variance, np.float32(0))
        of_lamps = (known * count + x * x) / np.maximum(x, np.float32(1e-8))
        brightest = float(np.max(of_lamps, initial=0.0, where=x > 0))
        return Rendered(mean, maximum_filter(variance, size=3, mode="nearest"), count, brightest)


def believable(denoised: Array, rendered: Rendered) -> Array:
    """Emission moved towards what was rendered where the two are further apart than noise explains.

    With g the difference in luminance and s² the variance, E g² is at least the squared bias of d without the noise of
    x; of all blends of d (error g² − s²) and x (error s²) the one with the least squared error weighs d by s² / g².

    Samples that all missed, or all hit, show no variance. So s² is at least the largest of the neighbourhood, and what
    the mean of n samples would have if d were right: each is the lamp's radiance M or nothing: d (M − d) / n.

    Args:
        denoised: d, H×W×C.
        rendered: x, and its noise.

    Returns:
        H×W×C, float32; `denoised` where it lies within a standard deviation.
    """
    d, x = luminance(denoised), luminance(rendered.mean)
    missed = d * np.clip(np.float32(rendered.brightest) - d, 0, None) / np.maximum(rendered.count, 1)
    explained = np.maximum(rendered.noise, missed)
    gap = (d - x) ** 2
    share = np.where(gap > explained, 1 - explained / np.maximum(gap, np.float32(1e-30)), np.float32(0))
    return np.asarray(denoised + share[..., None] * (rendered.mean - denoised), np.float32)
