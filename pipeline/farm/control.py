"""Control: what people ask of a running job, as records in its directory.

Records are `control/0000`, `control/0001`, … without gaps, created if absent and never changed, so that everybody reads
the same history and knows the name of the next record without a listing. Workers look for it between waves, at most
every two seconds; the dispatcher does so as often.
"""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pipeline.errors import FarmError
from pipeline.farm import names
from pipeline.farm.records import parsed
from pipeline.farm.store import Store

__all__ = ["ACTIONS", "AFTER_TASK", "Control", "ControlState", "Record", "write"]

ACTIONS = (
    "pause", "resume", "cancel", "skip", "priority", "frames", "retry", "approve", "terms", "bar", "allow"
)  # fmt: skip
AFTER_TASK: Final = "after-task"
"""Value of a pause or a cancel that lets running tasks come to their end."""


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that was asked.

    Attributes:
        action: one of `ACTIONS`.
        value: frames for `skip` and `frames`, tasks for `retry`, the number for `priority`, changed keys for `terms`,
            a worker's name for `bar` (keep it off the job) and `allow`, `AFTER_TASK` or None for `pause` and `cancel`.
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
        paused: nothing starts.
        cancelled: the same, and the job is over until somebody resumes it.
        lenient: while it is paused or cancelled, what runs may come to its end; else it lets go between waves.
        skipped: frames that are not wanted any more.
        frames: frames that were asked for later, beside the job's own.
        priority: the newest one asked for; None leaves the job's own.
        retries: how many times somebody removed failures; when it grows, what was parked is to be looked at again.
        approved: somebody has approved the first passes.
        terms: what was changed of `Terms`, by key.
        barred: workers that are kept off the job.
        records: how many records were read.
    """

    paused: bool = False
    cancelled: bool = False
    lenient: bool = False
    skipped: frozenset[int] = frozenset()
    frames: frozenset[int] = frozenset()
    priority: int | None = None
    retries: int = 0
    approved: bool = False
    terms: Mapping[str, Any] = field(default_factory=dict)
    barred: frozenset[str] = frozenset()
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
                return replace(state, paused=True, lenient=record.value == AFTER_TASK)
            case "resume":
                return replace(state, paused=False, cancelled=False, lenient=False)
            case "cancel":
                return replace(state, cancelled=True, lenient=record.value == AFTER_TASK)
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
            case "approve":
                return replace(state, approved=True)
            case "terms":
                approved = self.approved and "approve" not in record.value  # another gate asks anew
                return replace(state, terms={**self.terms, **record.value}, approved=approved)
            case "bar":
                return replace(state, barred=self.barred | {str(record.value)})
            case "allow":
                return replace(state, barred=self.barred - {str(record.value)})
        raise FarmError(f"control record {self.records} asks for '{record.action}', which this release does not know")

    @property
    def held(self) -> bool:
        """Nothing of the job may start now."""
        return self.paused or self.cancelled

    def holds(self, task: str) -> bool:
        """A task of this name is not to start now."""
        return self.held or self._skips(task)

    def stops(self, task: str) -> bool:
        """A task of this name that runs is to let go now."""
        return (self.held and not self.lenient) or self._skips(task)

    def _skips(self, task: str) -> bool:
        return bool(self.skipped) and names.parse(task).frame in self.skipped


class Control:
    """The control records of one job, read as they come."""

    def __init__(self, store: Store, directory: str) -> None:
        self._store, self._directory = store, directory
        self.state = ControlState()

    def look(self) -> ControlState:
        """Reads the records that are new and returns the state: one question to the store when there are none.

        Raises:
            FarmError: a record is damaged, or a newer release wrote it.
        """
        while self._store.exists(name := f"{self._directory}/{names.control(self.state.records)}"):
            record = parsed(Record, self._store.read(name), name)
            try:
                self.state = self.state.after(record)
            except (TypeError, ValueError) as error:
                raise FarmError(
                    f"{name} cannot be used: {record.value!r:.60} is no value for {record.action}"
                ) from error
        return self.state


def write(
    store: Store, directory: str, action: str, value: Any = None, *, after: int = 0, by: str | None = None
) -> int:
    """Writes the next control record of a job and returns its number.

    Args:
        store: where the job lives.
        directory: of the job in it.
        action: one of `ACTIONS`.
        value: see `Record`.
        after: how many records are known to be there.
        by: who asks; by default the user of this process.

    Raises:
        FarmError: the action is unknown.
        StoreError: it cannot be written.
    """
    if action not in ACTIONS:
        raise FarmError(f"'{action}' is not something that can be asked of a job ({', '.join(ACTIONS)})")
    if isinstance(value, (set, frozenset)):
        value = sorted(value)
    record = {"action": action, "value": value, "by": by or getpass.getuser(), "at": round(time.time(), 3)}
    number = after
    while not store.create(f"{directory}/{names.control(number)}", json.dumps(record).encode()):
        number += 1
    return number
