"""`denoise.backend: none`: the rendered components as they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.denoise.backends import Denoised, alpha_of
from pipeline.denoise.frame import Window, frame_of

__all__ = ["Passthrough"]


class Passthrough:
    """Gives the noisy components back; λ has nothing to steer and is not read."""

    name = "none"
    radius = 0

    def denoise(self, window: Window, centre: int, lambda_: NDArray[np.float32] | float) -> Denoised:
        """The frame `centre` as rendered. Raises ProductError where it is missing."""
        frame = frame_of(window, centre)
        if not frame.splits:
            return Denoised.unsplit(frame.beauty, alpha_of(frame))
        return Denoised(
            frame.component("emission"), frame.component("diffuse"), frame.component("specular"), alpha_of(frame)
        )
