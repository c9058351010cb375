"""The four maps of a material, and the nine unknowns per texel that stand for them while they are sought.

The unknowns are free numbers, so that every step of every optimiser lands on a material:

    0–2  diffuse albedo      sigmoid(x)^2.2 per channel, linear Rec. 709
    3–5  specular albedo     sigmoid(x)^2.2: reflectance at normal incidence, F0
    6–7  normal              (x, y, 1) · slope, normalised
    8    roughness           between ROUGHNESS_MIN and 1; α of GGX is its square

They are nearly uniform to the eye (2.2 is the gamma of displays), where the paper's [-1, 1] is linear.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

__all__ = ["CHANNELS", "ROUGHNESS_MIN", "Maps", "decode", "encode"]

CHANNELS = 9
"""Unknowns per texel."""

ROUGHNESS_MIN = 0.08
"""α = 0.0064: a lobe of a third of a degree, narrower than what a flash photograph resolves."""

GAMMA = 2.2
SLOPE = 0.5  # of the surface, for an unknown of 1

_DARK = 1e-4  # where the inverse of the sigmoid ends
_STEEPEST = 6.0  # slope at which `encode` ends: 80°


@dataclass(frozen=True)
class Maps:
    """A batch of materials on one grid; the first row is the top.

    Attributes:
        diffuse: B×3×H×W, linear, [0, 1].
        specular: B×3×H×W, linear, [0, 1]: reflectance at normal incidence.
        normal: B×3×H×W, unit length, x to the right, y up, z out of the surface.
        roughness: B×1×H×W, [ROUGHNESS_MIN, 1]; α of GGX is its square.
    """

    diffuse: Tensor
    specular: Tensor
    normal: Tensor
    roughness: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in texels."""
        return self.diffuse.shape[-2], self.diffuse.shape[-1]

    def map(self, function: Callable[[Tensor], Tensor]) -> Maps:
        """Every map after `function`."""
        return Maps(*(function(getattr(self, each.name)) for each in fields(self)))

    def __getitem__(self, rows: slice) -> Maps:
        """Some of the batch."""
        return self.map(lambda each: each[rows])

    def at(self, rows: slice, columns: slice) -> Maps:
        """Some of the texels."""
        return self.map(lambda each: each[..., rows, columns])

    def to(self, device: str) -> Maps:
        """On another device."""
        return self.map(lambda each: each.to(device))

    @staticmethod
    def stack(several: list[Maps]) -> Maps:
        """Batches of one size as one batch."""
        return Maps(*(torch.cat([getattr(maps, each.name) for maps in several]) for each in fields(Maps)))


def decode(unknowns: Tensor) -> Maps:
    """B×9×H×W unknowns → maps. Differentiable everywhere."""
    diffuse = torch.sigmoid(unknowns[:, 0:3]) ** GAMMA
    specular = torch.sigmoid(unknowns[:, 3:6]) ** GAMMA
    slopes = SLOPE * unknowns[:, 6:8]
    inverse = torch.rsqrt(1.0 + (slopes**2).sum(1, keepdim=True))
    normal = torch.cat([slopes * inverse, inverse], 1)
    roughness = ROUGHNESS_MIN + (1.0 - ROUGHNESS_MIN) * torch.sigmoid(unknowns[:, 8:9])
    return Maps(diffuse, specular, normal, roughness)


def encode(maps: Maps) -> Tensor:
    """Maps → B×9×H×W unknowns: the inverse of `decode`, but for black, white, mirrors and slopes above 80°."""
    slopes = maps.normal[:, 0:2] / maps.normal[:, 2:3].clamp(min=1e-3)
    span = (maps.roughness - ROUGHNESS_MIN) / (1.0 - ROUGHNESS_MIN)
    return torch.cat(
        [
            albedo_unknowns(maps.diffuse),
            albedo_unknowns(maps.specular),
            slopes.clamp(-_STEEPEST, _STEEPEST) / SLOPE,
            torch.logit(span, eps=_DARK * 10),
        ],
        1,
    )


def albedo_unknowns(albedo: Tensor) -> Tensor:
    """Unknowns of a linear albedo."""
    return torch.logit(albedo.clamp(_DARK, 1.0) ** (1.0 / GAMMA), eps=1e-3)
