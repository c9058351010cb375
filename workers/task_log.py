"""What is said while a task is made: kept with its attempt."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, Final

from pipeline.farm.attempts import Line

__all__ = ["TaskLog"]

LOG_LINES: Final = 2000
"""Lines of a task's log that are kept, the newest."""


class TaskLog(logging.Handler):
    """Collects what is said during a task.

    Attributes:
        lines: the newest, oldest first.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[Line] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.add(record.levelname.lower(), record.getMessage())

    def add(self, level: str, text: str, facts: Mapping[str, Any] | None = None) -> None:
        """One more line."""
        self.lines.append(Line(round(time.time(), 3), level, text, facts or {}))
        del self.lines[:-LOG_LINES]
