"""The cache's optimisers, by name."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch.nn import Parameter

__all__ = ["OPTIMISERS", "optimiser"]

OPTIMISERS = ("adam",)


def optimiser(name: str, parameters: Iterable[Parameter], rate: float) -> torch.optim.Optimizer:
    """An optimiser of the `torch.optim` interface.

    Args:
        name: one of `OPTIMISERS`.
        rate: learning rate at the start.

    Raises:
        ValueError: no optimiser has this name.
    """
    if name == "adam":
        # ε below the gradients of hash entries that few points touch (Müller et al. 2022, §4).
        return torch.optim.Adam(parameters, lr=rate, eps=1e-15, fused=True)
    raise ValueError(f"no optimiser {name}")
