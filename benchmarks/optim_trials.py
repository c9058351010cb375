"""Trainings of fields, each kept as soon as it has ended: a run that was stopped goes on where it was.

A trial is one signal, activation, optimiser, rate and seed. All optimisers of a task get the same steps and batches,
and trials that are compared run one after another.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmarks.adaptive_cache import Kept, kept
from benchmarks.machine import ROOT
from benchmarks.optim_signals import Named
from benchmarks.optim_sizes import Course
from pipeline.optim.choose import Choice, build
from pipeline.optim.fields.fit import fit

__all__ = ["CORRECTED", "PUBLIC", "Trial", "code", "looks_of", "optimizer", "trial"]

PUBLIC, CORRECTED = "esgd (public)", "esgd (public, corrected)"
"""ESGD with the public code's β₂ of 0.999 a step of D: its bias by steps, and by D's updates."""

LAST = 0.1
"""Share of the looks, the last ones, whose mean is a training's final quality: one look is noisy."""

APART = {"assets", "choose.py", "probes.py"}
"""Of `pipeline/optim`, what trainings do not depend on: rates are the trials' own."""


@dataclass(frozen=True)
class Trial:
    """What one training came to.

    Attributes:
        looks: (step, products, seconds, quality) along the way.
        complete: whether it got to its end; else it diverged.
    """

    looks: list[list[float]]
    complete: bool

    @property
    def final(self) -> float:
        """Mean quality of the last looks; −∞ for a training that diverged."""
        if not self.complete:
            return -math.inf
        count = max(round(LAST * len(self.looks)), 1)
        return statistics.fmean(look[3] for look in self.looks[-count:])

    def reached(self, target: float) -> tuple[float, float, float] | None:
        """(steps, products, seconds) after which the quality was first that good, between looks along a line; None
        where it never was."""
        for before, after in zip(self.looks, self.looks[1:], strict=False):
            if after[3] >= target:
                share = (target - before[3]) / (after[3] - before[3]) if after[3] > before[3] else 1.0
                share = min(max(share, 0.0), 1.0)
                steps, products, seconds = (a + share * (b - a) for a, b in zip(before[:3], after[:3], strict=True))
                return steps, products, seconds
        return None

    def cost(self, target: float, budget: Trial) -> tuple[float, float, float, bool]:
        """(steps, products, seconds) that a target took, and whether it was reached; a miss counts its full budget, and
        one that diverged at least that of `budget`."""
        found = self.reached(target)
        if found is not None:
            return (*found, True)
        steps, products, seconds = (
            max(own, other) for own, other in zip(self.looks[-1][:3], budget.looks[-1][:3], strict=True)
        )
        return steps, products, seconds, False


def looks_of(course: Course) -> list[int]:
    """Steps after which a training is looked at, 0 and the last one among them."""
    return sorted({round(course.steps * k / course.looks) for k in range(course.looks + 1)})


def optimizer(name: str, params: Any, activation: str, rate: float, seed: int) -> Any:
    """An optimiser by its name in `pipeline.optim.choose.OPTIMIZERS`, or one of `PUBLIC`, `CORRECTED`."""
    from pipeline.optim.optimizers import ESGD

    if name in (PUBLIC, CORRECTED):
        bias: Any = "steps" if name == PUBLIC else "updates"
        return ESGD(params, rate, decay=0.999, bias=bias, seed=seed)
    return build(params, Choice(name, rate, "measured"), activation, rate=rate, seed=seed)


def trial(signal: Named, activation: str, name: str, rate: float, course: Course, seed: int, folder: Path) -> Trial:
    """A training, made now or kept in `folder`."""

    def make() -> Kept:
        learned = signal.signal
        field = learned.field(activation, width=course.width, depth=course.depth, seed=seed)
        made = optimizer(name, field.parameters(), activation, rate, seed)
        wanted = looks_of(course)
        looks = [
            [look.step, look.products, look.seconds, look.quality]
            for look in fit(
                learned, field, made, steps=course.steps, batch=course.batch, seed=seed, looks=frozenset(wanted)
            )
        ]
        return Kept({"looks": looks, "complete": len(looks) == len(wanted)})

    drawn = hashlib.sha256(repr(asdict(course)).encode()).hexdigest()[:8]
    file = folder / code() / f"{signal.name}-{activation}-{name}-{rate:.4g}-{drawn}-s{seed}.npz"
    return Trial(**kept(file, make).figures)


@lru_cache
def code(*packages: str) -> str:
    """Digest of what trainings depend on in packages of `pipeline`, so that trials of other code are not taken for
    these; `optim` where none is named."""
    folders = [ROOT / "pipeline" / name for name in packages or ("optim",)]
    files = [path for folder in folders for path in sorted(folder.rglob("*.py")) if not APART & {*path.parts}]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
