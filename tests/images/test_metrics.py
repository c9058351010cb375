"""Metrics against closed forms, known identities and a slow second implementation."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest

from pipeline.errors import PenumbraError
from pipeline.images import metrics


def image(seed: int, height: int = 24, width: int = 30, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.0, scale, (height, width, 3)).astype(np.float32)


def constant(value: float, height: int = 24, width: int = 30) -> np.ndarray:
    return np.full((height, width, 3), value, dtype=np.float32)


ALL = [metrics.smape, metrics.rel_mse, metrics.dssim, metrics.flip]


@pytest.mark.parametrize("metric", ALL)
def test_an_image_is_at_no_distance_from_itself(metric: Any) -> None:
    assert metric(image(0), image(0)) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("metric", ALL)
def test_more_noise_is_further_away(metric: Any) -> None:
    reference, noise = image(0) + 0.2, image(1) - 0.5

    assert metric(reference + 0.02 * noise, reference) < metric(reference + 0.2 * noise, reference)


def test_smape_of_constants_is_equation_2() -> None:
    d, r = 0.75, 0.25

    assert metrics.smape(constant(d), constant(r)) == pytest.approx(0.5 / (1.0 + 1e-2), rel=1e-6)


def test_smape_is_symmetric_and_bounded_by_one() -> None:
    a, b = image(0, scale=100.0), image(1)

    assert metrics.smape(a, b) == metrics.smape(b, a)
    assert metrics.smape_map(constant(1e9), constant(0.0)).max() <= 1.0


def test_the_smape_map_averages_channels_and_keeps_pixels() -> None:
    reference = constant(0.5)
    changed = reference.copy()
    changed[3, 4, 0] = 1.0

    errors = metrics.smape_map(changed, reference)

    assert errors.shape == reference.shape[:2]
    assert errors[3, 4] == pytest.approx(0.5 / 1.51 / 3)
    assert np.count_nonzero(errors) == 1


def test_relmse_of_constants_is_its_definition() -> None:
    assert metrics.rel_mse(constant(1.5), constant(1.0), trim=0.0) == pytest.approx(0.25 / 1.01, rel=1e-6)


def test_trimming_leaves_the_worst_pixel_of_a_thousand_out() -> None:
    reference = constant(1.0, 20, 50)
    firefly = constant(1.1, 20, 50)
    firefly[7, 9] = 1e4

    assert metrics.rel_mse(firefly, reference) == pytest.approx(0.01 / 1.01, rel=1e-5)
    assert metrics.rel_mse(firefly, reference, trim=0.0) > 1e4


def test_srgb_encoding_has_its_known_values_and_clips() -> None:
    encoded = metrics.srgb_encode(np.array([-1.0, 0.0, 0.0031308, 0.2140411, 1.0, 7.0]))

    assert np.allclose(encoded, [0.0, 0.0, 0.04045, 0.5, 1.0, 1.0], atol=2e-6)


def slow_ssim(d: np.ndarray, r: np.ndarray) -> float:
    """SSIM window by window, from the definition of weighted means, variances and covariance."""
    y, x = np.mgrid[-5:6, -5:6]
    weights = np.exp(-(x**2 + y**2) / (2 * 1.5**2))
    weights /= weights.sum()
    values = []
    for channel in range(3):
        for top in range(d.shape[0] - 10):
            for left in range(d.shape[1] - 10):
                a = d[top : top + 11, left : left + 11, channel]
                b = r[top : top + 11, left : left + 11, channel]
                mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
                var_a, var_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
                cov = (weights * (a - mean_a) * (b - mean_b)).sum()
                values.append(
                    ((2 * mean_a * mean_b + 1e-4) * (2 * cov + 9e-4))
                    / ((mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4))
                )
    return float(np.mean(values))


def test_dssim_agrees_with_a_slow_second_implementation() -> None:
    d, r = image(0, 16, 18), image(1, 16, 18)

    expected = (1.0 - slow_ssim(metrics.srgb_encode(d), metrics.srgb_encode(r))) / 2.0

    assert metrics.dssim(d, r) == pytest.approx(expected, rel=1e-9)


def test_dssim_of_constants_is_the_luminance_term_alone() -> None:
    a, b = (float(metrics.srgb_encode(np.array(value))) for value in (0.2, 0.6))
    expected = (1.0 - (2 * a * b + 1e-4) / (a * a + b * b + 1e-4)) / 2.0

    assert metrics.dssim(constant(0.2), constant(0.6)) == pytest.approx(expected, rel=1e-4)


def test_dssim_does_not_see_what_the_display_clips() -> None:
    assert metrics.dssim(constant(2.0), constant(50.0)) == 0.0


def test_ms_dssim_of_constants_is_the_coarsest_luminance_term() -> None:
    # Contrast and structure are 1 at every scale for constants, so only the last scale's luminance term is left.
    a, b = (float(metrics.srgb_encode(np.array(value))) for value in (0.2, 0.6))
    luminance = (2 * a * b + 1e-4) / (a * a + b * b + 1e-4)

    value = metrics.ms_dssim(constant(0.2, 176, 180), constant(0.6, 176, 180))

    assert value == pytest.approx((1.0 - luminance**0.1333) / 2.0, rel=1e-3)


def test_ms_dssim_is_zero_for_equal_images_and_forgives_fine_noise_more_than_dssim() -> None:
    smooth = np.repeat(np.linspace(0.1, 0.9, 200, dtype=np.float32)[:, None], 190, axis=1)[..., None].repeat(3, axis=-1)
    noisy = smooth + 0.1 * (image(5, 200, 190) - 0.5)

    assert metrics.ms_dssim(smooth, smooth) == pytest.approx(0.0, abs=1e-12)
    assert 0.0 < metrics.ms_dssim(noisy, smooth) < metrics.dssim(noisy, smooth)


def test_images_too_small_for_the_windows_are_refused() -> None:
    with pytest.raises(ValueError, match="11 pixels"):
        metrics.dssim(image(0, 10, 30), image(1, 10, 30))
    with pytest.raises(ValueError, match="176 pixels"):
        metrics.ms_dssim(image(0, 170, 200), image(1, 170, 200))


@pytest.mark.parametrize("metric", [metrics.smape, metrics.rel_mse, metrics.dssim, metrics.ms_dssim])
def test_images_of_two_sizes_are_refused(metric: Any) -> None:
    with pytest.raises(ValueError, match="one size"):
        metric(image(0, 200, 200), image(0, 200, 201))


def test_flip_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "flip_evaluator":
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(PenumbraError, match="flip-evaluator"):
        metrics.flip(image(0), image(1))
