"""Tables and curves of the ablations' page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.ablation_cost import SETTINGS, Parts
from benchmarks.ablation_mirror_descent import DATA, Convergence
from benchmarks.ablation_rows import Curves, Judged
from benchmarks.ablation_studies import ADAPTED, Study
from benchmarks.ablation_trials import METRICS
from benchmarks.referee import Results

__all__ = ["adaptation_figure", "convex_figure", "cost_table", "curves_figure", "means", "study_table"]


def means(judged: Judged, label: str, metric: str) -> float | None:
    """Geometric mean over scenes and seeds; None where there is nothing."""
    logs = [
        math.log(figures[metric])
        for of in judged.values()
        for figures in of.get(label, {}).values()
        if metric in figures
    ]
    return math.exp(sum(logs) / len(logs)) if logs else None


def study_table(
    results: Results, study: Study, labels: Sequence[str], judged: Judged, facts: Mapping[str, str]
) -> None:
    """Every trial of a study. `facts`: by label, how it was trained."""
    results.text(f"## {study.title}")
    rows = []
    for label in labels:
        figures = [means(judged, label, metric) for metric in METRICS]
        seeds = sum(label in of for of in judged.values())
        cells: list[object] = ["–" if value is None else value for value in figures]
        rows.append([label, *cells, seeds, facts.get(label, "")])
    results.table(["network", "SMAPE", "DSSIM", "SMAPE of 8×8 means", "flicker", "seeds", "trained"], rows)


def curves_figure(results: Results, name: str, curves: Curves, caption: str) -> None:
    """SMAPE over steps: the mean over seeds, and the range."""
    axes, figure = _axes("step", "SMAPE on the sequences for checking")
    for label in sorted({label for of in curves.values() for label in of}):
        runs = [of[label] for of in curves.values() if label in of]
        shortest = min(len(run) for run in runs)
        steps = [step for step, _ in runs[0][:shortest]]
        values = np.array([[value for _, value in run[:shortest]] for run in runs])
        axes.plot(steps, np.exp(np.log(values).mean(axis=0)), label=label)
        axes.fill_between(steps, values.min(axis=0), values.max(axis=0), alpha=0.2)
    axes.set_yscale("log")
    axes.legend()
    results.figure(name, figure, caption)


def adaptation_figure(results: Results, judged: Judged) -> None:
    """Figure 11: error over the number of sequences that a new source is learnt from."""
    axes, figure = _axes("sequences", "SMAPE")
    for name in ("encoder", "scratch"):
        found = [(count, means(judged, f"{name} {count}", "smape")) for count in ADAPTED]
        known = [(count, value) for count, value in found if value is not None]
        axes.plot([count for count, _ in known], [value for _, value in known], "o-", label=name)
    axes.set_xscale("log")
    axes.legend()
    results.figure("adaptation", figure, "A new source: its encoder alone, or a network from scratch (Figure 11)")


def convex_figure(results: Results, found: Mapping[str, Convergence]) -> None:
    """E over d, and what Proposition 8.1 says."""
    axes, figure = _axes("d", "E after T steps")
    for (kind, of), style in zip(found.items(), ("-", "--"), strict=True):
        for name, values, colour in (("kernel", of.kernel, "C0"), ("direct", of.direct, "C1")):
            told = f"{name}, {DATA[kind]}"
            axes.plot(of.sizes, np.exp(np.log(values).mean(axis=0)), style, color=colour, label=told)
    signs = found["signs"]
    d = np.array(signs.sizes, float)
    for shape, name, values in ((np.sqrt(np.log(d)), "√log d", signs.kernel), (np.sqrt(d), "√d", signs.direct)):
        first = np.exp(np.log(values[:, 0]).mean())
        axes.plot(d, shape / shape[0] * first, ":", color="0.5", label=name)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.legend()
    results.figure("convex", figure, "Suboptimality of equation 9 by the number of parameters")


def cost_table(results: Results, found: Mapping[str, Parts]) -> None:
    """Seconds by part."""
    results.text("## Cost by part (§7.6)")
    rows = []
    for name, of in found.items():
        setting = SETTINGS[name]
        size = f"{setting.width}×{setting.height}, {setting.frames} frames"
        total = of.extractor + of.temporal + of.kernels
        rows.append([name, size, *(f"{x:.3f} s ({x / total:.0%})" for x in (of.extractor, of.temporal, of.kernels))])
    rows.append(["the paper's", "1920×804, 7 frames", "3.0 s (29%)", "2.0 s (20%)", "5.2 s (51%)"])
    results.table(["preset", "one component of", "extractor", "temporal", "kernels and their application"], rows)


def _axes(x: str, y: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 4.0))
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return axes, figure
