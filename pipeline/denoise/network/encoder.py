"""Source-aware encoder: two 3×3 convolutions that bring the layers of one kind of data into the shared feature space.

Source: Vogels et al. 2018, §3.2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Encoder", "xavier"]


def xavier(module: nn.Module) -> None:
    """Xavier-uniform weights and zero biases for a convolution; for `Module.apply`. Source: §6.2."""
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Encoder(nn.Module):
    """B×C×H×W inputs → B×width×H/stride×W/stride features.

    Args:
        channels: of the source's inputs.
        width: of the features.
        stride: 2 sees each 2×2 block of pixels as channels of one cell (nothing is lost, a quarter of the work); H and
            W must then be even.
    """

    def __init__(self, channels: int, width: int, *, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.first = nn.Conv2d(channels * stride**2, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.first.weight
        if self.stride > 1:
            # 3×3 cells of stride × stride pixels (as of `pixel_unshuffle`) are one kernel that moves by the stride.
            s, width = self.stride, len(weight)
            cells = weight.view(width, -1, s, s, 3, 3)
            weight = cells.permute(0, 1, 4, 2, 5, 3).reshape(width, -1, 3 * s, 3 * s)
        if x.device.type == "cpu":
            x = x.contiguous(memory_format=torch.channels_last)
        x = F.conv2d(x, weight, self.first.bias, stride=self.stride, padding=self.stride)
        return F.relu(self.second(F.relu(x, inplace=True)), inplace=True)
