"""The last part of a search: Gauss–Newton on the pictures themselves, once the minimum's valley is found.

A loss that is a sum of squares of residuals r(θ) has the curvature JᵀJ near its minimum, and J, the change of the whole
picture with each parameter, costs two pictures a parameter. It sees n numbers per pixel where a loss sees one.

Pictures come in two halves of disjoint samples, a and b, and products are taken between them,

    g = ½ (J_aᵀ r_b + J_bᵀ r_a),   H = ½ (J_aᵀ J_b + J_bᵀ J_a),

so that their noise does not enter: within one half, that of J goes with that of r, and darker pictures would be
preferred. What J_aᵀ J_b is short of being symmetric is noise alone: no curvature counts for less.

A step rests on what earlier ones saw too: models H_k, g_k at θ_k sum to one with the minimum at H θ = Σ w_k (H_k θ_k −
g_k), H = Σ w_k H_k, older ones with less weight, none across a step that was cut short. The last steps take several
render seeds, whose scatter says how well the result is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.match.descent import clipped
from pipeline.match.minimise import Bounds

__all__ = ["SEEDS", "Polished", "polish"]

Array = NDArray[np.float64]
Residuals = Callable[[Array, int], Array]
"""(K×n points in own units, render seed) → K×2×m, of both halves; their squares' sum is the loss."""

DAMPING = 1e-3  # of the curvature's diagonal (Levenberg–Marquardt)
FLOOR = 1e-6  # of the largest eigenvalue
LEAST, MOST = 3, 10
"""Steps of one render seed each: at least, and at most …"""

KEPT = 0.5
"""Weight of what was seen before, from one step to the next."""

STILL = 0.1
"""… until one is shorter than this, in scales."""

SEEDS = (4, 8)
"""Render seeds of the steps after these."""


@dataclass(frozen=True)
class Polished:
    """Where the steps led.

    Attributes:
        theta: n, own units.
        deviation: n, of `theta`: what the noise of the pictures leaves open; that of the plate is not in it.
        evaluations: pictures.
    """

    theta: Array
    deviation: Array
    evaluations: int


def polish(
    residuals: Residuals,
    start: Array,
    bounds: Bounds,
    *,
    reach: tuple[float, float] = (0.25, 0.1),
    seeds: Sequence[int] = SEEDS,
    trust: float = 1.0,
    seed: int = 0,
    on_step: Callable[[Array, float, int], Any] | None = None,
) -> Polished:
    """Steps towards the minimum.

    Args:
        start: n, own units.
        reach: half of what differences span, in scales: at the first step and at the last.
        seeds: render seeds of each of the last steps, at least two; none: only the way there.
        trust: the longest step, in scales.
        seed: of the seeds.
        on_step: told θ, the step's length in scales, and evaluations so far.

    Evaluations: 2n + 1 a step and seed.
    """
    rng = np.random.default_rng(seed)
    theta, n, evaluations = start / bounds.scale, len(start), 0
    deviation = np.full(n, np.nan)
    length, left, number, weight = np.inf, [*seeds], 0, 0.0
    crossed, aim = np.zeros((n, n)), np.zeros(n)
    while True:
        far = len(left) == len(seeds) and (number < LEAST or (number < MOST and length > STILL))
        if not far and not left:
            return Polished(theta * bounds.scale, deviation, evaluations)
        count = 1 if far else left.pop(0)
        h = reach[0] * (reach[1] / reach[0]) ** min(number / LEAST, 1.0)
        number += 1
        ahead, behind = (
            bounds.clip((theta + way * h * np.eye(n)) * bounds.scale) / bounds.scale for way in (1.0, -1.0)
        )
        rows = np.concatenate([theta[None], ahead, behind]) * bounds.scale
        span = np.diag(ahead - behind)
        if length >= trust:
            crossed, aim = np.zeros((n, n)), np.zeros(n)
        crossed, aim = KEPT * crossed, KEPT * aim
        slopes, weight = np.zeros((count, n)), KEPT * weight if length < trust else 0.0
        for index in range(count):
            r = residuals(rows, int(rng.integers(2**31)))
            J = (r[1 : 1 + n] - r[1 + n :]) / np.where(span > 0, span, np.inf)[:, None, None]
            cross, slopes[index] = _normal_equations(J, r[0])
            crossed, aim = crossed + cross, aim + (cross + cross.T) / 2.0 @ theta - slopes[index]
            evaluations += len(rows)
        weight += count
        H = (crossed + crossed.T) / 2.0
        noise = float(np.linalg.norm(crossed - crossed.T)) / 2.0
        step = clipped(_solved(H, H @ theta - aim, noise), trust)
        moved = bounds.clip((theta + step) * bounds.scale) / bounds.scale
        length, theta = float(np.linalg.norm(step)), moved
        if count > 1:
            scattered = np.array([_solved(H / weight, g, noise / weight) for g in slopes])
            deviation = np.std(scattered, axis=0, ddof=1) / np.sqrt(weight) * bounds.scale
        if on_step is not None:
            on_step(theta * bounds.scale, length, evaluations)


def _normal_equations(J: Array, r: Array) -> tuple[Array, Array]:
    """J_aᵀ J_b and g, of J: n×2×m and r: 2×m."""
    return J[:, 0] @ J[:, 1].T, (J[:, 0] @ r[1] + J[:, 1] @ r[0]) / 2.0


def _solved(H: Array, g: Array, noise: float) -> Array:
    """−(H + damping)⁻¹ g; no curvature counts for less than its noise."""
    values, vectors = np.linalg.eigh(H + DAMPING * np.diag(np.abs(np.diag(H))))
    most = float(np.abs(values).max(initial=0.0))
    if most == 0.0:
        return np.zeros_like(g)
    return np.asarray(-vectors @ ((vectors.T @ g) / np.maximum(np.abs(values), max(FLOOR * most, noise))))
