"""The statistics behind the claims about means and variances."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.agreement import Estimate, agreement, calibration, from_repeats

SHAPE = (36, 64)


def noisy(seed: int, *, mean: float = 1.0, sigma: float = 0.1) -> Estimate:
    image = mean + sigma * np.random.default_rng(seed).standard_normal(SHAPE)
    return Estimate(image, np.full(SHAPE, sigma**2))


def test_images_of_the_same_expectation_agree_with_uniform_p() -> None:
    ps = [agreement(noisy(2 * k), noisy(2 * k + 1)).p for k in range(200)]

    assert 0.4 < np.mean(ps) < 0.6
    assert 0.05 < np.mean(np.array(ps) < 0.1) < 0.16


def test_the_global_bias_is_found_with_its_error() -> None:
    found = agreement(noisy(0, mean=1.01), noisy(1))

    assert found.sigma == pytest.approx(0.1 * np.sqrt(2 / (36 * 64)), rel=1e-3)
    assert found.bias == pytest.approx(0.01, abs=4 * found.sigma)


def test_one_block_that_differs_is_found() -> None:
    ours = noisy(0)
    ours.mean[4:8, 8:12] += 0.3

    found = agreement(ours, noisy(1))
    assert found.p < 1e-6
    assert found.worst > 5


def test_blocks_without_noise_must_be_equal() -> None:
    still = Estimate(np.ones(SHAPE), np.zeros(SHAPE))
    other = Estimate(np.ones(SHAPE), np.zeros(SHAPE))
    assert agreement(still, other).p == 1.0

    other.mean[0, 0] = 1.01
    assert agreement(still, other).p == 0.0


def test_images_that_do_not_divide_into_blocks_are_refused() -> None:
    odd = Estimate(np.ones((35, 64)), np.ones((35, 64)))
    with pytest.raises(ValueError, match="64×35 pixels do not divide"):
        agreement(odd, odd)


def test_the_variance_of_a_mean_shows_between_repeats() -> None:
    found = from_repeats([noisy(k).mean for k in range(8)])

    assert found.variance.mean() == pytest.approx(0.1**2 / 8, rel=0.05)


def test_true_variances_are_calibrated_and_halved_ones_are_not() -> None:
    renders = [noisy(k) for k in range(16)]
    means = [render.mean for render in renders]

    true = calibration(means, [render.variance for render in renders])
    halved = calibration(means, [render.variance / 2 for render in renders])
    assert true.share == pytest.approx(0.683, abs=0.01)
    assert true.ratio == pytest.approx(1, abs=0.02)
    assert halved.share < 0.55
    assert halved.ratio == pytest.approx(2, abs=0.04)


def test_pixels_without_variance_do_not_count() -> None:
    renders = [noisy(k) for k in range(8)]
    for render in renders:
        render.mean[:10], render.variance[:10] = 1.0, 0.0

    assert calibration([r.mean for r in renders], [r.variance for r in renders]).share == pytest.approx(0.683, abs=0.02)


def test_rare_bright_samples_leave_blocks_calibrated_where_pixels_are_not() -> None:
    rng = np.random.default_rng(0)
    samples = (rng.random((24, 64, *SHAPE)) < 0.01) * 100.0  # 64 a pixel, of mean 1
    means, variances = samples.mean(1), samples.var(1, ddof=1) / 64

    assert abs(calibration(means, variances).share - 0.683) > 0.05
    assert calibration(means, variances, (9, 16)).share == pytest.approx(0.683, abs=0.04)
