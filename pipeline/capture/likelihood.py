"""How likely a photograph is, given maps: equation 2's loss, and its gradient that equation 7 feeds to the network.

The noise of a sensor grows with the light; its square root is what has noise of one size everywhere (Anscombe 1948). So
the loss is the squared distance of square roots, per texel:

    L = ½ Σ (√(f + ε) − √(I + ε))²

A saturated texel says only that it was at least as bright as white: there, what is brighter costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.capture.maps import decode
from pipeline.capture.shading import Grid, Shot, render

__all__ = ["SATURATED", "Photographs", "gradient", "reconstruction_loss"]

SATURATED = 0.985
"""Of the sensor's range, linear: brighter texels are taken to be cut off (254 of 255 in sRGB is 0.991)."""

EPSILON = 1e-3  # about a photograph's black level: keeps the root's slope finite


@dataclass(frozen=True)
class Photographs:
    """What was measured: N photographs of each of B materials, and how they are thought to have been taken.

    Attributes:
        pixels: B×N×3×H×W, linear, 1 is the sensor's white.
        shot: the light and camera that are assumed.
        weight: B×N×1×H×W, 0 where a texel was not seen; None: all count.
        where: of the texels; None: a whole patch.
    """

    pixels: Tensor
    shot: Shot
    weight: Tensor | None = None
    where: Grid | None = None

    def to(self, device: str) -> Photographs:
        """On another device."""
        weight = None if self.weight is None else self.weight.to(device)
        where = None if self.where is None else Grid(self.where.x.to(device), self.where.y.to(device))
        return Photographs(self.pixels.to(device), self.shot.to(device), weight, where)

    def __getitem__(self, rows: slice) -> Photographs:
        """Of some of the materials."""
        weight = None if self.weight is None else self.weight[rows]
        return Photographs(self.pixels[rows], self.shot[rows], weight, self.where)


def reconstruction_loss(unknowns: Tensor, photographs: Photographs) -> Tensor:
    """L of equation 2 per texel and photograph: B×N×H×W. Sum it for gradients per texel."""
    rendered = render(decode(unknowns), photographs.shot, photographs.where)
    measured = photographs.pixels
    difference = (rendered + EPSILON).sqrt() - (measured + EPSILON).sqrt()
    difference = torch.where(measured >= SATURATED, difference.clamp(max=0.0), difference)
    loss = 0.5 * (difference * difference).sum(2)
    return loss if photographs.weight is None else loss * photographs.weight[:, :, 0]


def gradient(unknowns: Tensor, photographs: Photographs) -> tuple[Tensor, Tensor]:
    """∂L/∂R for each photograph by itself, and L.

    Args:
        unknowns: B×9×H×W.

    Returns:
        B×9N×H×W, detached (no second order, as in the paper's code), and the loss summed over texels: B×N.
    """
    with torch.enable_grad():
        free = unknowns.detach().float().requires_grad_()
        losses = reconstruction_loss(free, photographs)
        count = losses.shape[1]
        parts = [torch.autograd.grad(losses[:, n].sum(), free, retain_graph=n + 1 < count)[0] for n in range(count)]
    return torch.cat(parts, 1), losses.detach().sum((-2, -1))
