"""The cache's optimiser: by name, or by what the field is made of (`auto`)."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import torch
from torch.nn import Parameter

from pipeline.optim.choose import AUTO, build, choose
from pipeline.radiosity.presets import Preset

__all__ = ["AUTO", "optimiser"]

log = logging.getLogger(__name__)

TINY = 1e-15
"""Adam's ε: below the gradients of hash entries that few points touch (Müller et al. 2022, §4)."""

CURVATURE = {"esgd", "esgd_max", "adahessian_e", "adahessian_j"}


def optimiser(name: str, parameters: Iterable[Parameter], preset: Preset, *, seed: int = 0) -> torch.optim.Optimizer:
    """An optimiser of the `torch.optim` interface; the log says which one, and why.

    Args:
        name: one of `pipeline.optim.choose.OPTIMIZERS`, or `auto`.
        parameters: what it trains.
        preset: of the training that they belong to.
        seed: of random signs.

    Raises:
        ConfigError: no optimiser has this name.
    """
    shape = preset.field
    choice = choose(shape.activation, name, table=shape.grid is not None)
    log.info("optimizer %s: %s", choice.optimizer, choice.reason)
    if choice.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=preset.rate, eps=TINY, fused=True)
    rate = preset.curvature_rate if choice.optimizer in CURVATURE else None
    return build(parameters, choice, shape.activation, rate=rate, seed=seed)
