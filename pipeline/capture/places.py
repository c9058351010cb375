"""Light, camera and flash as unknowns (§6): refined together with a coarse copy of the maps.

Each photograph has seven numbers: the shift of camera and light together (3), that of the light beside the camera (3),
and its brightness. They are held to what is assumed by a Gaussian as wide as photographs by hand are off. Brightness is
common to all photographs but for the same Gaussian, so that the scale of the albedos, which one flash cannot tell,
stays where it was.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.capture.descent import Prior, resized, smaller
from pipeline.capture.likelihood import Photographs, reconstruction_loss
from pipeline.capture.shading import Shot

__all__ = ["refined"]

SIZE = 48
"""Texels of the longer side: places are told by broad light."""

STEPS = 150
RATE = 0.02
SHIFT, BESIDE, BRIGHTNESS = 0.15, 0.08, 0.1
"""Standard deviations of what is assumed: half widths, half widths, and of the logarithm of the power."""

HELD = 1e-5  # weight of those Gaussians against the mean over texels of the likelihood


def refined(unknowns: Tensor, photographs: Photographs, *, steps: int = STEPS) -> tuple[Tensor, Shot]:
    """Coarse maps and places that explain the photographs best together.

    Args:
        unknowns: 1×9×H×W, an estimate; the prior of the maps.
        photographs: of whole patches, one material.

    Returns:
        1×9×h×w unknowns on the coarse grid, and the places.
    """
    height, width = unknowns.shape[-2:]
    scale = min(1.0, SIZE / max(height, width))
    size = max(2, round(height * scale)), max(2, round(width * scale))
    coarse, start = smaller(photographs, size), resized(unknowns, size)
    given = photographs.shot
    free = start.detach().clone().requires_grad_()
    moves = torch.zeros(*given.light.shape[:2], 7, device=unknowns.device, requires_grad=True)
    optimiser = torch.optim.Adam(
        [{"params": [free], "lr": RATE / 4}, {"params": [moves], "lr": RATE}], betas=(0.9, 0.99)
    )
    prior = Prior(start)
    for _ in range(steps):
        optimiser.zero_grad(set_to_none=True)
        with torch.enable_grad():
            trial = Photographs(coarse.pixels, _moved(given, moves))
            loss = (reconstruction_loss(free, trial).sum(1) + prior.cost(free)).mean() + HELD * (moves**2).mean()
            torch.autograd.backward(loss)
        optimiser.step()
    return free.detach(), _moved(given, moves.detach())


def _moved(shot: Shot, moves: Tensor) -> Shot:
    """The shot, each photograph moved by so many standard deviations."""
    shift, beside = SHIFT * moves[..., 0:3], BESIDE * moves[..., 3:6]
    common = moves[..., 6:].mean(1, keepdim=True)
    power = shot.power * (BRIGHTNESS * (moves[..., 6:] - common)).exp()
    return Shot(shot.light + shift + beside, shot.camera + shift, power)
