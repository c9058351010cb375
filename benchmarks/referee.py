"""The one referee of all benchmarks: how images are judged, and how figures are compared.

It is also the public face of what a benchmark needs: `machine.py` says what the figures were measured on, `results.py`
writes them down.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from benchmarks.machine import commit, machine
from benchmarks.results import Results, Row, main, published
from pipeline.images import metrics

__all__ = [
    "Interval",
    "Reference",
    "Results",
    "Row",
    "commit",
    "judge",
    "machine",
    "main",
    "median_ratio",
    "published",
    "ratio",
    "timed_pairs",
]

NOISE_SHARE = 0.25  # a reference's own noise, of the smallest error that it may judge
CONFIDENCE = 0.95
RESAMPLES = 10_000


@dataclass(frozen=True)
class Reference:
    """A reference image as two independent halves, H×W×3 linear, never denoised."""

    a: NDArray[Any]
    b: NDArray[Any]

    @property
    def image(self) -> NDArray[Any]:
        """Mean of the halves."""
        mean: NDArray[Any] = (self.a + self.b) / 2
        return mean

    @property
    def noise(self) -> float:
        """Half of the SMAPE between the halves: what the reference itself adds to an error."""
        return metrics.smape(self.a, self.b) / 2

    def may_judge(self, smallest_smape: float) -> bool:
        """Whether its noise is at most a quarter of the smallest SMAPE that it has to judge."""
        return self.noise <= NOISE_SHARE * smallest_smape


def judge(image: NDArray[Any], reference: NDArray[Any]) -> dict[str, float | None]:
    """Every metric of `pipeline.images.metrics` of a linear H×W×3 image; lower is better.

    Returns:
        smape, rel_mse (0.1 % of pixels trimmed), rel_mse_untrimmed, dssim, ms_dssim (None below 176 pixels a side),
        flip.

    Raises:
        PenumbraError: `flip-evaluator` is not installed.
    """
    try:
        ms_dssim = metrics.ms_dssim(image, reference)
    except ValueError:
        ms_dssim = None
    return {
        "smape": metrics.smape(image, reference),
        "rel_mse": metrics.rel_mse(image, reference),
        "rel_mse_untrimmed": metrics.rel_mse(image, reference, trim=0.0),
        "dssim": metrics.dssim(image, reference),
        "ms_dssim": ms_dssim,
        "flip": metrics.flip(image, reference),
    }


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval, and the number of pairs behind it."""

    value: float
    low: float
    high: float
    pairs: int


def ratio(pairs: Mapping[tuple[str, int], tuple[float, float]], *, seed: int = 0) -> Interval:
    """Geometric mean of ours / peer, with a paired bootstrap over scenes, and over seeds within each.

    Args:
        pairs: (scene, seed) → (ours, peer), both positive; each pair was measured on the same scene with the same seed.
        seed: of the resampling.

    Raises:
        ValueError: fewer than two pairs, or a figure that is not positive.

    Source: Efron, Tibshirani 1993, §13.3 (percentile interval).
    """
    if len(pairs) < 2:
        raise ValueError(f"an interval needs at least two pairs, not {len(pairs)}")
    bad = [key for key, (ours, peer) in pairs.items() if not (ours > 0 and peer > 0)]
    if bad:
        raise ValueError(f"a ratio of figures that are not positive: {bad[0]}: {pairs[bad[0]]}")
    scenes: dict[str, list[float]] = {}
    for (scene, _), (ours, peer) in pairs.items():
        scenes.setdefault(scene, []).append(math.log(ours / peer))
    logs = [np.array(values) for values in scenes.values()]
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(logs), size=(RESAMPLES, len(logs)))
    sums, counts = np.zeros(drawn.shape), np.zeros(drawn.shape)
    for index, values in enumerate(logs):
        where = drawn == index
        draws = rng.integers(len(values), size=(np.count_nonzero(where), len(values)))
        sums[where], counts[where] = values[draws].sum(axis=1), len(values)
    means = sums.sum(axis=1) / counts.sum(axis=1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.exp(np.quantile(means, [tail, 1 - tail]))
    return Interval(math.exp(np.concatenate(logs).mean()), float(low), float(high), len(pairs))


def timed_pairs(
    ours: Callable[[], object], peer: Callable[[], object], *, pairs: int = 9, warm_up: int = 1
) -> list[tuple[float, float]]:
    """Wall-clock seconds of both, in turn and with the order swapped every time, after `warm_up` runs of each."""
    for _ in range(warm_up):
        ours(), peer()
    measured = []
    for index in range(pairs):
        first, second = (ours, peer) if index % 2 == 0 else (peer, ours)
        seconds = _seconds(first), _seconds(second)
        measured.append(seconds if index % 2 == 0 else seconds[::-1])
    return measured


def median_ratio(pairs: Sequence[tuple[float, float]]) -> Interval:
    """Median of ours / peer over timed pairs; the interval is that of the median's order statistics.

    Source: Hahn, Meeker 1991, §5.2 (distribution-free interval of a quantile: binomial, p = ½); the extremes where
    fewer than six pairs allow no 95 %.
    """
    ratios = np.sort([ours / peer for ours, peer in pairs])
    n = len(ratios)
    rank = int(binom.ppf((1 - CONFIDENCE) / 2, n, 0.5))  # the largest with P(fewer than `rank` lie below) ≤ 2.5 %
    cut = max(rank, 1) - 1
    return Interval(float(np.median(ratios)), float(ratios[cut]), float(ratios[n - 1 - cut]), n)


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
