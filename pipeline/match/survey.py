"""A look around before a search: where, near or far from the start, pictures are most like the plate.

A smoothing sees as far as its σ. What a picture shows of a handle behind its mug, or of a ball beside the frame, is
found by looking there: a low-discrepancy set of points, near and far, and each parameter by itself. All of them are
one or few launches of coarse pictures.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import qmc

from pipeline.match.minimise import Bounds

__all__ = ["around", "distinct"]

Array = NDArray[np.float64]

WIDTHS = (1.0, 2.0, 4.0, 8.0)
"""Standard deviations of the points about the start, in scales; and steps along each parameter, both ways."""

EACH = 4
"""Points of a width and parameter …"""

MOST = 64
"""… but at most so many of a width."""

MOST_LINES = 12
"""Parameters that are looked along one by one; with more of them that would cost more than it finds."""

APART = 1.5
"""Distance in scales at which two points begin two searches."""


def around(start: Array, bounds: Bounds, *, seed: int) -> Array:
    """Points to look at: the start first, then others within the limits, K×n in own units."""
    n = len(start)
    count = 1 << int(np.ceil(np.log2(min(EACH * n, MOST))))
    offsets = []
    for index, width in enumerate(WIDTHS):
        unit = qmc.Sobol(n, seed=np.random.default_rng([seed, index])).random(count)
        offsets.append(width * ndtri(np.clip(unit, 1e-6, 1.0 - 1e-6)))
        if n <= MOST_LINES:
            offsets += [width * np.eye(n), -width * np.eye(n)]
    points = start + np.concatenate(offsets) * bounds.scale
    return np.concatenate([start[None], np.unique(bounds.clip(points), axis=0)])


def distinct(points: Array, losses: Array, bounds: Bounds, *, count: int) -> Array:
    """The best points that lie apart from each other, best first."""
    chosen: list[Array] = []
    for index in np.argsort(losses, kind="stable"):
        point = points[index]
        if all(np.linalg.norm((point - other) / bounds.scale) > APART for other in chosen):
            chosen.append(point)
        if len(chosen) == count:
            break
    return np.array(chosen)
