"""The error predictor: from the noisy and the denoised picture, where the denoised one is still wrong.

Six residual blocks, at a quarter of the resolution in the `fast` preset. One trunk has a map for each of its guiding
metrics: all four, or one alone as in the paper.

Source: Vogels et al. 2018, §5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.config.sampling import METRICS
from pipeline.denoise.frame import Frame
from pipeline.denoise.network.encoder import xavier
from pipeline.denoise.network.extractor import ResidualBlock
from pipeline.denoise.network.sources import exposure
from pipeline.errors import ConfigError
from pipeline.render.buffers import luminance

__all__ = ["CHANNELS", "ERROR_PRESETS", "ErrorPredictor", "ErrorPreset", "error_inputs", "error_preset"]

Array = NDArray[np.float32]

CHANNELS = 16
"""Of `error_inputs`."""


@dataclass(frozen=True)
class ErrorPreset:
    """One size.

    Attributes:
        name: as in `denoise.preset`.
        width: channels.
        blocks: residual blocks.
        stride: pixels of the image per cell of the prediction, in both directions.
    """

    name: str
    width: int
    blocks: int
    stride: int


ERROR_PRESETS = {
    preset.name: preset
    for preset in (ErrorPreset("fast", 48, 6, 4), ErrorPreset("paper", 64, 6, 1), ErrorPreset("tiny", 8, 2, 4))
}


def error_inputs(frame: Frame, denoised: Array) -> Array:
    """What the predictor sees: C×H×W float32.

    log(1 + x) of the exposed noisy and denoised beauty (3 + 3), of their absolute difference's luminance (1); relative
    variance of the noisy beauty (1); log2(1 + samples) / 8 (1); log(1 + albedo) (3); normal (3);
    log2 of the exposure / 8 (1): errors are of the frame as it is.

    Args:
        frame: sane (`Frame.sane`). Layers that it lacks are 0; an unknown variance is 1.
        denoised: H×W×3, ≥ 0.
    """
    height, width = frame.shape
    exposed = np.float32(exposure(frame))
    noisy = frame.beauty
    variance = frame.variance.get("beauty")
    relative = (
        np.ones((height, width), np.float32)
        if variance is None
        else np.clip(variance / np.maximum(luminance(noisy) ** 2, 1e-12), 0.0, 1.0)
    )
    planes = np.zeros((CHANNELS, height, width), np.float32)
    planes[0:3] = np.moveaxis(np.log1p(noisy * exposed), -1, 0)
    planes[3:6] = np.moveaxis(np.log1p(denoised * exposed), -1, 0)
    planes[6] = np.log1p(luminance(np.abs(noisy - denoised)) * exposed)
    planes[7] = relative
    if frame.count is not None:
        planes[8] = np.log2(1 + frame.count) / 8
    if frame.albedo is not None:
        planes[9:12] = np.moveaxis(np.log1p(frame.albedo), -1, 0)
    if frame.normal is not None:
        planes[12:15] = np.moveaxis(frame.normal, -1, 0)
    planes[15] = np.log2(exposed) / 8
    return planes


class ErrorPredictor(nn.Module):
    """B×CHANNELS×H×W → B×len(metrics)×⌈H/stride⌉×⌈W/stride⌉, ≥ 0: mean error of each cell's pixels.

    Args:
        preset: its size.
        metrics: guiding metrics, in the order of the maps.
    """

    def __init__(self, preset: ErrorPreset, metrics: Sequence[str] = METRICS) -> None:
        super().__init__()
        self.preset = preset
        self.metrics = tuple(metrics)
        self.first = nn.Conv2d(CHANNELS * preset.stride**2, preset.width, 3, padding=1)
        self.blocks = nn.Sequential(*(ResidualBlock(preset.width) for _ in range(preset.blocks)))
        self.last = nn.Conv2d(preset.width, len(self.metrics), 1)
        self.apply(xavier)
        nn.init.constant_(self.last.bias, -3.0)  # type: ignore[arg-type]  # errors are small: softplus(−3) is 0.05

    def forward(self, x: Tensor) -> Tensor:
        stride = self.preset.stride
        below, right = (-size % stride for size in x.shape[-2:])
        if below or right:
            x = F.pad(x, (0, right, 0, below), mode="replicate")
        if stride > 1:
            x = F.pixel_unshuffle(x, stride)
        if x.device.type == "cpu":
            x = x.contiguous(memory_format=torch.channels_last)
        return F.softplus(self.last(F.relu(self.blocks(self.first(x)))).float())


def error_preset(name: str) -> ErrorPreset:
    """Raises ConfigError when there is none of that name."""
    if name not in ERROR_PRESETS:
        raise ConfigError(f"unknown preset `{name}`", key="denoise.preset", suggestion=" or ".join(ERROR_PRESETS))
    return ERROR_PRESETS[name]
