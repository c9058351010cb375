"""The denoising network, in the pieces that inference keeps: features of a frame, features of a window, kernels.

    extract      inputs of one frame                  → features per level         (kept per frame)
    compare      features of the window               → features per frame, level  (kept per window: all before λ)
    reconstruct  those, λ and the noisy images        → the denoised image

Source: Vogels et al. 2018, Figures 2, 3, 4 and 8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.denoise.network.compositing import ScaleCompositing, composite
from pipeline.denoise.network.encoder import Encoder, xavier
from pipeline.denoise.network.extractor import ResidualExtractor, UNet
from pipeline.denoise.network.kernels import apply_kernels, apply_progressively
from pipeline.denoise.network.presets import Preset
from pipeline.denoise.network.pyramid import downsample
from pipeline.denoise.network.sources import coarser, source
from pipeline.denoise.network.specialisation import KernelHead, Specialisation
from pipeline.denoise.network.temporal import Temporal

__all__ = ["Images", "KernelPredictor", "Neighbour", "image_pyramid"]

STRIP = 2**19
"""Pixels that kernels are predicted and applied for at a time without gradients: 3 frames of 5×5 kernels are 80 MB."""


@dataclass(frozen=True)
class Neighbour:
    """A neighbour's features, gathered along the motion to where the centre frame has its pixels.

    Attributes:
        features: per level, B×C×h×w.
        valid: per level, B×1×h×w, [0, 1].
        distance: frames from the centre.
    """

    features: Sequence[Tensor]
    valid: Sequence[Tensor]
    distance: int


@dataclass(frozen=True)
class Images:
    """What kernels are applied to at one scale: linear float32, frames aligned with the centre, which is frame 0.

    Attributes:
        colour: B×F×C×H×W; the channels may hold several images that share their kernels.
        valid: B×F×H×W, 1 where the frame has the pixel, else 0.
    """

    colour: Tensor
    valid: Tensor


def image_pyramid(colour: Tensor, valid: Tensor, scales: int) -> list[Images]:
    """Images of all scales, from the finest. A coarse pixel of a neighbour is the mean of what is valid of it; it is
    valid where half of it is."""
    levels = [Images(colour, valid)]
    for _ in range(scales - 1):
        fine = levels[-1]
        batch, frames = fine.colour.shape[:2]
        weight = fine.valid.flatten(0, 1)[:, None]
        share = downsample(weight)
        mean = downsample(fine.colour.flatten(0, 1) * weight) / share.clamp_min(1e-6)
        kept = (share >= 0.5).to(share.dtype)
        levels.append(Images(mean.unflatten(0, (batch, frames)), kept[:, 0].unflatten(0, (batch, frames))))
    return levels


class KernelPredictor(nn.Module):
    """The network of a preset.

    Args:
        preset: its size.
        sources: names of the sources that it has encoders for.
    """

    def __init__(self, preset: Preset, sources: Iterable[str] = ("penumbra",)) -> None:
        super().__init__()
        self.preset = preset
        widths = preset.widths
        self.encoders = nn.ModuleDict(
            {name: Encoder(source(name).channels, widths[0], stride=preset.stride) for name in sources}
        )
        self.extractor: Any = UNet(widths) if preset.unet else ResidualExtractor(widths[0], preset.blocks)
        own = widths[:-1] if preset.unet else widths  # widths of the levels that have weights of their own
        self.temporal = nn.ModuleList(Temporal(width, preset.temporal_blocks) for width in own)
        self.specialisation = nn.ModuleList(Specialisation(width) for width in own)
        scales = range(preset.scales) if preset.unet else range(1)
        self.centre_heads, self.neighbour_heads = (
            nn.ModuleList(
                KernelHead(own[self._weights(s)], preset.kernel, upscale=preset.stride if s == 0 else 1) for s in scales
            )
            for _ in range(2)
        )
        self.compositing = ScaleCompositing()
        self.apply(xavier)
        for special in self.specialisation:
            assert isinstance(special, Specialisation)
            nn.init.zeros_(special.second.weight)  # as λ = 1 at first, whatever is asked

    # --- Levels (of features) and scales (of images) ----------------------------------------------------------------

    def level(self, scale: int) -> int:
        """Which level's features the kernels of a scale come from."""
        return max(0, scale - 1) if self.preset.unet and self.preset.stride == 2 else scale

    def _weights(self, scale: int) -> int:
        return self.level(scale) if self.preset.unet else 0

    def _head(self, heads: nn.ModuleList, scale: int) -> nn.Module:
        return heads[scale if self.preset.unet else 0]

    @property
    def levels(self) -> int:
        """Levels of features."""
        return self.level(self.preset.scales - 1) + 1

    def stride(self, level: int) -> int:
        """Pixels of the image per feature."""
        return int(self.preset.stride * 2**level)

    # --- The three pieces ---------------------------------------------------------------------------------------------

    def extract(self, x: Tensor, source_name: str) -> list[Tensor]:
        """Spatial features of frames.

        Args:
            x: B×C×H×W inputs of the source; padded with the border's pixels to multiples of `preset.multiple`.
            source_name: a source that the network has an encoder for.

        Returns:
            per level, B×width×h×w.
        """
        encoder: Any = self.encoders[source_name]
        below, right = (-size % self.preset.multiple for size in x.shape[-2:])
        if below or right:
            x = F.pad(x, (0, right, 0, below), mode="replicate")
        if self.preset.unet:
            return list(self.extractor(encoder(x)))
        features = []
        for scale in range(self.preset.scales):
            features += self.extractor(encoder(x))
            if scale + 1 < self.preset.scales:
                x = coarser(x, source(source_name))
        return features

    def compare(self, centre: Sequence[Tensor], neighbours: Sequence[Neighbour]) -> list[list[Tensor]]:
        """Features per level and frame (the centre first): what the kernels are predicted from."""
        window = []
        for level, own in enumerate(centre):
            temporal: Any = self.temporal[level if self.preset.unet else 0]
            part = temporal.own(own) if neighbours else own
            compared = [temporal.compare(part, n.features[level], n.valid[level], n.distance) for n in neighbours]
            window.append([temporal.gather(own, compared), *compared])
        return window

    def reconstruct(
        self,
        window: Sequence[Sequence[Tensor]],
        images: Sequence[Images],
        log_lambda: Sequence[Tensor],
        exposed: Tensor,
        *,
        visible: Callable[[Tensor], Tensor] = lambda image: image,
    ) -> Tensor:
        """The denoised image: kernels at every scale, and the composition of the scales.

        Args:
            window: from `compare`.
            images: from `image_pyramid`, finest first.
            log_lambda: per level, B×1×h×w or broadcastable.
            exposed: B×1×1×1.
            visible: C channels → the three that α is decided on.

        Returns:
            B×C×H×W float32.
        """
        result, _ = self._at(self.preset.scales - 1, window, images, log_lambda)
        for scale in reversed(range(self.preset.scales - 1)):
            fine, hint = self._at(scale, window, images, log_lambda)
            mode = self.preset.upsampling
            alpha = self.compositing(visible(fine), visible(result), hint, exposed, mode)
            result = composite(fine, result, alpha, mode)
        return result

    def kernel_logits(self, scale: int, features: Tensor, log_lambda: Tensor, *, centre: bool) -> Tensor:
        """Logits of one frame's kernels at one scale, and the hint for α: B×(K + 1)×H×W."""
        special = self.specialisation[self._weights(scale)]
        heads = self.centre_heads if centre else self.neighbour_heads
        logits: Tensor = self._head(heads, scale)(special(features, log_lambda))
        return logits

    def _at(
        self,
        scale: int,
        window: Sequence[Sequence[Tensor]],
        images: Sequence[Images],
        log_lambda: Sequence[Tensor],
    ) -> tuple[Tensor, Tensor]:
        """The denoised image of one scale, and the hint for its α."""
        level = self.level(scale)
        features, image, lambda_ = window[level], images[scale], log_lambda[level]
        height, width = image.colour.shape[-2:]
        finer = self.preset.stride if scale == 0 else 1  # rows of the image per row of features
        rows = -(-height // finer)
        if torch.is_grad_enabled():
            step = rows
        else:
            step = max(1, STRIP // (width * finer))
        halo = -(-(self.preset.kernel // 2) // finer)
        outputs, hints = [], []
        for top in range(0, rows, step):
            bottom = min(rows, top + step)
            a, b = max(0, top - halo), min(rows, bottom + halo)  # rows of features, with what kernels reach
            cut = lambda_[..., a:b, :] if lambda_.shape[-2] > 1 else lambda_
            y0, y1 = a * finer, min(height, b * finer)
            strip = Images(image.colour[..., y0:y1, :], image.valid[..., y0:y1, :])
            done, hint = self._filtered(scale, [each[..., a:b, :] for each in features], strip, cut)
            inner = slice(top * finer - y0, min(height, bottom * finer) - y0)
            outputs.append(done[..., inner, :])
            hints.append(hint[..., inner, :])
        return torch.cat(outputs, dim=-2), torch.cat(hints, dim=-2)

    def _filtered(
        self, scale: int, features: Sequence[Tensor], image: Images, log_lambda: Tensor
    ) -> tuple[Tensor, Tensor]:
        """As `_at`, of what was cut to a strip. Without gradients, one frame's kernels exist at a time."""
        height, width = image.colour.shape[-2:]
        hints = []

        def logits_of(frame: int) -> Tensor:
            found = self.kernel_logits(scale, features[frame], log_lambda, centre=frame == 0)[..., :height, :width]
            if frame == 0:
                hints.append(found[:, -1:])
            return found[:, :-1]

        if torch.is_grad_enabled():
            logits = torch.stack([logits_of(frame) for frame in range(len(features))], dim=1)
            done = apply_kernels(image.colour, logits, image.valid, size=self.preset.kernel)
        else:
            done = apply_progressively(image.colour, logits_of, image.valid, size=self.preset.kernel)
        return done, hints[0]
