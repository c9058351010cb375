import doctest
from fractions import Fraction

import opentimelineio as otio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.editorial import frames
from pipeline.editorial.frames import Span, frames_in, seconds
from pipeline.errors import ConfigError

RationalTime, TimeRange = otio.opentime.RationalTime, otio.opentime.TimeRange
RATES = [Fraction(24), Fraction(25), Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60)]


def test_the_examples_in_the_docstrings_run():
    result = doctest.testmod(frames)
    assert result.attempted > 0
    assert result.failed == 0


@given(st.sampled_from(RATES), st.integers(-(10**6), 10**7), st.integers(1, 500))
def test_whole_frames_at_any_rate_come_back_exactly(rate, first, count):
    source = TimeRange(RationalTime(first, float(rate)), RationalTime(count, float(rate)))
    assert list(frames_in(Span.of(source), rate)) == list(range(first, first + count))


@given(st.integers(0, 10**5), st.integers(1, 100), st.integers(1, 5))
def test_steps_take_every_nth_frame(first, count, step):
    span = Span(Fraction(first, 24), Fraction(first + count * step, 24))
    assert list(frames_in(span, Fraction(24), step)) == [first + step * k for k in range(count)]


def test_frame_numbers_survive_a_conversion_of_rates_by_another_program():
    there_and_back = RationalTime(1001, 24).rescaled_to(29.97).rescaled_to(24)
    span = Span.of(TimeRange(there_and_back, RationalTime(8, 24)))
    assert str(frames_in(span, Fraction(24))) == "1001-1008"


def test_start_and_duration_may_have_different_rates():
    span = Span.of(TimeRange(RationalTime(48, 24), RationalTime(60, 30)))
    assert (span.start, span.end) == (2, 4)


@pytest.mark.parametrize(
    "time",
    [
        RationalTime(1, 0),
        RationalTime(1, -24),
        RationalTime(1, 1e9),
        RationalTime(float("nan"), 24),
        RationalTime(float("inf"), 24),
    ],
)
def test_a_time_that_is_none_is_refused(time):
    with pytest.raises(ConfigError, match=r"no frame rate|not a number"):
        seconds(time)


@pytest.mark.parametrize(
    ("span", "told"),
    [
        (Span(Fraction(1), Fraction(1)), "no frame"),
        (Span(Fraction(2), Fraction(1)), "no frame"),
        (Span(Fraction(0), Fraction(10**6)), "more than"),
        (Span(Fraction(10**12), Fraction(10**12 + 1)), "beyond"),
    ],
)
def test_a_span_without_frames_or_with_too_many_is_refused(span, told):
    with pytest.raises(ConfigError, match=told):
        frames_in(span, Fraction(24))
