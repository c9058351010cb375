"""Matches of made-up pictures: a spot that is far off is seen, a parameter of no use stands, and nothing gets worse."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.match.attempts import solve
from pipeline.match.losses import Loss
from pipeline.match.minimise import Bounds
from pipeline.match.plate import Plate
from pipeline.match.search import Settings
from pipeline.match.survey import around, distinct

X, Y = np.meshgrid(np.arange(32.0), np.arange(8.0))
TRUTH = np.array([26.0, 0.5])


def shown(theta):
    """A spot at θ₀, 2^θ₁ bright, in a grey picture: H×W×3."""
    spot = 2.0 ** theta[1] * np.exp(-0.5 * ((X - theta[0]) ** 2 + (Y - 4) ** 2) / 1.5**2)
    return np.repeat((0.1 + spot)[..., None], 3, axis=-1)


class Spots:
    """Noisy pictures in two halves, and how many were asked for."""

    parameters: list = []  # noqa: RUF012

    def __init__(self):
        self.count = 0

    def images(self, theta, *, spp, seed):
        self.count += len(theta)
        noise = 0.2 / np.sqrt(spp) * np.random.default_rng(seed).standard_normal((2, 8, 32, 1))
        pictures = np.stack([shown(row) for row in theta])[:, None] * (1.0 + noise)
        return np.concatenate([pictures, np.ones((*pictures.shape[:-1], 1))], axis=-1).astype(np.float32)


@pytest.fixture
def loss():
    plate = shown(TRUTH) * (1.0 + 0.05 * np.random.default_rng(9).standard_normal((8, 32, 1)))
    return Loss("multi-scale", Plate(plate, np.ones((8, 32)), None))


BOUNDS = Bounds(np.array([2.5, 0.5]), np.array([0.0, -4.0]), np.array([32.0, 4.0]))


@pytest.mark.parametrize("method", ["newton-cg", "adam"])
def test_a_spot_eight_scales_away_is_found_with_its_brightness(loss, method):
    settings = Settings(method=method, sigma=(1.0, 0.25), settle=2, evaluations=800, most_spp=16)
    told = []
    found = solve(Spots(), loss, np.array([6.0, -1.0]), BOUNDS, settings, told=lambda stage, *rest: told.append(stage))
    assert found.theta == pytest.approx(TRUTH, abs=0.05)
    assert (np.abs(found.theta - TRUTH) < 6 * found.deviation + 0.02).all()
    assert found.error < 0.02 * found.start_error and "polish" in told


def test_what_fits_already_does_not_get_worse(loss):
    found = solve(Spots(), loss, TRUTH, BOUNDS, Settings(evaluations=60, most_spp=8))
    assert found.error <= found.start_error and found.theta == pytest.approx(TRUTH, abs=0.1)


def test_points_of_a_look_around_keep_the_limits_and_the_start_is_the_first():
    start = np.array([6.0, -1.0])
    points = around(start, BOUNDS, seed=3)
    np.testing.assert_array_equal(points[0], start)
    np.testing.assert_array_equal(points, BOUNDS.clip(points))
    assert 40 < len(points) < 80 and np.ptp(points[:, 0]) > 25


def test_starts_lie_apart_and_the_best_is_first():
    points = np.array([[0.0, 0.0], [0.1, 0.0], [10.0, 0.0], [20.0, 1.0]])
    chosen = distinct(points, np.array([2.0, 1.0, 3.0, 4.0]), BOUNDS, count=3)
    np.testing.assert_array_equal(chosen, points[[1, 2, 3]])
