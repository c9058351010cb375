"""The small networks of the ablations, put together from the denoiser's own modules.

    kernel      encoder, residual blocks, kernel prediction; with neighbours: the temporal module
    direct      the same with a layer that predicts the colour in the place of the kernels' (DPCN)
    recurrent   the direct one with a recurrent combiner in the place of the temporal module (R-DP)

They fit `training.stages.forward` as the shipped network does.

Source: Vogels et al. 2018, §3, §7.2; Bako et al. 2017, §4 (DPCN); Chaitanya et al. 2017, §3.2 (recurrent block).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.ablation_sources import LOOKS
from pipeline.denoise.network.encoder import Encoder, xavier
from pipeline.denoise.network.model import Images, KernelPredictor, Neighbour
from pipeline.denoise.network.presets import Preset

__all__ = ["Design", "DirectPredictor", "RecurrentCombiner", "RecurrentPredictor", "build"]

HIGHEST = 20.0
"""Of a predicted log(1 + colour): exp of it is still far from the largest float."""


@dataclass(frozen=True)
class Design:
    """One network.

    Attributes:
        head: what it predicts, and how it combines frames.
        blocks: residual blocks.
        scales: of the image pyramid; 1: single-scale.
        naive: composition with α = 1.
        encoders: looks that it has encoders for.
        width: channels.
        kernel: width of the kernels, pixels.
        temporal_blocks: residual blocks of a comparison of two frames.
    """

    head: Literal["kernel", "direct", "recurrent"] = "kernel"
    blocks: int = 6
    scales: int = 1
    naive: bool = False
    encoders: tuple[str, ...] = ("penumbra",)
    width: int = 32
    kernel: int = 9
    temporal_blocks: int = 1


class DirectPredictor(KernelPredictor):
    """Predicts what is to be added to log(1 + exposed colour); every other layer is the kernel predictor's."""

    def __init__(self, preset: Preset) -> None:
        super().__init__(preset, ())
        self.centre_heads = nn.ModuleList([nn.Conv2d(preset.widths[0], 3, 1)])
        self.neighbour_heads = nn.ModuleList()
        self.centre_heads.apply(xavier)

    def reconstruct(
        self,
        window: Sequence[Sequence[Tensor]],
        images: Sequence[Images],
        log_lambda: Sequence[Tensor],
        exposed: Tensor,
        *,
        visible: Callable[[Tensor], Tensor] = lambda image: image,
    ) -> Tensor:
        """As the parent's, of the centre's colour alone; λ and `visible` steer nothing here."""
        added: Tensor = self.centre_heads[0](F.relu(window[0][0])).float()
        predicted = torch.log1p(images[0].colour[:, 0] * exposed) + added
        return torch.expm1(predicted.clamp_max(HIGHEST)) / exposed


class RecurrentCombiner(nn.Module):
    """Features of past frames, then of the centre → the last hidden state.

    c₁ = relu(conv(x_t)), c₂ = relu(conv([c₁, h_{t−1}])), h_t = relu(conv(c₂))
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.join = nn.Conv2d(2 * width, width, 3, padding=1)
        self.last = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, frames: Sequence[Tensor]) -> Tensor:
        """`frames`: B×width×H×W each, the oldest first, aligned with the last."""
        hidden = torch.zeros_like(frames[0])
        for x in frames:
            joined = self.join(torch.cat([F.relu(self.first(x)), hidden], dim=1))
            hidden = F.relu(self.last(F.relu(joined)))
        return hidden


class RecurrentPredictor(DirectPredictor):
    """R-DP. The features come gathered along the motion, as our temporal module has them."""

    def __init__(self, preset: Preset) -> None:
        super().__init__(preset)
        self.temporal = nn.ModuleList([RecurrentCombiner(preset.widths[0])])
        self.temporal.apply(xavier)

    def compare(self, centre: Sequence[Tensor], neighbours: Sequence[Neighbour]) -> list[list[Tensor]]:
        """The centre's features with what the recurrence adds; nothing but the centre's colour is needed of them."""
        past = sorted(neighbours, key=lambda neighbour: neighbour.distance)
        frames = [each.features[0] * each.valid[0].to(centre[0].dtype) for each in past]
        return [[centre[0] + self.temporal[0]([*frames, centre[0]])]]


class CoarseThroughout(nn.Module):
    """α = 1: all low frequencies from the coarse image (Delbracio et al. 2014; "naive" in Figure 5)."""

    def forward(self, fine: Tensor, *others: Any) -> Tensor:
        """α, B×1×H×W."""
        return torch.ones_like(fine[:, :1])


def build(design: Design) -> KernelPredictor:
    """A network with random weights; `torch.manual_seed` decides on them."""
    upsampling: Literal["nearest"] = "nearest"
    size = Preset(
        name="ablation",
        kernel=design.kernel,
        scales=design.scales,
        widths=(design.width,),
        blocks=design.blocks,
        stride=1,
        temporal_blocks=design.temporal_blocks,
        upsampling=upsampling,
    )
    if design.head == "kernel":
        network = KernelPredictor(size, ())
        predict: Any = network.centre_heads[0].predict
        with torch.no_grad():  # the paper's α sees the two images alone
            predict.weight[-1].zero_()
            predict.bias[-1].zero_()
    else:
        network = DirectPredictor(size) if design.head == "direct" else RecurrentPredictor(size)
    for name in design.encoders:
        network.encoders[name] = Encoder(LOOKS[name].channels, design.width).apply(xavier)
    if design.naive:
        network.compositing = CoarseThroughout()  # type: ignore[assignment]
    return network
