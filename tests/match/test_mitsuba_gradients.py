"""Mitsuba's gradients against differences of pictures."""

from __future__ import annotations

import numpy as np

from pipeline.match.estimators import Estimate


def test_gradients_of_values_agree_with_differences_of_pictures(renders_of):
    from pipeline.match.mitsuba_gradients import MitsubaGradient
    from pipeline.match.plate import Plate

    renders = renders_of("lamp.intensity", "grey.reflectance:r", sampling={"max_depth": 2})
    truth = np.add(renders.start, [0.4, 0.1])
    image = renders.images(truth[None], spp=32, seed=5)[0].mean(axis=0)[..., :3].astype(float)
    plate = Plate(image, np.ones(image.shape[:2]), None)

    def loss(points):
        halves = renders.images(points, spp=128, seed=6)[..., :3]
        return np.mean((halves[:, 0] - image) * (halves[:, 1] - image), axis=(1, 2, 3))

    h = np.array([0.1, 0.03])
    values = loss(np.concatenate([renders.start + np.diag(h), renders.start - np.diag(h)]))
    _, found = MitsubaGradient.of_renders(renders, plate, integrator="prb", spp=256)(renders.start, seed=1)
    np.testing.assert_allclose(found, (values[:2] - values[2:]) / (2 * h), rtol=0.1)


def test_a_mixed_gradient_takes_each_element_from_its_estimator():
    from pipeline.match.mitsuba_gradients import mixed

    def constant(value):
        return lambda f, theta, sigma, rng, seed: Estimate(np.full(3, value), np.full(3, value), 1, 2)

    found = mixed(constant(1.0), constant(5.0), [True, False, True])(None, np.zeros(3), 1.0, None, 0)
    np.testing.assert_array_equal(found.value, [1, 5, 1])
    assert found.evaluations == 4
