"""The audit log: one JSON line for each thing that somebody asked to be changed, and for each refusal.

Lines go to the logger `penumbra.audit`, and to a file where one is named, appended in one write each.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any, Final

__all__ = ["Audit"]

log = logging.getLogger("penumbra.audit")

_LONGEST: Final = 500
"""Characters of a value that a line quotes, at most: what is refused may be anything."""


class Audit:
    """Writes audit lines. Safe to use from several threads.

    Args:
        path: file that is appended to; None: the logger alone.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._file = None if path is None else os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)

    def note(self, action: str, *, who: str, address: str, outcome: str, **facts: Any) -> None:
        """One line.

        Args:
            action: what was asked for, `pause`.
            who: the token's name; empty where there was none that fits.
            address: where it came from.
            outcome: `done`, or why not.
            facts: the job, and what else there is to say.
        """
        record = {"at": round(time.time(), 3), "who": who, "from": address, "action": action, "outcome": outcome}
        line = json.dumps({**record, **facts}, ensure_ascii=True, default=str)
        if len(line) > 4 * _LONGEST:
            line = json.dumps({**record, "facts": line[:_LONGEST]}, ensure_ascii=True)
        with self._lock:
            log.info("%s", line)
            if self._file is not None:
                os.write(self._file, line.encode() + b"\n")

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None
