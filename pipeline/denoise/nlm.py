"""A joint non-local means filter: the floor under every denoiser, without weights and without a library.

Pixels are averaged with those whose neighbourhood looks alike in colour and whose features (albedo, normal, depth) are
alike, where "alike" is measured in standard deviations of what noise alone would do. The weights for one half of the
samples come from the other half, so that a firefly does not choose its own company.

Source: Buades, Coll, Morel 2005 (non-local means); Rousselle, Knaus, Zwicker 2012 (distances with the noise's share
taken off, two buffers); Rousselle, Manzi, Zwicker 2013 (features, and the minimum of the two weights).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from pipeline.denoise.backends import DEMODULATION, Denoised, alpha_of
from pipeline.denoise.frame import Frame, Window, frame_of
from pipeline.errors import ProductError

__all__ = ["NonLocalMeans"]

Array = NDArray[np.float32]

K_COLOUR = 0.45  # tolerated colour distance, in standard deviations of the noise
K_FEATURE = 0.6  # the same for features
TAU_FEATURE = 1e-3  # least squared feature difference that counts
_EPSILON = 1e-10  # variance of a pixel that has none


class NonLocalMeans:
    """Joint non-local means of one frame; λ is not read. It needs the means of two halves of the samples, and features.

    Args:
        search: radius of the window in which alike pixels are looked for, pixels.
        patch: radius of the neighbourhoods that are compared, pixels.
    """

    name = "nlm"
    radius = 0

    def __init__(self, *, search: int = 7, patch: int = 3) -> None:
        self.search, self.patch = search, patch

    def denoise(self, window: Window, centre: int, lambda_: Array | float) -> Denoised:
        """The frame `centre`, from its own buffers alone.

        Raises:
            ProductError: the window has no buffers of `centre`, or they lack the halves or a feature.
        """
        frame = frame_of(window, centre)
        given = _given(frame, centre)
        albedo = given.albedo + np.float32(DEMODULATION)
        halves = [_demodulated(half, albedo) for half in given.halves]
        # Irradiance filters better than radiance: texture is in the albedo, and comes back untouched.
        guides = [half.reshape(*frame.shape, 3, 3).sum(axis=2) for half in halves]
        # Variance of a half's mean: two halves differ by twice that; smoothed, since two numbers say little.
        noise = uniform_filter((guides[0] - guides[1]) ** 2 / 2.0, size=(3, 3, 1), mode="nearest")
        sums = [np.zeros_like(half) for half in halves]
        weights = [np.zeros((*frame.shape, 1), np.float32) for _ in halves]
        features = _features(given)
        for offset in self._offsets():
            unlike = _feature_distance(features, offset)
            inside = _inside(frame.shape, offset)
            for guided, guide in ((1, guides[0]), (0, guides[1])):
                colour = _colour_distance(guide, noise, offset, self.patch)
                weight = np.exp(-np.maximum(np.maximum(colour, unlike), 0.0))[..., None] * inside
                sums[guided] += weight * _shifted(halves[guided], offset)
                weights[guided] += weight
        mean: Array = (0.5 * (sums[0] / weights[0] + sums[1] / weights[1])).astype(np.float32)
        return Denoised(mean[..., 0:3], mean[..., 3:6] * albedo, mean[..., 6:9], alpha_of(frame))

    def _offsets(self) -> Iterator[tuple[int, int]]:
        reach = range(-self.search, self.search + 1)
        return ((dy, dx) for dy in reach for dx in reach)


@dataclass(frozen=True)
class _Given:
    """The layers without which there is nothing to compare."""

    halves: tuple[Array, Array]
    albedo: Array
    normal: Array
    depth: Array
    variance: Mapping[str, Array]


def _given(frame: Frame, centre: int) -> _Given:
    if frame.halves is None:
        raise ProductError(f"frame {centre}: nlm needs the means of two halves of the samples, which it did not bring")
    if frame.albedo is None or frame.normal is None or frame.depth is None:
        raise ProductError(f"frame {centre}: nlm needs albedo, normal and depth")
    return _Given(frame.halves, frame.albedo, frame.normal, frame.depth, frame.variance)


def _demodulated(half: Array, albedo: Array) -> Array:
    """H×W×9 (emission, diffuse, specular), the diffuse part divided by the albedo."""
    return np.concatenate([half[..., 0:3], half[..., 3:6] / albedo, half[..., 6:9]], axis=-1)


def _shifted(image: NDArray[np.float32], offset: tuple[int, int]) -> NDArray[np.float32]:
    """The image whose pixel p is pixel p + offset of the given one; beyond the border, the border's."""
    rows = np.clip(np.arange(image.shape[0]) + offset[0], 0, image.shape[0] - 1)
    columns = np.clip(np.arange(image.shape[1]) + offset[1], 0, image.shape[1] - 1)
    return image[rows[:, None], columns]


def _inside(shape: tuple[int, int], offset: tuple[int, int]) -> NDArray[np.bool_]:
    """H×W×1: whether p + offset is a pixel of the image; one beyond the border counts for nothing."""
    height, width = shape
    rows = np.arange(height) + offset[0]
    columns = np.arange(width) + offset[1]
    return (((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width)))[..., None]


def _colour_distance(guide: Array, noise: Array, offset: tuple[int, int], patch: int) -> Array:
    """Squared distance of the patches around p and p + offset in noise units, what noise adds taken off: H×W."""
    other, other_noise = _shifted(guide, offset), _shifted(noise, offset)
    expected = noise + np.minimum(noise, other_noise)
    distance = ((guide - other) ** 2 - expected) / (_EPSILON + K_COLOUR**2 * (noise + other_noise))
    smoothed: Array = uniform_filter(distance.mean(axis=-1), size=2 * patch + 1, mode="nearest")
    return smoothed


@dataclass(frozen=True)
class _Feature:
    value: Array  # H×W×C
    variance: Array  # H×W, of the mean
    tolerated: Array  # H×W, squared difference that counts as one


def _features(given: _Given) -> list[_Feature]:
    """Albedo, normal, and depth scaled to [0, 1], each with what it tolerates: its noise, and its slope."""
    far = max(float(given.depth.max()), 1e-6)
    features = []
    for value, variance in (
        (given.albedo, given.variance["albedo"]),
        (given.normal, given.variance["normal"]),
        (given.depth[..., None] / far, given.variance["depth"] / far**2),
    ):
        slope = sum(np.mean(derivative**2, axis=-1) for derivative in np.gradient(value, axis=(0, 1)))
        tolerated = K_FEATURE**2 * np.maximum(TAU_FEATURE, np.maximum(variance, slope))
        features.append(_Feature(value, variance, tolerated))
    return features


def _feature_distance(features: list[_Feature], offset: tuple[int, int]) -> Array:
    """The largest over the features of their squared distances between p and p + offset: H×W."""
    distances = []
    for feature in features:
        other, other_variance = _shifted(feature.value, offset), _shifted(feature.variance, offset)
        expected = feature.variance + np.minimum(feature.variance, other_variance)
        distances.append((np.mean((feature.value - other) ** 2, axis=-1) - expected) / feature.tolerated)
    largest: Array = np.max(distances, axis=0)
    return largest
