"""Scale compositing: the fine image's low frequencies give way to the coarse image's, as far as α says.

    o = i_f − α U D i_f + α U i_c            (equation 5)

Source: Vogels et al. 2018, §3.4, Figure 4.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.denoise.network.pyramid import Upsampling, downsample, upsample

__all__ = ["ScaleCompositing", "composite"]


def composite(fine: Tensor, coarse: Tensor, alpha: Tensor, mode: Upsampling) -> Tensor:
    """Equation 5.

    Args:
        fine: B×C×H×W.
        coarse: B×C×⌈H/2⌉×⌈W/2⌉.
        alpha: B×1×H×W in [0, 1]; 1 takes all low frequencies from the coarse image.
        mode: of U.
    """
    size = fine.shape[-2:]
    return fine + alpha * upsample(coarse - downsample(fine), (size[0], size[1]), mode)


class ScaleCompositing(nn.Module):
    """α from the two images, and from one channel that the kernel predictor adds.

    The same weights serve all pairs of scales. Images are exposed and seen as log(1 + x).
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.first = nn.Conv2d(7, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, fine: Tensor, coarse: Tensor, hint: Tensor, exposed: Tensor, mode: Upsampling) -> Tensor:
        """α, B×1×H×W.

        Args:
            fine, coarse: as for `composite`, with three channels.
            hint: B×1×H×W, a logit of α.
            exposed: B×1×1×1, what colour is multiplied by.
        """
        size = (fine.shape[-2], fine.shape[-1])
        low = upsample(coarse, size, mode)
        seen = [torch.log1p((image * exposed).clamp_min(0)) for image in (fine, low)]
        x = torch.cat([*seen, hint.to(seen[0].dtype)], dim=1)
        x = F.relu(self.second(F.relu(self.first(x), inplace=True)), inplace=True)
        return torch.sigmoid(self.last(x).float() + hint.float())
