"""Frame rates as exact fractions: 24, 23.976 (meaning 24000/1001), "24000/1001"."""

from __future__ import annotations

import math
import re
from fractions import Fraction

__all__ = ["frame_rate", "frame_rate_text"]

MAX_RATE = 1000
# 24, 30 … slowed by 1000/1001 for NTSC; people and files write them with two, three or more decimals.
_NTSC_NOMINAL = (24, 30, 48, 60, 120)
_NTSC_TOLERANCE = Fraction(5, 1000)
_FRACTION = re.compile(r"\s*([0-9]{1,9})\s*/\s*([0-9]{1,9})\s*")
_DECIMAL = re.compile(r"\s*[0-9]{1,9}(\.[0-9]{1,12})?\s*")


def frame_rate(value: object) -> Fraction:
    """Frames per second as an exact fraction.

    A decimal close to an NTSC rate (within 0.005) is that rate; `n/d` is taken exactly.

    >>> frame_rate(24), frame_rate(23.976), frame_rate("23.98"), frame_rate("30000/1001"), frame_rate(12.5)
    (Fraction(24, 1), Fraction(24000, 1001), Fraction(24000, 1001), Fraction(30000, 1001), Fraction(25, 2))

    Raises:
        ValueError: not a positive rate of at most 1000 frames per second.
    """
    rate = _parsed(value)
    if rate is None or not 0 < rate <= MAX_RATE:
        raise ValueError(f'must be frames per second such as 24, 23.976 or "24000/1001", not {value!r:.40}')
    return rate


def frame_rate_text(rate: Fraction) -> str:
    """`24` or `24000/1001`.

    >>> frame_rate_text(Fraction(24)), frame_rate_text(Fraction(24000, 1001))
    ('24', '24000/1001')
    """
    return str(rate)


def _parsed(value: object) -> Fraction | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, Fraction)):
        return Fraction(value)
    if isinstance(value, float):
        return _snapped(Fraction(str(value))) if math.isfinite(value) else None
    if isinstance(value, str):
        if match := _FRACTION.fullmatch(value):
            return Fraction(int(match[1]), int(match[2])) if int(match[2]) else None
        if _DECIMAL.fullmatch(value):
            return _snapped(Fraction(value.strip()))
    return None


def _snapped(rate: Fraction) -> Fraction:
    if rate.denominator == 1:
        return rate
    for nominal in _NTSC_NOMINAL:
        ntsc = Fraction(nominal * 1000, 1001)
        if abs(rate - ntsc) <= _NTSC_TOLERANCE:
            return ntsc
    return rate
