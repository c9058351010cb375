"""Which optimiser a field is trained with: by name, or by its activation (`auto`), and why.

The rule is the paper's: where Hessian-vector products are dense (smooth activations, Theorem 4.2) curvature is worth
its price; where they are sparse (ReLU, Theorem 4.3, and tables of features, each entry of which few samples touch) it
is not.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.errors import ConfigError
from pipeline.optim.activations import ACTIVATIONS, activation
from pipeline.optim.suggestions import meant

if TYPE_CHECKING:
    from torch.optim import Optimizer

__all__ = ["AUTO", "OPTIMIZERS", "Choice", "choose", "make"]

log = logging.getLogger(__name__)

AUTO = "auto"

OPTIMIZERS = ("sgd", "adam", "esgd", "esgd_max", "adahessian_e", "adahessian_j", "shampoo")

RATES: dict[str, dict[str, float]] = {
    "sgd": {"sine": 0.1, "gaussian": 1.0, "wavelet": 1.0, "sinc": 1.0, "relu": 0.3, "relu_pe": 0.3},
    "adam": {"sine": 1e-3, "gaussian": 3e-3, "wavelet": 3e-3, "sinc": 3e-3, "relu": 3e-3, "relu_pe": 3e-3},
    "esgd": dict.fromkeys(ACTIVATIONS, 2.0),
    "esgd_max": dict.fromkeys(ACTIVATIONS, 0.3),
    "adahessian_e": dict.fromkeys(ACTIVATIONS, 0.1),
    "adahessian_j": dict.fromkeys(ACTIVATIONS, 0.03),
    "shampoo": dict.fromkeys(ACTIVATIONS, 0.1),
}
"""Rates for fields of a few layers under MSE or BCE. Those of Adam and ESGD for sine and Gaussian were tried on a
photograph; the others are starting points that no search has confirmed yet."""


@dataclass(frozen=True)
class Choice:
    """An optimiser, its rate, and why it was chosen; `automatic` ones fall back where there is no curvature."""

    optimizer: str
    rate: float
    reason: str
    automatic: bool = False


def choose(activation_name: str, optimizer: str = AUTO, *, table: bool = False) -> Choice:
    """The optimiser for a field.

    Args:
        activation_name: a key of `pipeline.optim.activations.ACTIVATIONS`.
        optimizer: one of `OPTIMIZERS`, or `auto`.
        table: whether the field learns a table of features as well (a hash grid).

    Raises:
        ConfigError: an unknown activation or optimiser.

    >>> choose("sine").optimizer, choose("relu_pe").optimizer, choose("sine", table=True).optimizer
    ('esgd', 'adam', 'adam')
    """
    found = activation(activation_name)
    if optimizer != AUTO:
        if optimizer not in OPTIMIZERS:
            raise ConfigError(
                f"there is no optimizer '{optimizer}'",
                key="optimizer",
                suggestion=meant(optimizer, (AUTO, *OPTIMIZERS)),
            )
        return Choice(optimizer, RATES[optimizer][found.name], "as asked for")
    if table:
        why = "few samples touch each entry of a feature table, so Hessian-vector products are sparse"
        return Choice("adam", RATES["adam"][found.name], why)
    if not found.smooth:
        why = f"{found.name} is piecewise linear, so Hessian-vector products are sparse (Theorem 4.3)"
        return Choice("adam", RATES["adam"][found.name], why)
    why = f"{found.name} is smooth, so Hessian-vector products are dense (Theorem 4.2)"
    return Choice("esgd", RATES["esgd"][found.name], why, automatic=True)


def make(
    params: Iterable[Any],
    activation_name: str,
    optimizer: str = AUTO,
    *,
    table: bool = False,
    rate: float | None = None,
    seed: int = 0,
) -> Optimizer:
    """The optimiser itself; the log says which one, and why.

    Args:
        params: tensors, or groups of them.
        activation_name, optimizer, table: as in `choose`.
        rate: in place of the table's.
        seed: of random signs.

    Raises:
        ConfigError: as `choose`.
    """
    choice = choose(activation_name, optimizer, table=table)
    log.info("optimizer %s: %s", choice.optimizer, choice.reason)
    return build(params, choice, activation_name, rate=rate, seed=seed)


def build(
    params: Iterable[Any], choice: Choice, activation_name: str, *, rate: float | None = None, seed: int = 0
) -> Optimizer:
    """The optimiser of a choice."""
    from pipeline.optim.optimizers import ESGD, SGD, AdaHessian, Adam, ESGDMax
    from pipeline.optim.preconditioned import Fallback
    from pipeline.optim.shampoo import Shampoo

    lr = choice.rate if rate is None else rate
    fallback = Fallback(RATES["adam"][activation_name]) if choice.automatic else None
    match choice.optimizer:
        case "sgd":
            return SGD(params, lr)
        case "adam":
            return Adam(params, lr)
        case "esgd":
            return ESGD(params, lr, seed=seed, fallback=fallback)
        case "esgd_max":
            return ESGDMax(params, lr, seed=seed)
        case "adahessian_e":
            return AdaHessian(params, lr, form="E", seed=seed)
        case "adahessian_j":
            return AdaHessian(params, lr, form="J", seed=seed)
        case _:
            return Shampoo(params, lr)
