"""Frames of more samples than the sub-buffers of a sequence hold: what adaptive rounds come to in hard places.

The renders behind a reference are many samples of the centre frame, kept as one mean. A weighted mean of it and of the
pooled sub-buffers has the noise of any number of samples between theirs. That noise is a part of the reference's own
as well, which denoising took most of: errors at many samples are seen a little too small.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.denoise.frame import Frame
from pipeline.render.buffers import COMPONENTS

__all__ = ["random_counts", "with_more"]

Array = NDArray[np.float32]

UNEVEN = 0.5
"""Share of the maps that differ from pixel to pixel."""


def random_counts(rng: np.random.Generator, count: Array, more: float) -> Array:
    """Samples between those that there are and `more` on top of them, log-uniform: H×W.

    Half of the maps have one ratio to `count` everywhere; in the others it follows a smooth random field.
    """
    level = np.full(count.shape, rng.random())
    if rng.random() < UNEVEN:
        field = ndimage.gaussian_filter(rng.standard_normal(count.shape), float(2.0 ** rng.uniform(0.5, 4.0)))
        level = level + rng.uniform(0.1, 0.6) * field / max(float(field.std()), 1e-12)
    counts: Array = (count * (1.0 + more / count) ** np.clip(level, 0.0, 1.0)).astype(np.float32)
    return counts


def with_more(frame: Frame, many: Array, more: float, wanted: Array) -> Frame:
    """The frame with the noise of `wanted` samples.

        w: 1/n = (1 − w)²/n₁ + w²/n₂,   x = (1 − w) x₁ + w x₂,   Var x = Var x₁ · n₁/n

    Args:
        frame: pooled from sub-buffers, n₁ = `frame.count`.
        many: H×W×9, the mean of other samples: emission, diffuse, specular.
        more: n₂, how many these are.
        wanted: n, H×W; between n₁ and n₁ + n₂.
    """
    assert frame.count is not None
    n1, n = frame.count.astype(np.float64), np.maximum(wanted, frame.count).astype(np.float64)
    both = 1.0 / n1 + 1.0 / more
    w = (1.0 / n1 - np.sqrt(np.maximum(1.0 / n1**2 - both * (1.0 / n1 - 1.0 / n), 0.0))) / both
    share = w[..., None].astype(np.float32)
    scale = (n1 / n).astype(np.float32)
    return replace(
        frame,
        components={
            name: (1 - share) * frame.components[name] + share * many[..., 3 * k : 3 * k + 3]
            for k, name in enumerate(COMPONENTS)
        },
        variance={
            name: variance * scale if name in ("beauty", *COMPONENTS) else variance
            for name, variance in frame.variance.items()
        },
        count=n.astype(np.float32),
    )
