"""A denoiser on top of a preview's pictures: few samples of the cache leave noise where light passes glass, and on the
right-hand side everywhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.config.denoise import Denoise
from pipeline.denoise.backends import Denoiser, backend
from pipeline.denoise.frame import UNSPLIT, Frame
from pipeline.radiosity.render import Guides

__all__ = ["BACKENDS", "cleaned", "denoiser"]

BACKENDS = ("oidn", "kpcn")

SOURCE = "features"
"""What the network takes the pictures for: a beauty with albedo and normals, and no variances."""


def denoiser(name: str) -> Denoiser:
    """A denoiser of single pictures.

    Raises:
        ConfigError: its package or weights are not there.
    """
    return backend(Denoise.model_validate({"backend": name, "temporal_radius": 0}))


def cleaned(chosen: Denoiser, picture: NDArray[np.float32], guides: Guides) -> NDArray[np.float32]:
    """The picture, denoised: H×W×3.

    Raises:
        DeviceError: the denoiser cannot run here.
    """
    frame = Frame(components={UNSPLIT: picture}, albedo=guides.albedo, normal=guides.normal, source=SOURCE)
    return chosen.denoise({0: frame}, 0, 1.0).beauty
