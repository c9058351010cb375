"""Predicted errors made to mean what they say: a monotone correction, and how well it does by decile.

Source: Zadrozny, Elkan 2002 (isotonic calibration of a predictor by held-out data).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DECILES", "Correction", "Deciles", "deciles"]

Array = NDArray[np.float32]

DECILES = 10


@dataclass(frozen=True)
class Correction:
    """A monotone, piecewise linear function: what was predicted → what the error was, on average.

    Attributes:
        predicted, true: knots, both rising. Beyond the last knot, errors grow in proportion.
    """

    predicted: tuple[float, ...]
    true: tuple[float, ...]

    def __call__(self, values: Array) -> Array:
        """Corrected values."""
        last_in, last_out = self.predicted[-1], self.true[-1]
        inside = np.interp(values, self.predicted, self.true)
        beyond = values * (last_out / max(last_in, 1e-12))
        corrected: Array = np.where(values > last_in, beyond, inside).astype(np.float32)
        return corrected

    @staticmethod
    def none() -> Correction:
        """The identity."""
        return Correction((0.0, 1.0), (0.0, 1.0))

    @staticmethod
    def fit(predicted: NDArray[np.floating], true: NDArray[np.floating], *, knots: int = 24) -> Correction:
        """Isotonic regression (least squares, so means are kept), reduced to a few knots.

        Args:
            predicted, true: as many numbers, ≥ 0.
        """
        order = np.argsort(predicted, kind="stable")
        x, y = predicted[order].astype(np.float64), true[order].astype(np.float64)
        # Equal shares of the numbers, and of the largest ones again, where most of the error is.
        edges = np.unique(np.concatenate([np.linspace(0, 1, knots), 1 - np.geomspace(1e-3, 1, knots // 2)]))
        bounds = np.unique((edges * len(x)).astype(int))
        blocks = [slice(a, b) for a, b in pairwise(bounds) if b > a]
        means_x, means_y = (np.array([v[block].mean() for block in blocks]) for v in (x, y))
        counts = np.array([block.stop - block.start for block in blocks], np.float64)
        means_y = _isotonic(means_y, counts)
        keep = np.concatenate([[True], np.diff(means_x) > 1e-9])
        return Correction((0.0, *map(float, means_x[keep])), (0.0, *map(float, means_y[keep])))


def _isotonic(values: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest rising sequence, in weighted least squares: neighbours that fall are pooled."""
    means: list[float] = []
    sizes: list[float] = []
    spans: list[int] = []
    for value, count in zip(values, counts, strict=True):
        means.append(float(value))
        sizes.append(float(count))
        spans.append(1)
        while len(means) > 1 and means[-2] > means[-1]:
            total = sizes[-2] + sizes[-1]
            means[-2:] = [(means[-2] * sizes[-2] + means[-1] * sizes[-1]) / total]
            sizes[-2:] = [total]
            spans[-2:] = [spans[-2] + spans[-1]]
    return np.repeat(means, spans)


@dataclass(frozen=True)
class Deciles:
    """Predictions in ten groups of equal size, the smallest first.

    Attributes:
        predicted, true: means of each group.
    """

    predicted: tuple[float, ...]
    true: tuple[float, ...]

    @property
    def worst(self) -> float:
        """The largest distance of a group's mean from the truth, as a share of the mean of all."""
        mean = sum(self.true) / len(self.true)
        return max(abs(p - t) for p, t in zip(self.predicted, self.true, strict=True)) / max(mean, 1e-12)

    @staticmethod
    def mean(of: Sequence[Deciles]) -> Deciles:
        """The means over several frames, group by group."""
        return Deciles(
            predicted=tuple(float(v) for v in np.mean([each.predicted for each in of], axis=0)),
            true=tuple(float(v) for v in np.mean([each.true for each in of], axis=0)),
        )


def deciles(predicted: NDArray[Any], true: NDArray[Any]) -> Deciles:
    """Groups of predictions against what was true of them.

    Args:
        predicted, true: of the same shape; at least ten numbers.
    """
    order = np.argsort(predicted, axis=None, kind="stable")
    parts = np.array_split(order, DECILES)
    p, t = predicted.ravel(), true.ravel()
    return Deciles(
        predicted=tuple(float(p[part].mean(dtype=np.float64)) for part in parts),
        true=tuple(float(t[part].mean(dtype=np.float64)) for part in parts),
    )
