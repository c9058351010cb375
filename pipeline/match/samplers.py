"""Importance sampling of the kernels: inverse CDFs, products of them, and the aggregates of §3.5.

Everything here is in units of σ: z = τ / σ, whose Gaussian is the standard normal φ. A sampler gives offsets z: K×n,
and the weights by which values of f are multiplied: the kernel over the density that z was really drawn from. For an
aggregate that is the density of the *mixture*, not of the element that the dice chose: the latter comes near to zero
where another element's kernel does not, and the weight's second moment would diverge.

Uniform numbers are in (0, 1). Antithetic pairs are made by the estimators, which know whether a kernel is odd or even.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import hadamard
from scipy.special import ndtri

__all__ = [
    "GRADIENT_MASS",
    "HESSIAN_MASS",
    "Draw",
    "Sampling",
    "curvature_cdf",
    "curvature_quantile",
    "draw_gradient",
    "draw_hessian",
    "smirnov",
]

Array = NDArray[np.float64]

GRADIENT_MASS = float(np.sqrt(2.0 / np.pi))
"""∫ |z| φ(z) dz: what the absolute gradient kernel integrates to, times σ."""

HESSIAN_MASS = float(4.0 / np.sqrt(2.0 * np.pi * np.e))
"""∫ |z² − 1| φ(z) dz = 4 φ(1): what the absolute diagonal Hessian kernel integrates to, times σ²."""

REACH = 10.0
"""The inverse of equation 21 is tabulated on ±10 σ; beyond lies a probability of 1e-21."""

CELLS = 2**15
MOST_HADAMARD = 1024  # order of a table of signs
UNIFORM_REACH = 5.0
"""Uniform samples fill a box of ±5 σ; what they leave out of a second derivative is less than 1e-4 of it."""


class Sampling(enum.Enum):
    """How offsets are drawn (the columns of Table 1, and the lines of Figure 5)."""

    UNIFORM = "uniform"  # in a box: no importance sampling at all
    GAUSSIAN = "gaussian"  # from the smoothing kernel itself: that of the values, not of the differential
    ELEMENT = "element"  # each element of the differential from its own kernel: the least variance, most evaluations
    AGGREGATE = "aggregate"  # all elements from the average of their kernels: one evaluation serves all


@dataclass(frozen=True)
class Draw:
    """Offsets and weights of K independent samples.

    Attributes:
        z: K×n, in units of σ.
        weights: K×E, for the E elements of the differential in units of σ; each column's mean over samples of
            weight · f(θ − σz) is that element. E is 1 for `Sampling.ELEMENT`, which draws for one element at a time.
    """

    z: Array
    weights: Array


def smirnov(xi: Array) -> Array:
    """Inverse CDF of |z| φ(z) / √(2/π) (equation 18, as it must read): −√(−2 ln 2ξ) for ξ ≤ ½, +√(−2 ln 2(1−ξ)) above.

    As printed, the equation takes the root of a negative number, and lacks the 2 in the second branch.
    """
    lower = xi <= 0.5
    tail = np.where(lower, xi, 1.0 - xi)
    root = np.sqrt(-2.0 * np.log(np.minimum(2.0 * tail, 1.0)))
    return np.where(lower, -root, root)


def curvature_cdf(u: Array) -> Array:
    """CDF of |u² − 1| φ(u) / 4φ(1) (equation 21, σ = 1)."""
    bump = u / 4.0 * np.exp(0.5 - 0.5 * u * u)
    return np.where(u < -1.0, -bump, np.where(u > 1.0, 1.0 - bump, 0.5 + bump))


def curvature_quantile(xi: Array) -> Array:
    """Inverse of equation 21, which has no elementary form: linear in a table of 2¹⁵ cells over ±10."""
    probabilities, nodes = _curvature_table()
    return np.interp(xi, probabilities, nodes)


@lru_cache(maxsize=1)
def _curvature_table() -> tuple[Array, Array]:
    nodes = np.linspace(-REACH, REACH, CELLS + 1)
    return np.maximum.accumulate(curvature_cdf(nodes)), nodes


def draw_gradient(
    rng: np.random.Generator, samples: int, dimensions: int, sampling: Sampling, element: int = 0
) -> Draw:
    """Samples for the gradient.

    Returns:
        weights K×n (K×1 for `Sampling.ELEMENT`), odd in z. With the aggregate,
        weightⱼ = −√(2/π) · n zⱼ / Σ|zᵢ|, which is bounded.
    """
    if sampling is Sampling.UNIFORM:
        z, ratio = _uniform(rng, samples, dimensions)
        return Draw(z, -z * ratio[:, None])
    if sampling is Sampling.AGGREGATE:
        return _aggregate_gradient(rng, samples, dimensions)
    z = _normal(rng, (samples, dimensions))
    if sampling is Sampling.GAUSSIAN:
        return Draw(z, -z)
    z[:, element] = smirnov(_open(rng, samples))
    return Draw(z, -GRADIENT_MASS * np.sign(z[:, [element]]))


def _aggregate_gradient(rng: np.random.Generator, samples: int, dimensions: int) -> Draw:
    """Samples of the mixture in groups of n: what one draw is turned into by shifting its numbers along the dimensions.

    Shifts and changes of sign leave the mixture's density as it is: each sample by itself is one of the mixture. A
    group of n has drawn each element once, and has seen each number along each dimension. On a linear function the
    estimate of a whole group is the gradient times one number, but for what signs leave between dimensions: rows of a
    Hadamard matrix, which leave nothing where n is 1 or 2.
    """
    each = min(samples, dimensions)
    groups = -(-samples // each)
    base = _normal(rng, (groups, dimensions))
    base[:, 0] = smirnov(_open(rng, groups))
    shifts = rng.permutation(dimensions)[:each]
    places = (np.arange(dimensions) + shifts[:, None]) % dimensions  # row k: which number each dimension gets
    z = (base[:, places] * _signs(rng, each, dimensions)).reshape(-1, dimensions)[:samples]
    total = np.sum(np.abs(z), axis=1, keepdims=True)
    return Draw(z, -GRADIENT_MASS * dimensions * z / np.maximum(total, np.finfo(float).tiny))


def _signs(rng: np.random.Generator, rows: int, dimensions: int) -> Array:
    """±1, rows×n: as orthogonal columns as there are rows for, each row by itself random."""
    free = rng.choice([-1.0, 1.0], dimensions)
    if dimensions > MOST_HADAMARD:
        return np.asarray(rng.choice([-1.0, 1.0], (rows, dimensions)) * free)
    matrix = _hadamard(1 << (dimensions - 1).bit_length())
    return np.asarray(matrix[:rows, rng.permutation(len(matrix))[:dimensions]] * free)


@lru_cache(maxsize=8)
def _hadamard(order: int) -> NDArray[np.int8]:
    return np.asarray(hadamard(order, dtype=np.int8))


def draw_hessian(
    rng: np.random.Generator, samples: int, dimensions: int, sampling: Sampling, element: tuple[int, int] = (0, 0)
) -> Draw:
    """Samples for the Hessian.

    Returns:
        weights K×n² in row-major order (K×1 for `Sampling.ELEMENT`), even in z and symmetric. With the aggregate the
        density is N(z) / n² · [Σᵢ |zᵢ² − 1| / 4φ(1) + π/2 · Σ_{i≠j} |zᵢ zⱼ|].
    """
    if sampling is Sampling.UNIFORM:
        z, ratio = _uniform(rng, samples, dimensions)
        return Draw(z, _hessian_kernel(z) * ratio[:, None])
    z = _normal(rng, (samples, dimensions))
    if sampling is Sampling.GAUSSIAN:
        return Draw(z, _hessian_kernel(z))
    rows = np.arange(samples)
    if sampling is Sampling.ELEMENT:
        first, second = (np.full(samples, index) for index in element)
    else:
        first, second = _dice(rng, samples, dimensions), _dice(rng, samples, dimensions)
    diagonal = first == second
    odd_first, odd_second = smirnov(_open(rng, samples)), smirnov(_open(rng, samples))
    z[rows, second] = odd_second
    z[rows, first] = np.where(diagonal, curvature_quantile(_open(rng, samples)), odd_first)
    if sampling is Sampling.ELEMENT:
        i, j = element
        sign = np.sign(z[:, i] ** 2 - 1.0) if i == j else np.sign(z[:, i] * z[:, j])
        return Draw(z, (sign * (HESSIAN_MASS if i == j else GRADIENT_MASS**2))[:, None])
    squares, absolute = z * z, np.abs(z)
    on = np.sum(np.abs(squares - 1.0), axis=1) / HESSIAN_MASS
    off = (np.sum(absolute, axis=1) ** 2 - np.sum(squares, axis=1)) / GRADIENT_MASS**2
    mixture = (on + off) / dimensions**2  # over N(z)
    return Draw(z, _hessian_kernel(z) / np.maximum(mixture, np.finfo(float).tiny)[:, None])


def _hessian_kernel(z: Array) -> Array:
    """The Hessian's kernel over the Gaussian: zᵢzⱼ − δᵢⱼ, K×n²."""
    outer = z[:, :, None] * z[:, None, :] - np.eye(z.shape[1])
    return np.asarray(outer.reshape(len(z), -1))


