"""g_ω: the U-Net with a global track that makes the first estimate R_0 of a photograph.

Source: Deschaintre et al. 2018, §3.2: instance norms take away what a layer's mean says, and a vector beside the
convolutions carries it: at each layer it hears the features' means, and is added to them after the norm.

Unlike theirs it answers with a correction of `first_guess`, and sees the geometry of the photograph: where a flat
mirror would shine, and the light that falls on each texel. So it need not learn what is known.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.capture.likelihood import SATURATED, Photographs
from pipeline.capture.maps import CHANNELS, albedo_unknowns
from pipeline.capture.network.presets import Preset
from pipeline.capture.shading import grid, half_vectors, irradiance

__all__ = ["Initialiser", "first_guess", "inputs"]

PER_PHOTOGRAPH = 10
"""Channels of a photograph: logarithms of its light (3), of its apparent albedo (3) and of the irradiance, saturation,
half vector (2)."""

_FLOOR = 0.01  # of the logarithms: that of the paper's inputs
_SPECULAR = 0.04  # of a dielectric
_BRIGHTEST = 0.9  # of the apparent albedo that is believed


class Initialiser(nn.Module):
    """Photographs → unknowns, B×9×H×W. Sides must be multiples of `multiple`."""

    def __init__(self, preset: Preset, *, photographs: int = 1) -> None:
        super().__init__()
        widths = preset.widths
        self.multiple = 2 ** len(widths)
        given = PER_PHOTOGRAPH * photographs + CHANNELS
        self.down = nn.ModuleList(
            _Tracked(before, width, track=track, stride=2)
            for before, width, track in zip((given, *widths), widths, (0, *widths), strict=False)
        )
        self.up = nn.ModuleList(
            _Tracked(coarse + fine, fine, track=coarse)
            for fine, coarse in zip(widths[-2::-1], widths[:0:-1], strict=True)
        )
        self.full = _Tracked(widths[0] + given, widths[0] // 2, track=widths[0])
        self.out = nn.Conv2d(widths[0] // 2, CHANNELS, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, photographs: Photographs) -> Tensor:
        """R_0."""
        guess = first_guess(photographs)
        given = torch.cat([inputs(photographs), guess], 1)
        given = given.contiguous(memory_format=torch.channels_last)
        track: Tensor | None = None
        skips, features = [], given
        for layer in self.down:
            features, track = layer(features, track)
            skips.append(features)
        for layer, skip in zip(self.up, skips[-2::-1], strict=True):
            features, track = layer(torch.cat([_doubled(features), skip], 1), track)
        features, _ = self.full(torch.cat([_doubled(features), given.to(features.dtype)], 1), track)
        return guess + self.out(features).float()


class _Tracked(nn.Module):
    """A convolution, its norm, and a stop of the global track."""

    def __init__(self, before: int, width: int, *, track: int, stride: int = 1) -> None:
        super().__init__()
        size = 4 if stride == 2 else 3
        self.convolution = nn.Conv2d(before, width, size, stride, padding=1)
        self.gain = nn.Parameter(torch.ones(1, width, 1, 1))
        self.offset = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.speaks = nn.Linear(track, width) if track else None
        self.hears = nn.Linear(width + track, width)

    def forward(self, features: Tensor, track: Tensor | None) -> tuple[Tensor, Tensor]:
        """Features and track of this layer."""
        made = self.convolution(features)
        variance, mean = torch.var_mean(made.float(), (2, 3), keepdim=True, correction=0)
        normed = (made - mean) * torch.rsqrt(variance + 1e-5) * self.gain + self.offset
        heard = mean[:, :, 0, 0]
        if self.speaks is not None:
            assert track is not None
            normed = normed + self.speaks(track)[:, :, None, None]
            heard = torch.cat([heard, track.float()], 1)
        return F.leaky_relu(normed, 0.1), F.selu(self.hears(heard))


def _doubled(features: Tensor) -> Tensor:
    return F.interpolate(features, scale_factor=2.0, mode="nearest")


def inputs(photographs: Photographs) -> Tensor:
    """What the network sees of the photographs: B×10N×H×W."""
    pixels = photographs.pixels
    where = photographs.where or grid(*pixels.shape[-2:], device=pixels.device)
    flat = irradiance(photographs.shot, where)
    parts = [
        _logarithm(pixels),
        _logarithm(pixels / flat),
        _logarithm(flat.mean(2, keepdim=True)),
        (pixels >= SATURATED).any(2, keepdim=True).float(),
        4.0 * half_vectors(photographs.shot, where),
    ]
    seen = torch.cat([part.expand(*pixels.shape[:2], *part.shape[2:]) for part in parts], 2)
    if photographs.weight is not None:
        seen = seen * photographs.weight
    return seen.flatten(1, 2)


def first_guess(photographs: Photographs) -> Tensor:
    """Flat, half rough, of a dielectric, its diffuse albedo what a diffuse surface would have: B×9×H×W.

    Of several photographs the darkest counts, which has the highlight elsewhere.
    """
    pixels = photographs.pixels
    where = photographs.where or grid(*pixels.shape[-2:], device=pixels.device)
    apparent = pixels / irradiance(photographs.shot, where).clamp(min=1e-4)
    if photographs.weight is not None:
        apparent = torch.where(photographs.weight > 0, apparent, torch.full_like(apparent, _BRIGHTEST))
    diffuse = albedo_unknowns(apparent.amin(1).clamp(_FLOOR / 4, _BRIGHTEST))
    specular = albedo_unknowns(torch.full_like(diffuse, _SPECULAR))
    return torch.cat([diffuse, specular, torch.zeros_like(diffuse)], 1)


def _logarithm(light: Tensor) -> Tensor:
    """[0, 1] → [−1, 1], as the paper's inputs."""
    low = math.log(_FLOOR)
    return ((light + _FLOOR).log() - low) / (math.log(1 + _FLOOR) - low) * 2.0 - 1.0
