"""Looks: the same samples as other renderers would have brought them, for the study of encoders.

    penumbra   as stored: box filter, independent samples, every layer
    filtered   another sampler and filter: layers and reference under a tent of two pixels' radius, which correlates
               the noise of neighbours and takes 86 % of its variance, while the variances still say what the samples
               had: as a renderer that splats its samples does, or one whose samples are stratified
    split      another renderer's diffuse and specular without any variance or number of samples (`recast`)

`penumbra` and `filtered` have the same channels, so that one encoder can be shared by both.

Source: Vogels et al. 2018, §3.2, §7.1 (what differs between renderers: samplers, filters, variance estimators).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d

from pipeline.denoise.frame import Frame
from pipeline.denoise.network.sources import source
from pipeline.denoise.training.patches import Sample
from pipeline.denoise.training.recast import recast

__all__ = ["LOOKS", "Look", "seen"]

Array = NDArray[np.float32]

TENT = (0.25, 0.5, 0.25)
"""1 − |x| / 2 at whole pixels, normalised."""


@dataclass(frozen=True)
class Look:
    """One look.

    Attributes:
        name: of the encoder that is its own.
        source: of `network.sources`, whose channels it has.
        filtered: whether the tent filter is applied.
    """

    name: str
    source: str
    filtered: bool = False

    @property
    def channels(self) -> int:
        """Of the network's input."""
        return source(self.source).channels


LOOKS = {
    look.name: look
    for look in (Look("penumbra", "penumbra"), Look("filtered", "penumbra", filtered=True), Look("split", "split"))
}


def seen(sample: Sample, look: Look) -> Sample:
    """The sample in a look; its reference is what that renderer converges to."""
    sample = recast(sample, look.source)
    if not look.filtered:
        return sample
    return Sample(
        window={k: None if frame is None else _filtered_frame(frame) for k, frame in sample.window.items()},
        reference={name: _filtered(image) for name, image in sample.reference.items()},
        raw={name: _filtered(image) for name, image in sample.raw.items()},
        reference_albedo=_filtered(sample.reference_albedo),
    )


def _filtered_frame(frame: Frame) -> Frame:
    return replace(
        frame,
        components={name: _filtered(image) for name, image in frame.components.items()},
        albedo=None if frame.albedo is None else _filtered(frame.albedo),
        normal=None if frame.normal is None else _filtered(frame.normal),
    )


def _filtered(image: Array) -> Array:
    """H×W×C under the tent; beyond the border its pixels repeat."""
    rows: Array = convolve1d(image, TENT, axis=0, mode="nearest")
    both: Array = convolve1d(rows, TENT, axis=1, mode="nearest")
    return both
