"""Workstation hours: when a machine that somebody works at by day takes tasks.

>>> hours = Hours.parse("mon-fri 19:00-08:00, sat-sun")
>>> from datetime import datetime
>>> hours.hold(datetime(2026, 11, 20, 23, 0)), hours.hold(datetime(2026, 11, 20, 12, 0))  # a Friday
(True, False)
>>> hours.hold(datetime(2026, 11, 21, 7, 59))  # Saturday: Friday's night, and the weekend
True
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pipeline.errors import ConfigError

__all__ = ["Hours"]

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY: Final = 24 * 60
_SPAN: Final = re.compile(
    r"(?:(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))?)?\s*"
    r"(?:(?P<h1>\d{1,2}):(?P<m1>\d{2})-(?P<h2>\d{1,2}):(?P<m2>\d{2}))?"
)


@dataclass(frozen=True)
class Hours:
    """Spans of the week, in minutes since Monday 00:00, local time. No span: always.

    Attributes:
        spans: (begin, end); an end beyond the week goes on at its beginning.
    """

    spans: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Hours:
        """Hours as they are written: `mon-fri 19:00-08:00, sat-sun`. Empty: always. A night belongs to its evening.

        Raises:
            ConfigError: it cannot be read.
        """
        spans: list[tuple[int, int]] = []
        for part in filter(None, (part.strip().lower() for part in text.split(","))):
            match = _SPAN.fullmatch(part)
            if match is None:
                raise _wrong(part)
            days = _days(match["first"], match["last"], part)
            begin, end = 0, _DAY
            if match["h1"] is not None:
                begin, end = (int(match[f"h{n}"]) * 60 + int(match[f"m{n}"]) for n in (1, 2))
                if max(begin, end) > _DAY or begin == end or int(match["m1"]) > 59 or int(match["m2"]) > 59:
                    raise _wrong(part)
            over = _DAY if end < begin else 0
            spans += [(day * _DAY + begin, day * _DAY + end + over) for day in days]
        return cls(tuple(spans))

    def hold(self, now: datetime) -> bool:
        """Whether tasks may be taken at this time of a local clock."""
        minute = now.weekday() * _DAY + now.hour * 60 + now.minute
        week = 7 * _DAY
        return not self.spans or any(begin <= at < end for begin, end in self.spans for at in (minute, minute + week))


def _days(first: str | None, last: str | None, part: str) -> list[int]:
    if first is None:
        return list(range(7))
    if first not in _DAYS or (last or first) not in _DAYS:
        raise _wrong(part)
    begin, end = _DAYS.index(first), _DAYS.index(last or first)
    return [day % 7 for day in range(begin, end + 1 + (7 if end < begin else 0))]


def _wrong(part: str) -> ConfigError:
    return ConfigError(f"'{part}' are not hours", key="--hours", suggestion="such as mon-fri 19:00-08:00, sat-sun")
