"""The methods of the matching benchmark: those of the paper's Table 2, and what it compares with.

Each has one free number. `python -m benchmarks.match_tuning` chooses it, task by task, from starts that the benchmark
never uses, and keeps what it found in `match_settings.json`; a task that was not tuned takes the middle of the grid.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from benchmarks.match_tasks import Task
from pipeline.match.conjugate_gradient import NewtonCG
from pipeline.match.descent import Adam, Descent, GradientOf, aggregate_gradient, by_differences, by_fr22, by_spsa
from pipeline.match.lbfgs import LBFGS
from pipeline.match.minimise import Method
from pipeline.match.newton import Newton
from pipeline.match.samplers import Sampling
from pipeline.match.schedules import Constant, Following, Linear, Schedule

__all__ = ["AGGREGATE", "FIRST_ORDER", "METHODS", "SETTINGS", "Contender", "natural_rate"]

SETTINGS = Path(__file__).with_name("match_settings.json")

DESCENT = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Rates of plain descent, in `natural_rate`."""

ADAM = (0.01, 0.03, 0.1, 0.3)
"""Rates of Adam, in σ."""

PAIRS = (1.0, 2.0, 4.0)
"""Antithetic pairs of an estimate."""

AGGREGATE = "HVPA"
FIRST_ORDER = ("FR22", "FR22+Adam")
"""Of which the better one is what aggregates are compared with."""


@dataclass(frozen=True)
class Contender:
    """One row of the table.

    Attributes:
        key: short name.
        label: for tables.
        make: a fresh optimiser and its schedule, from the task and the free number.
        numbers: what the free number is chosen from.
        fits: whether it can run the task at all: full Hessians of a thousand parameters cannot.
    """

    key: str
    label: str
    make: Callable[[Task, float], tuple[Method, Schedule]]
    numbers: tuple[float, ...]
    fits: Callable[[Task], bool] = lambda task: True

    def number(self, task: str) -> float:
        """The free number: as it was tuned, or the middle of the grid."""
        return float(_settings().get(task, {}).get(self.key, self.numbers[len(self.numbers) // 2]))


@lru_cache(maxsize=1)
def _settings() -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = json.loads(SETTINGS.read_text())["chosen"] if SETTINGS.exists() else {}
    return found


def natural_rate(task: Task) -> float:
    """The rate at which descent's first step is about σ, were all of the start's loss lost over σ: σ² / loss."""
    sigma = task.sigma[0]
    return sigma * sigma / max(task.error(task.start(TUNING)), 1e-12)


TUNING = 1000
"""Seed of the first start that methods are tuned from; the benchmark's own begin with 0."""


def _linear(task: Task) -> Schedule:
    return Linear(*task.sigma)


def _adam(gradient: GradientOf) -> Callable[[Task, float], tuple[Method, Schedule]]:
    return lambda task, rate: (Adam(gradient, rate), _linear(task))


def _descent(gradient: GradientOf) -> Callable[[Task, float], tuple[Method, Schedule]]:
    return lambda task, factor: (Descent(gradient, factor * natural_rate(task)), _linear(task))


def _autodiff(task: Task, rate: float) -> tuple[Method, Schedule]:
    assert task.autodiff is not None
    return Adam(task.autodiff, rate), Constant(1.0)


METHODS: tuple[Contender, ...] = (
    Contender("AD", "Mitsuba AD + Adam", _autodiff, (0.02, 0.05, 0.1), lambda task: task.autodiff is not None),
    Contender("FD", "finite differences + Adam", _adam(by_differences()), ADAM, lambda task: task.n <= 64),
    Contender("SPSA", "SPSA + Adam", _adam(by_spsa(2)), ADAM),
    Contender("FR22", "FR22 + descent", _descent(by_fr22(2)), DESCENT),
    Contender("FR22+Adam", "FR22 + Adam", _adam(by_fr22(2)), ADAM),
    Contender("L-BFGS", "L-BFGS", lambda task, pairs: (LBFGS(int(pairs)), _linear(task)), (2.0, 4.0, 8.0)),
    Contender(
        "G",
        "gradient + descent",
        _descent(aggregate_gradient(2, Sampling.ELEMENT)),
        DESCENT,
        lambda task: task.n <= 64,
    ),
    Contender(
        "H",
        "Hessian + Newton",
        lambda task, pairs: (Newton(int(pairs)), _linear(task)),
        PAIRS,
        lambda task: task.n <= 16,
    ),
    Contender(
        "HVP",
        "HVP + Newton-CG",
        lambda task, pairs: (NewtonCG(int(pairs), sampling=Sampling.ELEMENT), Following(*task.sigma)),
        PAIRS,
        lambda task: task.n <= 64,
    ),
    Contender(
        AGGREGATE,
        "aggregate HVP + Newton-CG",
        lambda task, pairs: (NewtonCG(int(pairs)), Following(*task.sigma)),
        (*PAIRS, 5.0, 10.0),
    ),
)
