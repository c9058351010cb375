"""Where the samples of the next round go: a pure function of a guide map and a budget.

    ê = dilate(blur(e)) + floor · mean,  n ∝ ê · importance / cost,  capped, redistributed, rounded to the exact total.

Systematic rounding with one random number hits the budget exactly, is unbiased per pixel, and is the same wherever it
runs.

Source: Vogels et al. 2018, §5 (increment proportional to the map, each round doubles the total); the blur, dilation,
floor and cap are production practice (Cycles dilates unconverged pixels, Arnold and Karma cap and floor).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.images.metrics import RELMSE_EPSILON, SMAPE_EPSILON

__all__ = [
    "CAP",
    "allocate",
    "expected_error",
    "next_map",
    "round_total",
    "rounding_seed",
    "slice_bounds",
    "systematic",
    "uniform",
]

CAP = 8.0
"""One pixel gets at most this many times the mean."""

FLOOR = 0.1
"""Share of the mean guide value that every pixel gets on top of its own."""

BLUR = 1.0
"""Standard deviation of the guide's blur, in pixels: single samples are too noisy to be a guide."""

_REDISTRIBUTIONS = 3


def round_total(pixels: int, first_spp: int, max_spp: int, round_: int) -> int:
    """Samples of a frame over rounds 0 … `round_`: each doubles the total, up to `max_spp` · pixels."""
    return pixels * min(first_spp * 2**round_, max_spp)


def expected_error(metric: str, mean: NDArray[Any], variance: NDArray[Any]) -> NDArray[np.float32]:
    """Expected error of a pixel mean with Gaussian error, for r the truth and d = r + N(0, σ²).

        SMAPE:  E|d − r| / (|d| + |r| + ε) ≈ √(2/π) σ / (2μ + ε)      MrSE:  E(d − r)² / (r² + ε) ≈ σ² / (μ² + ε)

    It is the error of the *noisy* mean: what the guides `variance` and `uniform` stop on.

    Args:
        metric: `smape` or `mrse`. The others have no such form.
        mean: H×W luminance of the means.
        variance: H×W, of the mean.

    Source: Vogels et al. 2018, equation 2 and §5.
    """
    noise = np.maximum(variance, 0.0)
    if metric == "smape":
        error = np.minimum(np.sqrt(2.0 / np.pi * noise) / (2.0 * np.abs(mean) + SMAPE_EPSILON), 1.0)
    elif metric == "mrse":
        error = noise / (np.asarray(mean, np.float64) ** 2 + RELMSE_EPSILON)
    else:
        raise ValueError(f"{metric} of a noisy picture does not follow from its variance")
    return np.asarray(error, np.float32)


def uniform(shape: tuple[int, int], total: int) -> NDArray[np.uint32]:
    """`total` samples spread evenly; what does not divide goes to evenly spaced pixels."""
    return systematic(np.full(shape, total / (shape[0] * shape[1])), total, offset=0.5)


def next_map(
    guide: NDArray[Any] | None,
    spent: NDArray[np.uint32],
    total: int,
    *,
    importance: NDArray[Any] | None = None,
    unbiased: bool = False,
    seed: int = 0,
) -> NDArray[np.uint32]:
    """The next round's sample map as a shot has it: spread evenly where there is no guide, else by `allocate`.

    Args:
        guide, spent, total, importance, seed: see `allocate`; without a guide the last two are not looked at.
        unbiased: the rounds are combined without bias, so that each needs a sample of every pixel.
    """
    if guide is None:
        return uniform((spent.shape[0], spent.shape[1]), total)
    return allocate(guide, spent, total, importance=importance, minimum=1 if unbiased else 0, seed=seed)


def rounding_seed(seed: int, frame: int, r: int) -> int:
    """Of the rounding of a frame's round, from the shot's seed."""
    return (seed * 1_000_003 + (frame & 0xFFFFFFFF)) * 257 + r


