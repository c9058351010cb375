"""Samples as another renderer would have brought them: with fewer layers.

So that one network has encoders for what others render, from the data that our own passes make.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.denoise.frame import OWN_SOURCE, UNSPLIT, Frame
from pipeline.denoise.network.sources import ALBEDO, IRRADIANCE, SPECULAR, source
from pipeline.denoise.training.patches import Sample

__all__ = ["components_of", "recast"]


def components_of(name: str) -> tuple[str, ...]:
    """What there is to denoise in frames of a source."""
    features = source(name).features
    if name in (OWN_SOURCE, "split"):
        return IRRADIANCE, SPECULAR, ALBEDO
    return (SPECULAR, ALBEDO) if "albedo" in features else (SPECULAR,)


def recast(sample: Sample, name: str) -> Sample:
    """The sample with the layers of a source, as its frames would be read from files."""
    if name == OWN_SOURCE:
        return sample
    window = {k: None if frame is None else _recast(frame, name) for k, frame in sample.window.items()}
    if IRRADIANCE in components_of(name):
        return replace(sample, window=window)
    return replace(sample, window=window, reference=_unsplit(sample.reference), raw=_unsplit(sample.raw))


def _unsplit(of: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    beauty: NDArray[np.float32] = np.sum(list(of.values()), axis=0, dtype=np.float32)
    black = np.zeros_like(beauty)
    return {"emission": black, "diffuse": black, "specular": beauty}


def _recast(frame: Frame, name: str) -> Frame:
    features = source(name).features
    split = IRRADIANCE in components_of(name)
    variance = {UNSPLIT: frame.variance["beauty"]} if "colour_variance" in features else {}
    return replace(
        frame,
        components=frame.components if split else {UNSPLIT: np.asarray(frame.beauty, np.float32)},
        variance=variance,
        albedo=frame.albedo if "albedo" in features else None,
        normal=frame.normal if "normal" in features else None,
        count=None,
        source=name,
    )
