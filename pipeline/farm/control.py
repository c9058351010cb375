"""Control: what people ask of a running job, as records in its directory.

Records are `control/0000`, `control/0001`, … without gaps, created if absent and never changed, so that everybody reads
the same history and knows the name of the next record without a listing. Workers look for it between waves, at most
every two seconds; the dispatcher does so as often.
"""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from pipeline.errors import FarmError
from pipeline.farm import names
from pipeline.farm.store import Store

__all__ = ["ACTIONS", "Control", "ControlState", "Record", "write"]

ACTIONS = ("pause", "resume", "cancel", "skip", "priority", "frames", "retry")


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that was asked.

    Attributes:
        action: one of `ACTIONS`.
        value: frames for `skip` and `frames`, tasks for `retry`, the number for `priority`; else None.
        by: who asked.
        at: seconds since the epoch.
    """

    action: str
    value: Any = None
    by: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class ControlState:
    """What all records together ask for.

    Attributes:
        paused: nothing starts, and what runs lets go between waves.
        cancelled: the same, until somebody resumes.
        skipped: frames that are not wanted any more.
        frames: frames that were asked for later, beside the job's own.
        priority: the newest one asked for; None leaves the job's own.
        retries: how many times somebody removed failures; when it grows, what was parked is to be looked at again.
        records: how many records were read.
    """

    paused: bool = False
    cancelled: bool = False
    skipped: frozenset[int] = frozenset()
    frames: frozenset[int] = frozenset()
    priority: int | None = None
    retries: int = 0
    records: int = 0

    @classmethod
    def of(cls, records: Iterable[Record]) -> ControlState:
        """The state after these records, oldest first."""
        state = cls()
        for record in records:
            state = state.after(record)
        return state

    def after(self, record: Record) -> ControlState:
        """The state after one more record.

        Raises:
            FarmError: the action is unknown: a newer release wrote it.
        """
        state = replace(self, records=self.records + 1)
        match record.action:
            case "pause":
                return replace(state, paused=True)
            case "resume":
                return replace(state, paused=False, cancelled=False)
            case "cancel":
                return replace(state, cancelled=True)
            case "skip":
                return replace(state, skipped=self.skipped | frozenset(record.value))
            case "frames":
                return replace(
                    state, frames=self.frames | frozenset(record.value), skipped=self.skipped - frozenset(record.value)
                )
            case "priority":
                return replace(state, priority=int(record.value))
            case "retry":
                return replace(state, retries=self.retries + 1)
        raise FarmError(f"control record {self.records} asks for '{record.action}', which this release does not know")

    @property
    def held(self) -> bool:
        """Nothing of the job may run now."""
        return self.paused or self.cancelled

    def stops(self, task: str) -> bool:
        """A task of this name is not to run now."""
        return self.held or (bool(self.skipped) and names.parse(task).frame in self.skipped)


class Control:
    """The control records of one job, read as they come."""

    def __init__(self, store: Store, directory: str) -> None:
        self._store, self._directory = store, directory
        self.state = ControlState()

    def look(self) -> ControlState:
        """Reads the records that are new and returns the state: one question to the store when there are none."""
        while self._store.exists(name := f"{self._directory}/{names.control(self.state.records)}"):
            self.state = self.state.after(Record(**json.loads(self._store.read(name))))
        return self.state


def write(store: Store, directory: str, action: str, value: Any = None, *, after: int = 0) -> int:
    """Writes the next control record of a job and returns its number.

    Args:
        store: where the job lives.
        directory: of the job in it.
        action: one of `ACTIONS`.
        value: see `Record`.
        after: how many records are known to be there.

    Raises:
        FarmError: the action is unknown.
        StoreError: it cannot be written.
    """
    if action not in ACTIONS:
        raise FarmError(f"'{action}' is not something that can be asked of a job ({', '.join(ACTIONS)})")
    if isinstance(value, (set, frozenset)):
        value = sorted(value)
    record = {"action": action, "value": value, "by": getpass.getuser(), "at": round(time.time(), 3)}
    number = after
    while not store.create(f"{directory}/{names.control(number)}", json.dumps(record).encode()):
        number += 1
    return number
