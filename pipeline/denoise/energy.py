"""Energy: a denoised component has the mean of what was rendered.

Kernels that weigh fireflies down lose their energy: at few samples, caustics and small lights come out darker by
several per cent. The mean of the noisy component is without bias, so the difference is given back, where it costs
the picture least and was most probably lost: in proportion to the square of the brightness, as the lost energy comes
from skewed distributions, and those from bright transport. (Given back to all pixels alike in relative terms, it
would brighten what is right.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST", "balanced"]

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
