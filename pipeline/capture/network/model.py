"""The whole method: g_ω, then T steps of h_θ."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.capture.likelihood import Photographs, gradient
from pipeline.capture.network.initialiser import Initialiser
from pipeline.capture.network.presets import Preset
from pipeline.capture.network.refiner import Memory, Refiner
from pipeline.capture.shading import Grid, grid

__all__ = ["STEPS", "Capturer", "Step"]

STEPS = 6
"""T (§4.1)."""


@dataclass(frozen=True)
class Step:
    """What `refine` tells after each step: its number from 1 on, R_t, and L of R_{t−1} summed over texels (B×N)."""

    number: int
    unknowns: Tensor
    loss: Tensor


class Capturer(nn.Module):
    """Photographs → unknowns.

    Args:
        preset: size.
        photographs: N that it takes.
        gradients: whether h_θ is given the gradient of the likelihood; the paper's ablation is without.
    """

    def __init__(self, preset: Preset, *, photographs: int = 1, gradients: bool = True) -> None:
        super().__init__()
        self.preset, self.photographs, self.gradients = preset, photographs, gradients
        self.initialiser = Initialiser(preset, photographs=photographs)
        self.refiner = Refiner(preset, gradients=photographs if gradients else 0)

    def begin(self, photographs: Photographs) -> Tensor:
        """R_0. Any size: padded for the network by what lies at the borders."""
        padded, crop = _padded(photographs, self.initialiser.multiple)
        with _reduced(padded.pixels):
            return self.initialiser(padded)[..., crop[0], crop[1]]

    def refine(
        self,
        unknowns: Tensor,
        photographs: Photographs,
        *,
        steps: int = STEPS,
        on_step: Callable[[Step], None] = lambda step: None,
    ) -> Tensor:
        """R_T from R_0.

        Args:
            on_step: told of every step.
        """
        memory: Memory | None = None
        for number in range(steps):
            slope, loss = gradient(unknowns, photographs)
            with _reduced(unknowns):
                update, memory = self.refiner(unknowns, slope if self.gradients else None, memory)
            unknowns = unknowns + update
            on_step(Step(number + 1, unknowns, loss))
        return unknowns

    def forward(self, photographs: Photographs, *, steps: int = STEPS) -> tuple[Tensor, Tensor]:
        """R_0 and R_T."""
        first = self.begin(photographs)
        return first, self.refine(first, photographs, steps=steps)


def _reduced(like: Tensor) -> AbstractContextManager[object]:
    """bfloat16 for convolutions where they are quicker in it: GPUs, and CPUs with matrix units for it."""
    if like.device.type == "cuda" or torch.cpu._is_amx_tile_supported():
        return torch.autocast(like.device.type, torch.bfloat16)
    return nullcontext()


def _padded(photographs: Photographs, multiple: int) -> tuple[Photographs, tuple[slice, slice]]:
    """Photographs whose sides are multiples, and where the old ones are in them."""
    height, width = photographs.pixels.shape[-2:]
    right, below = -width % multiple, -height % multiple
    crop = slice(0, height), slice(0, width)
    if not right and not below:
        return photographs, crop
    old = photographs.where or grid(height, width, device=photographs.pixels.device)
    pad = (0, right, 0, below)
    pixels = F.pad(photographs.pixels.flatten(1, 2), pad, mode="replicate").unflatten(1, (-1, 3))
    weight = photographs.weight
    if weight is not None:
        weight = F.pad(weight.flatten(1, 2), pad, mode="replicate").unflatten(1, (-1, 1))
    return replace(photographs, pixels=pixels, weight=weight, where=_extended(old, right, below)), crop


def _extended(old: Grid, right: int, below: int) -> Grid:
    """A regular grid, continued."""
    step = (old.x[0, -1] - old.x[0, 0]) / max(old.x.shape[1] - 1, 1)
    more_x = old.x[:, -1:] + step * torch.arange(1, right + 1, device=old.x.device)
    more_y = old.y[-1:] - step * torch.arange(1, below + 1, device=old.y.device)[:, None]
    return Grid(torch.cat([old.x, more_x], 1), torch.cat([old.y, more_y], 0))
