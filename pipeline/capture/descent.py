"""Plain gradient descent on the maps (equation 3), with or without a prior around an estimate that is kept.

Adam (Kingma, Ba 2015) on the unknowns, on the mean over texels of

    L(R) + ½ Σ_c ((R_c − P_c) / σ_c)² · STRENGTH

where P is the estimate that the prior holds on to and σ_c says how far an unknown of channel c may go from it. Without
a prior this is maximum likelihood, the paper's rival.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.capture.likelihood import Photographs, reconstruction_loss
from pipeline.capture.maps import CHANNELS

__all__ = ["PLAIN_RATE", "PLAIN_STEPS", "Prior", "coarse_to_fine", "descend", "resized"]

PLAIN_STEPS = 1000
PLAIN_RATE = 0.05
"""Of Adam; benchmarks/capture.py tries others beside it."""

WIDTHS = (1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.3, 0.3, 0.4)
"""σ of the prior: diffuse albedo may go far, specular albedo, slopes and roughness less."""

STRENGTH = 2e-3
"""Of the prior against the likelihood of one texel: a residual of 0.06 in √light moves a diffuse albedo by σ."""

_LEAST_MATT = 0.1
COARSEST = 64
"""Texels of the longer side at which `coarse_to_fine` begins."""


@dataclass(frozen=True)
class Prior:
    """A Gaussian around an estimate.

    Attributes:
        around: B×9×H×W unknowns.
        strength: of the whole term; 0 is none.
        matt: B×1×H×W in [0, 1], share of a texel's light that is no highlight; its square scales σ of the diffuse
            albedo, which under a highlight texels do not tell. None: 1.
    """

    around: Tensor
    strength: float = STRENGTH
    matt: Tensor | None = None

    def cost(self, unknowns: Tensor) -> Tensor:
        """Per texel: B×H×W."""
        widths = torch.tensor(WIDTHS, device=unknowns.device).reshape(1, CHANNELS, 1, 1)
        if self.matt is not None:
            diffuse = widths[:, :3] * self.matt.clamp(min=_LEAST_MATT) ** 2
            others = widths[:, 3:].expand(*diffuse.shape[:1], -1, *diffuse.shape[2:])
            widths = torch.cat([diffuse, others], 1)
        return 0.5 * self.strength * (((unknowns - self.around) / widths) ** 2).sum(1)


def descend(
    start: Tensor,
    photographs: Photographs,
    *,
    steps: int = PLAIN_STEPS,
    rate: float = PLAIN_RATE,
    prior: Prior | None = None,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> Tensor:
    """Unknowns after descent from `start`, the rate falling to nothing by a cosine.

    Args:
        start: B×9×H×W.
        on_step: told of the number, from 1 on, and the loss (mean over texels) before it.
    """
    free = start.detach().clone().requires_grad_()
    optimiser = torch.optim.Adam([free], lr=rate, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1))
    texels = start.shape[0] * start.shape[-2] * start.shape[-1]
    for number in range(steps):
        optimiser.zero_grad(set_to_none=True)
        with torch.enable_grad():
            loss = reconstruction_loss(free, photographs).sum()
            if prior is not None:
                loss = loss + prior.cost(free).sum()
            torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
        on_step(number + 1, float(loss.detach()) / texels)
    return free.detach()


def coarse_to_fine(
    start: Tensor,
    photographs: Photographs,
    *,
    steps: int,
    matt: Tensor | None = None,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> Tensor:
    """Descent on ever finer copies, the last one the photographs' own: B×9×H×W.

    The prior is `start` at the coarsest level, and what the level before found at the others: gloss and slopes that
    single texels cannot tell are those of their surroundings.

    Args:
        start: B×9×H×W.
        steps: at the finest level; twice as many at each coarser one.
        matt: as in `Prior`.
    """
    height, width = start.shape[-2:]
    levels = [1.0]
    while max(height, width) * levels[-1] / 2 >= COARSEST:
        levels.append(levels[-1] / 2)
    unknowns, around = start, start
    done = 0
    for index, scale in enumerate(reversed(levels)):
        size = max(1, round(height * scale)), max(1, round(width * scale))
        here = photographs if scale == 1.0 else smaller(photographs, size)
        unknowns = resized(unknowns, size)
        if index:  # what a finer level adds is albedo: of it alone texels tell
            detail = resized(around, size)
            unknowns = torch.cat([unknowns[:, :3] + detail[:, :3] - _round_trip(detail[:, :3]), unknowns[:, 3:]], 1)
        count = steps if scale == 1.0 else 2 * steps
        unknowns = descend(
            unknowns,
            here,
            steps=count,
            prior=Prior(unknowns, matt=None if matt is None else resized(matt, size)),
            on_step=lambda step, loss, before=done: on_step(before + step, loss),  # type: ignore[misc]
        )
        done += count
    return unknowns


def smaller(photographs: Photographs, size: tuple[int, int]) -> Photographs:
    """The photographs, averaged; they must show whole patches, all texels of which count."""
    pixels = F.interpolate(photographs.pixels.flatten(1, 2), size, mode="area")
    return Photographs(pixels.unflatten(1, (-1, 3)), photographs.shot)


def resized(unknowns: Tensor, size: tuple[int, int]) -> Tensor:
    """Unknowns on another grid of the same patch: averaged where it is coarser, bilinear where it is finer."""
    if tuple(unknowns.shape[-2:]) == size:
        return unknowns
    if size[0] < unknowns.shape[-2]:
        return F.interpolate(unknowns, size, mode="area")
    return F.interpolate(unknowns, size, mode="bilinear", align_corners=False)


def _round_trip(values: Tensor) -> Tensor:
    """What the next coarser level has of them."""
    half = max(1, values.shape[-2] // 2), max(1, values.shape[-1] // 2)
    return resized(resized(values, half), (values.shape[-2], values.shape[-1]))
