"""The radiance cache itself: a network that answers S(x, ω), the light that a surface scatters towards ω.

Emission is kept out of it and added on both sides (the reparameterisation of Hadadan et al. 2021, §4.2): L = E + S.
Since S is what the surface scatters, lamps need no mask: they scatter like every other surface.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import Tensor, nn

from pipeline.radiosity.hash_grid import HashGrid
from pipeline.radiosity.presets import FieldShape

__all__ = ["CHUNK", "Field"]

CHUNK = 1 << 16
"""Points that are answered at a time where no gradient is wanted."""

ALBEDO_FLOOR = 0.1
"""Added to the albedo that multiplies the output: highlights on black surfaces must be reachable."""

SCALES = {"sine": 30.0, "gaussian": 0.05, "wavelet": 10.0}
"""ω of sine and wavelet, σ of Gaussian, where the shape names no other.
Sources: Sitzmann et al. 2020; Ramasinghe, Lucey 2022; Saragadam et al. 2023."""

_COORDINATES = 9  # position, direction, normal
_ALBEDO = 3


class Field(nn.Module):
    """S(x, ω).

    Args:
        shape: of the network.
        lower, upper: corners of the scene's bounding box, world units.
        seed: of the first weights.
        outputs: numbers that `raw` answers.

    Shape:
        asked with 12×N (`transport.columns`), answers N×3: radiance, scene units, not negative.
    """

    lower: Tensor
    extent: Tensor
    unit: Tensor

    def __init__(
        self, shape: FieldShape, lower: list[float], upper: list[float], *, seed: int = 0, outputs: int = 3
    ) -> None:
        super().__init__()
        self.shape = shape
        generator = torch.Generator().manual_seed(seed)
        low, high = torch.tensor(lower, dtype=torch.float32), torch.tensor(upper, dtype=torch.float32)
        self.register_buffer("lower", low)
        self.register_buffer("extent", (high - low).clamp_min(1e-6 * float((high - low).max().clamp_min(1e-12))))
        self.register_buffer("unit", torch.ones(()))
        """Radiance that counts as 1 in the network and in the losses: about the scene's mean."""
        self.grid = None if shape.grid is None else HashGrid(shape.grid, generator)
        inputs = _COORDINATES + _ALBEDO + (0 if shape.grid is None else shape.grid.width)
        widths = [inputs, *[shape.width] * shape.hidden, outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        for index, layer in enumerate(self.layers):
            _initialise(layer, shape, first=index == 0, generator=generator)

    def forward(self, asked: Tensor) -> Tensor:
        out = self.raw(asked).abs()
        if self.shape.demodulate:
            out = out * (asked[9:12].T + ALBEDO_FLOOR)
        return out * self.unit

    def raw(self, asked: Tensor) -> Tensor:
        """What the last layer says: 12×N → N×outputs."""
        x = ((asked[:3].T - self.lower) / self.extent).contiguous()
        parts = [(2 * x - 1).T, asked[3:]]
        if self.grid is not None:
            # Each side of a surface is looked up above it.
            lifted = x if self.shape.sides == 0 else x + 0.5 * self.shape.sides * asked[6:9].T
            parts.append(self.grid(lifted).T)
        h = torch.cat(parts).T
        with _precision(self.shape.mixed_precision, asked.device):
            for layer in self.layers[:-1]:
                h = _activated(layer(h), self.shape)
        out: Tensor = self.layers[-1](h.float())
        return out

    @torch.no_grad()
    def answer(self, asked: Tensor) -> Tensor:
        """S without a gradient, in chunks: 12×N → N×3."""
        if asked.shape[1] <= CHUNK:
            return self(asked)
        return torch.cat([self(part) for part in asked.split(CHUNK, dim=1)])


def _scale(shape: FieldShape) -> float:
    return SCALES[shape.activation] if shape.scale is None else shape.scale


def _activated(h: Tensor, shape: FieldShape) -> Tensor:
    if shape.activation == "relu":
        return h.relu()
    scale = _scale(shape)
    if shape.activation == "sine":
        return torch.sin(scale * h)
    if shape.activation == "gaussian":
        return torch.exp(-0.5 * (h / scale).square())
    return torch.cos(scale * h) * torch.exp(-(scale * h).square())  # the real part of a Gabor wavelet


def _initialise(layer: nn.Module, shape: FieldShape, *, first: bool, generator: torch.Generator) -> None:
    """Xavier uniform (Glorot, Bengio 2010), biases 0; of sine layers what keeps their distribution (Sitzmann et al.
    2020, §3.2)."""
    assert isinstance(layer, nn.Linear)
    fan_in, fan_out = layer.in_features, layer.out_features
    bound = math.sqrt(6 / (fan_in + fan_out))
    if shape.activation == "sine":
        bound = 1 / fan_in if first else math.sqrt(6 / fan_in) / _scale(shape)
    with torch.no_grad():
        layer.weight.copy_((torch.rand(layer.weight.shape, generator=generator) * 2 - 1) * bound)
        layer.bias.zero_()


@contextmanager
def _precision(mixed: bool, device: torch.device) -> Iterator[None]:
    """bfloat16 for the hidden layers, which needs no scaling of the loss; on a CPU float32 is kept."""
    with torch.autocast(device.type, torch.bfloat16, enabled=mixed and device.type == "cuda"):
        yield
