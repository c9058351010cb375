"""The rendering loss of equation 8, and what is added to it."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.capture.maps import CHANNELS, Maps, decode, encode
from pipeline.capture.setups import comparison_pairs
from pipeline.capture.shading import Grid, Shot, grid, render

__all__ = ["MAP_WEIGHT", "map_loss", "rendering_loss"]

DARKEST = 0.01  # added before the logarithm, as in the code of Deschaintre et al. 2018

MAP_WEIGHT = 0.1
"""Of `map_loss`, beside the rendering loss: it alone sees where no random pair puts a highlight."""

STRIDE = 2
"""Each pair is judged at every second texel of every second row, from a random one on: the same loss on average."""


def rendering_loss(unknowns: Tensor, truth: Maps, generator: torch.Generator, *, stride: int = STRIDE) -> Tensor:
    """Mean over texels, channels and nine random pairs of |log f(R) − log f(R̃)|: a scalar.

    Args:
        unknowns: B×9×H×W.
        truth: the materials sought.
        generator: of the pairs; on the CPU.

    Source: Luo et al. 2024, equation 8.
    """
    height, width = truth.size
    device = unknowns.device
    pairs = comparison_pairs(unknowns.shape[0], generator).to(str(device))
    found, whole = decode(unknowns), grid(height, width, device=device)
    total = unknowns.new_zeros(())
    for index in range(pairs.count):
        oy, ox = (int(torch.randint(stride, (), generator=generator)) for _ in range(2))
        rows, columns = slice(oy, None, stride), slice(ox, None, stride)
        part = Grid(whole.x[:, columns], whole.y[rows])
        total = total + _difference(found.at(rows, columns), truth.at(rows, columns), pairs.view(index), part)
    return total / pairs.count


def map_loss(unknowns: Tensor, truth: Maps) -> Tensor:
    """Mean L1 between the unknowns, squashed to where they tell materials apart: a scalar."""
    return (torch.tanh(unknowns / 2) - torch.tanh(encode(truth) / 2)).abs().sum(1).mean() / CHANNELS


def _difference(found: Maps, truth: Maps, pair: Shot, where: Grid) -> Tensor:
    with torch.no_grad():
        wanted = (render(truth, pair, where) + DARKEST).log()
    return ((render(found, pair, where) + DARKEST).log() - wanted).abs().mean()
