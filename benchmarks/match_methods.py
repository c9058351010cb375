"""The methods of the matching benchmark: those of the paper's Table 2, and what it compares with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.match_tasks import Task
from pipeline.match.conjugate_gradient import NewtonCG
from pipeline.match.descent import Adam, Descent, aggregate_gradient, by_differences, by_fr22, by_spsa
from pipeline.match.lbfgs import LBFGS
from pipeline.match.minimise import Method
from pipeline.match.newton import Newton
from pipeline.match.samplers import Sampling
from pipeline.match.schedules import Constant, Following, Linear, Schedule

__all__ = ["AGGREGATE", "FIRST_ORDER", "METHODS", "Contender"]

RATES = {"QUAD": 0.03, "BOX2": 1.0, "BOX10": 1.0}
"""Of plain descent, scales² per loss: guesses from the curvature of the loss at the first σ, not tuned on each task."""

ADAM_RATE = 0.1  # in σ
AGGREGATE = "HVPA"
FIRST_ORDER = ("FR22", "FR22+Adam")
"""Of which the better one is what aggregates are compared with."""


@dataclass(frozen=True)
class Contender:
    """One row of the table.

    Attributes:
        key: short name.
        label: for tables.
        make: a fresh optimiser and its schedule.
        fits: whether it can run the task at all: full Hessians of a thousand parameters cannot.
    """

    key: str
    label: str
    make: Callable[[Task], tuple[Method, Schedule]]
    fits: Callable[[Task], bool] = lambda task: True


def _linear(task: Task) -> Schedule:
    return Linear(*task.sigma)


def _following(task: Task) -> Schedule:
    return Following(*task.sigma)


def _rate(task: Task) -> float:
    return RATES.get(task.key, 1.0)


def _autodiff(task: Task) -> tuple[Method, Schedule]:
    assert task.autodiff is not None
    return Adam(task.autodiff, 0.05), Constant(1.0)


METHODS: tuple[Contender, ...] = (
    Contender("AD", "Mitsuba AD + Adam", _autodiff, lambda task: task.autodiff is not None),
    Contender(
        "FD",
        "finite differences + Adam",
        lambda task: (Adam(by_differences(), ADAM_RATE), _linear(task)),
        lambda task: task.n <= 64,
    ),
    Contender("SPSA", "SPSA + Adam", lambda task: (Adam(by_spsa(2), ADAM_RATE), _linear(task))),
    Contender("FR22", "FR22 + descent", lambda task: (Descent(by_fr22(2), _rate(task)), _linear(task))),
    Contender("FR22+Adam", "FR22 + Adam", lambda task: (Adam(by_fr22(2), ADAM_RATE), _linear(task))),
    Contender("L-BFGS", "L-BFGS", lambda task: (LBFGS(4), _linear(task))),
    Contender(
        "G",
        "gradient + descent",
        lambda task: (Descent(aggregate_gradient(2, Sampling.ELEMENT), _rate(task)), _linear(task)),
        lambda task: task.n <= 64,
    ),
    Contender("H", "Hessian + Newton", lambda task: (Newton(2), _linear(task)), lambda task: task.n <= 16),
    Contender(
        "HVP",
        "HVP + Newton-CG",
        lambda task: (NewtonCG(2, sampling=Sampling.ELEMENT), _following(task)),
        lambda task: task.n <= 64,
    ),
    Contender(AGGREGATE, "aggregate HVP + Newton-CG", lambda task: (NewtonCG(4), _following(task))),
)
