"""The same tuning for every optimiser: rates half a decade apart, on signals that judge nothing.

At least `count` rates around the optimiser's usual one are tried; while the best one lies at an edge, the next one
beyond it is tried as well.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.optim_signals import Named
from benchmarks.optim_sizes import Course
from benchmarks.optim_trials import CORRECTED, PUBLIC, trial
from pipeline.optim.choose import RATES

__all__ = ["Tuned", "search", "tuned"]

STEP = math.sqrt(10)
BEYOND = 4
"""Rates that are tried beyond an edge, at most."""


@dataclass(frozen=True)
class Tuned:
    """What a search of rates found.

    Attributes:
        rate: the best one.
        tried: every rate and its score, by rate.
    """

    rate: float
    tried: dict[float, float]


def search(score: Callable[[float], float], start: float, count: int) -> Tuned:
    """The rate of the highest score.

    Args:
        score: of a rate; −∞ where training fails.
        start: the middle of the first rates.
        count: of the first rates.

    Raises:
        ValueError: every training failed.
    """
    tried = {k: score(start * STEP**k) for k in range(-(count // 2), count - count // 2)}
    for _ in range(BEYOND):
        best = max(tried, key=lambda k: tried[k])
        if best not in (min(tried), max(tried)) or len(tried) == 1:
            break
        following = best + 1 if best == max(tried) else best - 1
        tried[following] = score(start * STEP**following)
    best = max(tried, key=lambda k: tried[k])
    if tried[best] == -math.inf:
        raise ValueError("no rate was low enough")
    return Tuned(start * STEP**best, {start * STEP**k: tried[k] for k in sorted(tried)})


def tuned(signals: Sequence[Named], activation: str, name: str, course: Course, count: int, folder: Path) -> Tuned:
    """The rate of an optimiser for a task: that of the best final quality, mean over the signals, after the course's
    steps."""
    usual = RATES["esgd" if name in (PUBLIC, CORRECTED) else name][activation]

    def score(rate: float) -> float:
        return statistics.fmean(trial(signal, activation, name, rate, course, 0, folder).final for signal in signals)

    return search(score, usual, count)
