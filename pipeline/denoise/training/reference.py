"""What a network is to arrive at: the median of three renders, each denoised on its own.

A few hundred samples per pixel are still noisy. Open Image Denoise takes the noise for a little bias, and the median
takes away what its three answers do not agree on.

Source: Bálint et al. 2023, as the noisebase data sets make their references.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from pipeline.denoise.backends import DEMODULATION
from pipeline.denoise.oidn import Filters, load_library, raise_error
from pipeline.images.metrics import smape

__all__ = ["median_of_denoised"]

Array = NDArray[np.float32]

QUALITY = "high"


def median_of_denoised(renders: Sequence[Array], albedo: Array, normal: Array, *, threads: int) -> tuple[Array, float]:
    """Emission, diffuse and specular light of a frame, nearly without noise.

    Each component is denoised by itself, diffuse light divided by the albedo, with albedo and normal denoised first.

    Args:
        renders: H×W×9 each: emission, diffuse, specular, of independent samples.
        albedo, normal: H×W×3, over the samples of all renders.
        threads: CPU threads that the library may use.

    Returns:
        H×W×9, ≥ 0, and how far the denoised renders are from their median: the mean SMAPE of their beauties.

    Raises:
        DeviceError: the library cannot be loaded, or reports an error.
    """
    library = load_library()
    with library.Device(library.OIDN_DEVICE_TYPE_CPU) as device:
        device.set_int("numThreads", threads)
        device.set_bool("setAffinity", False)  # processes side by side would all be pinned to the same cores
        device.commit()
        raise_error(device)
        filters = Filters(library, device)
        emission = np.mean([render[..., 0:3] for render in renders], axis=0)
        # What shines is its own colour to the network, as what reflects is.
        guides = {"albedo": np.clip(albedo + emission, 0.0, 1.0), "normal": normal}
        guides = {name: filters.run({name: image}, QUALITY) for name, image in guides.items()}
        denoised = [_denoised(filters, render, guides, albedo) for render in renders]
    median = np.median(denoised, axis=0)
    apart = float(np.mean([smape(_beauty(one), _beauty(median)) for one in denoised]))
    return np.where(_black(renders), np.float32(0), median), apart


def _beauty(colour: Array) -> Array:
    """H×W×9 → H×W×3."""
    return colour[..., 0:3] + colour[..., 3:6] + colour[..., 6:9]


def _black(renders: Sequence[Array]) -> NDArray[np.bool_]:
    """Where a component is black, H×W×9: no sample of a pixel or of its neighbours found any light.

    The library gives such pixels a little of what is near; beside a lamp, or on what does not shine, that would be all
    that a component has.
    """
    lit = np.any(renders, axis=0)
    parts = [lit[..., first : first + 3].any(axis=-1, keepdims=True) for first in (0, 3, 6)]
    near = [np.repeat(maximum_filter(part, size=(3, 3, 1), mode="nearest"), 3, axis=-1) for part in parts]
    black: NDArray[np.bool_] = ~np.concatenate(near, axis=-1)
    return black


def _denoised(filters: Filters, render: Array, guides: dict[str, Array], albedo: Array) -> Array:
    # To emission and specular light the albedo is no factor.
    factor = np.concatenate([np.ones_like(albedo), albedo + np.float32(DEMODULATION), np.ones_like(albedo)], axis=-1)
    colour = render / factor
    clear = np.zeros_like(colour)
    for first in (0, 3, 6):
        part = colour[..., first : first + 3]
        if part.any():
            clear[..., first : first + 3] = filters.run({"color": part, **guides}, QUALITY, hdr=True, cleanAux=True)
    radiance: Array = clear * factor
    return radiance
