"""What a field learns: the one face of images, shapes and posed pictures to training, benchmarks and commands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from torch import Tensor, nn

__all__ = ["Batch", "Signal", "part_of"]

Batch = tuple[Tensor, ...]
"""What is asked, what is true, and what else a loss needs; samples along the first axis of each, so that any slice of a
batch is a batch."""


class Signal(Protocol):
    """A signal with its loss. `loss` is a pure function of the field and the batch: curvature asks it again."""

    @property
    def measure(self) -> str:
        """Name and unit of `quality`."""

    def field(self, activation: str, *, width: int, depth: int, seed: int) -> nn.Module:
        """A fresh field of the signal's shape.

        Raises:
            ConfigError: an unknown activation.
        """

    def batches(self, size: int, seed: int) -> Iterator[Batch]:
        """Batches without end, in an order of the seed."""

    def loss(self, field: nn.Module, batch: Batch) -> Tensor:
        """Scalar, with its graph."""

    def quality(self, field: nn.Module) -> float:
        """How well the field has learned it; higher is better."""


def part_of(batch: Batch, share: int) -> Batch:
    """The first 1/share of a batch, at least one sample."""
    count = max(len(batch[0]) // share, 1)
    return tuple(entry[:count] for entry in batch)
