"""What the network sees of a frame: the registry of sources, and the tensors made of a frame's layers.

A source is a kind of data: which layers a renderer brought, and how they were made. Each has an encoder of its own;
everything behind the encoders is shared (Vogels et al. 2018, §3.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.denoise.backends import DEMODULATION
from pipeline.denoise.frame import UNSPLIT, Frame
from pipeline.denoise.network.pyramid import downsample
from pipeline.errors import ConfigError
from pipeline.render.buffers import luminance

__all__ = [
    "ALBEDO",
    "COMPONENTS",
    "IRRADIANCE",
    "SOURCES",
    "SPECULAR",
    "Source",
    "coarser",
    "exposure",
    "inputs",
    "noisy",
    "source",
]

Array = NDArray[np.float32]

IRRADIANCE, SPECULAR, ALBEDO = "irradiance", "specular", "albedo"

COMPONENTS = (IRRADIANCE, SPECULAR, ALBEDO)
"""What one network denoises, each told by a flag: diffuse over albedo; specular with emission; the albedo (§6.1)."""

CHANNELS = {
    "colour": 3,  # log(1 + x), x exposed
    "colour_variance": 1,  # relative variance of the mean, [0, 1]
    "albedo": 3,  # log(1 + albedo)
    "albedo_variance": 1,
    "normal": 3,
    "normal_variance": 1,
    "flag": 2,  # is irradiance, is albedo
    "samples": 1,  # log2(1 + samples per pixel) / 8
}
"""Channels of each feature that a source may list."""

KEY = 0.18  # what the log average is exposed to: middle grey
_BLOCK = 16  # pixels; the log average is over means of such blocks, as noise would lower it
_DARK = 1e-8


@dataclass(frozen=True)
class Source:
    """A kind of data.

    Attributes:
        name: as `Frame.source` says it.
        features: keys of `CHANNELS`, in the order of the input's channels.
    """

    name: str
    features: tuple[str, ...]

    @property
    def channels(self) -> int:
        """Of the input tensor."""
        return sum(CHANNELS[feature] for feature in self.features)


SOURCES: Mapping[str, Source] = {
    source.name: source
    for source in (
        Source("penumbra", tuple(CHANNELS)),
        Source("split", ("colour", "albedo", "normal", "flag")),
        Source("unsplit", ("colour", "colour_variance", "albedo", "normal", "flag")),
        Source("features", ("colour", "albedo", "normal", "flag")),
        Source("colour", ("colour", "flag")),
    )
}
"""By name. `penumbra`: our own passes. `split`: another renderer's diffuse and specular, without variances. `unsplit`:
its beauty, with a variance. `features`: beauty, albedo and normal. `colour`: beauty alone."""


def source(name: str) -> Source:
    """A source of the registry.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in SOURCES:
        raise ConfigError(f"unknown source `{name}`", key="source", suggestion=", ".join(SOURCES))
    return SOURCES[name]


def noisy(frame: Frame, component: str) -> Array:
    """What the kernels of a component are applied to: H×W×3, linear, ≥ 0.

    Irradiance is diffuse radiance over (albedo + DEMODULATION); where nothing was split, it is 0 and everything is
    specular; emission goes with specular.
    """
    if component == ALBEDO:
        return np.zeros((*frame.shape, 3), np.float32) if frame.albedo is None else frame.albedo
    if component == SPECULAR:
        if not frame.splits:
            return frame.component(UNSPLIT)
        return frame.component("specular") + frame.component("emission")
    diffuse = frame.component("diffuse")
    return diffuse if frame.albedo is None else diffuse / (frame.albedo + np.float32(DEMODULATION))


