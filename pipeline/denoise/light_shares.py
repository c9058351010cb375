"""Groups of lights as shares of the denoised picture: their sum is the picture, before and after denoising.

A group's share of the light is smoother than its light: texture and most of the noise are common to all groups, and
cancel. So shares are averaged with weights that are the same for every group, and multiply the denoised beauty:

    s_g(p) = Σ_q w(p, q) L_g(q) / Σ_h Σ_q w(p, q) L_h(q),   out_g = s_g · denoised beauty

The weights follow an à-trous wavelet that stops at edges of normal, depth, albedo and the denoised picture (a shadow of
one light is an edge of it).

Source: Dammertz, Sewtz, Hanika and Lensch 2010, "Edge-avoiding à-trous wavelet transform for fast global illumination
filtering".
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.render.buffers import FrameBuffers, luminance

__all__ = ["split_by_light"]

Array = NDArray[np.float32]

LEVELS: Final = 3
_KERNEL: Final = np.array([1, 4, 6, 4, 1], np.float32) / 16
_SIGMA_NORMAL: Final = 0.25
_SIGMA_DEPTH: Final = 0.02  # of the depth
_SIGMA_ALBEDO: Final = 0.1
_SIGMA_LIGHT: Final = 0.2  # of the logarithm of the denoised luminance: an edge of a fifth stops
_DARK: Final = 1e-4


def split_by_light(groups: Array, frame: FrameBuffers, denoised: Array, *, smooth: bool) -> Array:
    """The denoised picture by groups of lights.

    Args:
        groups: H×W×G×3, noisy radiance of each group, all of it: `moments.light_means`.
        frame: whose features guide.
        denoised: H×W×3, the denoised beauty.
        smooth: whether shares are averaged; not where nothing was denoised.

    Returns:
        H×W×G×3; the sum over the groups is `denoised`.
    """
    light = np.maximum(groups, 0.0).astype(np.float32)
    if smooth:
        light = _averaged(light, _guides(frame, denoised))
    total = light.sum(axis=2, keepdims=True)
    # Where no light was met at all, what the denoiser brought there comes from the lights of no group.
    nowhere = np.zeros((1, 1, light.shape[2], 1), np.float32)
    nowhere[..., -1, :] = 1.0
    share = np.where(total > 0, light / np.where(total > 0, total, 1.0), nowhere)
    found: Array = (share * denoised[:, :, None, :]).astype(np.float32)
    return found


def _guides(frame: FrameBuffers, denoised: Array) -> Array:
    """H×W×8, each scaled so that a difference of 1 is an edge."""
    relative = np.log(np.maximum(frame.depth, 1e-6))[..., None]
    light = np.log(np.maximum(luminance(denoised), 0.0) + _DARK)[..., None]
    parts = [frame.normal / _SIGMA_NORMAL, relative / _SIGMA_DEPTH, frame.albedo / _SIGMA_ALBEDO, light / _SIGMA_LIGHT]
    return np.concatenate(parts, axis=-1).astype(np.float32)


def _averaged(light: Array, guides: Array) -> Array:
    height, width = guides.shape[:2]
    for level in range(LEVELS):
        step = 2**level
        total, weights = np.zeros_like(light), np.zeros((height, width, 1, 1), np.float32)
        for j in range(-2, 3):
            rows = np.arange(height) + j * step
            inside_y = (rows >= 0) & (rows < height)
            for i in range(-2, 3):
                columns = np.arange(width) + i * step
                inside = inside_y[:, None] & ((columns >= 0) & (columns < width))[None, :]
                at = np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))
                distance = np.sum((guides[at] - guides) ** 2, axis=-1)
                weight = (_KERNEL[j + 2] * _KERNEL[i + 2] * np.exp(-distance) * inside)[..., None, None]
                total += weight * light[at]
                weights += weight
        light = total / weights
    return light
