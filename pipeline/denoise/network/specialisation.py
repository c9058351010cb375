"""Loss specialisation: λ comes in at the very end, so that everything before it can be kept for another λ.

1×1 convolutions alone: a strip of an image gives what the whole image gives.

Source: Vogels et al. 2018, §4.2, §4.3, Figure 8.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["KernelHead", "Specialisation", "log_lambda"]


def log_lambda(value: Tensor | float) -> Tensor:
    """log λ / log 10: 0 at λ = 1 (neutral), 1 at λ = 10."""
    return torch.log(torch.as_tensor(value, dtype=torch.float32)) / math.log(10.0)


class Specialisation(nn.Module):
    """Features and λ → features for the kernel heads: x + log λ · g(x, log λ).

    At λ = 1 the features are left exactly as they are: steering costs the neutral picture nothing.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width + 1, 2 * width, 1)
        self.second = nn.Conv2d(2 * width, width, 1)

    def forward(self, x: Tensor, log_lambda: Tensor) -> Tensor:
        """`log_lambda`: B×1×H×W at the resolution of x, or broadcastable to it."""
        if not torch.is_grad_enabled() and not log_lambda.any():
            return x
        if not torch.is_grad_enabled() and log_lambda.numel() == 1:
            return self._everywhere(x, log_lambda.reshape(()))
        plane = log_lambda.to(x.dtype)
        # As a convolution of x and the plane side by side, without a copy of x.
        of_x, of_plane = self.first.weight.split([x.shape[1], 1], dim=1)
        seen = F.conv2d(x, of_x, self.first.bias) + F.conv2d(plane, of_plane)
        return x + plane * self.second(F.relu(seen, inplace=True))

    def _everywhere(self, x: Tensor, log_lambda: Tensor) -> Tensor:
        """The same for one λ, which then is a part of weights and biases: two products of matrices."""
        assert self.first.bias is not None and self.second.bias is not None
        of_x, of_plane = self.first.weight.flatten(1).split([x.shape[1], 1], dim=1)
        pixels = x.permute(0, 2, 3, 1).flatten(0, 2)  # rows of memory where the channels are last
        seen = F.linear(pixels, of_x, self.first.bias + log_lambda * of_plane[:, 0]).relu_()
        added = F.linear(seen, log_lambda * self.second.weight.flatten(1), log_lambda * self.second.bias)
        return added.add_(pixels).view(x.shape[0], *x.shape[2:], -1).permute(0, 3, 1, 2)


class KernelHead(nn.Module):
    """Features → logits of one frame's kernels at one scale, and one more channel for the compositing.

    The features come through a ReLU, which the heads of one frame share.

    Args:
        width: channels of the features.
        size: of the kernels, odd.
        upscale: the image is this many times finer than the features.

    Shape:
        B×width×h×w → B×(size² + 1)×h·upscale×w·upscale
    """

    def __init__(self, width: int, size: int, *, upscale: int = 1) -> None:
        super().__init__()
        self.size, self.upscale = size, upscale
        self.predict = nn.Conv2d(width, (size * size + 1) * upscale**2, 1)

    def cells(self, x: Tensor) -> Tensor:
        """The same where the features are: B×(size² + 1)·upscale²×h×w, the pixels of a cell as channels."""
        assert self.predict.bias is not None
        weight, bias = self.predict.weight.flatten(1), self.predict.bias[:, None]
        # The 1×1 convolution as a product of matrices: of features in any memory format it makes planes in rows of
        # memory, as the kernels' application reads them.
        planes = [torch.addmm(bias, weight, pixels.flatten(1)) for pixels in x]
        return (planes[0][None] if len(planes) == 1 else torch.stack(planes)).unflatten(2, x.shape[2:])

    def forward(self, x: Tensor) -> Tensor:
        logits = self.cells(x)
        return F.pixel_shuffle(logits, self.upscale) if self.upscale > 1 else logits
