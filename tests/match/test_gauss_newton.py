"""Gauss–Newton on noisy pictures: it finds the minimum, and says how well it knows it."""

from __future__ import annotations

import numpy as np

from pipeline.match.gauss_newton import polish
from pipeline.match.minimise import Bounds

X = np.linspace(-3.0, 3.0, 200)
TRUTH = np.array([0.4, 1.3])


def picture(theta):
    """A bump at θ₀ of height θ₁."""
    return theta[1] * np.exp(-0.5 * (X - theta[0]) ** 2)


def noisy(points, seed):
    """Residuals of two halves, whose noise grows with the light and is shared by all rows."""
    noise = np.random.default_rng(seed).standard_normal((2, len(X)))
    return np.stack([picture(p) * (1.0 + 0.4 * noise) - picture(TRUTH) for p in points])


def test_it_finds_the_minimum_and_noise_does_not_make_it_darker():
    bounds = Bounds.free(2, 0.5)
    found = [polish(noisy, np.array([-0.5, 0.8]), bounds, seed=seed) for seed in range(20)]
    thetas = np.array([each.theta for each in found])
    error = np.abs(thetas.mean(axis=0) - TRUTH)
    assert (error < 3.5 * thetas.std(axis=0) / np.sqrt(20) + 2e-3).all()
    told = np.mean([each.deviation for each in found], axis=0)
    assert (told < 2 * thetas.std(axis=0)).all() and (told > 0.5 * thetas.std(axis=0)).all()
    assert 5 * 15 <= found[0].evaluations <= 5 * 22


def test_it_stays_within_its_limits_and_stands_where_nothing_changes():
    bounds = Bounds(np.full(2, 0.5), np.array([-1.0, 0.0]), np.array([0.2, 2.0]))
    assert polish(noisy, np.array([-0.5, 0.8]), bounds).theta[0] <= 0.2
    flat = polish(lambda points, seed: np.ones((len(points), 2, 5)), np.array([0.1, 0.2]), Bounds.free(2))
    np.testing.assert_array_equal(flat.theta, [0.1, 0.2])