def exposure(frame: Frame) -> float:
    """What a frame's colours are multiplied by before the network sees them: middle grey over the log average of the
    luminance, one number a frame, so that tiles agree. 1 for a black frame."""
    light = luminance(frame.beauty)
    height, width = light.shape
    rows, columns = (max(1, size // _BLOCK) * _BLOCK if size >= _BLOCK else size for size in (height, width))
    cut = light[:rows, :columns]
    step_y, step_x = min(_BLOCK, rows), min(_BLOCK, columns)
    means = cut.reshape(rows // step_y, step_y, columns // step_x, step_x).mean(axis=(1, 3), dtype=np.float64)
    lit = means[means > _DARK]
    return float(KEY / np.exp(np.log(lit).mean())) if lit.size else 1.0


def inputs(frame: Frame, component: str, exposed: float, *, of: Source | None = None) -> Array:
    """The network's input for one component of a frame: C×H×W float32.

    Args:
        frame: sane (`Frame.sane`). A layer that the source lists and the frame lacks is 0, with relative variance 1.
        component: one of `COMPONENTS`.
        exposed: `exposure(frame)`.
        of: the source whose channels are wanted; None: that of the frame.

    Source: Vogels et al. 2018, §6.1.
    """
    height, width = frame.shape
    wanted = of if of is not None else source(frame.source)
    stacked = np.empty((height, width, wanted.channels), np.float32)  # as the network's convolutions read it
    colour = noisy(frame, component)
    at = 0
    for feature in wanted.features:
        if feature == "colour":
            value = _log1p(colour if component == ALBEDO else colour * np.float32(exposed))
        elif feature == "colour_variance":
            value = _colour_variance(frame, component, colour)
        elif feature == "albedo":
            value = np.zeros((height, width, 3), np.float32) if frame.albedo is None else _log1p(frame.albedo)
        elif feature == "normal":
            value = np.zeros((height, width, 3), np.float32) if frame.normal is None else frame.normal
        elif feature in ("albedo_variance", "normal_variance"):
            name = feature.removesuffix("_variance")
            layer = frame.albedo if name == "albedo" else frame.normal
            square = None if layer is None else _mean_square(layer)
            value = _relative(frame.variance.get(name), square, (height, width))
        elif feature == "flag":
            value = np.broadcast_to(
                np.array([component == IRRADIANCE, component == ALBEDO], np.float32), (height, width, 2)
            )
        else:
            count = np.zeros((height, width), np.float32) if frame.count is None else frame.count
            value = (np.log2(1 + count) / 8).astype(np.float32)
        channels = CHANNELS[feature]
        stacked[..., at : at + channels] = value[..., None] if value.ndim == 2 else value
        at += channels
    planes: Array = np.moveaxis(stacked, -1, 0)
    return planes


def _colour_variance(frame: Frame, component: str, colour: Array) -> Array:
    """Relative variance of the mean of a component."""
    if component == ALBEDO:
        return _relative(frame.variance.get("albedo"), _mean_square(colour), frame.shape)
    if component == IRRADIANCE:  # the albedo's share of the noise cancels in the quotient
        square = luminance(frame.component("diffuse")) ** 2
        return _relative(frame.variance.get("diffuse"), square, frame.shape)
    names = ("specular", "emission") if frame.splits else (UNSPLIT,)
    known = [frame.variance[name] for name in names if name in frame.variance]
    total: Array | None = np.sum(known, axis=0, dtype=np.float32) if known else None
    return _relative(total, luminance(colour) ** 2, frame.shape)


def _log1p(values: Array) -> Array:
    """By torch, whose threads and vectors are quicker than numpy's loop."""
    found: Array = torch.log1p(torch.from_numpy(np.ascontiguousarray(values))).numpy()
    return found


def _mean_square(values: Array) -> Array:
    """Of the channels: H×W×C → H×W."""
    found: Array = np.einsum("hwc,hwc->hw", values, values)
    found /= np.float32(values.shape[-1])
    return found


def _relative(variance: Array | None, square: Array | None, shape: tuple[int, int]) -> Array:
    """Variance over squared mean, clamped to [0, 1]: H×W; 1 where it is unknown."""
    if variance is None or square is None:
        return np.ones(shape, np.float32)
    # Both are 0 where nothing is: certain, so 0.
    return np.clip(variance / np.maximum(square, 1e-12), 0.0, 1.0).astype(np.float32)


def coarser(x: Tensor, of: Source) -> Tensor:
    """The inputs of the next level of the pyramid: colour averaged linearly, variances divided by 4 (§3.4).

    Shape:
        B×C×H×W → B×C×⌈H/2⌉×⌈W/2⌉
    """
    planes = dict(zip(of.features, torch.split(x, [CHANNELS[feature] for feature in of.features], dim=1), strict=True))
    means: dict[str, tuple[Tensor, Tensor]] = {}  # linear: fine, coarse
    down: dict[str, Tensor] = {}
    for feature in ("colour", "albedo", "normal"):
        if feature in planes:
            fine = planes[feature] if feature == "normal" else torch.expm1(planes[feature])
            coarse = downsample(fine)
            means[feature] = fine, coarse
            down[feature] = coarse if feature == "normal" else torch.log1p(coarse)
    for feature in ("colour_variance", "albedo_variance", "normal_variance"):
        if feature in planes:
            fine, coarse = (each.square().mean(1, keepdim=True) for each in means[feature.removesuffix("_variance")])
            variance = downsample(planes[feature] * fine) / 4
            down[feature] = (variance / coarse.clamp_min(1e-12)).clamp(0, 1)
    if "flag" in planes:
        down["flag"] = downsample(planes["flag"])
    if "samples" in planes:
        down["samples"] = torch.log2(1 + 4 * downsample(torch.exp2(8 * planes["samples"]) - 1)) / 8
    return torch.cat([down[feature] for feature in of.features], dim=1)
