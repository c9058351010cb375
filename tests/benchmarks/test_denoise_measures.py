"""Measures of denoised frames, against cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import denoise_measures as measures
from pipeline.images import metrics

SIZE = (40, 60, 3)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def test_frames_that_are_alike_do_not_flicker(rng: np.random.Generator) -> None:
    image = rng.uniform(0, 1, SIZE)
    assert measures.adjacent_dssim([image, image, image]) == pytest.approx(0.0, abs=1e-12)


def test_flicker_is_the_mean_over_neighbours(rng: np.random.Generator) -> None:
    a, b = rng.uniform(0, 1, SIZE), rng.uniform(0, 1, SIZE)
    assert measures.adjacent_dssim([a, a, b]) == pytest.approx(metrics.dssim(a, b) / 2)


def test_an_error_that_stays_is_no_error_of_change() -> None:
    r0, r1 = np.full(SIZE, 0.2), np.full(SIZE, 0.6)
    encoded = [metrics.srgb_encode(r) for r in (r0, r1)]
    assert measures.change_error((r0, r1), (r0, r1)) == 0.0
    expected = float(np.mean(np.abs(encoded[1] - encoded[0])))
    assert measures.change_error((r0, r0), (r0, r1)) == pytest.approx(expected)


def test_the_masked_error_sees_only_the_mask() -> None:
    reference = np.ones(SIZE)
    image = reference.copy()
    image[:20] = 3.0
    mask = np.zeros(SIZE[:2], bool)
    mask[:10] = True
    assert measures.masked_smape(image, reference, mask) == pytest.approx(2 / (4 + metrics.SMAPE_EPSILON))
    assert measures.masked_smape(image, reference, ~mask) < measures.masked_smape(image, reference, mask)


@pytest.mark.parametrize("relative", [False, True])
def test_the_error_ratio_is_free_of_the_references_noise(rng: np.random.Generator, relative: bool) -> None:
    truth = np.full((300, 400, 3), 0.5)
    a, b = truth + rng.normal(0, 0.2, truth.shape), truth + rng.normal(0, 0.2, truth.shape)
    noisy, denoised = truth + rng.normal(0, 0.1, truth.shape), truth + rng.normal(0, 0.05, truth.shape)

    found = measures.error_ratio(denoised, noisy, a, b, relative=relative)

    assert found == pytest.approx(0.25, abs=0.03)


def test_the_mean_ratio_is_of_all_images_together() -> None:
    images, inputs = [np.full(SIZE, 1.0), np.full(SIZE, 4.0)], [np.full(SIZE, 2.0), np.full(SIZE, 2.0)]
    assert measures.mean_ratio(images, inputs) == pytest.approx(1.25)
    assert measures.mean_ratio([np.zeros(SIZE)], [np.zeros(SIZE)]) is None


def test_residual_noise_is_half_the_distance_of_two_runs() -> None:
    a, b = np.full(SIZE, 1.0), np.full(SIZE, 3.0)
    assert measures.residual_noise(a, b) == pytest.approx(metrics.smape(a, b) / 2)


@pytest.mark.parametrize(
    ("values", "rises"), [([1.0, 2.0, 3.0], True), ([1.0, 1.0, 3.0], False), ([1.0, 3.0, 2.0], False), ([1.0], True)]
)
def test_monotone_means_that_each_step_rises(values: list[float], rises: bool) -> None:
    assert measures.monotone(values) is rises


def test_fireflies_stick_out_above_all_of_the_reference_around() -> None:
    reference = np.full(SIZE, 0.5)
    reference[10, 10] = 20.0  # a highlight
    image = reference.copy()
    image[10, 11] = 20.0  # beside it: may be a shifted highlight
    image[30, 40] = 5.0
    assert measures.fireflies(reference, reference) == 0
    assert measures.fireflies(image, reference) == 1


def test_the_blend_finds_the_share_that_it_was_made_with(rng: np.random.Generator) -> None:
    noisy, denoised = rng.uniform(0, 1, SIZE), np.full(SIZE, 0.5)

    blend, beta = measures.blend_like(noisy, denoised, 0.3 * noisy + 0.7 * denoised)

    assert beta == pytest.approx(0.3, abs=0.01)
    np.testing.assert_allclose(blend, 0.3 * noisy + 0.7 * denoised, atol=0.01)