def _uniform(rng: np.random.Generator, samples: int, dimensions: int) -> tuple[Array, Array]:
    """Offsets in the box, and the Gaussian over the uniform density."""
    z = rng.uniform(-UNIFORM_REACH, UNIFORM_REACH, (samples, dimensions))
    log_ratio = dimensions * np.log(2.0 * UNIFORM_REACH / np.sqrt(2.0 * np.pi)) - 0.5 * np.sum(z * z, axis=1)
    return z, np.exp(log_ratio)


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Standard normals by their inverse CDF."""
    return np.asarray(ndtri(_open(rng, shape)))


def _open(rng: np.random.Generator, shape: int | tuple[int, ...]) -> Array:
    """Uniform numbers in the open interval: `random` may give 0, whose quantile is infinite."""
    return np.asarray(np.clip(rng.random(shape), 2.0**-53, 1.0 - 2.0**-53))


def _dice(rng: np.random.Generator, samples: int, dimensions: int) -> NDArray[np.int64]:
    """Which element each sample is drawn for: every one equally often, as far as `samples` allows, in random order.

    Each throw by itself is uniform, so that the mixture is the same; together they are stratified.
    """
    whole, rest = divmod(samples, dimensions)
    throws = np.concatenate([np.tile(np.arange(dimensions), whole), rng.permutation(dimensions)[:rest]])
    return np.asarray(rng.permutation(throws), dtype=np.int64)
