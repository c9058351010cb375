"""What the tasks of a job said, for people to read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pipeline.farm import names
from pipeline.farm.attempts import Line, read_log
from pipeline.farm.job import Job
from pipeline.farm.store import Store

__all__ = ["TaskLog", "failed_tasks", "task_logs"]


@dataclass(frozen=True)
class TaskLog:
    """The log of one attempt at a task.

    Attributes:
        name: of the log in the job's directory.
        task: product that it was to make.
        attempt: 0 for the first.
        lines: oldest first.
    """

    name: str
    task: str
    attempt: int
    lines: tuple[Line, ...]


def failed_tasks(store: Store, job: Job) -> list[str]:
    """Tasks of a job that are parked."""
    prefix = f"{job.directory}/failures/"
    return [name.removeprefix(prefix) for name in store.list(prefix)]


def task_logs(store: Store, job: Job, prefixes: Sequence[str], *, but: Collection[str] = ()) -> list[TaskLog]:
    """Logs of the tasks whose names begin with one of `prefixes` (of all tasks when there are none), oldest first.

    Args:
        store: where the job lives.
        job: whose tasks.
        prefixes: whole parts of names: `passes/1001` is no prefix of `passes/10011/r00.s00`.
        but: names of logs to leave out; they are not read.
    """
    found = []
    for stored in store.list(f"{job.directory}/logs/"):
        name = stored.removeprefix(f"{job.directory}/")
        parsed = names.parse(name)
        if name in but or parsed.task is None or parsed.number is None:
            continue
        if prefixes and not any(_begins(parsed.task, prefix.rstrip("/")) for prefix in prefixes):
            continue
        found.append(TaskLog(name, parsed.task, parsed.number, tuple(read_log(store.read(stored)))))
    return sorted(found, key=lambda log: (log.lines[0].at if log.lines else 0.0, log.name))


def _begins(task: str, prefix: str) -> bool:
    return task == prefix or (task.startswith(prefix) and task[len(prefix)] in "/.")
