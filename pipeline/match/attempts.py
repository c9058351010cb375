"""The parameters at which pictures are most like a plate: a look around, searches from the best starts, a last polish.

What renders comes in as `Pictures`, one callable for many rows of values: here, or spread over workers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.match.gauss_newton import polish
from pipeline.match.losses import Loss
from pipeline.match.minimise import Bounds, Record
from pipeline.match.objective import Pictures
from pipeline.match.search import Settings, search
from pipeline.match.survey import around, distinct

__all__ = ["Solved", "judged", "solve"]

Array = NDArray[np.float64]
Told = Callable[[str, Array, float, float], Any]
"""Told of each step: stage (`search`, `polish`), θ, and σ and the step's length in scales."""

MOST_POLISHED = 64  # parameters, each of which costs two pictures a step
JUDGES = 4  # render seeds of a judgement
SURVEY_SPP = 1  # samples per pixel and half of the pictures of a look around
ROWS = 32  # pictures whose losses are taken at a time

ATTEMPTS = 3
"""Searches from different starts, at most …"""

FOUND = 0.05
"""… until one leaves no more of the start's loss than this."""


@dataclass(frozen=True)
class Solved:
    """Where the search led.

    Attributes:
        theta: n, own units.
        deviation: n, what the pictures' noise leaves open of it; NaN where that is not known.
        error, start_error: losses of fresh pictures.
        reason: why the search ended.
    """

    theta: Array
    deviation: Array
    error: float
    start_error: float
    reason: str


def solve(
    pictures: Pictures, loss: Loss, start: Array, bounds: Bounds, settings: Settings, *, told: Told | None = None
) -> Solved:
    """Looks around, searches from the best points that lie apart until one search is good, and polishes what it found.

    Args:
        start: n, own units, within the limits.
        settings: `evaluations` is what all searches may cost together; looks and polish come on top.
        told: of each step.
    """
    points = around(start, bounds, seed=settings.seed)
    losses = _losses(pictures, loss, points, spp=SURVEY_SPP, seed=settings.seed)
    before = float(judged(pictures, loss, start[None], max(1, settings.most_spp // 2), settings.seed)[0])
    best = Solved(start, np.full(len(start), np.nan), before, before, "nothing better")
    searched = 0
    for number, first in enumerate(distinct(points, losses, bounds, count=ATTEMPTS)):
        left = settings.evaluations - searched
        if number and (left <= 0 or best.error <= FOUND * before):
            break
        own = replace(settings, evaluations=left, seed=settings.seed + number)
        found, cost = _attempt(pictures, loss, first, bounds, own, told)
        searched += cost
        if found.error < best.error:
            best = replace(found, start_error=before)
    return best


def judged(pictures: Pictures, loss: Loss, thetas: Array, spp: int, seed: int) -> Array:
    """Losses of fresh pictures: the mean over render seeds that no search saw."""
    keys = np.random.default_rng([seed, 1]).integers(2**31, size=JUDGES)
    return np.asarray(np.mean([loss(pictures.images(thetas, spp=spp, seed=int(key))) for key in keys], axis=0))


def _attempt(
    pictures: Pictures, loss: Loss, start: Array, bounds: Bounds, settings: Settings, told: Told | None
) -> tuple[Solved, int]:
    """One search and its polish: what came of it, and the pictures of the search alone."""

    def after(stage: str, theta: Array, sigma: float, moved: float) -> None:
        if told is not None:
            told(stage, theta, sigma, moved)

    def looked(record: Record) -> None:
        after("search", record.theta, record.sigma, record.moved)

    coarse = search(pictures, loss, start, bounds, settings, on_step=looked)
    half = max(1, settings.most_spp // 2)
    candidates, spread = [coarse.theta], np.full(len(start), np.nan)
    if len(start) <= MOST_POLISHED:
        fine = polish(
            lambda points, key: loss.residuals(pictures.images(points, spp=half, seed=key)),
            coarse.theta,
            bounds,
            seed=settings.seed,
            on_step=lambda theta, moved, done: after("polish", theta, 0.0, moved),
        )
        candidates.append(fine.theta)
        spread = fine.deviation
    errors = judged(pictures, loss, np.array(candidates), half, settings.seed)
    best = int(np.argmin(errors))
    deviation = spread if best == 1 else np.full(len(start), np.nan)
    return Solved(candidates[best], deviation, float(errors[best]), np.nan, coarse.reason), coarse.evaluations


def _losses(pictures: Pictures, loss: Loss, points: Array, *, spp: int, seed: int) -> Array:
    """Of many points, some at a time: pictures take more room than their losses."""
    parts = np.array_split(points, range(ROWS, len(points), ROWS))
    return np.concatenate([loss(pictures.images(part, spp=spp, seed=seed)) for part in parts])
