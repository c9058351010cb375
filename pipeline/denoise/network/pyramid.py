"""The mip-map pyramid: 2×2 means down, nearest or bilinear up.

Source: Vogels et al. 2018, §3.4.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

__all__ = ["Upsampling", "downsample", "upsample"]

Upsampling = Literal["nearest", "bilinear"]


def downsample(x: Tensor) -> Tensor:
    """D of equation 5: means of 2×2 blocks, B×C×H×W → B×C×⌈H/2⌉×⌈W/2⌉; at an odd border, of what is there."""
    return F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)


def upsample(x: Tensor, size: tuple[int, int], mode: Upsampling) -> Tensor:
    """U of equation 5, to (H, W): at most twice the size."""
    double = (2 * x.shape[-2], 2 * x.shape[-1])
    if mode == "nearest":
        x = F.interpolate(x, size=double, mode="nearest")
    else:
        x = F.interpolate(x, size=double, mode="bilinear", align_corners=False)
    return x[..., : size[0], : size[1]]
