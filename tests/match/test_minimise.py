"""Optimisers on quadratics and on a plateau, and what the loop around them counts, bounds and refuses."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import ConfigError, PenumbraError
from pipeline.match.conjugate_gradient import NewtonCG
from pipeline.match.descent import Adam, Descent, aggregate_gradient, by_differences, by_fr22, by_spsa
from pipeline.match.lbfgs import LBFGS
from pipeline.match.minimise import Bounds, Stopping, minimise
from pipeline.match.newton import Newton, newton_direction
from pipeline.match.samplers import Sampling
from pipeline.match.schedules import Constant, Following, Geometric, Linear

A = np.array([[10.0, 7.5], [7.5, 10.0]])  # the paper's QUAD: 5 x0² + 5 x1² + 7.5 x0 x1
TARGET = np.array([0.6, 0.4])

METHODS = {
    "descent": lambda: Descent(aggregate_gradient(4), 0.05),
    "element": lambda: Descent(aggregate_gradient(2, Sampling.ELEMENT), 0.05),
    "differences": lambda: Descent(by_differences(), 0.08),
    "adam": lambda: Adam(by_fr22(2), 0.3),
    "spsa": lambda: Descent(by_spsa(4), 0.05),
    "newton": lambda: Newton(4),
    "newton-cg": lambda: NewtonCG(4),
    "newton-cg, element": lambda: NewtonCG(2, sampling=Sampling.ELEMENT),
    "lbfgs": lambda: LBFGS(8),
}


def quad(points, seed):
    shifted = points - TARGET
    return 0.5 * np.einsum("ki,ij,kj->k", shifted, A, shifted)


def square_on_a_plateau(points, seed):
    """Share of a square of side 0.3 that does not cover the one at TARGET: constant until they overlap."""
    overlap = np.clip(0.3 - np.abs(points - TARGET), 0.0, None)
    return 1.0 - np.prod(overlap, axis=1) / 0.3**2


@pytest.mark.parametrize("name", METHODS)
def test_every_method_finds_the_minimum_of_the_quadratic(name):
    start = np.array([-1.0, 1.5])
    result = minimise(
        quad, start, METHODS[name](), Geometric(0.3, 0.003), bounds=Bounds.free(2), stopping=Stopping(3000), seed=1
    )
    assert np.linalg.norm(result.theta - TARGET) < 0.02 * np.linalg.norm(start - TARGET)


@pytest.mark.parametrize(
    "method, schedule",
    [
        (lambda: NewtonCG(4), Following(0.2, 0.005)),
        (lambda: Newton(4), Geometric(0.2, 0.005)),  # whose damped steps `Following` takes for an arrival
    ],
    ids=["newton-cg", "newton"],
)
def test_second_order_methods_cross_a_plateau_on_which_differences_stand_still(method, schedule):
    start = np.array([0.2, 0.75])
    bounds = Bounds(np.ones(2), np.zeros(2), np.ones(2))
    common = {"bounds": bounds, "stopping": Stopping(2000), "seed": 2}
    still = minimise(square_on_a_plateau, start, Descent(by_differences(), 0.1), Constant(1e-3), **common)
    found = minimise(square_on_a_plateau, start, method(), schedule, **common)
    np.testing.assert_array_equal(still.theta, start)
    assert np.linalg.norm(found.theta - TARGET) < 0.1 * np.linalg.norm(start - TARGET)


def test_newtons_direction_goes_downhill_where_the_curvature_is_negative():
    H, g = np.diag([2.0, -1.0]), np.array([1.0, 1.0])
    np.testing.assert_allclose(newton_direction(H, g), [-0.5, -1.0])
    np.testing.assert_allclose(newton_direction(H, g, noise=4.0), [-0.25, -0.25])


def test_newtons_direction_without_any_curvature_is_that_of_the_gradient():
    np.testing.assert_array_equal(newton_direction(np.zeros((2, 2)), np.array([1.0, -2.0])), [-1.0, 2.0])


def test_the_search_stays_within_its_limits():
    bounds = Bounds(np.ones(2), np.zeros(2), np.array([0.5, 1.0]))
    seen = []

    def watched(points, seed):
        seen.append(points)
        return quad(points, seed)

    result = minimise(
        watched, np.array([0.1, 0.9]), NewtonCG(4), Following(0.2, 0.01), bounds=bounds, seed=3, stopping=Stopping(400)
    )
    every = np.concatenate(seen)
    assert every[:, 0].max() <= 0.5 and every.min() >= 0.0 and result.theta[0] <= 0.5


def test_evaluations_of_the_history_are_those_of_the_black_box_and_share_seeds_within_a_step():
    calls = []

    def watched(points, seed):
        calls.append((len(points), seed))
        return quad(points, seed)

    result = minimise(watched, np.zeros(2), NewtonCG(1), Constant(0.1), bounds=Bounds.free(2), stopping=Stopping(40))
    assert result.evaluations == sum(rows for rows, _ in calls)
    seeds = [seed for _, seed in calls]
    assert seeds[0] == seeds[1] and len(set(seeds)) == len(result.history)  # the first step takes a gradient besides


def test_it_stops_when_the_gradient_is_no_more_than_its_noise():
    noise = np.random.default_rng(0)

    def only_noise(points, seed):
        return noise.standard_normal(len(points))

    result = minimise(
        only_noise,
        np.zeros(2),
        Descent(aggregate_gradient(8), 1e-3),
        Constant(0.1),
        bounds=Bounds.free(2),
        stopping=Stopping(20_000, threshold=2.5),
        seed=4,
    )
    assert result.reason == "significance"


def test_a_loss_that_is_not_a_number_is_refused_with_its_place():
    def broken(points, seed):
        return np.where(points[:, 0] > 0.0, np.nan, 1.0)

    with pytest.raises(PenumbraError, match="not a number at"):
        minimise(broken, np.zeros(1), NewtonCG(2), Constant(0.1), bounds=Bounds.free(1))


def test_a_sigma_of_zero_and_a_start_outside_the_limits_are_refused():
    with pytest.raises(ConfigError, match="sigma must be positive"):
        minimise(quad, np.zeros(2), NewtonCG(2), Constant(0.0), bounds=Bounds.free(2))
    with pytest.raises(ConfigError, match="outside the limits"):
        minimise(quad, np.full(2, 2.0), NewtonCG(2), Constant(0.1), bounds=Bounds(np.ones(2), np.zeros(2), np.ones(2)))


def test_schedules_go_from_start_to_end():
    state = {"moved": 1.0}
    assert Linear(1.0, 0.1).after(1.0, progress=0.1, **state) == 1.0
    assert Linear(1.0, 0.1).after(1.0, progress=0.5, **state) == pytest.approx(0.55)
    assert Linear(1.0, 0.1).after(1.0, progress=1.0, **state) == pytest.approx(0.1)
    assert Geometric(1.0, 0.01).after(1.0, progress=0.5, **state) == pytest.approx(0.1)
    follow = Following(1.0, 0.1)
    assert follow.after(1.0, progress=0.0, moved=0.9) == 1.0
    assert follow.after(1.0, progress=0.0, moved=0.1) == 0.5
    assert follow.after(1.0, progress=0.0, moved=0.1, sure=False) == 1.0
    assert follow.after(0.15, progress=0.0, moved=0.0) == 0.1
