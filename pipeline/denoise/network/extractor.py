"""Spatial-feature extractors: a stack of residual blocks, and a U-Net with features at every scale.

Source: Vogels et al. 2018, §3.1, Figure 2 (residual blocks); §9.1 (U-Net with a kernel prediction at each scale).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["ResidualBlock", "ResidualExtractor", "UNet"]


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions bypassed by a skip connection: x + conv(relu(conv(relu(x))))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(F.relu(self.first(F.relu(x)), inplace=True))
        return y.add_(x)


class ResidualExtractor(nn.Module):
    """A chain of residual blocks at one resolution; B×width×H×W → one tensor of that shape, in a list."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))

    def forward(self, x: Tensor) -> list[Tensor]:
        return [self.blocks(x)]


class UNet(nn.Module):
    """Encoder and decoder with skip connections; features at every resolution but the lowest.

    Args:
        widths: channels at strides 1, 2, 4, … of its input; the last is the bottleneck.

    Shape:
        B×widths[0]×H×W → [B×widths[i]×H/2^i×W/2^i for i in range(len(widths) − 1)]; any H and W.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.down = nn.ModuleList(_Pair(a, b) for a, b in pairwise(widths))
        self.up = nn.ModuleList(_Pair(a + b, a) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> list[Tensor]:
        levels = [x]
        for down in self.down:
            levels.append(down(F.max_pool2d(levels[-1], 2, ceil_mode=True)))
        features: list[Tensor] = []
        coarse = levels[-1]
        for skip, up in zip(reversed(levels[:-1]), reversed(self.up), strict=True):
            coarse = F.interpolate(coarse, size=skip.shape[-2:], mode="nearest")
            coarse = up(torch.cat([skip, coarse], dim=1))
            features.append(coarse)
        return features[::-1]


class _Pair(nn.Module):
    """Two 3×3 convolutions, each with a ReLU."""

    def __init__(self, into: int, out: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(into, out, 3, padding=1)
        self.second = nn.Conv2d(out, out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.first(x), inplace=True)), inplace=True)
