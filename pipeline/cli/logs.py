"""`pipeline logs`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from pipeline.cli.options import farm_option, farm_settings, jobs_argument, out_option, store_of

if TYPE_CHECKING:
    from pipeline.farm.job import Job
    from pipeline.farm.store import Store

FOLLOW_SECONDS = 1.0


@click.command()
@jobs_argument(name="job", many=False)
@click.argument("task", required=False, default="")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job ends, with what comes.")
@farm_option
@out_option
def logs(job: str, task: str, follow: bool, farm: str | None, out: str | None) -> None:
    """Show what the tasks of a job said, oldest first.

    TASK names one task, or the beginning of several: passes/1001 stands for all slices of frame 1001. Without it,
    the tasks that failed are shown, or all when none did.
    """
    from pipeline.errors import ConfigError
    from pipeline.farm.lookup import find_job
    from pipeline.farm.task_logs import failed_tasks, task_logs

    store = store_of(farm_settings(farm), out)
    found = find_job(store, job)
    prefixes = [task] if task else [] if follow else failed_tasks(store, found)
    seen: set[str] = set()
    for line in _lines(store, found, prefixes, seen):
        click.echo(line)
    while follow and found.id in _active(store):
        time.sleep(FOLLOW_SECONDS)
        for line in _lines(store, found, prefixes, seen):
            click.echo(line)
    if not seen:
        known = sorted({log.task for log in task_logs(store, found, [])})
        hint = (
            f"tasks that said something: {', '.join(known[:6])}{' …' * (len(known) > 6)}" if known else "none has ended"
        )
        raise ConfigError(
            f"{found.id} has no log of '{task}'" if task else f"{found.id} has no logs yet", suggestion=hint
        )


def _lines(store: Store, job: Job, prefixes: list[str], seen: set[str]) -> Iterator[str]:
    """The lines of logs that were not shown yet."""
    from pipeline.farm.task_logs import task_logs

    for log in task_logs(store, job, prefixes, but=seen):
        seen.add(log.name)
        yield click.style(f"== {log.task}, attempt {log.attempt + 1}", bold=True)
        yield from (str(line) for line in log.lines)


def _active(store: Store) -> list[str]:
    from pipeline.farm.job import active

    return active(store)
