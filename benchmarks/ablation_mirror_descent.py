"""Proposition 8.1: how the suboptimality of kernel and of direct prediction grows with the number of parameters.

The convex problem of equation 9 with the absolute error and targets that one pixel explains,

    ℓ(θ) = 1/N Σ_n |yⁿ − θᵀxⁿ|,   yⁿ = θ*ᵀxⁿ,   θ* a vertex of the simplex,   so that ℓ(θ*) = 0,

by stochastic mirror descent with the steps of Proposition A.3, η = R/L √(2/T), from the mirror map's minimum:

    kernel   exponentiated gradient, θ = softmax(z);   R² = log d,   L = max ‖xⁿ‖_∞
    direct   gradient descent, θ = z;                  R² = d,       L = max ‖xⁿ‖₂

With entries of ±1, L of gradient descent is √d, and its bound RL√(2/T) grows as d; with unit vectors it grows as √d,
as the proposition has it.

Source: Vogels et al. 2018, §8, Appendix A.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.referee import Interval

__all__ = ["DATA", "SIZES", "Convergence", "converge", "slope", "suboptimality"]

Array = NDArray[np.float64]
DATA: dict[str, str] = {"signs": "entries of ±1", "unit": "unit vectors"}
SIZES = tuple(2**k for k in range(2, 11))  # d
STEPS = 1024  # T
POINTS = 2048  # N
SEEDS = 10
RESAMPLES = 2000


@dataclass(frozen=True)
class Convergence:
    """E after T steps.

    Attributes:
        sizes: d.
        kernel, direct: seeds × sizes.
    """

    sizes: tuple[int, ...]
    kernel: Array
    direct: Array


def suboptimality(x: Array, y: Array, draws: NDArray[np.intp], *, kernel: bool) -> float:
    """E of Proposition 8.1: ℓ of the mean of the iterates, over a problem whose optimum is 0.

    Args:
        x: N×d.
        y: N.
        draws: of the point whose subgradient each of the T steps follows.
        kernel: exponentiated gradient on the simplex; else gradient descent.
    """
    d, steps = x.shape[1], len(draws)
    if kernel:
        radius, lipschitz = np.sqrt(np.log(d)), np.abs(x).max()
    else:
        radius, lipschitz = np.sqrt(d), np.linalg.norm(x, axis=1).max()
    eta = radius / lipschitz * np.sqrt(2 / steps)
    z, total = np.zeros(d), np.zeros(d)
    for n in draws:
        theta = _softmax(z) if kernel else z
        total += theta
        z = z + eta * np.sign(y[n] - x[n] @ theta) * x[n]
    return float(np.abs(y - x @ (total / steps)).mean())


def converge(
    kind: str, *, sizes: Sequence[int] = SIZES, steps: int = STEPS, seeds: int = SEEDS, points: int = POINTS
) -> Convergence:
    """Both methods on the same problems, with the same draws; `kind` is a key of `DATA`."""
    found = np.empty((2, seeds, len(sizes)))
    for seed in range(seeds):
        for column, d in enumerate(sizes):
            rng = np.random.default_rng((seed, d))
            x = rng.choice((-1.0, 1.0), (points, d)) if kind == "signs" else rng.standard_normal((points, d))
            if kind == "unit":
                x /= np.linalg.norm(x, axis=1, keepdims=True)
            y = x[:, rng.integers(d)]
            draws = rng.integers(points, size=steps)
            for row, kernel in enumerate((True, False)):
                found[row, seed, column] = suboptimality(x, y, draws, kernel=kernel)
    return Convergence(tuple(sizes), found[0], found[1])


def slope(sizes: Sequence[int], values: Array, *, seed: int = 0) -> Interval:
    """Slope of log E over log d, of the geometric mean over seeds; the interval is a bootstrap over seeds.

    Args:
        sizes: d.
        values: seeds × sizes, positive.
    """
    logs = np.log(values)
    along = np.log(np.asarray(sizes, float))
    weights = (along - along.mean()) / np.square(along - along.mean()).sum()  # of least squares
    slopes = logs @ weights
    drawn = slopes[np.random.default_rng(seed).integers(len(slopes), size=(RESAMPLES, len(slopes)))].mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(float(slopes.mean()), float(low), float(high), len(slopes))


def _softmax(z: Array) -> Array:
    weights: Array = np.exp(z - z.max())
    weights /= weights.sum()
    return weights
