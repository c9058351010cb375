"""What the estimators are worth by themselves: unbiased, how noisy, and what they cost. No renderer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import norm

from pipeline.match.conjugate_gradient import NewtonCG
from pipeline.match.estimators import BlackBox, Estimate, finite_differences, fr22, gradient, hessian, hvp
from pipeline.match.minimise import Bounds, Stopping, minimise
from pipeline.match.samplers import Sampling
from pipeline.match.schedules import Following

__all__ = ["CHUNKS", "Smoothed", "biases", "costs", "evaluations_by_size", "quotient_error", "slopes", "variances"]

Array = NDArray[np.float64]
SIGMA = 0.4
CHUNKS = 100  # independent means that a standard error is taken of


@dataclass(frozen=True)
class Smoothed:
    """A function with known differentials of its smoothing at θ."""

    name: str
    f: BlackBox
    theta: Array
    gradient: Array
    hessian: Array


def quadratic(n: int) -> Smoothed:
    """½ xᵀAx: smoothing adds a constant."""
    rng = np.random.default_rng([n, 1])
    B = rng.standard_normal((n, n))
    A = B @ B.T / n + np.eye(n)
    theta = rng.uniform(-1, 1, n)
    return Smoothed(
        "quadratic", lambda p, seed: np.asarray(0.5 * np.einsum("ki,ij,kj->k", p, A, p)), theta, A @ theta, A
    )


def box(n: int) -> Smoothed:
    """1 inside of [−½, ½]ⁿ: products of differences of normal distributions."""
    theta = np.random.default_rng([n, 2]).uniform(-0.6, 0.6, n)
    a, b = (theta + 0.5) / SIGMA, (theta - 0.5) / SIGMA
    value = ndtr(a) - ndtr(b)
    first = (norm.pdf(a) - norm.pdf(b)) / SIGMA
    second = (-a * norm.pdf(a) + b * norm.pdf(b)) / SIGMA**2
    return _separable("box", lambda p, seed: (np.abs(p) < 0.5).all(axis=1).astype(float), theta, value, first, second)


def bump(n: int) -> Smoothed:
    """exp(−½|x|²): a wider Gaussian."""
    theta = np.random.default_rng([n, 3]).uniform(-0.8, 0.8, n)
    s2 = 1.0 + SIGMA**2
    value = np.exp(-0.5 * theta**2 / s2) / np.sqrt(s2)
    first, second = -theta / s2 * value, (theta**2 / s2 - 1.0) / s2 * value
    return _separable("Gaussian", lambda p, seed: np.exp(-0.5 * np.sum(p * p, axis=1)), theta, value, first, second)


def _separable(name: str, f: BlackBox, theta: Array, value: Array, first: Array, second: Array) -> Smoothed:
    """Of a product over dimensions, from each factor's value and derivatives."""
    n = len(theta)
    gradient_ = np.array([first[i] * np.prod(np.delete(value, i)) for i in range(n)])
    H = np.empty((n, n))
    for i in range(n):
        for j in range(n):
            rest = np.prod(np.delete(value, [i, j]))
            H[i, j] = second[i] * rest if i == j else first[i] * first[j] * rest
    return Smoothed(name, f, theta, gradient_, H)


FUNCTIONS: tuple[Callable[[int], Smoothed], ...] = (quadratic, box, bump)


