"""The rows of the capture's table, each from the figures that it needs; without a value, and why, where they lack."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchmarks.capture_judge import MAPS, Score
from benchmarks.referee import Interval, Row, ratio

__all__ = ["NO_WEIGHTS", "between", "mean_of", "residue_of", "unmeasured"]

NO_WEIGHTS = "no weights are installed: pipeline train capture --install"

Scores = Mapping[str, Score]
"""Subject → figures."""


def between(
    key: str,
    what: str,
    ours: Scores | None,
    peer: Scores | None,
    *,
    must: float | None = None,
    aim: float | None = None,
    missing: str = NO_WEIGHTS,
    figure: str = "rmse",
) -> Row:
    """Geometric mean of ours / peer over subjects, with its interval."""
    if not ours or not peer:
        return unmeasured(key, what, must=must, aim=aim, note=missing)
    pairs = {(name, 0): (getattr(ours[name], figure), getattr(peer[name], figure)) for name in ours if name in peer}
    found: Interval = ratio(pairs)
    note = f"{found.pairs} materials"
    return Row(key, what, found.value, "", must, aim, interval=(found.low, found.high), note=note)


def mean_of(key: str, what: str, scores: Scores | None, *, aim: float | None = None, must: float | None = None) -> Row:
    """Mean RMSE of re-renders."""
    if not scores:
        return unmeasured(key, what, must=must, aim=aim, note=NO_WEIGHTS)
    values = [each.rmse for each in scores.values()]
    return Row(
        key, what, float(np.mean(values)), "", must, aim, note=f"{len(values)} materials, σ {np.std(values):.3f}"
    )


def residue_of(key: str, what: str, scores: Scores | None, *, must: float, aim: float) -> Row:
    """The largest of the maps' mean correlations."""
    if not scores:
        return unmeasured(key, what, must=must, aim=aim, note=NO_WEIGHTS)
    means = {name: float(np.mean([each.residue[name] for each in scores.values()])) for name in MAPS}
    worst = max(means, key=lambda name: means[name])
    return Row(key, what, means[worst], "", must, aim, note=f"the largest: {worst}")


def unmeasured(key: str, what: str, *, must: float | None = None, aim: float | None = None, note: str) -> Row:
    """A row without a value."""
    return Row(key, what, None, "", must, aim, note=note)
