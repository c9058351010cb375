"""The parameters at which pictures are most like a plate: a look around, searches from the best starts, a last polish.

What renders comes in as `Pictures`, one callable for many rows of values: here, or spread over workers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.match.gauss_newton import SEEDS, Polished, polish
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

STEEP_SPP = 4
"""The same, of Gauss–Newton steps before any search."""

LOOKS = 4
"""Looks around, each from where the last one led, before any search."""

ATTEMPTS = 3
"""Searches from different starts, at most …"""

FOUND = 0.02
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
    """Looks around; from the best point goes down by Gauss–Newton steps, and looks again from there; where that does
    not reach the plate, searches from points that lie apart until one search does; and polishes what it found.

    Args:
        start: n, own units, within the limits.
        settings: `evaluations` is what all searches may cost together; looks and polish come on top.
        told: of each step.
    """
    return _Attempts(pictures, loss, bounds, settings, told).from_(start)


def judged(pictures: Pictures, loss: Loss, thetas: Array, spp: int, seed: int) -> Array:
    """Losses of fresh pictures: the mean over render seeds that no search saw."""
    keys = np.random.default_rng([seed, 1]).integers(2**31, size=JUDGES)
    return np.asarray(np.mean([loss(pictures.images(thetas, spp=spp, seed=int(key))) for key in keys], axis=0))


class _Attempts:
    """What all attempts have in common."""

    def __init__(self, pictures: Pictures, loss: Loss, bounds: Bounds, settings: Settings, told: Told | None) -> None:
        self._pictures, self._loss, self._bounds, self._settings = pictures, loss, bounds, settings
        self._told = told or (lambda stage, theta, sigma, moved: None)
        self._half = max(1, settings.most_spp // 2)

    def from_(self, start: Array) -> Solved:
        """As `solve` says."""
        (before,) = self._judged([start])
        best = Solved(start, np.full(len(start), np.nan), before, before, "nothing better")
        starts = self._look(start, 0)
        if len(start) <= MOST_POLISHED:
            steep, reached = self._downhill(starts[0], before)
            if reached <= FOUND * before:
                return self._settled([steep], before, "polished", self._settings.seed)
            starts = np.concatenate([steep[None], starts[1:]]) if reached < before else starts
        searched = 0
        for number, theta in enumerate(starts):
            left = self._settings.evaluations - searched
            if number and (left <= 0 or best.error <= FOUND * before):
                break
            own = replace(self._settings, evaluations=left, seed=self._settings.seed + number)
            coarse = search(self._pictures, self._loss, theta, self._bounds, own, on_step=self._looked)
            searched += coarse.evaluations
            found = self._settled([theta, coarse.theta], before, coarse.reason, own.seed)
            best = min(best, found, key=lambda each: each.error)
        return best

    def _downhill(self, theta: Array, before: float) -> tuple[Array, float]:
        """Down by Gauss–Newton, and on from the best point of another look around, while there is a better one: once
        the light is right, a turned prop is seen that was lost in it. Where that led, and its loss.
        """
        best, error = theta, np.inf
        for number in range(1, LOOKS + 1):
            steep = self._polished(theta, (), STEEP_SPP, self._settings.seed + number).theta
            (reached,) = self._judged([steep])
            if reached < error:
                best, error = steep, reached
            if number == LOOKS or (number > 1 and error <= FOUND * before):
                break
            theta = self._look(best, number)[0]
            if np.array_equal(theta, best):
                break
        return best, float(error)

    def _look(self, theta: Array, number: int) -> Array:
        """The best points around one, itself among them, best first."""
        seed = self._settings.seed + number
        points = around(theta, self._bounds, seed=seed)
        # Pictures take more room than their losses: some at a time.
        parts = np.array_split(points, range(ROWS, len(points), ROWS))
        losses = [self._loss(self._pictures.images(part, spp=SURVEY_SPP, seed=seed)) for part in parts]
        return distinct(points, np.concatenate(losses), self._bounds, count=ATTEMPTS)

    def _judged(self, thetas: list[Array]) -> list[float]:
        losses = judged(self._pictures, self._loss, np.array(thetas), self._half, self._settings.seed)
        return [float(value) for value in losses]

    def _settled(self, candidates: list[Array], before: float, reason: str, seed: int) -> Solved:
        """The last of some candidates, polished; or whichever of all is best in fresh pictures."""
        spread = unknown = np.full(len(candidates[-1]), np.nan)
        if len(unknown) <= MOST_POLISHED:
            fine = self._polished(candidates[-1], SEEDS, self._half, seed)
            candidates, spread = [*candidates, fine.theta], fine.deviation
        errors = self._judged(candidates)
        best = int(np.argmin(errors))
        deviation = spread if best == len(candidates) - 1 else unknown
        return Solved(candidates[best], deviation, errors[best], before, reason)

    def _polished(self, start: Array, seeds: tuple[int, ...], half: int, seed: int) -> Polished:
        def residuals(points: Array, key: int) -> Array:
            return self._loss.residuals(self._pictures.images(points, spp=half, seed=key))

        def looked(theta: Array, moved: float, done: int) -> None:
            self._told("polish", theta, 0.0, moved)

        return polish(residuals, start, self._bounds, seeds=seeds, seed=seed, on_step=looked)

    def _looked(self, record: Record) -> None:
        self._told("search", record.theta, record.sigma, record.moved)
