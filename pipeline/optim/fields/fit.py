"""Training a field on a signal, with looks at what it has learned."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from pipeline.optim.fields.signal import Batch, Signal, part_of

__all__ = ["PART", "Look", "fit"]

PART = 8
"""Curvature is taken from the first eighth of a batch: it needs no more, and memory stays what it was."""


@dataclass(frozen=True)
class Look:
    """How far a training is.

    Attributes:
        step: gradient steps made.
        products: Hessian-vector products made.
        seconds: that the steps took, without the looks.
        quality: `Signal.quality`.
    """

    step: int
    products: int
    seconds: float
    quality: float


def fit(
    signal: Signal, field: nn.Module, optimizer: Any, *, steps: int, batch: int, seed: int, looks: Collection[int]
) -> Iterator[Look]:
    """Trains, and looks on the way.

    Args:
        signal: what to learn.
        field: of `signal.field`; trained in place.
        optimizer: one of `pipeline.optim`, whose `step` takes a `curvature`.
        steps: to make.
        batch: samples of each.
        seed: of the batches.
        looks: after which steps; 0 is before the first.

    Yields:
        A look at each of them. A training whose loss is not finite ends there, without further looks.
    """
    batches = signal.batches(batch, seed)
    seconds, curvature = 0.0, _Curvature(signal, field)
    if 0 in looks:
        yield Look(0, 0, 0.0, signal.quality(field))
    for step in range(1, steps + 1):
        began = time.perf_counter()
        curvature.batch = next(batches)
        optimizer.zero_grad(set_to_none=True)
        loss = signal.loss(field, curvature.batch)
        loss.backward()
        optimizer.step(curvature=curvature)
        value = float(loss.detach())
        seconds += time.perf_counter() - began
        if not math.isfinite(value):
            return
        if step in looks:
            quality = signal.quality(field)
            if not math.isfinite(quality):
                return
            yield Look(step, curvature.products, seconds, quality)


class _Curvature:
    """The loss of a part of the step's batch; counts how often it is asked for."""

    def __init__(self, signal: Signal, field: nn.Module) -> None:
        self._signal, self._field = signal, field
        self.batch: Batch = ()
        self.products = 0

    def __call__(self) -> Tensor:
        self.products += 1
        return self._signal.loss(self._field, part_of(self.batch, PART))
