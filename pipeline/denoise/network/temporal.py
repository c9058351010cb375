"""Temporal module: features of the centre frame and of its neighbours become features from which each frame's kernel
is predicted.

The centre is compared with one neighbour at a time, by shared weights, so that any window works. Neighbours' features
come gathered along the motion vectors (§3.3); a validity map says where that failed. Without neighbours, the module
is the identity: a window of one frame gives the single-frame denoiser.

Source: Vogels et al. 2018, §3.3, Figure 3; the pairwise form is ours (docs/design/denoiser.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.denoise.network.extractor import ResidualBlock

__all__ = ["Temporal"]

_REACH = 8.0  # frames; distances are told to the network in this unit


class Temporal(nn.Module):
    """Features of a window → features per frame.

    Args:
        width: channels of the features.
        blocks: residual blocks of a comparison (paper: 3).
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.meet = nn.Conv2d(2 * width + 2, width, 3, padding=1)
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))
        self.centre = nn.Conv2d(width, width, 3, padding=1, bias=False)

    def own(self, centre: Tensor) -> Tensor:
        """The centre frame's part of every comparison, B×width×H×W."""
        return F.conv2d(centre, self.meet.weight[:, : centre.shape[1]], self.meet.bias, padding=1)

    def compare(self, own: Tensor, neighbour: Tensor, valid: Tensor, distance: int) -> Tensor:
        """Features of one neighbour.

        Args:
            own: of the centre frame, from `own`.
            neighbour: B×width×H×W features of the neighbour, gathered along the motion.
            valid: B×1×H×W in [0, 1]: where the gathering found the pixel.
            distance: frames from the centre; past and future look alike to the network, their order does not matter.
        """
        width = neighbour.shape[1]
        valid = valid.to(neighbour.dtype)
        flags = torch.cat([valid, torch.full_like(valid, abs(distance) / _REACH)], dim=1)
        # One convolution of all that, side by side, in parts: nothing is copied, and the centre's part serves all.
        met = F.conv2d(neighbour * valid, self.meet.weight[:, width : 2 * width], padding=1).add_(own)
        met = met.add_(F.conv2d(flags, self.meet.weight[:, 2 * width :], padding=1))
        features: Tensor = self.blocks(met)
        return features

    def gather(self, centre: Tensor, compared: Sequence[Tensor]) -> Tensor:
        """Features of the centre frame: its own, and what the comparisons add."""
        if not compared:
            return centre
        mean = F.relu(compared[0])
        for each in compared[1:]:
            mean = mean + F.relu(each)
        gathered: Tensor = self.centre(mean / len(compared))
        return gathered.add_(centre)
