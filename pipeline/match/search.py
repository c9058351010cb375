"""The search of a match: from coarse to fine, with samples that grow as σ shrinks, and a mean of the last steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.match.conjugate_gradient import NewtonCG
from pipeline.match.descent import Adam, aggregate_gradient, by_fr22, by_spsa
from pipeline.match.losses import Loss
from pipeline.match.minimise import Bounds, Method, Record, Result, Stopping, minimise
from pipeline.match.newton import Newton
from pipeline.match.objective import Objective, Pictures
from pipeline.match.samplers import Sampling
from pipeline.match.schedules import Following, Geometric, Schedule

__all__ = ["METHODS", "MethodName", "Settings", "search"]

Array = NDArray[np.float64]
MethodName = Literal["newton-cg", "newton", "adam", "fr22", "spsa"]
METHODS: tuple[str, ...] = get_args(MethodName)


@dataclass(frozen=True)
class Settings:
    """How a match is searched.

    Attributes:
        method: of optimisation; `newton-cg` on aggregates, or others for comparison.
        sigma: (first, last), in scales of the parameters.
        pairs: antithetic pairs per estimate, at the coarsest σ.
        spp: samples per pixel of the first pictures, in both halves together.
        most_spp: of the last ones.
        evaluations: pictures, at most.
        settle: steps at the last σ whose mean is the result.
        seed: of everything random.
    """

    method: MethodName = "newton-cg"
    sigma: tuple[float, float] = (1.0, 0.05)
    pairs: int = 4
    spp: int = 4
    most_spp: int = 32
    evaluations: int = 3000
    settle: int = 6
    seed: int = 0


def search(
    pictures: Pictures,
    loss: Loss,
    start: Array,
    bounds: Bounds,
    settings: Settings,
    *,
    on_step: Callable[[Record], Any] | None = None,
) -> Result:
    """Looks for the parameters at which pictures are most like the plate.

    Args:
        start, bounds: search units.
        on_step: called after each step.
    """
    objective = Objective(pictures, loss, spp=max(1, settings.spp // 2))

    def after(record: Record) -> bool:
        finer = settings.sigma[0] / record.sigma
        objective.spp = int(np.clip(settings.spp * finer, settings.spp, settings.most_spp)) // 2 or 1
        if on_step is not None:
            on_step(record)
        return False

    method, schedule = _method(settings)
    stopping = Stopping(settings.evaluations, settle=settings.settle, tolerance=0.0)
    return minimise(
        objective, start, method, schedule, bounds=bounds, stopping=stopping, seed=settings.seed, on_step=after
    )


def _method(settings: Settings) -> tuple[Method, Schedule]:
    first, last = settings.sigma
    by_budget = Geometric(first, last)
    if settings.method == "newton-cg":
        return NewtonCG(settings.pairs), Following(first, last)
    if settings.method == "newton":
        return Newton(settings.pairs, sampling=Sampling.AGGREGATE), by_budget
    gradients = {"adam": aggregate_gradient, "fr22": by_fr22, "spsa": by_spsa}
    return Adam(gradients[settings.method](settings.pairs), 0.3), by_budget
