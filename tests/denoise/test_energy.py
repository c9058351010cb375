"""What `pipeline.denoise.energy` promises of the mean."""

import numpy as np
import pytest

from pipeline.denoise.energy import MOST, Rendered, balanced, believable

RNG = np.random.default_rng(5)


def skewed(shape: tuple[int, ...] = (40, 60, 3), sigma: float = 1.5) -> np.ndarray:
    """A smooth-ish image with a long tail."""
    return np.exp(RNG.normal(0, sigma, shape)).astype(np.float32)


def mean_of(image: np.ndarray) -> float:
    return float(image.mean(dtype=np.float64))


@pytest.mark.parametrize("share", [0.8, 0.97, 1.0, 1.02, 1.3])
def test_the_mean_is_the_noisy_images(share: float) -> None:
    image = skewed()
    found = balanced(image, share * mean_of(image))
    assert found.mean(dtype=np.float64) == pytest.approx(share * image.mean(dtype=np.float64), rel=1e-4)
    assert found.dtype == np.float32


def test_what_is_given_back_goes_to_the_bright() -> None:
    image = np.full((10, 10, 3), 0.1, np.float32)
    image[:2] = 1
    factor = (balanced(image, 1.1 * mean_of(image)) / image)[..., 0]
    assert factor[0, 0] - 1 == pytest.approx(10 * (factor[5, 5] - 1), rel=1e-3)


def test_hue_stays() -> None:
    image = skewed()
    found = balanced(image, 1.2 * mean_of(image))
    factor = found / image
    np.testing.assert_allclose(factor, factor[..., :1].repeat(3, axis=-1), rtol=1e-5)


@pytest.mark.parametrize("share", [1.45, 1 / 1.45, 3.0, 0.2])
def test_no_pixel_changes_by_more_than_the_limit(share: float) -> None:
    image = skewed(sigma=2.5)
    factor = balanced(image, share * mean_of(image)) / image
    assert factor.max() <= MOST * (1 + 1e-5) and factor.min() >= (1 - 1e-5) / MOST
    if share in (3.0, 0.2):
        np.testing.assert_allclose(factor, MOST if share > 1 else 1 / MOST, rtol=1e-5)


def test_black_stays_black() -> None:
    black, some = np.zeros((4, 4, 3), np.float32), np.ones((4, 4, 3), np.float32)
    assert (balanced(black, 1.0) == 0).all()
    assert (balanced(some, 0.0) == 1).all()


def test_what_noise_explains_stays_denoised() -> None:
    denoised = skewed()
    noisy = denoised + RNG.normal(0, 0.1, denoised.shape).astype(np.float32)
    rendered = Rendered.of(noisy, np.full((40, 60), 1.0, np.float32), np.full((40, 60), 16.0, np.float32))
    np.testing.assert_array_equal(believable(denoised, rendered), denoised)


def test_the_edge_of_a_lamp_that_kernels_softened_comes_back() -> None:
    """A lamp of 100 covers half of the image; coverage at its edge is known to a few per cent."""
    coverage = np.clip(np.arange(64) - 31.3, 0, 1).astype(np.float32)[None].repeat(48, axis=0)
    samples = 256
    noisy = 100 * RNG.binomial(samples, coverage).astype(np.float32)[..., None].repeat(3, axis=-1) / samples
    variance = 1e4 * coverage * (1 - coverage) / samples
    kernel = np.ones(5) / 5
    softened = np.apply_along_axis(lambda row: np.convolve(np.pad(row, 2, mode="edge"), kernel, "valid"), 1, noisy)
    truth = 100 * coverage[..., None]

    def error(image: np.ndarray) -> float:
        return float(np.mean((image - truth) ** 2))

    rendered = Rendered.of(noisy, variance, np.full((48, 64), samples, np.float32))
    assert error(believable(softened.astype(np.float32), rendered)) < 10 * error(noisy)
    assert error(softened) > 100 * error(noisy)


@pytest.mark.parametrize("samples", [4, 16, 64])
def test_a_lamp_out_of_focus_that_most_pixels_missed_stays_smooth(samples: int) -> None:
    share = RNG.binomial(samples, 0.004, (120, 120)) / samples
    noisy = (1000 * share).astype(np.float32)[..., None].repeat(3, axis=-1)
    variance = (1e6 * share * (1 - share) / (samples - 1)).astype(np.float32)
    smooth = np.full((120, 120, 3), 4.0, np.float32)
    found = believable(smooth, Rendered.of(noisy, variance, np.full((120, 120), samples, np.float32)))
    assert found.std() < 0.4 * noisy.std()
    assert (np.abs(found[..., 0] - 4) < 2).mean() > 0.95
