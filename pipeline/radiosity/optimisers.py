"""The cache's optimiser: by name, or by what the field is made of (`auto`)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch.nn import Parameter

from pipeline.optim.choose import AUTO, build, choose
from pipeline.radiosity.presets import FieldShape

__all__ = ["AUTO", "optimiser"]

TINY = 1e-15
"""Adam's ε: below the gradients of hash entries that few points touch (Müller et al. 2022, §4)."""


def optimiser(
    name: str, parameters: Iterable[Parameter], shape: FieldShape, rate: float, *, seed: int = 0
) -> torch.optim.Optimizer:
    """An optimiser of the `torch.optim` interface.

    Args:
        name: one of `pipeline.optim.choose.OPTIMIZERS`, or `auto`.
        parameters: what it trains.
        shape: of the field that they belong to.
        rate: Adam's learning rate at the start; the others have their own.
        seed: of random signs.

    Raises:
        ConfigError: no optimiser has this name.
    """
    choice = choose(shape.activation, name, table=shape.grid is not None)
    if choice.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=rate, eps=TINY, fused=True)
    return build(parameters, choice, shape.activation, seed=seed)
