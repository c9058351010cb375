"""How a job's samples are shared among its frames: a pure function of what each frame's error did so far.

    e(n) = ē (n / n̄)^−b,     spend where −de/dn per second of rendering is largest, until all are equal there.

A frame's curve goes through the mean of its rounds, in logarithms. Its exponent b is 0.5 where nothing is known (the
noise of a mean), and follows the frame's own rounds as they come: a regression of log e on log n with a Gaussian prior,
so that two noisy points do not decide. Below b = 0.5 lie denoised pictures, and errors that samples do not mend; there
is no constant in it, since a handful of rounds cannot tell a constant from a small exponent.

Sharing is water-filling: the frames' samples solve min Σ e_f(n_f) for a given total, each second of rendering counted
alike, with bounds for each frame. A frame at most quadruples in a round, since its curve is known where it has been.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAST_GROWTH", "MOST_GROWTH", "Curve", "Going", "fit", "grants", "relative_costs", "rounds"]

PRIOR: Final = 0.5
"""Exponent before a frame has shown its own: the standard deviation of a mean falls with √n."""
PRIOR_SPREAD: Final = 0.15
"""Standard deviation of exponents between frames and scenes."""
ERROR_SPREAD: Final = 0.05
"""Standard deviation of log e around its curve: what the predicted error of one round may be off by."""
EXPONENTS: Final = (0.2, 1.0)

LEAST_GROWTH: Final = 1.5
"""While the budget lasts, a frame that goes on grows at least so much in a round: less is not worth denoising it."""
MOST_GROWTH: Final = 4.0
"""A frame grows at most so much in a round."""
NEED_MARGIN: Final = 1.1
"""Frames get so much more than their curve asks for, that a curve that is off by a little costs no further round."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A frame's error against its samples.

    Attributes:
        samples: n̄, the geometric mean over its rounds.
        error: ē, what is predicted there.
        exponent: b.
        spread: standard deviation of b.
    """

    samples: float
    error: float
    exponent: float
    spread: float

    def error_at(self, samples: float) -> float:
        """e(n)."""
        return float(self.error * (samples / self.samples) ** -self.exponent)

    def samples_for(self, target: float, *, spreads: float = 0.0) -> float:
        """Samples in all at which the error comes to `target`.

        Args:
            target: positive.
            spreads: by how many standard deviations the exponent is taken to be larger than the fitted one.
        """
        exponent = min(max(self.exponent + spreads * self.spread, EXPONENTS[0]), EXPONENTS[1])
        return float(self.samples * (self.error / target) ** (1.0 / exponent))

    def scaled(self, factor: float) -> Curve:
        """The curve of an error that is always so many times this one."""
        return replace(self, error=self.error * factor)


def fit(points: Sequence[tuple[float, float]], *, prior: float = PRIOR) -> Curve:
    """The curve of a frame from its rounds.

    Args:
        points: (samples so far, predicted error) after each round, ascending; at least one.
        prior: exponent where the points say nothing.
    """
    samples, errors = (np.array(column, np.float64) for column in zip(*points, strict=True))
    x, y = np.log(samples), np.log(np.maximum(errors, 1e-9))
    middle, height = float(x.mean()), float(y.mean())
    x, y = x - middle, y - height
    noise = (ERROR_SPREAD / PRIOR_SPREAD) ** 2
    weight = float(x @ x) + noise
    exponent = (noise * prior - float(x @ y)) / weight
    return Curve(
        samples=math.exp(middle),
        error=math.exp(height),
        exponent=min(max(exponent, EXPONENTS[0]), EXPONENTS[1]),
        spread=ERROR_SPREAD / math.sqrt(weight),
    )


def relative_costs(rates: Sequence[float]) -> list[float]:
    """Time of a frame's sample relative to the median frame's, in steps of √2.

    The steps keep the noise of clocks out: frames whose samples take about as long count alike, run after run.

    Args:
        rates: samples per second of each frame; 0 where nothing was measured, which counts as the median.
    """
    known = sorted(rate for rate in rates if rate > 0.0)
    if not known:
        return [1.0] * len(rates)
    median = known[len(known) // 2]
    return [2.0 ** (round(2.0 * math.log2(median / rate)) / 2.0) if rate > 0.0 else 1.0 for rate in rates]


@dataclass(frozen=True, slots=True)
class Going:
    """A frame that may get more samples.

    Attributes:
        samples: so far, at least 1.
        most: that it may come to in all.
        need: in all, for its target, as its curve says.
        curve: of its mean error.
        cost: of a sample, relative to other frames.
    """

    samples: int
    most: int
    need: float
    curve: Curve
    cost: float = 1.0

    @property
    def room(self) -> int:
        """Samples that it may get in one round."""
        asked = max(math.ceil(LEAST_GROWTH * self.samples), math.ceil(min(NEED_MARGIN * self.need, float(self.most))))
        return max(0, min(self.most, int(MOST_GROWTH * self.samples), asked) - self.samples)

    @property
    def least(self) -> int:
        """Samples that make a round of it worth its denoising."""
        return min(self.room, math.ceil(LEAST_GROWTH * self.samples) - self.samples)


def grants(frames: Sequence[Going], available: int, *, last: bool) -> list[int]:
    """Samples for each frame in the next round.

    Args:
        frames: that go on.
        available: samples to place.
        last: nothing is left for a later round, so that frames that gain little may get nothing.

    Returns:
        Their sum is `available`, or what the frames have room for if that is less. Frames that are alike differ by one
        at most.
    """
    room = np.array([frame.room for frame in frames], np.int64)
    least = np.array([frame.least for frame in frames], np.int64)
    if room.sum() <= available:
        return [int(each) for each in room]
    if last or least.sum() > available:
        least[:] = 0
    return [int(each) for each in _rounded(_water_filling(frames, least, room, available), room, available)]


def rounds(first_spp: int, max_spp: int, budget_spp: int) -> int:
    """Rounds of a frame in a job with a budget, at most.

    The job's total doubles until it is the budget. From then on a round either spends the rest, or every frame that
    goes on grows by `LEAST_GROWTH` at least.
    """
    total, number = float(first_spp), 1
    while total < budget_spp:
        total, number = total * 2.0, number + 1
    total = float(first_spp)
    while total < max_spp:
        total, number = total * LEAST_GROWTH, number + 1
    return number


def _water_filling(
    frames: Sequence[Going], least: NDArray[np.int64], room: NDArray[np.int64], available: int
) -> NDArray[np.float64]:
    """Shares between `least` and `room` whose sum is just below `available`, at one level of −de/dn per cost."""
    have = np.array([frame.samples for frame in frames], np.float64)
    b = np.array([frame.curve.exponent for frame in frames])
    height = np.log([frame.curve.exponent * frame.curve.error / frame.cost for frame in frames])
    height += b * np.log([frame.curve.samples for frame in frames])  # log of −de/dn per cost at n = 1

    def shares(level: float) -> NDArray[np.float64]:
        return np.clip(np.exp((height - level) / (b + 1.0)) - have, least, room)

    high = float(np.max(height - (b + 1.0) * np.log(have + least))) + 1.0
    low = float(np.min(height - (b + 1.0) * np.log(have + room))) - 1.0
    for _ in range(100):
        level = (high + low) / 2.0
        low, high = (level, high) if shares(level).sum() > available else (low, level)
    return shares(high)


def _rounded(shares: NDArray[np.float64], room: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """Whole numbers with the sum `total`: the largest remainders are rounded up, earlier frames first."""
    found = np.minimum(np.floor(shares).astype(np.int64), room)
    order = np.argsort(-(shares - found), kind="stable")
    while (missing := total - int(found.sum())) > 0:
        open_ = order[found[order] < room[order]]
        found[open_[:missing]] += 1
    return found
