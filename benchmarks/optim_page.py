"""The page below the rows: curves, the table of optimisers and activations, rates, densities, condition numbers."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.optim_rows import CONTENDERS, Races, reached, speedup
from benchmarks.optim_theory import Condition
from benchmarks.optim_trials import Trial
from benchmarks.optim_tuning import Tuned
from benchmarks.referee import Results, median_ratio
from pipeline.optim.activations import ACTIVATIONS

__all__ = ["conditions", "curves", "densities", "optimizers", "rates"]

POINTS = 60


def optimizers(results: Results, title: str, races: Races, products: Mapping[str, float]) -> None:
    """What each optimiser needs to Adam's final quality, over Adam, by activation."""
    results.text(
        f"## {title}\n\nMedians over signals and seeds: steps, gradient-equivalents and seconds to Adam's final "
        "quality, over Adam's own. A miss counts its budget."
    )
    lines: list[list[object]] = []
    for activation in ACTIVATIONS:
        for name in CONTENDERS:
            trials = races.get((activation, name))
            if not trials:
                continue
            ratios: list[object] = []
            for what in (0, 1, 2):
                pairs = speedup(races, [activation], what, products=products, name=name)
                ratios.append(median_ratio(pairs).value)
            final = statistics.median(trial.final for trial in trials.values())
            made = [trial.looks[-1] for trial in trials.values()]
            step = 1e3 * statistics.median(look[2] / max(look[0], 1) for look in made)
            lines.append([activation, name, final, *ratios, f"{reached(races, activation, name):.0%}", step, len(made)])
    columns = ["activation", "optimiser", "final", "steps", "gradients", "seconds", "reached", "ms a step", "trials"]
    results.table(columns, lines)


def rates(results: Results, found: Mapping[tuple[str, str, str], Tuned], steps: Mapping[str, int]) -> None:
    """(task, activation, optimiser) → its search; steps of a training, by task."""
    told = ", ".join(f"{task} {count}" for task, count in steps.items())
    results.text(
        "## Rates\n\nEvery optimiser was tuned alike, on other signals than those above: at least five rates half a "
        f"decade apart, judged by the final quality after the same steps ({told}). The best one in bold."
    )
    lines = []
    for (task, activation, name), tuned in found.items():
        tried = ", ".join(
            f"{'**' if rate == tuned.rate else ''}{rate:.2g}: {_score(score)}{'**' if rate == tuned.rate else ''}"
            for rate, score in tuned.tried.items()
        )
        lines.append([task, activation, name, tried])
    results.table(["task", "activation", "optimiser", "rate: quality"], lines)


def _score(score: float) -> str:
    return f"{score:.4g}" if math.isfinite(score) else "diverged"


def curves(results: Results, name: str, caption: str, races: Races, measure: str) -> None:
    """Quality over steps and over seconds: medians of all trials, with quartiles, a row of plots per activation."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    activations = [each for each in ACTIVATIONS if any(key == each for key, _ in races)]
    figure, grid = pyplot.subplots(len(activations), 2, figsize=(9, 2.6 * len(activations)), squeeze=False)
    for (left, right), activation in zip(grid, activations, strict=True):
        for number, optimizer in enumerate(CONTENDERS):
            trials = [trial for trial in races.get((activation, optimizer), {}).values() if trial.complete]
            if not trials:
                continue
            for axis, column in ((left, 0), (right, 2)):
                at, middle, low, high = _spread(trials, column)
                axis.plot(at, middle, label=optimizer, color=f"C{number}", linewidth=1.2)
                axis.fill_between(at, low, high, color=f"C{number}", alpha=0.15, linewidth=0)
        left.set_title(activation, loc="left", fontsize=9)
        left.set_ylabel(measure)
        left.set_xlabel("steps"), right.set_xlabel("seconds")
        right.set_xscale("log")
    grid[0][0].legend(fontsize=7)
    figure.tight_layout()
    results.figure(name, figure, caption)
    pyplot.close(figure)


def _spread(trials: Sequence[Trial], column: int) -> tuple[Any, Any, Any, Any]:
    """Quartiles of the quality over steps (0) or seconds (2)."""
    looks = [np.array(trial.looks[1:]) for trial in trials]
    at = np.linspace(max(each[0, column] for each in looks), min(each[-1, column] for each in looks), POINTS)
    found = np.stack([np.interp(at, each[:, column], each[:, 3]) for each in looks])
    low, middle, high = np.quantile(found, [0.25, 0.5, 0.75], axis=0)
    return at, middle, low, high


def densities(results: Results, found: Mapping[str, Mapping[int, Sequence[float]]]) -> None:
    """activation → step → of each seed."""
    results.text("## Density of Hv\n\nShare of the entries above a thousandth of the largest, median over seeds.")
    steps = sorted(next(iter(found.values())))
    lines = [[name, *(statistics.median(shares[step]) for step in steps)] for name, shares in found.items()]
    results.table(["activation", *(f"{step} steps" for step in steps)], lines)


def conditions(results: Results, found: Mapping[tuple[str, int], Mapping[int, Condition]]) -> None:
    """(activation, seed) → step → condition numbers."""
    results.text("## Condition numbers\n\nλmax over the lower quartile of |λ| of exact Hessians; medians over seeds.")
    lines: list[list[object]] = []
    for activation in dict.fromkeys(name for name, _ in found):
        for step in next(iter(found.values())):
            mine = [numbers[step] for (name, _), numbers in found.items() if name == activation]
            kinds = ("plain", "equilibrated", "jacobi")
            lines.append([activation, step, *(statistics.median(getattr(n, kind) for n in mine) for kind in kinds)])
    results.table(["activation", "after steps", "none", "equilibrated", "Jacobi"], lines)
