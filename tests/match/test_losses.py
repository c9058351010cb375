"""Losses of two halves: right on average, blind where the plate has no weight, and scales that see over gaps."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from pipeline.match.losses import LOSSES, Loss
from pipeline.match.plate import Plate

RNG = np.random.default_rng(0)
IMAGE = RNG.uniform(0.1, 2.0, (12, 16, 3))
PLATE = Plate(IMAGE, np.ones((12, 16)), None)


def halves(*images: np.ndarray) -> np.ndarray:
    """K images without noise, as two equal halves, with an alpha of 1."""
    stacked = np.stack(images)
    with_alpha = np.concatenate([stacked, np.ones((*stacked.shape[:-1], 1))], axis=-1)
    return np.repeat(with_alpha[:, None], 2, axis=1)


@pytest.mark.parametrize("name", LOSSES)
def test_the_plate_itself_costs_nothing_and_black_costs_one(name):
    assert_allclose(Loss(name, PLATE)(halves(IMAGE, 0 * IMAGE)), [0.0, 1.0], atol=1e-12)


def test_noise_of_the_pictures_adds_nothing_on_average():
    loss = Loss("l2", PLATE)
    noisy = halves(*([1.1 * IMAGE] * 400))
    noisy[..., :3] += RNG.normal(0.0, 0.5, noisy[..., :3].shape)
    found = loss(noisy)
    assert abs(found.mean() - 0.01) < 4 * found.std() / 20
    assert ((noisy[:, 0, ..., :3] - IMAGE) ** 2).sum() / 400 / (IMAGE**2).sum() > 0.1  # that of one half alone


@pytest.mark.parametrize("name", LOSSES)
def test_the_residuals_products_sum_to_the_loss(name):
    loss, pictures = Loss(name, PLATE), halves(IMAGE * 0.7, IMAGE + 0.3)
    r = loss.residuals(pictures)
    assert_allclose(np.sum(r[:, 0] * r[:, 1], axis=-1), loss(pictures))


@pytest.mark.parametrize("name", LOSSES)
def test_pixels_without_weight_do_not_count(name):
    weight = np.ones((12, 16))
    weight[3:9, 4:8] = 0.0
    loss = Loss(name, Plate(np.where(weight[..., None] > 0, IMAGE, 0.0), weight, None))
    elsewhere = np.where(weight[..., None] > 0, IMAGE, 7.0)
    assert_allclose(loss(halves(elsewhere)), 0.0, atol=1e-12)


def test_coarse_scales_tell_how_far_off_a_spot_is():
    def spot(x: int) -> np.ndarray:
        image = np.full((16, 64, 3), 0.01)
        image[6:10, x : x + 4] = 1.0
        return image

    plate = Plate(spot(8), np.ones((16, 64)), None)
    near, far = Loss("l2", plate)(halves(spot(20), spot(50)))
    assert near == pytest.approx(far)
    near, far = Loss("multi-scale", plate)(halves(spot(12), spot(50)))
    assert near < 0.8 * far


def test_alpha_counts_where_it_is_asked_for():
    plate = Plate(IMAGE, np.ones((12, 16)), np.zeros((12, 16)))
    assert_allclose(Loss("l2", plate)(halves(IMAGE)), 0.0, atol=1e-12)
    assert Loss("l2", plate, alpha=True)(halves(IMAGE)) > 0.1
