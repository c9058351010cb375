from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.frame_rate import frame_rate, frame_rate_text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (24, Fraction(24)),
        (25.0, Fraction(25)),
        ("24", Fraction(24)),
        (23.976, Fraction(24000, 1001)),
        (23.98, Fraction(24000, 1001)),
        (23.976023976023978, Fraction(24000, 1001)),
        (29.97, Fraction(30000, 1001)),
        (59.94, Fraction(60000, 1001)),
        ("23.976", Fraction(24000, 1001)),
        ("24000/1001", Fraction(24000, 1001)),
        ("2997/125", Fraction(2997, 125)),
        (12.5, Fraction(25, 2)),
    ],
)
def test_rates_become_the_exact_fraction_that_is_meant(value, expected):
    assert frame_rate(value) == expected


@pytest.mark.parametrize(
    "value", [0, -24, 1001, "0/1", "24/0", "fast", "", None, True, float("nan"), float("inf"), [24], "1e9", "9" * 5000]
)
def test_what_is_no_rate_is_refused(value):
    with pytest.raises(ValueError, match="must be frames per second"):
        frame_rate(value)


@given(st.fractions(min_value=Fraction(1, 100), max_value=1000, max_denominator=2000))
def test_the_text_of_a_rate_reads_back_exactly(rate):
    text = frame_rate_text(rate)
    assert frame_rate(text) == rate
