"""Rational time of an edit, as exact fractions and whole frames.

OpenTimelineIO keeps a time as value and rate, both floats. Here the rate becomes the exact rate that the float stands
for (23.976… is 24000/1001), and the value a fraction that is whole where it is whole but for rounding; all arithmetic
is on fractions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from opentimelineio.opentime import RationalTime, TimeRange

from pipeline.config.frame_rate import frame_rate
from pipeline.config.frames import FRAME_LIMIT, MAX_FRAMES, FrameRange
from pipeline.errors import ConfigError

__all__ = ["Span", "frames_in", "rate_of", "seconds"]

# Programs that convert between rates leave errors of this order in a frame number; no editor cuts this finely.
_ROUNDING = Fraction(1, 1000)


@dataclass(frozen=True)
class Span:
    """A half-open stretch of time, `start <= t < end`, in seconds; empty where end <= start."""

    start: Fraction
    end: Fraction

    @classmethod
    def of(cls, time_range: TimeRange) -> Span:
        """The span of an OpenTimelineIO range, whose start and duration may have different rates.

        Raises:
            ConfigError: a rate or a value that is no number, or out of bounds.
        """
        start = seconds(time_range.start_time)
        return cls(start, start + seconds(time_range.duration))

    def moved(self, offset: Fraction) -> Span:
        return Span(self.start + offset, self.end + offset)

    def within(self, other: Span) -> Span:
        """What both have in common."""
        return Span(max(self.start, other.start), min(self.end, other.end))

    @property
    def is_empty(self) -> bool:
        return self.end <= self.start


def seconds(time: RationalTime) -> Fraction:
    """Exact seconds of a rational time.

    >>> seconds(RationalTime(1001, 24000 / 1001))
    Fraction(1002001, 24000)

    Raises:
        ConfigError: its rate is no frame rate, or its value no number.
    """
    return _value(time) / rate_of(time)


def rate_of(time: RationalTime) -> Fraction:
    """Exact rate of a rational time, in frames per second.

    Raises:
        ConfigError: it is no frame rate.
    """
    try:
        return frame_rate(time.rate)
    except ValueError as error:
        raise ConfigError(f"has the rate {time.rate:g}, which is no frame rate") from error


def frames_in(span: Span, rate: Fraction, step: int = 1) -> FrameRange:
    """Frames that are seen during `span` when frame n is shown from n/rate until (n+1)/rate.

    A frame that is seen in part is seen. With `step` only every step-th, from the first one on.

    >>> frames_in(Span(Fraction(1001, 24), Fraction(1005, 24)), Fraction(24))
    FrameRange('1001-1004')
    >>> frames_in(Span(Fraction(2003, 48), Fraction(1003, 24)), Fraction(24))
    FrameRange('1001-1002')

    Raises:
        ConfigError: there is none, or too many, or their numbers are out of bounds.
    """
    first, end = math.floor(_whole(span.start * rate)), math.ceil(_whole(span.end * rate))
    if end <= first:
        raise ConfigError("shows no frame")
    if max(abs(first), abs(end)) > FRAME_LIMIT:
        raise ConfigError(f"has frame numbers beyond ±{FRAME_LIMIT}")
    if (end - first - 1) // step + 1 > MAX_FRAMES:
        raise ConfigError(f"shows more than {MAX_FRAMES} frames")
    return FrameRange(tuple(range(first, end, step)))


def _value(time: RationalTime) -> Fraction:
    if not math.isfinite(time.value):
        raise ConfigError("has a time that is not a number")
    return _whole(Fraction(time.value))


def _whole(frames: Fraction) -> Fraction:
    """The nearest whole number where it is only rounding away."""
    nearest = Fraction(round(frames))
    return nearest if abs(frames - nearest) <= _ROUNDING else frames
