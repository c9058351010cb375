"""2D images as signals: pixel centres in [−1, 1]² → colours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["ImageSignal", "psnr"]


class ImageSignal:
    """An image to be learned.

    Attributes:
        coordinates: (H·W)×2, x to the right and y downwards, in [−1, 1] (pixel centres).
        values: (H·W)×C, display-encoded, in [0, 1].
        shape: (H, W, C).
    """

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

    def batches(self, size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(coordinates, values) without end: every pixel once an epoch, in an order of the seed."""
        generator = torch.Generator().manual_seed(seed)
        while True:
            order = torch.randperm(len(self.values), generator=generator)
            for start in range(0, len(order) - size + 1, size):
                chosen = order[start : start + size]
                yield self.coordinates[chosen], self.values[chosen]

    @torch.no_grad()
    def rendered(self, field: nn.Module) -> Tensor:
        """The field's picture, H×W×C."""
        parts = [field(part) for part in self.coordinates.split(1 << 14)]
        return torch.cat(parts).reshape(self.shape)

    def psnr(self, field: nn.Module) -> float:
        """dB, peak 1, of all pixels, unclipped."""
        return psnr(self.rendered(field), self.values.reshape(self.shape))


def psnr(image: Tensor, reference: Tensor) -> float:
    """10 log₁₀ of 1 / MSE, dB."""
    return float(-10 * torch.log10((image - reference).square().mean()))
