"""Which workers fail what others make: kept in memory by the dispatcher, from what is reported to it.

A worker that fails several tasks of a job in a row is kept off the job if others make the same kind of task: if nobody
does, it is the job that is at fault, and parking answers that. One that is kept off several jobs without having made
anything in between is taken out of the farm. Both are written down elsewhere (a control record, the roster), where
people see them and can undo them; what is here may be lost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

from pipeline.farm.names import Queue

__all__ = ["Health"]


@dataclass
class _Row:
    """Of one worker, one job and one kind of queue."""

    failed: set[str] = field(default_factory=set)  # tasks that it failed since it last made one
    made: int = 0


class Health:
    """Failures in a row.

    Args:
        bar_failures: tasks of one job that a worker fails in a row before it is kept off.
        out_jobs: jobs that it is kept off in a row before it is taken out.
    """

    def __init__(self, *, bar_failures: int, out_jobs: int) -> None:
        self._bar_failures, self._out_jobs = bar_failures, out_jobs
        self._rows: defaultdict[tuple[str, Queue], defaultdict[str, _Row]] = defaultdict(lambda: defaultdict(_Row))
        self._barred: defaultdict[str, set[str]] = defaultdict(set)  # by worker, jobs since it last made anything

    def made(self, job: str, kind: Queue, worker: str) -> list[str]:
        """A worker has made a product.

        Returns:
            Workers that are to be kept off the job: they fail one task after the other, which now others make.
        """
        rows = self._rows[job, kind]
        rows[worker].made += 1
        rows[worker].failed.clear()
        self._barred.pop(worker, None)
        return [name for name, row in rows.items() if name != worker and len(row.failed) >= self._bar_failures]

    def failed(self, job: str, kind: Queue, worker: str, task: str) -> bool:
        """A worker has failed a task.

        Returns:
            Whether it is to be kept off the job: it fails one task after the other that others make.
        """
        rows = self._rows[job, kind]
        rows[worker].failed.add(task)
        others = any(row.made for name, row in rows.items() if name != worker)
        return others and len(rows[worker].failed) >= self._bar_failures

    def barred(self, job: str, worker: str) -> bool:
        """A worker is kept off a job. Returns whether it is to be taken out of the farm."""
        self._forgive(job, worker)
        self._barred[worker].add(job)
        return len(self._barred[worker]) >= self._out_jobs

    def allowed(self, job: str, worker: str) -> None:
        """A worker may try again: what it failed before is forgotten."""
        self._barred[worker].discard(job)
        self._forgive(job, worker)

    def _forgive(self, job: str, worker: str) -> None:
        for (of, _), rows in self._rows.items():
            if of == job:
                rows.pop(worker, None)

    def forget(self, jobs: Collection[str]) -> None:
        """These jobs have ended."""
        for row in [row for row in self._rows if row[0] in jobs]:
            del self._rows[row]
