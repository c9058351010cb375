"""What a job will still take: samples, time and money, each with an interval. Pure; `progress` says what it reads.

Samples follow each frame's curve of error against samples (`pipeline.render.budget`) to its target or cap. Where rounds
double, the need is rounded up to a round's total; where frames share a budget, their sum stays within it. Frames
without an error are taken to be like the others. Time is samples at the measured seconds per sample, and denoising and
writing at their measured times, over the slots that work. A worker's first pass of a job loads its scene and compiles
its kernels: as many frames as there are slots, the slowest, do not count for the seconds per sample.

Intervals hold 80 %: the exponents of all curves are taken to be off in the same direction, since frames of a shot are
much alike, and the seconds per sample by their spread between frames.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.farm.limits import Limits
from pipeline.render.budget import NEED_MARGIN, fit

__all__ = ["Forecast", "Interval", "Work", "expected_samples", "forecast"]

SPREADS: Final = 1.28
"""Standard deviations to either side that hold 80 % of a normal distribution."""
OUTPUT_SECONDS: Final = 2.0
"""Assumed time of what is done for a frame beside rendering and denoising: sums, maps, and writing its files."""
RATE_SPREAD: Final = 0.25
"""Standard deviation of the log of seconds per sample between frames, where one frame alone tells of them."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A guess, and the interval that holds it in 80 % of cases."""

    low: float
    middle: float
    high: float

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.low + other.low, self.middle + other.middle, self.high + other.high)

    def __mul__(self, factor: float) -> Interval:
        return Interval(self.low * factor, self.middle * factor, self.high * factor)


@dataclass(frozen=True, slots=True)
class Work:
    """A frame, as far as it is known.

    Attributes:
        samples: finished so far.
        seconds: of rendering so far.
        pixels: of the frame; 0 while unknown.
        history: samples and predicted mean error after each round.
        p99: the predicted error's 99th percentile, of the last round.
        fixed: samples in all, where that is known.
        delivered: nothing is left to be done for it.
        denoise_seconds: of one of its denoised rounds; None where none was denoised yet.
    """

    samples: int = 0
    seconds: float = 0.0
    pixels: int = 0
    history: tuple[tuple[float, float], ...] = ()
    p99: float = 0.0
    fixed: float | None = None
    delivered: bool = False
    denoise_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is still to come.

    Attributes:
        samples: to be taken.
        seconds: by the clock on the wall.
        machine_seconds: of slots at work: what it costs.
        cost: in money, where the farm says what an hour of a slot costs.
        slots: that work on it at a time.
    """

    samples: Interval
    seconds: Interval
    machine_seconds: Interval
    cost: Interval | None
    slots: float


def expected_samples(work: Work, limits: Limits, *, spreads: float = 0.0) -> float | None:
    """Samples that a frame will have taken at its end; None while there is nothing to go by.

    Args:
        work: the frame.
        limits: of the job.
        spreads: standard deviations by which its error is taken to fall faster than the curve says.
    """
    if work.fixed is not None:
        return max(work.fixed, float(work.samples))
    if not work.history or not work.pixels:
        return None
    (have, mean), most = work.history[-1], float(limits.max_spp * work.pixels)
    excess = limits.excess(mean, work.p99)
    rendered = have <= work.samples  # else the points are a probe's
    if rendered and excess <= 1.0:
        return max(float(work.samples), have)
    need = most
    if not math.isinf(excess):
        judged = fit(work.history).scaled(excess / max(mean, 1e-9))
        least = 1.01 * have if rendered else float(limits.first_spp * work.pixels)
        need = max(least, judged.samples_for(1.0, spreads=spreads))
    if limits.budget_spp is None:  # a round's total: first_spp · 2^r
        first = float(limits.first_spp * work.pixels)
        need = first * 2.0 ** math.ceil(math.log2(max(need / first, 1.0)) - 1e-9)
    else:
        need *= NEED_MARGIN
    return max(float(work.samples), min(need, most))


def forecast(
    frames: Sequence[Work],
    limits: Limits,
    *,
    slots: float,
    every_round: bool = False,
    cost_per_hour: float | None = None,
    seconds_per_sample: float = 0.0,
) -> Forecast | None:
    """What a job will still take; None before the first frame has shown an error.

    Args:
        frames: all that are wanted.
        limits: of the job.
        slots: that work on it at a time, on average.
        every_round: every round is denoised.
        cost_per_hour: of one slot.
        seconds_per_sample: where no frame has been rendered that tells.
    """
    totals = [_total(frames, limits, spreads) for spreads in (SPREADS, 0.0, -SPREADS)]
    if None in totals:
        return None
    done = float(sum(work.samples for work in frames))
    low, middle, high = sorted(max(0.0, (total or 0.0) - done) for total in totals)
    samples = Interval(low, middle, high)
    first = float(limits.first_spp * sum(work.pixels for work in frames))
    machine = _rendering(frames, samples, seconds_per_sample, math.ceil(slots))
    machine += _finishing(frames, done, first, samples, every_round=every_round)
    return Forecast(
        samples=samples,
        seconds=machine * (1.0 / max(slots, 1e-3)),
        machine_seconds=machine,
        cost=None if cost_per_hour is None else machine * (cost_per_hour / 3600.0),
        slots=slots,
    )


def _total(frames: Sequence[Work], limits: Limits, spreads: float) -> float | None:
    """Samples of all frames at their end."""
    known = [found for work in frames if (found := expected_samples(work, limits, spreads=spreads)) is not None]
    if frames and not known:
        return None
    total = sum(known) + (len(frames) - len(known)) * (sum(known) / len(known) if known else 0.0)
    if limits.budget_spp is not None:
        pixels = [work.pixels for work in frames if work.pixels]
        total = min(total, limits.budget_spp * len(frames) * statistics.fmean(pixels)) if pixels else total
    return max(total, float(sum(work.samples for work in frames)))


def _rendering(frames: Sequence[Work], samples: Interval, assumed: float, slots: int) -> Interval:
    """Seconds of rendering."""
    measured = [work for work in frames if work.samples and work.seconds > 0.0]
    measured.sort(key=lambda work: work.seconds / work.samples)
    measured = measured[: len(measured) - min(slots, len(measured) // 2)]
    rate = assumed
    if measured:
        rate = sum(work.seconds for work in measured) / sum(work.samples for work in measured)
    logs = [math.log(work.seconds / work.samples) for work in measured]
    spread = statistics.stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else RATE_SPREAD
    wide = math.exp(SPREADS * spread)
    return Interval(samples.low * rate / wide, samples.middle * rate, samples.high * rate * wide)


def _finishing(frames: Sequence[Work], done: float, first: float, samples: Interval, *, every_round: bool) -> Interval:
    """Seconds of denoising and writing: of the deliverables, and of the rounds before them that are denoised."""
    left = sum(not work.delivered for work in frames)
    measured = [work.denoise_seconds for work in frames if work.denoise_seconds is not None]
    denoise = statistics.fmean(measured) if measured else 0.0

    def rounds(more: float) -> float:
        """Of one frame on average, to be denoised."""
        before = done or first
        if not every_round or before <= 0.0:
            return 1.0
        return math.log2(max(done + more, before) / before) + (done == 0.0)

    each = (OUTPUT_SECONDS + denoise * rounds(more) for more in (samples.low, samples.middle, samples.high))
    return Interval(*each) * left