def allocate(
    guide: NDArray[Any],
    spent: NDArray[np.uint32],
    total: int,
    *,
    importance: NDArray[Any] | None = None,
    cost: NDArray[Any] | None = None,
    minimum: int = 0,
    seed: int = 0,
) -> NDArray[np.uint32]:
    """The next round's sample map.

    Args:
        guide: H×W, non-negative: where samples help (relative variance, predicted error).
        spent: H×W, samples taken so far.
        total: samples to place in this round.
        importance: H×W, non-negative: an artist's mask; None is 1 everywhere.
        cost: H×W, positive: time of a sample relative to others; None is 1.
        minimum: every pixel gets this many (1 where the rounds are to be combined without bias).
        seed: of the rounding.

    Returns:
        H×W uint32 that sum to `total`; together with `spent` no pixel exceeds `CAP` times the mean, unless `total`
        cannot be placed otherwise.
    """
    shape, pixels = guide.shape, guide.size
    clean = np.nan_to_num(np.asarray(guide, np.float64), nan=0.0, posinf=0.0, neginf=0.0).clip(min=0.0)
    weight = ndimage.grey_dilation(ndimage.gaussian_filter(clean, BLUR, mode="nearest"), size=3, mode="nearest")
    weight = weight + FLOOR * weight.mean()
    if importance is not None:
        weight = weight * np.clip(importance, 0.0, None)
    if cost is not None:
        weight = weight / np.maximum(cost, 1e-9)
    if weight.sum() <= 0.0:
        weight = np.ones(shape)
    base = min(minimum, total // pixels)
    rest = float(total - base * pixels)
    cap = np.maximum(CAP * (float(spent.sum()) + total) / pixels - spent - base, 0.0)
    share = weight * (rest / weight.sum())
    for _ in range(_REDISTRIBUTIONS):
        over = share > cap
        excess = rest - np.minimum(share, cap).sum()
        free = np.where(over, 0.0, weight)
        if excess <= 1e-9 or free.sum() <= 0.0:
            break
        share = np.where(over, cap, share + free * (excess / free.sum()))
    share = np.minimum(share, cap)
    missing = rest - share.sum()
    if missing > 0.0:  # the cap leaves too little room: what is left goes where there is room, else everywhere
        room = cap - share
        share = share + (room if room.sum() > 0 else np.ones(shape)) * (missing / (room.sum() or pixels))
    offset = float(np.random.Generator(np.random.PCG64(seed)).random())
    return (base + systematic(share, int(rest), offset=offset)).astype(np.uint32)


def systematic(share: NDArray[np.float64], total: int, *, offset: float) -> NDArray[np.uint32]:
    """Integers with the exact sum `total` whose expectation over a uniform `offset` in [0, 1) is `share`.

    n_p = ⌊C_p + u⌋ − ⌊C_{p−1} + u⌋ with C the running sum, scaled to end at `total`.
    """
    if total == 0:
        return np.zeros(share.shape, np.uint32)
    running = np.cumsum(share.ravel())
    running *= total / running[-1]
    running[-1] = total
    edges = np.minimum(np.floor(running + offset), total).astype(np.int64)  # an offset just below 1 may round up
    edges[-1] = total
    counts = np.diff(edges, prepend=0)
    return counts.reshape(share.shape).astype(np.uint32)


BLOCK = 256
"""Slices are cut between blocks of so many pixels: what is traced together must not depend on the slicing."""


def slice_bounds(counts: NDArray[np.uint32], samples_per_slice: float) -> list[int]:
    """Cuts a frame into runs of pixels of about equal numbers of samples.

    Returns:
        Flat pixel indices: slice s covers [bounds[s], bounds[s + 1]). All but the last are multiples of `BLOCK`.
    """
    running = np.cumsum(counts.ravel(), dtype=np.int64)
    total = int(running[-1])
    slices = max(1, round(total / max(samples_per_slice, 1.0)))
    inner = np.searchsorted(running, total * np.arange(1, slices) / slices, side="left") + 1
    blocks = np.round(inner / BLOCK).astype(np.int64) * BLOCK
    return sorted({0, *(int(b) for b in blocks if b < counts.size), counts.size})
