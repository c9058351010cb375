"""Plots of the matching benchmark: errors against seconds, medians and quartiles, as in the paper's Table 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.match_trials import Trial
from benchmarks.results import Results

__all__ = ["plots"]

POINTS = 80
LEAST = 1e-5  # of errors over their start: below it nothing is told apart


def plots(results: Results, found: Mapping[tuple[str, str], Sequence[Trial]], labels: Mapping[str, str]) -> None:
    """One figure a task: parameter and picture error over seconds, each method's median with its quartiles."""
    import matplotlib

    matplotlib.use("Agg")
    for task in dict.fromkeys(key for key, _ in found):
        methods = {method: trials for (key, method), trials in found.items() if key == task}
        results.figure(task.lower(), _figure(methods, labels), f"{task}: medians and quartiles over seeds")


def _figure(methods: Mapping[str, Sequence[Trial]], labels: Mapping[str, str]) -> Any:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.2), sharey=True)
    for axis, column, name in zip(axes, (2, 3), ("parameter error", "picture error"), strict=True):
        for number, (method, trials) in enumerate(methods.items()):
            paths = [np.array(trial.path) for trial in trials if trial.path]
            if not paths:
                continue
            low = min(path[0, 1] for path in paths)
            high = max(path[-1, 1] for path in paths)
            seconds = np.geomspace(max(low, 1e-4), max(high, 2e-4), POINTS)
            curves = np.array([_held(path[:, 1], path[:, column], seconds) for path in paths])
            quarter, middle, upper = np.quantile(np.clip(curves, LEAST, None), (0.25, 0.5, 0.75), axis=0)
            colour = f"C{number}"
            axis.plot(seconds, middle, color=colour, label=labels[method], linewidth=1.4)
            axis.fill_between(seconds, quarter, upper, color=colour, alpha=0.15, linewidth=0)
        axis.set(xscale="log", yscale="log", xlabel="seconds", title=name)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("over the start's")
    axes[1].legend(fontsize=6, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    pyplot.close(figure)
    return figure


def _held(at: Any, values: Any, where: Any) -> Any:
    """A step function: 1 before the first value, each value until the next."""
    index = np.searchsorted(at, where, side="right")
    return np.concatenate([[1.0], np.abs(values)])[index]
