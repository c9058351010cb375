"""The denoising network, in the pieces that inference keeps: features of a frame, features of a window, kernels.

    extract      inputs of one frame                  → features per level         (kept per frame)
    compare      features of the window               → features per frame, level  (kept per window: all before λ)
    reconstruct  those, λ and the noisy images        → the denoised image

Source: Vogels et al. 2018, Figures 2, 3, 4 and 8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.denoise.network.compositing import ScaleCompositing, composite
from pipeline.denoise.network.encoder import Encoder, xavier
from pipeline.denoise.network.extractor import ResidualExtractor, UNet
from pipeline.denoise.network.kernels import apply_kernels, apply_progressively, in_pixels
from pipeline.denoise.network.presets import Preset
from pipeline.denoise.network.pyramid import downsample
from pipeline.denoise.network.sources import coarser, source
from pipeline.denoise.network.specialisation import KernelHead, Specialisation
from pipeline.denoise.network.temporal import Temporal
from pipeline.denoise.network.threads import spread

__all__ = ["Images", "KernelPredictor", "Neighbour", "image_pyramid"]

STRIP = 2**16
"""Pixels that kernels are predicted and applied for at a time without gradients: those of a frame are 3 MB then."""


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

    def _head(self, heads: nn.ModuleList, scale: int) -> KernelHead:
        head = heads[scale if self.preset.unet else 0]
        assert isinstance(head, KernelHead)
        return head

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
        scales = self._filtered_scales(window, images, log_lambda)
        result, _ = scales[-1]
        for fine, hint in reversed(scales[:-1]):
            compose = partial(self._composed, exposed=exposed, visible=visible)
            result = compose(fine, result, hint) if torch.is_grad_enabled() else _in_rows(compose, fine, result, hint)
        return result

    def _composed(
        self, fine: Tensor, coarse: Tensor, hint: Tensor, *, exposed: Tensor, visible: Callable[[Tensor], Tensor]
    ) -> Tensor:
        alpha = self.compositing(visible(fine), visible(coarse), hint, exposed, self.preset.upsampling)
        return composite(fine, coarse, alpha, self.preset.upsampling)

    def _filtered_scales(
        self, window: Sequence[Sequence[Tensor]], images: Sequence[Images], log_lambda: Sequence[Tensor]
    ) -> list[tuple[Tensor, Tensor]]:
        """The denoised image of each scale, and the hint for its α."""
        of_level = [
            [scale for scale in range(self.preset.scales) if self.level(scale) == level] for level in range(self.levels)
        ]
        levels = [
            (scales, window[level], [images[scale] for scale in scales], log_lambda[level])
            for level, scales in enumerate(of_level)
        ]
        if torch.is_grad_enabled():
            return [each for level in levels for each in self._filtered(*level)]
        strips = [self._strips(*level) for level in levels]
        spread([strip for pieces, _ in strips for strip in pieces], log_lambda[0].device)
        return [each for _, found in strips for each in found]

    def _strips(
        self, scales: Sequence[int], features: Sequence[Tensor], images: Sequence[Images], log_lambda: Tensor
    ) -> tuple[list[Callable[[], None]], list[tuple[Tensor, Tensor]]]:
        """What `_filtered` gives, and what fills it in strips of rows."""
        finer = [self._head(self.centre_heads, scale).upscale for scale in scales]  # pixels per feature
        heights = [image.colour.shape[-2] for image in images]
        rows = -(-heights[0] // finer[0])
        step = max(1, -(-STRIP // (images[0].colour.shape[-1] * finer[0])))
        halo = self.preset.kernel // 2
        found = [
            (image.colour.new_empty(image.colour[:, 0].shape), image.colour.new_empty(image.colour[:, 0, :1].shape))
            for image in images
        ]

        def strip(top: int) -> None:
            bottom = min(rows, top + step)
            a, b = max(0, top - halo), min(rows, bottom + halo)  # rows of features, with what kernels reach
            cut = log_lambda[..., a:b, :] if log_lambda.shape[-2] > 1 else log_lambda
            parts = [
                Images(image.colour[..., a * n : b * n, :], image.valid[..., a * n : b * n, :])
                for image, n in zip(images, finer, strict=True)
            ]
            done = self._filtered(scales, [each[..., a:b, :] for each in features], parts, cut)
            for whole, part, n, height in zip(found, done, finer, heights, strict=True):
                begin, end = top * n, min(height, bottom * n)
                for to, of in zip(whole, part, strict=True):
                    to[..., begin:end, :] = of[..., begin - a * n : end - a * n, :]

        return [partial(strip, top) for top in range(0, rows, step)], found

    def _filtered(
        self, scales: Sequence[int], features: Sequence[Tensor], images: Sequence[Images], log_lambda: Tensor
    ) -> list[tuple[Tensor, Tensor]]:
        """The denoised image of each of one level's scales, and the hint for its α. Without gradients, one frame's
        kernels exist at a time."""
        special, size = self.specialisation[self._weights(scales[0])], self.preset.kernel
        # One frame's specialised features serve all scales of the level.
        seen = [F.relu(special(each, log_lambda)) for each in features]
        results = []
        for scale, image in zip(scales, images, strict=True):
            heads = [self._head(self.neighbour_heads if f else self.centre_heads, scale) for f in range(len(seen))]
            if torch.is_grad_enabled():
                height, width = image.colour.shape[-2:]
                found = [head(each)[..., :height, :width] for head, each in zip(heads, seen, strict=True)]
                logits = torch.stack([each[:, :-1] for each in found], dim=1)
                results.append((apply_kernels(image.colour, logits, image.valid, size=size), found[0][:, -1:]))
            else:
                results.append(_progressively(heads, seen, image))
        return results


def _progressively(heads: Sequence[KernelHead], seen: Sequence[Tensor], image: Images) -> tuple[Tensor, Tensor]:
    """The denoised image of one scale, and the hint for its α, from specialised features per frame."""
    height, width = image.colour.shape[-2:]
    size, upscale = heads[0].size, heads[0].upscale
    taps, hints = (size * upscale) ** 2, []

    def cells_of(frame: int) -> Tensor:
        cells = heads[frame].cells(seen[frame])
        if frame == 0:
            hints.append(in_pixels(cells[:, taps:], upscale, height, width))
        return cells[:, :taps]

    return apply_progressively(image.colour, cells_of, image.valid, size=size, upscale=upscale), hints[0]


def _in_rows(compose: Callable[[Tensor, Tensor, Tensor], Tensor], fine: Tensor, coarse: Tensor, hint: Tensor) -> Tensor:
    """`compose` in strips of rows, which gives what the whole images give."""
    height, width = fine.shape[-2:]
    step = min(-(-STRIP // width), -(-height // torch.get_num_threads()))
    step += step % 2
    halo = 8  # α is of three 3×3 convolutions, one over an image that was enlarged from the coarse one
    whole = torch.empty_like(fine)

    def strip(top: int) -> None:
        bottom = min(height, top + step)
        a, b = max(0, top - halo), min(height, bottom + halo)
        done = compose(fine[..., a:b, :], coarse[..., a // 2 : -(-b // 2), :], hint[..., a:b, :])
        whole[..., top:bottom, :] = done[..., top - a : bottom - a, :]

    spread([partial(strip, top) for top in range(0, height, step)], fine.device)
    return whole
