"""Posed pictures as signals: rays → colours, through a field of density and colour (NeRF).

Source: Mildenhall et al. 2020; smooth activations in place of the positional encoding: Chng et al. 2022 (GARF).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.optim.fields.coordinate import CoordinateField
from pipeline.optim.fields.image import epochs, psnr
from pipeline.optim.fields.signal import Batch

__all__ = ["PosedPictures", "RadianceField", "composite"]

RAYS = 1 << 10
"""Rays that are marched at a time where no gradient is wanted."""

SHIFT = 1.0
"""Subtracted before the softplus: space begins nearly empty. Barron et al. 2021, §3.4."""


class RadianceField(nn.Module):
    """(x, d) → (σ, c): density, which depends on the place alone, and colour. Both are twice differentiable."""

    def __init__(self, *, activation: str, width: int = 128, depth: int = 4, seed: int = 0) -> None:
        """
        Args:
            activation: a key of `pipeline.optim.activations.ACTIVATIONS`.
            width, depth: of the hidden layers that places go through; one of half the width follows for directions.
            seed: of the weights.
        """
        super().__init__()
        last = "relu" if activation == "relu_pe" else activation  # features are no coordinates: nothing to encode
        self.trunk = CoordinateField(3, 1 + width, activation=activation, width=width, depth=depth, seed=seed)
        self.head = CoordinateField(width + 3, 3, activation=last, width=max(width // 2, 1), depth=1, seed=seed + 1)

    def forward(self, places: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """N×3 in [−1, 1], N×3 unit → N densities (per unit of these coordinates), N×3 colours in [0, 1]."""
        features = self.trunk(places)
        density = nn.functional.softplus(features[:, 0] - SHIFT)
        return density, torch.sigmoid(self.head(torch.cat([features[:, 1:], directions], dim=1)))


def composite(density: Tensor, colour: Tensor, length: Tensor) -> Tensor:
    """Colour of rays: Σᵢ Tᵢ (1 − exp(−σᵢ δᵢ)) cᵢ with Tᵢ = exp(−Σⱼ₍ⱼ﹤ᵢ₎ σⱼ δⱼ); what lies behind is black.

    Args:
        density: R×S.
        colour: R×S×3.
        length: δ, R×S or what broadcasts to it.

    Source: Mildenhall et al. 2020, equation 3.
    """
    depth = density * length
    before = torch.cumsum(depth, dim=1) - depth
    weight = torch.exp(-before) * -torch.expm1(-depth)
    return (weight[..., None] * colour).sum(dim=1)


class PosedPictures:
    """Pictures of known cameras, learned by mean squared error along rays.

    Attributes:
        rays: N×6, origin and unit direction, in coordinates in which what is seen lies in [−1, 1]³.
        colours: N×3, display-encoded, in [0, 1].
    """

    measure = "PSNR of held-out views, dB"

    def __init__(
        self,
        rays: NDArray[Any],
        colours: NDArray[Any],
        held_out: tuple[NDArray[Any], NDArray[Any]],
        *,
        near: float,
        far: float,
        samples: int = 32,
    ) -> None:
        """
        Args:
            rays, colours: of the pictures that are trained with.
            held_out: of those that judge.
            near, far: where rays are marched, distances in the rays' coordinates.
            samples: places on each ray, one in each of so many equal intervals.
        """
        self.rays, self.colours = (torch.from_numpy(np.ascontiguousarray(a, dtype=np.float32)) for a in (rays, colours))
        self._rays, self._colours = (torch.from_numpy(np.ascontiguousarray(a, dtype=np.float32)) for a in held_out)
        self.near, self.far, self.samples = near, far, samples

    def field(self, activation: str, *, width: int, depth: int, seed: int) -> RadianceField:
        """Density and colour."""
        return RadianceField(activation=activation, width=width, depth=depth, seed=seed)

    def batches(self, size: int, seed: int) -> Iterator[Batch]:
        """(rays, colours, places on them: R×S in [0, 1)): every ray once an epoch."""
        generator = torch.Generator().manual_seed(seed)
        for chosen in epochs(len(self.rays), size, seed):
            yield self.rays[chosen], self.colours[chosen], torch.rand(size, self.samples, generator=generator)

    def loss(self, field: nn.Module, batch: Batch) -> Tensor:
        """Mean squared error."""
        rays, colours, places = batch
        return (self.marched(field, rays, places) - colours).square().mean()

    def marched(self, field: nn.Module, rays: Tensor, places: Tensor) -> Tensor:
        """Colours of rays (R×6), asked at `places` of their intervals (R×S, in [0, 1)): R×3."""
        count, samples = places.shape
        length = (self.far - self.near) / samples
        t = self.near + (torch.arange(samples, device=places.device) + places) * length
        origins, directions = rays[:, None, :3], rays[:, None, 3:].expand(-1, samples, -1)
        asked = (origins + t[..., None] * directions).reshape(-1, 3)
        density, colour = field(asked, directions.reshape(-1, 3))
        return composite(density.view(count, samples), colour.view(count, samples, 3), torch.tensor(length))

    @torch.no_grad()
    def rendered(self, field: nn.Module) -> Tensor:
        """Colours of the held-out rays, N×3, asked in the middle of each interval."""
        parts = [
            self.marched(field, part, torch.full((len(part), self.samples), 0.5)) for part in self._rays.split(RAYS)
        ]
        return torch.cat(parts)

    def quality(self, field: nn.Module) -> float:
        """PSNR of the held-out pictures."""
        return psnr(self.rendered(field), self._colours)
