"""How far an image is from its reference: one definition of each metric, with its constants.

All take scene-linear H×W×3 images and a reference of the same shape, and are lower for better. SMAPE and relMSE judge
linear radiance; DSSIM and MS-DSSIM judge sRGB-encoded images clipped to [0, 1]; FLIP in its HDR form judges what a
viewer would see over the exposures that the reference spans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from pipeline.errors import PenumbraError

__all__ = [
    "ERROR_MAPS",
    "dssim",
    "dssim_map",
    "flip",
    "ms_dssim",
    "ms_dssim_map",
    "rel_mse",
    "rel_mse_map",
    "smape",
    "smape_map",
    "srgb_encode",
    "ssim_map",
]

Image = NDArray[Any]
Map = NDArray[np.float64]

SMAPE_EPSILON = 1e-2  # Vogels et al. 2018, eq. 2
RELMSE_EPSILON = 1e-2  # Rousselle et al. 2011, §5: keeps black pixels from ruling the mean
RELMSE_TRIM = 1e-3  # share of worst pixels that the trimmed variant leaves out: fireflies

SSIM_WINDOW = 11  # pixels; Wang et al. 2004, §III.C
SSIM_SIGMA = 1.5  # pixels
SSIM_C1 = 0.01**2  # K1, K2 = 0.01, 0.03 with the dynamic range 1
SSIM_C2 = 0.03**2
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # finest first; Wang, Simoncelli, Bovik 2003, §3.2


def smape_map(image: Image, reference: Image) -> Map:
    """Symmetric absolute relative error of every pixel, mean over channels: H×W, [0, 1].

    Source: Vogels et al. 2018, eq. 2, ε = 1e-2.
    """
    d, r = _pair(image, reference)
    errors: Map = np.mean(np.abs(d - r) / (np.abs(d) + np.abs(r) + SMAPE_EPSILON), axis=-1)
    return errors


def smape(image: Image, reference: Image) -> float:
    """Mean of `smape_map`."""
    return float(smape_map(image, reference).mean())


def rel_mse_map(image: Image, reference: Image) -> Map:
    """Squared error over the squared reference + ε of every pixel, mean over channels: H×W."""
    d, r = _pair(image, reference)
    errors: Map = np.mean((d - r) ** 2 / (r**2 + RELMSE_EPSILON), axis=-1)
    return errors


def rel_mse(image: Image, reference: Image, *, trim: float = RELMSE_TRIM) -> float:
    """Relative mean squared error.

    Args:
        image, reference: H×W×3.
        trim: share of pixels, the worst ones, left out of the mean (rounded up to whole pixels); 0 for all pixels.

    Source: Rousselle et al. 2011, §5, ε = 1e-2; no factor ½.
    """
    errors = np.sort(rel_mse_map(image, reference), axis=None)
    left_out = int(np.ceil(trim * errors.size))
    return float(errors[: errors.size - left_out].mean())


def srgb_encode(linear: Image) -> Map:
    """IEC 61966-2-1 encoding of linear values clipped to [0, 1]."""
    clipped = np.clip(np.asarray(linear, dtype=np.float64), 0.0, 1.0)
    return np.where(clipped <= 0.0031308, 12.92 * clipped, 1.055 * clipped ** (1 / 2.4) - 0.055)


def ssim_map(image: Image, reference: Image) -> Map:
    """Structural similarity around every pixel whose window lies inside: (H−10)×(W−10)×3, [−1, 1].

    Raises:
        ValueError: a side is shorter than the window of 11 pixels.

    Source: Wang et al. 2004, eq. 13; Gaussian window 11×11, σ = 1.5 pixels.
    """
    luminance, structure = _ssim_terms(srgb_encode(image), srgb_encode(reference))
    return luminance * structure


def dssim(image: Image, reference: Image) -> float:
    """Structural dissimilarity (1 − SSIM) / 2, SSIM the mean over pixels and channels."""
    _pair(image, reference)
    return float((1.0 - ssim_map(image, reference).mean()) / 2.0)


def ms_dssim(image: Image, reference: Image) -> float:
    """Multi-scale structural dissimilarity (1 − MS-SSIM) / 2, MS-SSIM the mean over channels.

    Raises:
        ValueError: a side is shorter than 176 pixels, so that the coarsest of the five scales has no whole window.

    Source: Wang, Simoncelli, Bovik 2003, eq. 7; 2×2 means between scales. Negative contrast terms count as 0.
    """
    _pair(image, reference)
    scales = len(MS_SSIM_WEIGHTS)
    least = SSIM_WINDOW * 2 ** (scales - 1)
    if min(image.shape[:2]) < least:
        raise ValueError(f"MS-DSSIM needs at least {least} pixels a side, not {image.shape[1]}×{image.shape[0]}")
    d, r = srgb_encode(image), srgb_encode(reference)
    similarity = np.ones(d.shape[-1])
    for scale, weight in enumerate(MS_SSIM_WEIGHTS):
        luminance, structure = _ssim_terms(d, r)
        coarsest = scale == scales - 1
        term = np.mean(luminance * structure if coarsest else structure, axis=(0, 1))
        similarity *= np.maximum(term, 0.0) ** weight
        d, r = _halved(d), _halved(r)
    return float((1.0 - similarity.mean()) / 2.0)


def dssim_map(image: Image, reference: Image) -> Map:
    """(1 − SSIM) / 2 around every pixel, mean over channels: H×W, [0, 1]. At the borders images go on mirrored."""
    _pair(image, reference)
    luminance, structure = _ssim_terms(*(_mirrored(srgb_encode(each)) for each in (image, reference)))
    errors: Map = (1.0 - (luminance * structure).mean(axis=-1)) / 2.0
    return errors


def ms_dssim_map(image: Image, reference: Image) -> Map:
    """Multi-scale structural dissimilarity around every pixel, mean over channels: H×W, [0, 1].

    The terms of coarse scales are spread over the pixels that they cover; as many of the five scales as the image has
    room for, their weights scaled to sum to 1. Its mean is not `ms_dssim`, which multiplies means.
    """
    _pair(image, reference)
    height, width = image.shape[:2]
    d, r = srgb_encode(image), srgb_encode(reference)
    scales = [k for k in range(len(MS_SSIM_WEIGHTS)) if min(height, width) >> k >= SSIM_WINDOW] or [0]
    weights = np.array(MS_SSIM_WEIGHTS[: len(scales)]) / sum(MS_SSIM_WEIGHTS[: len(scales)])
    similarity = np.ones((height, width, d.shape[-1]))
    for scale, weight in zip(scales, weights, strict=True):
        luminance, structure = _ssim_terms(_mirrored(d), _mirrored(r))
        term = luminance * structure if scale == scales[-1] else structure
        rows = np.minimum(np.arange(height) >> scale, term.shape[0] - 1)
        columns = np.minimum(np.arange(width) >> scale, term.shape[1] - 1)
        similarity *= np.maximum(term[rows[:, None], columns], 0.0) ** weight
        d, r = _halved(d), _halved(r)
    errors: Map = (1.0 - similarity.mean(axis=-1)) / 2.0
    return errors


ERROR_MAPS: Final[Mapping[str, Callable[[Image, Image], Map]]] = {
    "smape": smape_map,
    "mrse": rel_mse_map,
    "dssim": dssim_map,
    "ms_dssim": ms_dssim_map,
}
"""What `sampling.metric` may be: the error of every pixel of an image against its reference."""


def flip(image: Image, reference: Image) -> float:
    """Mean HDR-FLIP at 67 pixels per degree; start and stop exposures follow from the reference. Negatives count as 0.

    Raises:
        PenumbraError: the package `flip-evaluator` is not installed.

    Source: Andersson et al. 2021, "Visualizing Errors in Rendered High Dynamic Range Images".
    """
    try:
        import flip_evaluator
    except ImportError as error:
        raise PenumbraError("FLIP needs the package `flip-evaluator`: pip install flip-evaluator") from error
    d, r = (np.ascontiguousarray(np.maximum(each, 0.0), dtype=np.float32) for each in _pair(image, reference))
    _, mean, _ = flip_evaluator.evaluate(r, d, "HDR", applyMagma=False)
    return float(mean)


def _pair(image: Image, reference: Image) -> tuple[Map, Map]:
    if image.shape != reference.shape or image.ndim != 3:
        raise ValueError(f"two H×W×3 images of one size are wanted, not {image.shape} and {reference.shape}")
    return np.asarray(image, dtype=np.float64), np.asarray(reference, dtype=np.float64)


def _mirrored(image: Map) -> Map:
    edge = SSIM_WINDOW // 2
    return np.pad(image, ((edge, edge), (edge, edge), (0, 0)), mode="symmetric")


def _gaussian() -> Map:
    x = np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
    weights: Map = np.exp(-0.5 * (x / SSIM_SIGMA) ** 2)
    weights /= weights.sum()
    return weights


def _blurred(image: Map) -> Map:
    """Gaussian window means, only where the whole window lies inside."""
    weights, edge = _gaussian(), SSIM_WINDOW // 2
    both = correlate1d(correlate1d(image, weights, axis=0), weights, axis=1)
    return np.asarray(both[edge : image.shape[0] - edge, edge : image.shape[1] - edge], dtype=np.float64)


def _ssim_terms(d: Map, r: Map) -> tuple[Map, Map]:
    """Luminance and contrast-structure terms of SSIM (Wang et al. 2004, eq. 6; eq. 9 × 10 with C3 = C2 / 2)."""
    if min(d.shape[:2]) < SSIM_WINDOW:
        raise ValueError(f"SSIM needs at least {SSIM_WINDOW} pixels a side, not {d.shape[1]}×{d.shape[0]}")
    mean_d, mean_r = _blurred(d), _blurred(r)
    variance_d = _blurred(d * d) - mean_d**2
    variance_r = _blurred(r * r) - mean_r**2
    covariance = _blurred(d * r) - mean_d * mean_r
    luminance = (2 * mean_d * mean_r + SSIM_C1) / (mean_d**2 + mean_r**2 + SSIM_C1)
    structure = (2 * covariance + SSIM_C2) / (variance_d + variance_r + SSIM_C2)
    return luminance, structure


def _halved(image: Map) -> Map:
    """2×2 means; an odd last row or column is left out."""
    height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    cut = image[:height, :width]
    return (cut[0::2, 0::2] + cut[1::2, 0::2] + cut[0::2, 1::2] + cut[1::2, 1::2]) / 4.0
