"""First-order optimisers: gradient descent and Adam, on any estimate of a gradient."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.match.estimators import BlackBox, Estimate, finite_differences, fr22, gradient, spsa
from pipeline.match.minimise import Move
from pipeline.match.samplers import Sampling

__all__ = ["Adam", "Descent", "GradientOf", "aggregate_gradient", "by_differences", "by_fr22", "by_spsa", "clipped"]

Array = NDArray[np.float64]
GradientOf = Callable[[BlackBox, Array, float, np.random.Generator, int], Estimate]
"""(f, θ, σ, rng, render seed) → gradient."""


def aggregate_gradient(samples: int = 1, sampling: Sampling = Sampling.AGGREGATE) -> GradientOf:
    """The paper's gradient; `Sampling.ELEMENT` is what its Table 2 calls OurG."""
    return lambda f, theta, sigma, rng, seed: gradient(
        f, theta, sigma, samples=samples, rng=rng, seed=seed, sampling=sampling
    )


def by_fr22(samples: int = 1) -> GradientOf:
    """That of Fischer and Ritschel 2023."""
    return lambda f, theta, sigma, rng, seed: fr22(f, theta, sigma, samples=samples, rng=rng, seed=seed)


def by_spsa(samples: int = 1) -> GradientOf:
    """Simultaneous perturbation by σ."""
    return lambda f, theta, sigma, rng, seed: spsa(f, theta, sigma, samples=samples, rng=rng, seed=seed)


def by_differences() -> GradientOf:
    """Central differences by σ."""
    return lambda f, theta, sigma, rng, seed: finite_differences(f, theta, sigma, seed=seed)


def clipped(step: Array, longest: float) -> Array:
    """`step`, no longer than that."""
    length = float(np.linalg.norm(step))
    return step if length <= longest else step * (longest / length)


class Descent:
    """θ ← θ − γ g (equation 1).

    Args:
        gradient_of: estimates g.
        rate: γ, scales² per unit of loss.
        trust: no step is longer than so many σ.
    """

    def __init__(self, gradient_of: GradientOf, rate: float, *, trust: float = 2.0) -> None:
        self.name = "gradient descent"
        self._gradient_of, self._rate, self._trust = gradient_of, rate, trust

    def propose(self, f: BlackBox, theta: Array, sigma: float, *, rng: np.random.Generator, seed: int) -> Move:
        """One step."""
        estimate = self._gradient_of(f, theta, sigma, rng, seed)
        step = clipped(-self._rate * estimate.value, self._trust * sigma)
        return Move(step, estimate.value, estimate.significance)


class Adam:
    """Kingma and Ba 2015, algorithm 1. `rate` is in σ, so that steps shrink as the search gets finer."""

    def __init__(
        self, gradient_of: GradientOf, rate: float, *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-12
    ) -> None:
        self.name = "Adam"
        self._gradient_of, self._rate, self._epsilon = gradient_of, rate, epsilon
        self._beta1, self._beta2 = beta1, beta2
        self._count, self._mean, self._square = 0, np.zeros(0), np.zeros(0)

    def propose(self, f: BlackBox, theta: Array, sigma: float, *, rng: np.random.Generator, seed: int) -> Move:
        """One step."""
        estimate = self._gradient_of(f, theta, sigma, rng, seed)
        g = estimate.value
        if self._count == 0:
            self._mean, self._square = np.zeros_like(g), np.zeros_like(g)
        self._count += 1
        self._mean = self._beta1 * self._mean + (1 - self._beta1) * g
        self._square = self._beta2 * self._square + (1 - self._beta2) * g * g
        mean = self._mean / (1 - self._beta1**self._count)
        square = self._square / (1 - self._beta2**self._count)
        return Move(-self._rate * sigma * mean / (np.sqrt(square) + self._epsilon), g, estimate.significance)
