"""Validation: re-renders of materials that training does not see, of the families that it learns."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.capture.flash import srgb, studio
from pipeline.capture.likelihood import Photographs
from pipeline.capture.maps import Maps, decode
from pipeline.capture.materials.generate import LEARNT, material
from pipeline.capture.network.model import Capturer
from pipeline.capture.setups import collocated, judging_pairs
from pipeline.capture.shading import Shot, render

__all__ = ["Score", "check", "rerender_error", "validate"]

FIRST = 1 << 60
"""Seeds of validation: beyond those of any training."""

PAIRS = 8


@dataclass(frozen=True)
class Score:
    """Mean RMSE of sRGB-encoded re-renders of the first estimate and of the last."""

    first: float
    last: float


def rerender_error(unknowns: Tensor, truth: Maps, pairs: Shot) -> Tensor:
    """RMSE of sRGB-encoded, clipped re-renders over all pairs: one number for each of B materials."""
    with torch.no_grad():
        found, wanted = (srgb(render(maps, pairs).clamp(0, 1)) for maps in (decode(unknowns), truth))
        return ((found - wanted) ** 2).mean((1, 2, 3, 4)).sqrt()


def check(count: int, size: int, photographs: int) -> tuple[Photographs, Maps, Shot]:
    """Photographs without faults, the maps that they show, and the pairs that judge; always the same."""
    truth = Maps.stack([material(FIRST + k, size, families=LEARNT) for k in range(count)])
    shot = None
    if photographs > 1:
        feet = torch.tensor([[0.0, 0.0], [0.7, 0.7], [-0.7, 0.7], [-0.7, -0.7], [0.7, -0.7]])
        if photographs > len(feet):
            raise ValueError(f"validation knows {len(feet)} places of the camera, not {photographs}")
        camera = torch.cat([feet[:photographs], torch.full((photographs, 1), 2.0)], -1).expand(count, -1, -1)
        shot = collocated(camera, camera)
    pairs = judging_pairs(PAIRS, torch.Generator().manual_seed(0))
    return studio(truth, shot), truth, pairs


@torch.no_grad()
def validate(network: Capturer, photographs: Photographs, truth: Maps, pairs: Shot, *, steps: int) -> Score:
    """Scores a network; with 0 steps the initialiser alone."""
    errors: list[tuple[Tensor, Tensor]] = []
    for index in range(truth.diffuse.shape[0]):
        row = slice(index, index + 1)
        first, last = network(photographs[row], steps=steps)
        errors.append((rerender_error(first, truth[row], pairs), rerender_error(last, truth[row], pairs)))
    return Score(*(float(torch.cat(each).mean()) for each in zip(*errors, strict=True)))
