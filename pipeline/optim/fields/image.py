"""2D images as signals: pixel centres in [−1, 1]² → colours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.optim.fields.coordinate import CoordinateField
from pipeline.optim.fields.signal import Batch

__all__ = ["ImageSignal", "epochs", "psnr"]

CHUNK = 1 << 14
"""Samples that are asked for at a time where no gradient is wanted."""


class ImageSignal:
    """An image to be learned, by mean squared error.

    Attributes:
        coordinates: (H·W)×2, x to the right and y downwards, in [−1, 1] (pixel centres).
        values: (H·W)×C, display-encoded, in [0, 1].
        shape: (H, W, C).
    """

    measure = "PSNR, dB"

    def __init__(self, pixels: NDArray[Any]) -> None:
        """
        Args:
            pixels: H×W×C, in [0, 1].
        """
        height, width, channels = self.shape = pixels.shape
        y, x = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
        grid = 2 * np.stack([x, y], axis=-1).reshape(-1, 2) - 1
        self.coordinates = torch.from_numpy(grid.astype(np.float32))
        self.values = torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32).reshape(-1, channels))

    def field(self, activation: str, *, width: int, depth: int, seed: int) -> CoordinateField:
        """Two coordinates → the image's channels."""
        return CoordinateField(2, self.shape[2], activation=activation, width=width, depth=depth, seed=seed)

    def batches(self, size: int, seed: int) -> Iterator[Batch]:
        """(coordinates, values): every pixel once an epoch."""
        for chosen in epochs(len(self.values), size, seed):
            yield self.coordinates[chosen], self.values[chosen]

    def loss(self, field: nn.Module, batch: Batch) -> Tensor:
        """Mean squared error."""
        coordinates, values = batch
        return (field(coordinates) - values).square().mean()

    @torch.no_grad()
    def rendered(self, field: nn.Module) -> Tensor:
        """The field's picture, H×W×C."""
        return torch.cat([field(part) for part in self.coordinates.split(CHUNK)]).reshape(self.shape)

    def quality(self, field: nn.Module) -> float:
        """PSNR of all pixels, unclipped."""
        return psnr(self.rendered(field), self.values.reshape(self.shape))


def epochs(count: int, size: int, seed: int) -> Iterator[Tensor]:
    """Indices of samples without end: each once an epoch, but for the last few that fill no batch.

    Raises:
        ValueError: there are fewer samples than a batch has.
    """
    if size > count:
        raise ValueError(f"a batch of {size} of {count} samples")
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(count, generator=generator)
        for start in range(0, count - size + 1, size):
            yield order[start : start + size]


def psnr(image: Tensor, reference: Tensor) -> float:
    """10 log₁₀ of 1 / MSE, dB."""
    return float(-10 * torch.log10((image - reference).square().mean()))
