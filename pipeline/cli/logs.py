"""`pipeline logs`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from pipeline.cli.options import farm_option, farm_settings, jobs_argument, json_option, out_option, store_of

if TYPE_CHECKING:
    from pipeline.config.farm import Farm as FarmConfig
    from pipeline.farm.client import Farm
    from pipeline.farm.job import Job
    from pipeline.farm.store import Store
    from pipeline.farm.task_logs import TaskLog

FOLLOW_SECONDS = 1.0
LOOK_SHARE = 10
"""Looking for new logs takes at most one part in so many of the time: a job of many tasks has as many logs."""


@click.command()
@jobs_argument(name="job", many=False)
@click.argument("task", required=False, default="")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job ends: what comes, and how far tasks are.")
@farm_option
@out_option
@json_option
def logs(job: str, task: str, follow: bool, farm: str | None, out: str | None, as_json: bool) -> None:
    """Show what the tasks of a job said, oldest first.

    TASK names one task, or the beginning of several: passes/1001 stands for all slices of frame 1001. Without it,
    the tasks that failed are shown, or all when none did. With --json, each line is a JSON document.
    """
    from pipeline.errors import ConfigError
    from pipeline.farm.job import active
    from pipeline.farm.lookup import find_job
    from pipeline.farm.task_logs import failed_tasks, task_logs

    settings = farm_settings(farm)
    store = store_of(settings, out)
    found = find_job(store, job)
    prefixes = [task] if task else [] if follow else failed_tasks(store, found)
    seen: set[str] = set()
    progress = _Progress(settings, store, found, task) if follow else None
    while True:
        start = time.monotonic()
        ended = not follow or found.id not in active(store)
        for log in task_logs(store, found, prefixes, but=seen):
            seen.add(log.name)
            for line in _lines(log, as_json=as_json):
                click.echo(line)
        if ended:
            break
        if progress is not None:
            for line in progress.lines(as_json=as_json):
                click.echo(line)
        time.sleep(max(FOLLOW_SECONDS, LOOK_SHARE * (time.monotonic() - start)))
    if not seen:
        known = sorted({log.task for log in task_logs(store, found, [])})
        hint = (
            f"tasks that said something: {', '.join(known[:6])}{' …' * (len(known) > 6)}" if known else "none has ended"
        )
        raise ConfigError(
            f"{found.id} has no log of '{task}'" if task else f"{found.id} has no logs yet", suggestion=hint
        )


def _lines(log: TaskLog, *, as_json: bool) -> Iterator[str]:
    """A log's lines, each a document of its own, or for people."""
    if as_json:
        for line in log.lines:
            record = {"task": log.task, "attempt": log.attempt, **json.loads(line.to_json())}
            yield json.dumps(record, ensure_ascii=False)
    else:
        yield click.style(f"== {log.task}, attempt {log.attempt + 1}", bold=True)
        yield from (str(line) for line in log.lines)


class _Progress:
    """How far the tasks at work are, as their leases tell; nothing where no broker is known of or answers."""

    def __init__(self, settings: FarmConfig, store: Store, job: Job, task: str) -> None:
        from pipeline.cli.status import farm_of
        from pipeline.farm.client import BrokerDown

        self._job, self._prefix = job, task.rstrip("/")
        self._said: dict[str, tuple[int, int]] = {}
        try:
            self._farm: Farm | None = farm_of(settings, store)
        except BrokerDown:
            self._farm = None

    def lines(self, *, as_json: bool) -> Iterator[str]:
        """A line for each task whose progress has changed."""
        from pipeline.farm.client import BrokerDown

        if self._farm is None:
            return
        try:
            running = self._farm.running(self._job)
        except BrokerDown:
            return
        for held in running:
            task, now = held.ticket.task, (held.done, held.total)
            if not held.total or self._said.get(task) == now or not task.startswith(self._prefix):
                continue
            self._said[task] = now
            if as_json:
                yield json.dumps({"task": task, "worker": held.worker, "done": held.done, "total": held.total})
            else:
                yield click.style(f"{task}: {held.done} of {held.total} on {held.worker}", dim=True)