def biases(samples: int, sizes: tuple[int, ...] = (1, 2, 10)) -> Array:
    """|estimate − truth| over its standard error, of every element of every estimator and function."""
    found: list[Array] = []
    for n in sizes:
        for make in FUNCTIONS:
            known = make(n)
            v = np.random.default_rng([n, 4]).standard_normal(n)
            for sampling in (Sampling.GAUSSIAN, Sampling.ELEMENT, Sampling.AGGREGATE):
                many = samples // (n if sampling is Sampling.ELEMENT else 1)
                found.append(_scores(_gradient(known, sampling), known.gradient, many))
                # A shift of 0.02 σ leaves a difference quotient's error far below the noise.
                found.append(_scores(_product(known, v, sampling), known.hessian @ v, many // 2))
                if sampling is not Sampling.ELEMENT or n <= 2:
                    upper = np.triu_indices(n)
                    estimate = _hessian(known, sampling)
                    found.append(_scores(lambda k, r, e=estimate, u=upper: e(k, r, u), known.hessian[upper], many))
    return np.concatenate(found)


def _gradient(known: Smoothed, sampling: Sampling) -> Callable[..., Estimate]:
    return lambda k, rng: gradient(known.f, known.theta, SIGMA, samples=k, rng=rng, seed=0, sampling=sampling)


def _product(known: Smoothed, v: Array, sampling: Sampling) -> Callable[..., Estimate]:
    epsilon = 0.02 * SIGMA / float(np.linalg.norm(v))
    return lambda k, rng: hvp(
        known.f, known.theta, v, SIGMA, samples=k, rng=rng, seed=0, sampling=sampling, epsilon=epsilon
    )


def _hessian(known: Smoothed, sampling: Sampling) -> Callable[..., Estimate]:
    def estimate(k: int, rng: np.random.Generator, upper: tuple[Array, Array]) -> Estimate:
        found = hessian(known.f, known.theta, SIGMA, samples=k, rng=rng, seed=0, sampling=sampling)
        return Estimate(found.value[upper], found.variance[upper], k, found.evaluations)

    return estimate


def _scores(estimate: Callable[..., Estimate], truth: Array, samples: int) -> Array:
    """From independent chunks: their mean's distance from the truth, over its standard error."""
    each = max(samples // CHUNKS, 2)
    rng = np.random.default_rng(5)
    values = np.array([estimate(each, rng).value for _ in range(CHUNKS)])
    error = np.abs(values.mean(axis=0) - truth)
    spread = values.std(axis=0, ddof=1) / np.sqrt(CHUNKS)
    exact = error <= 1e-9 * (1.0 + np.abs(truth))
    known = error[exact | (spread > 0)] / np.where(spread > 0, spread, np.inf)[exact | (spread > 0)]
    return np.asarray(known.ravel())  # of what no sample saw, nothing is known


def quotient_error(samples: int) -> float:
    """Largest relative difference, over quadratics in 1, 2 and 10 dimensions and the others in 1 and 2, of the
    aggregate HVP and what a difference quotient of the smoothed gradient along v tends to."""
    worst = 0.0
    for make in FUNCTIONS:
        for n in (1, 2, 10) if make is quadratic else (1, 2):
            known = make(n)
            v = np.random.default_rng([n, 4]).standard_normal(n)
            rng = np.random.default_rng(6)
            each = max(samples // CHUNKS, 2)
            parts = [_product(known, v, Sampling.AGGREGATE)(each, rng).value for _ in range(CHUNKS)]
            exact = known.hessian @ v
            worst = max(worst, float(np.linalg.norm(np.mean(parts, axis=0) - exact) / np.linalg.norm(exact)))
    return worst


def variances(counts: tuple[int, ...], repeats: int, n: int = 5) -> dict[str, dict[str, Array]]:
    """Figure 5: by differential and sampling, variance of an estimate (mean over elements) for each count of
    evaluations."""
    known = bump(n)
    v = np.ones(n) / np.sqrt(n)
    ways = {"uniform": Sampling.UNIFORM, "aggregate": Sampling.AGGREGATE, "element": Sampling.ELEMENT}
    found: dict[str, dict[str, Array]] = {"gradient": {}, "Hessian": {}, "HVP": {}}
    for label, sampling in ways.items():
        upper = np.triu_indices(n)
        estimates = {
            "gradient": (_gradient(known, sampling), ()),
            "Hessian": (_hessian(known, sampling), (upper,)),
            "HVP": (_product(known, v, sampling), ()),
        }
        for name, (estimate, more) in estimates.items():
            line = []
            for count in counts:
                rng = np.random.default_rng(7)
                values = np.array([estimate(count, rng, *more).value for _ in range(repeats)])
                line.append(float(values.var(axis=0, ddof=1).mean()))
            found[name][label] = np.array(line)
    return found


def slopes(counts: tuple[int, ...], lines: dict[str, dict[str, Array]]) -> Array:
    """Slopes of log variance against log samples, of all lines."""
    x = np.log(np.array(counts))
    return np.array([np.polyfit(x, np.log(line), 1)[0] for each in lines.values() for line in each.values()])


def costs(n: int) -> dict[str, int]:
    """Evaluations of one estimate with one sample: Table 1."""
    known, rng, v = quadratic(n), np.random.default_rng(8), np.ones(n)
    f, theta = known.f, known.theta
    element, aggregate = Sampling.ELEMENT, Sampling.AGGREGATE

    def gradient_(sampling: Sampling) -> int:
        return gradient(f, theta, SIGMA, samples=1, rng=rng, seed=0, sampling=sampling).evaluations

    def hessian_(sampling: Sampling) -> int:
        return hessian(f, theta, SIGMA, samples=1, rng=rng, seed=0, sampling=sampling).evaluations

    def product_(sampling: Sampling) -> int:
        return hvp(f, theta, v, SIGMA, samples=1, rng=rng, seed=0, sampling=sampling).evaluations

    return {
        "finite differences": finite_differences(f, theta, SIGMA, seed=0).evaluations,
        "FR22": fr22(f, theta, SIGMA, samples=1, rng=rng, seed=0).evaluations,
        "gradient": gradient_(element),
        "gradient, aggregate": gradient_(aggregate),
        "Hessian": hessian_(element),
        "Hessian, aggregate": hessian_(aggregate),
        "HVP": product_(element),
        "HVP, aggregate": product_(aggregate),
    }


def evaluations_by_size(sizes: tuple[int, ...], seeds: int, budget: int = 400_000) -> dict[int, float]:
    """Median evaluations of aggregate Newton–CG until 99 % of the distance to a quadratic's minimum are gone; its
    curvatures lie between 1 and 10. Infinite where the budget was not enough."""
    found = {}
    for n in sizes:
        curvatures = np.linspace(1.0, 10.0, n)

        def f(points: Array, seed: int, c: Array = curvatures) -> Array:
            return np.asarray(0.5 * np.sum(c * points * points, axis=1))

        taken = []
        for seed in range(seeds):
            start = np.random.default_rng([n, seed]).standard_normal(n)
            start *= 2.0 / np.linalg.norm(start)
            result = minimise(
                f,
                start,
                NewtonCG(4),
                Following(0.5, 0.01),
                bounds=Bounds.free(n),
                stopping=Stopping(budget, threshold=0.0, tolerance=0.0),
                seed=seed,
                on_step=lambda record: float(np.linalg.norm(record.theta)) < 0.02,
            )
            taken.append(float(result.evaluations) if result.reason == "called off" else float("inf"))
        found[n] = float(np.median(taken))
    return found
