"""Estimators against differentials of smoothed functions that are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import norm

from pipeline.errors import ConfigError
from pipeline.match import estimators
from pipeline.match.samplers import Sampling

SIGMA = 0.6


class Counted:
    """A black box that counts its rows."""

    def __init__(self, f):
        self.f, self.rows, self.calls = f, 0, 0

    def __call__(self, points, seed):
        self.rows += len(points)
        self.calls += 1
        return self.f(points)


def quadratic(n):
    """f, gradient and Hessian; smoothing only adds a constant."""
    root = np.random.default_rng(n).standard_normal((n, n)) / np.sqrt(n)
    A = root @ root.T + np.eye(n)
    return (lambda p: 0.5 * np.einsum("ki,ij,kj->k", p, A, p)), (lambda t: A @ t), (lambda t: A)


def bump(n):
    """A Gaussian of width 1, smoothed to one of variance 1 + σ²."""
    s2 = 1.0 + SIGMA**2

    def value(t):
        return s2 ** (-n / 2) * np.exp(-0.5 * t @ t / s2)

    return (
        (lambda p: np.exp(-0.5 * np.sum(p * p, axis=1))),
        (lambda t: -t / s2 * value(t)),
        (lambda t: (np.outer(t, t) / s2**2 - np.eye(n) / s2) * value(t)),
    )


def box(n):
    """1 inside the unit box, 0 outside: its own gradient is zero wherever it is defined."""

    def parts(t):
        a, b = (t + 0.5) / SIGMA, (t - 0.5) / SIGMA
        inside = ndtr(a) - ndtr(b)
        first = (norm.pdf(a) - norm.pdf(b)) / SIGMA
        second = (-a * norm.pdf(a) + b * norm.pdf(b)) / SIGMA**2
        return inside, first, second

    def gradient(t):
        inside, first, _ = parts(t)
        return first * np.prod(inside) / inside

    def hessian(t):
        inside, first, second = parts(t)
        full = np.outer(first / inside, first / inside) * np.prod(inside)
        np.fill_diagonal(full, second / inside * np.prod(inside))
        return full

    return (lambda p: np.all(np.abs(p) <= 0.5, axis=1).astype(float)), gradient, hessian


CASES = {"quadratic": quadratic, "bump": bump, "box": box}


def z_scores(estimate, truth):
    error = estimate.value - truth
    return np.abs(error) / np.sqrt(np.maximum(estimate.variance, 1e-30))


@pytest.mark.parametrize("sampling", [Sampling.GAUSSIAN, Sampling.ELEMENT, Sampling.AGGREGATE])
@pytest.mark.parametrize("n", [1, 2, 10])
@pytest.mark.parametrize("case", CASES)
def test_gradient_and_hessian_are_unbiased(case, n, sampling):
    f, gradient, hessian = CASES[case](n)
    theta, rng = np.linspace(0.1, 0.4, n), np.random.default_rng(7)
    black_box = Counted(f)
    samples = 4000 if n < 10 else 2000
    g = estimators.gradient(black_box, theta, SIGMA, samples=samples, rng=rng, seed=0, sampling=sampling)
    H = estimators.hessian(black_box, theta, SIGMA, samples=samples // 4, rng=rng, seed=0, sampling=sampling)
    # Bonferroni at 1 % over all 27 cases and their n + n(n + 1)/2 elements.
    limit = norm.isf(0.01 / 2 / (27 * (n + n * (n + 1) // 2)))
    assert z_scores(g, gradient(theta)).max() < limit
    assert z_scores(H, hessian(theta)).max() < limit
    np.testing.assert_allclose(H.value, H.value.T)


@pytest.mark.parametrize("n", [1, 2, 10])
@pytest.mark.parametrize("sampling", [Sampling.ELEMENT, Sampling.AGGREGATE])
def test_the_hvp_is_hessian_times_v(n, sampling):
    f, gradient, hessian = quadratic(n)
    theta, v, rng = np.linspace(0.1, 0.4, n), np.linspace(1.0, -0.5, n), np.random.default_rng(8)
    product = estimators.hvp(Counted(f), theta, v, SIGMA, samples=3000, rng=rng, seed=0, sampling=sampling)
    assert z_scores(product, hessian(theta) @ v).max() < 4.5
    assert z_scores(product.gradient, gradient(theta)).max() < 4.5
    assert product.curvature == pytest.approx(v @ product.value)


def test_both_shifted_gradients_of_an_hvp_are_made_of_the_same_offsets():
    """The noise of the difference is then that of H v; with offsets of their own it would be that of g / ε."""
    f, _, _ = quadratic(10)
    theta, v = np.full(10, 2.0), np.ones(10) / np.sqrt(10)
    shared = [
        estimators.hvp(Counted(f), theta, v, SIGMA, samples=16, rng=np.random.default_rng(s), seed=0).value
        for s in range(40)
    ]
    epsilon = SIGMA / 3
    apart = []
    for s in range(40):
        rng = np.random.default_rng(s)
        ahead, behind = (
            estimators.gradient(Counted(f), theta + e * v, SIGMA, samples=16, rng=rng, seed=0).value
            for e in (epsilon, -epsilon)
        )
        apart.append((ahead - behind) / (2 * epsilon))
    assert np.var(shared, axis=0).sum() < 0.2 * np.var(apart, axis=0).sum()


@pytest.mark.parametrize("n", [1, 2, 5])
def test_evaluations_are_those_of_table_1(n):
    f, _, _ = quadratic(n)
    theta, v, rng = np.ones(n), np.ones(n), np.random.default_rng(0)

    def asked(estimate):
        black_box = Counted(f)
        told = estimate(black_box)
        assert (black_box.calls, black_box.rows) == (1, told.evaluations)
        return told.evaluations

    common = {"samples": 3, "rng": rng, "seed": 0}
    assert asked(lambda b: estimators.finite_differences(b, theta, 0.1, seed=0)) == 2 * n
    assert asked(lambda b: estimators.spsa(b, theta, 0.1, **common)) == 6
    assert asked(lambda b: estimators.fr22(b, theta, 0.1, **common)) == 6
    for sampling, elements in ((Sampling.AGGREGATE, (1, 1)), (Sampling.ELEMENT, (n, n * (n + 1) // 2))):
        gradients, hessians = elements
        assert asked(lambda b, s=sampling: estimators.gradient(b, theta, 0.1, **common, sampling=s)) == 6 * gradients
        assert asked(lambda b, s=sampling: estimators.hessian(b, theta, 0.1, **common, sampling=s)) == 1 + 6 * hessians
        assert asked(lambda b, s=sampling: estimators.hvp(b, theta, v, 0.1, **common, sampling=s)) == 12 * gradients


def test_an_image_has_a_gradient_for_each_of_its_pixels():
    def image(points):
        return np.stack([points[:, 0], 2 * points[:, 1], points.sum(axis=1), 0 * points[:, 0]], axis=-1).reshape(
            -1, 2, 2
        )

    estimate = estimators.gradient(
        Counted(image), np.array([0.2, 0.4]), SIGMA, samples=4000, rng=np.random.default_rng(3), seed=0
    )
    truth = np.array([[[1, 0], [1, 0]], [[0, 2], [1, 0]]])
    assert estimate.value.shape == (2, 2, 2)
    assert z_scores(estimate, truth).max() < 4.5


def test_a_plateau_has_a_gradient_only_when_it_is_smoothed():
    f, _, _ = box(1)
    outside = np.array([0.9])
    assert estimators.finite_differences(Counted(f), outside, 1e-3, seed=0).value == 0.0
    smooth = estimators.gradient(Counted(f), outside, SIGMA, samples=500, rng=np.random.default_rng(1), seed=0)
    assert smooth.value[0] < 0 and smooth.significance > 5


@pytest.mark.parametrize("sigma", [0.0, -1.0, np.nan])
def test_a_sigma_that_smooths_nothing_is_refused(sigma):
    f, _, _ = box(2)
    with pytest.raises(ConfigError, match="sigma must be positive"):
        estimators.gradient(Counted(f), np.zeros(2), sigma, samples=1, rng=np.random.default_rng(0), seed=0)
