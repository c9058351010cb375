"""What a job has used: device time by kind of work, what of it was in vain, its price, and its bytes in the store.

Read from the attempts: each was noted when it began, and its log tells when and how it ended. Time of an attempt that
was lost with its worker is not known, and counted as attempts, not as seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from pipeline.errors import ProductError
from pipeline.farm import names
from pipeline.farm.attempts import read_log
from pipeline.farm.job import Job
from pipeline.farm.store import Store

__all__ = ["Spent", "Usage", "usage"]

MADE: Final = "made"


@dataclass(slots=True)
class Spent:
    """Work of one kind.

    Attributes:
        attempts: that began.
        seconds: by the clocks of the workers, of attempts that ended.
        in_vain: seconds of those that made nothing: failures, doubles, cancelled ones.
        lost: attempts whose end nobody saw: they run now, or their worker vanished.
    """

    attempts: int = 0
    seconds: float = 0.0
    in_vain: float = 0.0
    lost: int = 0


@dataclass(frozen=True)
class Usage:
    """What a job has used.

    Attributes:
        job: its id.
        by_kind: work by kind of product (`passes`, `denoised` …).
        seconds: device time of all of it.
        in_vain: of it, what made nothing.
        cost: `seconds` at the farm's price; None where it has none.
        stored: bytes in the store now, by the first part of their names (`passes`, `buffers`, `frames` …).
    """

    job: str
    by_kind: dict[str, Spent]
    seconds: float
    in_vain: float
    cost: float | None
    stored: dict[str, int] = field(default_factory=dict)


def usage(store: Store, job: Job, *, cost_per_hour: float | None = None) -> Usage:
    """What a job has used so far. Reads every attempt's record: for people, not for the hot path.

    Args:
        store: where the job lives.
        job: the job.
        cost_per_hour: of one slot, in any money.

    Raises:
        StoreError: the store cannot be read.
    """
    by_kind: dict[str, Spent] = {}
    for kind, began, ended, outcome in _attempts(store, job):
        spent = by_kind.setdefault(kind, Spent())
        spent.attempts += 1
        if ended is None:
            spent.lost += 1
            continue
        seconds = max(0.0, ended - began)
        spent.seconds += seconds
        spent.in_vain += seconds if outcome != MADE else 0.0
    stored: dict[str, int] = {}
    skip = len(job.directory) + 1
    for entry in store.entries(job.directory):
        part = entry.name[skip:].partition("/")[0]
        stored[part] = stored.get(part, 0) + entry.size
    total = sum(spent.seconds for spent in by_kind.values())
    return Usage(
        job=job.id,
        by_kind=dict(sorted(by_kind.items())),
        seconds=round(total, 3),
        in_vain=round(sum(spent.in_vain for spent in by_kind.values()), 3),
        cost=None if cost_per_hour is None else total / 3600.0 * cost_per_hour,
        stored=dict(sorted(stored.items())),
    )


def _attempts(store: Store, job: Job) -> Iterator[tuple[str, float, float | None, str]]:
    """Kind, begin, end (None while it is not known) and outcome of each attempt."""
    skip = len(job.directory) + 1
    logs = set(store.list(f"{job.directory}/logs"))
    for stored in store.list(f"{job.directory}/attempts"):
        try:
            name = names.parse(stored[skip:])
        except ProductError:
            continue  # a foreign file
        if name.task is None or name.number is None:
            continue
        try:
            began = float(json.loads(store.read(stored))["started"])
        except (FileNotFoundError, KeyError, ValueError):
            continue  # taken back, or cut short
        log = f"{job.directory}/{names.log(name.task, name.number)}"
        ended, outcome = None, ""
        if log in logs:
            try:
                last = read_log(store.read(log))[-1]
                ended, outcome = last.at, str(last.facts.get("outcome", ""))
            except (FileNotFoundError, IndexError, ValueError, TypeError):
                pass  # a log that was cut short tells no end
        yield names.parse(name.task).kind, began, ended, outcome
