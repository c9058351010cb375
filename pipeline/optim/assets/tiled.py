"""Many small sine networks, one per tile of a map, trained side by side."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.images.neural_map import COORDINATE, Layer, axis_positions, tile_starts

__all__ = ["TiledField", "tiles_of"]

FIRST, HIDDEN = 30.0, 30.0
"""ω of the first layer and of the others (Sitzmann et al. 2020, §3.2)."""


class TiledField(nn.Module):
    """Networks of place → value, both in [−1, 1], as batched matrix products."""

    def __init__(self, tiles: int, channels: int, *, width: int = 32, depth: int = 3, seed: int = 0) -> None:
        """
        Args:
            tiles: networks.
            channels: of the map.
            width: of hidden layers.
            depth: of hidden layers, the first one included.
            seed: of the weights; all tiles begin alike.
        """
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        sizes = [2, *[width] * depth, channels]
        self.omegas = [FIRST, *[HIDDEN] * (depth - 1)]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for index, (inputs, outputs) in enumerate(pairwise(sizes)):
            bound = 1 / inputs if index == 0 else math.sqrt(6 / inputs) / HIDDEN
            start = torch.empty(inputs, outputs).uniform_(-bound, bound, generator=generator)
            offset = torch.empty(outputs).uniform_(-1, 1, generator=generator) / math.sqrt(inputs)
            if index == depth:
                offset.zero_()
            self.weights.append(start.expand(tiles, -1, -1).clone())
            self.biases.append(offset.expand(tiles, 1, -1).clone())

    def forward(self, places: Tensor) -> Tensor:
        """N×2 places, the same in each tile → tiles×N×channels."""
        x = places.expand(len(self.weights[0]), -1, -1)
        for weight, bias, omega in zip(self.weights, self.biases, self.omegas, strict=False):
            x = torch.sin(omega * torch.baddbmm(bias, x, weight))
        return torch.baddbmm(self.biases[-1], x, self.weights[-1])

    @torch.no_grad()
    def quantised(self) -> tuple[Layer, ...]:
        """The layers in integers, see `pipeline.images.neural_map`: phases in turns, as finely as 16 bits allow."""
        layers = []
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            last = index == len(self.omegas)
            scale = 1.0 if last else self.omegas[index] / (2 * math.pi)
            w = weight.double().numpy() * scale
            b = bias.double().numpy()[:, 0] * scale
            if not last:
                b -= np.round(b)  # whole turns change nothing
            finest = min(math.floor(math.log2(32767 / max(np.abs(w).max(), 1e-9))), 20)
            shift = max(min(finest, math.floor(math.log2(2**31 / max(np.abs(b).max(), 1e-9))) - 1), 0)
            layers.append(
                Layer(
                    np.clip(np.rint(w * 2.0**shift), -32767, 32767).astype(np.int16),
                    np.rint(b * 2.0**shift).astype(np.int32),
                    shift,
                )
            )
        return tuple(layers)


def tiles_of(
    values: NDArray[np.float32], *, tile: int, margin: int, wraps: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What each tile has to learn.

    Args:
        values: H×W×C.
        tile, margin, wraps: as of `NeuralMap`. Beyond the map's edges its last texels are repeated.

    Returns:
        places (n×2, x and y, the decoder's own rounding included) and targets (tiles×n×C), n = (tile + 2 margin)².
    """
    height, width, channels = values.shape
    side = tile + 2 * margin
    axis = axis_positions(side).astype(np.float32) / np.float32(COORDINATE)
    places: NDArray[np.float32] = np.stack(np.meshgrid(axis, axis, indexing="xy"), axis=-1).reshape(-1, 2)
    cut: list[NDArray[np.float32]] = []
    for y in tile_starts(height, tile):
        rows = np.clip(np.arange(y - margin, y - margin + side), 0, height - 1)
        for x in tile_starts(width, tile):
            columns = np.arange(x - margin, x - margin + side)
            columns = columns % width if wraps else np.clip(columns, 0, width - 1)
            cut.append(values[np.ix_(rows, columns)].reshape(-1, channels))
    return places, np.stack(cut)
