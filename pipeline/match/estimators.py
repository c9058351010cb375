"""Differentials of a black box at a point, from its values around it.

The black box takes rows of parameters and gives a number, or an image, for each; all rows of one call share the random
numbers of the renderer (common random numbers), so that differences of rows show what the parameters do. Every
estimator asks for all of its rows in one call, so that a renderer can make them in one launch.

What is estimated is the differential of the *smoothed* function (equation 13) for all but finite differences and SPSA.
Values are differential elements first, then the shape of what f gives: a loss has a gradient of shape n, an image of
H×W×3 one of n×H×W×3. Variances are those of the estimate itself (of the mean over samples), element by element.

Sources: Wang, Fischer, Ritschel, §3 and Table 1; Fischer, Ritschel 2023 (FR22); Spall 1992 (SPSA).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.match.kernels import checked_sigma
from pipeline.match.samplers import GRADIENT_MASS, Draw, Sampling, draw_gradient, draw_hessian, smirnov

__all__ = [
    "BlackBox",
    "Estimate",
    "HvpEstimate",
    "finite_differences",
    "fr22",
    "gradient",
    "hessian",
    "hvp",
    "spsa",
]

Array = NDArray[np.float64]


class BlackBox(Protocol):
    """What is differentiated."""

    def __call__(self, points: Array, seed: int) -> Array:
        """Values at K×n parameters: K numbers, or K×… images; `seed` is of the random numbers that all rows share."""
        ...


@dataclass(frozen=True)
class Estimate:
    """A differential, and how well it is known.

    Attributes:
        value: elements × shape of f.
        variance: of `value`; NaN where one sample alone says nothing about it.
        samples: independent samples per element.
        evaluations: how often f was evaluated.
    """

    value: Array
    variance: Array
    samples: int
    evaluations: int

    @property
    def noise(self) -> float:
        """Standard deviation of the estimate as a vector: √(Σ variance)."""
        return float(np.sqrt(np.sum(self.variance)))

    @property
    def significance(self) -> float:
        """Length of the estimate over its noise; infinite without noise, 0 where both are 0."""
        length = float(np.linalg.norm(self.value))
        if length == 0.0:
            return 0.0
        return length / self.noise if self.noise > 0 else np.inf


@dataclass(frozen=True)
class HvpEstimate(Estimate):
    """A Hessian-vector product, with what the same evaluations say besides.

    Attributes:
        gradient: mean of the two shifted gradients: the gradient at θ, up to terms in ε².
        slope: vᵀ ∇f, of the same samples as `value`: its noise and that of the curvature go together, so that their
            ratio is better than either.
        curvature: vᵀ H v.
    """

    gradient: Estimate
    slope: float
    curvature: float


# --- Without smoothing --------------------------------------------------------------------------------------------


def finite_differences(f: BlackBox, theta: Array, step: Array | float, *, seed: int) -> Estimate:
    """Central differences: 2n evaluations. The variance is not known: NaN."""
    n = len(theta)
    h = checked_sigma(step, n)
    shifts = np.diag(h)
    values = f(np.concatenate([theta + shifts, theta - shifts]), seed)
    difference = (values[:n] - values[n:]) / (2.0 * _across(h, values))
    return Estimate(difference, np.full(difference.shape, np.nan), 1, 2 * n)


def spsa(
    f: BlackBox, theta: Array, step: Array | float, *, samples: int, rng: np.random.Generator, seed: int
) -> Estimate:
    """Simultaneous perturbation: 2 evaluations per sample, all parameters by ±h at once (Spall 1992, eq. 2.2)."""
    h = checked_sigma(step, len(theta))
    signs = rng.choice([-1.0, 1.0], (samples, len(theta)))
    values = f(np.concatenate([theta + signs * h, theta - signs * h]), seed)
    half = (values[:samples] - values[samples:]) / 2.0
    return _averaged(signs / h, half, 2 * samples)


# --- First order --------------------------------------------------------------------------------------------------


def fr22(
    f: BlackBox,
    theta: Array,
    sigma: Array | float,
    *,
    samples: int,
    rng: np.random.Generator,
    seed: int,
) -> Estimate:
    """The gradient of Fischer and Ritschel 2023: one evaluation serves all parameters, in antithetic pairs.

    Every parameter is drawn from its own gradient kernel at once, as if the others did not matter: element i is
    smoothed by |z|φ(z) instead of by φ in all other parameters, so that it is not the gradient of one smoothed
    function. 2 evaluations per sample.
    """
    s = checked_sigma(sigma, len(theta))
    z = smirnov(np.clip(rng.random((samples, len(theta))), 2.0**-53, 1.0 - 2.0**-53))
    half = _odd_half(f(np.concatenate([theta - s * z, theta + s * z]), seed))
    return _averaged(-GRADIENT_MASS * np.sign(z) / s, half, 2 * samples)


def gradient(
    f: BlackBox,
    theta: Array,
    sigma: Array | float,
    *,
    samples: int,
    rng: np.random.Generator,
    seed: int,
    sampling: Sampling = Sampling.AGGREGATE,
) -> Estimate:
    """Gradient of the smoothed f (equations 16–18), in antithetic pairs.

    Evaluations: 2 per sample; 2n with `Sampling.ELEMENT`, which draws `samples` for each parameter.
    """
    n = len(theta)
    s = checked_sigma(sigma, n)
    draws = [
        draw_gradient(rng, samples, n, sampling, element) for element in range(n if sampling is Sampling.ELEMENT else 1)
    ]
    z = np.concatenate([draw.z for draw in draws])
    half = _odd_half(f(np.concatenate([theta - s * z, theta + s * z]), seed))
    return _by_draw(draws, half, 1.0 / s, 2 * len(z))


# --- Second order -------------------------------------------------------------------------------------------------


def hessian(
    f: BlackBox,
    theta: Array,
    sigma: Array | float,
    *,
    samples: int,
    rng: np.random.Generator,
    seed: int,
    sampling: Sampling = Sampling.AGGREGATE,
) -> Estimate:
    """Hessian of the smoothed f (equations 19–21): n×n, symmetric.

    The kernel integrates to zero, so f(θ) is subtracted; with an antithetic pair that leaves a second difference,
    [f(θ − τ) + f(θ + τ)] / 2 − f(θ).

    Evaluations: 1 + 2 per sample; with `Sampling.ELEMENT` n(n + 1)/2 times as many samples, by symmetry.
    """
    n = len(theta)
    s = checked_sigma(sigma, n)
    elements = [(i, j) for i in range(n) for j in range(i, n)] if sampling is Sampling.ELEMENT else [(0, 0)]
    draws = [draw_hessian(rng, samples, n, sampling, element) for element in elements]
    z = np.concatenate([draw.z for draw in draws])
    values = f(np.concatenate([theta[None], theta - s * z, theta + s * z]), seed)
    even = (values[1 : 1 + len(z)] + values[1 + len(z) :]) / 2.0 - values[0]
    scale = np.outer(1.0 / s, 1.0 / s)
    if sampling is Sampling.ELEMENT:
        rows, columns = np.array(elements).T
        upper = _by_draw(draws, even, scale[rows, columns], 1 + 2 * len(z))
        value, variance = (np.empty((n, n, *upper.value.shape[1:])) for _ in range(2))
        for full, half in ((value, upper.value), (variance, upper.variance)):
            full[rows, columns] = half
            full[columns, rows] = half
        return Estimate(value, variance, samples, upper.evaluations)
    flat = _by_draw(draws, even, scale.ravel(), 1 + 2 * len(z))
    shape = (n, n, *flat.value.shape[1:])
    return Estimate(flat.value.reshape(shape), flat.variance.reshape(shape), samples, flat.evaluations)


def hvp(
    f: BlackBox,
    theta: Array,
    v: Array,
    sigma: Array | float,
    *,
    samples: int,
    rng: np.random.Generator,
    seed: int,
    sampling: Sampling = Sampling.AGGREGATE,
    epsilon: float | None = None,
) -> HvpEstimate:
    """Hessian of the smoothed f times v, as the difference of two gradients shifted along v (equations 8 and 23).

    Both gradients are made of the same offsets τ and the same random numbers of the renderer: what remains of their
    noise is that of the difference. f must give a number.

    Args:
        epsilon: the shift's length in units of v; by default a third of σ, measured along v.

    Evaluations: 4 per sample; 4n with `Sampling.ELEMENT`.
    """
    n = len(theta)
    s = checked_sigma(sigma, n)
    if epsilon is None:
        epsilon = 1.0 / (3.0 * max(float(np.linalg.norm(v / s)), np.finfo(float).tiny))
    draws = [
        draw_gradient(rng, samples, n, sampling, element) for element in range(n if sampling is Sampling.ELEMENT else 1)
    ]
    z = np.concatenate([draw.z for draw in draws])
    ahead, behind = theta + epsilon * v, theta - epsilon * v
    points = np.concatenate([ahead - s * z, ahead + s * z, behind - s * z, behind + s * z])
    values = f(points, seed).reshape(4, len(z))
    half_ahead, half_behind = (values[0] - values[1]) / 2.0, (values[2] - values[3]) / 2.0
    product = _by_draw(draws, (half_ahead - half_behind) / (2.0 * epsilon), 1.0 / s, 4 * len(z))
    mean = _by_draw(draws, (half_ahead + half_behind) / 2.0, 1.0 / s, 4 * len(z))
    return HvpEstimate(
        product.value,
        product.variance,
        samples,
        4 * len(z),
        gradient=mean,
        slope=float(v @ mean.value),
        curvature=float(v @ product.value),
    )


# --- Means and variances ------------------------------------------------------------------------------------------


def _odd_half(values: Array) -> Array:
    """[f(θ − τ) − f(θ + τ)] / 2 of rows that hold all first, then all second halves of the pairs."""
    half = len(values) // 2
    return (values[:half] - values[half:]) / 2.0


def _by_draw(draws: list[Draw], values: Array, scale: Array, evaluations: int) -> Estimate:
    """The estimate from one draw that serves all elements, or from one draw per element; `scale` per element."""
    if len(draws) == 1:
        # An ELEMENT draw of a single element has one column, as has `scale` then.
        return _averaged(draws[0].weights * scale, values, evaluations)
    parts = np.split(values, len(draws))
    estimates = [
        _averaged(draw.weights * factor, part, 0) for draw, part, factor in zip(draws, parts, scale, strict=True)
    ]
    return Estimate(
        np.concatenate([e.value for e in estimates]),
        np.concatenate([e.variance for e in estimates]),
        estimates[0].samples,
        evaluations,
    )


def _averaged(weights: Array, values: Array, evaluations: int) -> Estimate:
    """Mean over samples of weight (K×E) · value (K×…), and the variance of that mean.

    The K×E×… products are never stored.
    """
    samples = len(weights)
    flat = values.reshape(samples, -1)
    shape = (weights.shape[1], *values.shape[1:])
    mean = (weights.T @ flat / samples).reshape(shape)
    if samples == 1:
        return Estimate(mean, np.full(shape, np.nan), samples, evaluations)
    square = ((weights * weights).T @ (flat * flat) / samples).reshape(shape)
    variance = np.maximum(square - mean * mean, 0.0) / (samples - 1)
    return Estimate(mean, variance, samples, evaluations)


def _across(per_element: Array, values: Array) -> Array:
    """n numbers, shaped to divide n×… values."""
    return per_element.reshape(-1, *([1] * (values.ndim - 1)))
