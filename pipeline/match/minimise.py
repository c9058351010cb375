"""The loop around an optimiser: σ, bounds, scales, counting, and when to stop.

An optimiser only proposes a step from evaluations around a point (`Method.propose`). It works in units of the
parameters' scales, where a σ of 1 is one scale of every parameter, so that metres and degrees can be searched together.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, PenumbraError
from pipeline.match.estimators import BlackBox, gradient
from pipeline.match.kernels import checked_sigma
from pipeline.match.schedules import Schedule

__all__ = ["Bounds", "Method", "Move", "Record", "Result", "Stopping", "minimise"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Move:
    """What an optimiser proposes.

    Attributes:
        step: change of the parameters, in scales.
        gradient: that it rests on; of the smoothed loss.
        significance: length of the gradient over its noise; NaN where the estimator does not tell.
        gradients: how many gradients (or Hessians, or products) were estimated for it.
        sure: whether its length tells how far is left, as far as the optimiser knows.
    """

    step: Array
    gradient: Array
    significance: float
    gradients: int = 1
    sure: bool = True


class Method(Protocol):
    """An optimiser: it keeps its own memory between steps."""

    name: str

    def propose(self, f: BlackBox, theta: Array, sigma: float, *, rng: np.random.Generator, seed: int) -> Move:
        """A step from θ (in scales)."""
        ...


@dataclass(frozen=True)
class Bounds:
    """Scales and limits of n parameters, in their own units."""

    scale: Array
    lower: Array
    upper: Array

    @classmethod
    def free(cls, dimensions: int, scale: float = 1.0) -> Bounds:
        """No limits."""
        ones = np.ones(dimensions)
        return cls(scale * ones, -np.inf * ones, np.inf * ones)

    def clip(self, theta: Array) -> Array:
        """θ (or rows of it) within the limits."""
        return np.clip(theta, self.lower, self.upper)


@dataclass(frozen=True)
class Stopping:
    """When to stop.

    Attributes:
        evaluations: the budget.
        threshold: a gradient shorter than so many times its own noise says nothing …
        patience: … and after so many steps in a row, all at the smallest σ, it is asked once more,
        confirm: with so many samples; if it still says nothing, the search is over.
        tolerance: steps shorter than this (in scales) for `patience` steps at the smallest σ also end it.
        settle: so many steps at the smallest σ end it too, and the result is the mean of where they led: each had a
            render seed of its own, whose noise moves the minimum. 0: the result is where the last step led.
    """

    evaluations: int = 4000
    threshold: float = 1.5
    patience: int = 4
    confirm: int = 64
    tolerance: float = 1e-5
    settle: int = 0


@dataclass(frozen=True)
class Record:
    """One step, as it was when it had been taken.

    Attributes:
        theta: in the parameters' own units.
        sigma: in scales.
        moved: length of the step, in scales.
        evaluations: renders so far; gradients: differentials estimated so far.
        seconds: since the start; idle: seconds of them that were not spent evaluating.
    """

    theta: Array
    sigma: float
    moved: float
    significance: float
    evaluations: int
    gradients: int
    seconds: float
    idle: float


@dataclass(frozen=True)
class Result:
    """Where the search ended.

    Attributes:
        theta: in the parameters' own units.
        reason: `budget`, `significance` (what is left of the gradient is noise), `tolerance`, `settled` or
            `called off`.
        history: one record per step.
    """

    theta: Array
    reason: str
    history: list[Record] = field(repr=False)

    @property
    def evaluations(self) -> int:
        """Renders in all."""
        return self.history[-1].evaluations if self.history else 0

    @property
    def seconds(self) -> float:
        """Wall clock."""
        return self.history[-1].seconds if self.history else 0.0


class _Counted:
    """The black box in units of scales, within its limits; counts what it is asked, and refuses NaN."""

    def __init__(self, f: BlackBox, bounds: Bounds) -> None:
        self._f, self._bounds = f, bounds
        self.evaluations, self.seconds = 0, 0.0

    def __call__(self, points: Array, seed: int) -> Array:
        began = time.perf_counter()
        theta = self._bounds.clip(points * self._bounds.scale)
        values = np.asarray(self._f(theta, seed), dtype=np.float64)
        self.seconds += time.perf_counter() - began
        self.evaluations += len(points)
        if not np.isfinite(values).all():
            bad = int(np.argmin(np.isfinite(values.reshape(len(points), -1)).all(axis=1)))
            raise PenumbraError(
                f"the loss is not a number at {np.round(theta[bad], 6).tolist()!s:.200}; bound the parameters, or mask "
                "the pixels that are not finite"
            )
        return values


def minimise(
    f: BlackBox,
    start: Array,
    method: Method,
    schedule: Schedule,
    *,
    bounds: Bounds,
    stopping: Stopping = Stopping(),
    seed: int = 0,
    on_step: Callable[[Record], bool | None] | None = None,
) -> Result:
    """Searches a minimum of the black box f from `start` (own units).

    Every step has render seeds of its own, shared by all its evaluations. `on_step` is called after each step; True
    calls the search off.

    Raises:
        ConfigError: a σ of zero, or a start outside the limits.
        PenumbraError: f gave something that is not a number.
    """
    n = len(start)
    checked_sigma(schedule.start, n), checked_sigma(schedule.end, n)
    if not np.array_equal(bounds.clip(start), start):
        raise ConfigError(f"the start {start.tolist()!s:.120} lies outside the limits")
    counted, rng = _Counted(f, bounds), np.random.default_rng(seed)
    theta, sigma, gradients = start / bounds.scale, schedule.start, 0
    history: list[Record] = []
    quiet = still = 0
    began = time.perf_counter()
    settled: list[Array] = []
    while counted.evaluations < stopping.evaluations:
        render_seed = int(rng.integers(2**31))
        move = method.propose(counted, theta, sigma, rng=rng, seed=render_seed)
        reached = bounds.clip((theta + move.step) * bounds.scale) / bounds.scale
        moved = float(np.linalg.norm(reached - theta))
        theta, gradients = reached, gradients + move.gradients
        seconds = time.perf_counter() - began
        record = Record(
            theta * bounds.scale,
            sigma,
            moved,
            move.significance,
            counted.evaluations,
            gradients,
            seconds,
            seconds - counted.seconds,
        )
        history.append(record)
        if on_step is not None and on_step(record):
            return Result(record.theta, "called off", history)
        finest = sigma <= schedule.end
        if finest and stopping.settle:
            settled.append(record.theta)
            if len(settled) > stopping.settle:  # the first of them was still on its way
                return Result(np.mean(settled[1:], axis=0), "settled", history)
        quiet = quiet + 1 if finest and move.significance < stopping.threshold else 0
        still = still + 1 if finest and moved < stopping.tolerance else 0
        if still >= stopping.patience:
            return Result(record.theta, "tolerance", history)
        if quiet >= stopping.patience:
            again = gradient(counted, theta, sigma, samples=stopping.confirm, rng=rng, seed=int(rng.integers(2**31)))
            if again.significance < stopping.threshold:
                return Result(record.theta, "significance", history)
            quiet = 0
        progress = counted.evaluations / stopping.evaluations
        sigma = schedule.after(sigma, progress=progress, moved=moved, sure=move.sure)
    found = np.mean(settled[1:], axis=0) if len(settled) > 1 else theta * bounds.scale
    return Result(found, "budget", history)
