"""`pipeline status`, `pipeline watch`, `pipeline list`."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.options import farm_option, farm_settings, jobs_argument, json_option, out_option, store_of

if TYPE_CHECKING:
    from pipeline.config.farm import Farm as FarmConfig
    from pipeline.farm.attempts import Trouble
    from pipeline.farm.client import Farm
    from pipeline.farm.inspection import OpenTask
    from pipeline.farm.job import Job
    from pipeline.farm.store import Store

FAILED = ("failed", "cancelled")
TAIL_LINES = 12
"""Of the first failed task's log that `status` shows."""


@click.command()
@jobs_argument(name="jobs")
@farm_option
@out_option
@click.option("--tasks", "by_task", is_flag=True, help="Also each open task, and what it waits for.")
@json_option
def status(jobs: tuple[str, ...], farm: str | None, out: str | None, by_task: bool, as_json: bool) -> int:
    """Say how far jobs are, frame by frame: rounds, samples per pixel, predicted error, failures.

    Exits with 1 when one of them failed or was cancelled.
    """
    from pipeline.cli.live import frame_rows, summary
    from pipeline.farm.attempts import failure
    from pipeline.farm.inspection import open_tasks, waits_of
    from pipeline.farm.lookup import find_job
    from pipeline.farm.progress import snapshot

    settings = farm_settings(farm)
    store = store_of(settings, out)
    service = reachable_farm(settings, store)
    slots = service.slots()
    meant = [find_job(store, text) for text in jobs]
    found = [snapshot(store, job, slots=slots, cost_per_hour=settings.cost_per_hour) for job in meant]
    tasks = [open_tasks(store, job, service.running(job)) if by_task else [] for job in meant]
    waits = [waits_of(service, job, seen) for job, seen in zip(meant, found, strict=True)]
    if as_json:
        documents = [
            _document(store, job) | {"waits": wait} | ({"tasks": [asdict(task) for task in open_]} if by_task else {})
            for job, wait, open_ in zip(found, waits, tasks, strict=True)
        ]
        click.echo(json.dumps(documents[0] if len(documents) == 1 else documents, indent=2))
    else:
        for job, wait, open_ in zip(found, waits, tasks, strict=True):
            click.echo(f"{click.style(job.job, bold=True)}  {summary(job)}")
            rows = [("frame", "state", "round", "spp", "error", "p99"), *frame_rows(job.frames, job)]
            widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
            for row in rows:
                click.echo(
                    "  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                )
            for line in wait:
                click.echo(f"  {click.style('waits', fg='yellow')} {line}")
            for open_task in open_:
                click.echo(f"  {_told(open_task)}")
            for task in job.failures:
                why = failure(store, job.directory, task)
                click.echo(f"  {click.style('failed', fg='red')} {task}: {why.reason} ({why.attempts} attempts)")
            if job.first_failure is not None and job.state != "done":
                for line in _first_failure(job.first_failure):
                    click.echo(f"  {line}")
    return 1 if any(job.state in FAILED for job in found) else 0


def _told(task: OpenTask) -> str:
    """An open task, one line."""
    words = [str(task.state).ljust(8), task.task]
    if task.worker:
        words.append(f"{'on' if task.state == 'running' else 'last on'} {task.worker}")
    if task.attempts > 1 or task.reason:
        words.append(f"({task.attempts} attempts{': ' + task.reason if task.reason else ''})")
    if task.waits_for:
        more = f" and {len(task.waits_for) - 3} more" if len(task.waits_for) > 3 else ""
        words.append(f"needs {', '.join(task.waits_for[:3])}{more}")
    return " ".join(words)


def _first_failure(trouble: Trouble) -> list[str]:
    """The first failed attempt of a job, with the end of its log."""
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(trouble.at))
    head = f"first failure: {trouble.task}, attempt {trouble.attempt + 1}, {trouble.kind} on {trouble.worker} {clock}"
    tail = [part for line in trouble.log for part in line.splitlines()][-TAIL_LINES:]
    return [head, *(f"  {line}" for line in tail or [trouble.reason])]


def _document(store: Store, job: Any) -> dict[str, Any]:
    """A snapshot as JSON values; frames' paths as they are outside of the store."""
    document = {**asdict(job), "directory": str(store.path(job.directory) or f"{store.url}/{job.directory}")}
    for frame in document["frames"]:
        if frame["path"] is not None:
            frame["path"] = f"{document['directory']}/{frame['path']}"
    return document


@click.command()
@jobs_argument(name="jobs", required=False)
@farm_option
@out_option
def watch(jobs: tuple[str, ...], farm: str | None, out: str | None) -> int:
    """Follow jobs until they end; by default all that are not finished. Ctrl-C leaves them alone.

    Exits with 1 when one of them failed or was cancelled.
    """
    from pipeline.cli.live import Live
    from pipeline.errors import ConfigError
    from pipeline.farm.job import active
    from pipeline.farm.lookup import find_job
    from pipeline.farm.submission import follow

    settings = farm_settings(farm)
    store = store_of(settings, out)
    wanted = [find_job(store, text) for text in jobs or active(store)]
    if not wanted:
        raise ConfigError(f"no job of {store.url} is unfinished", suggestion="pipeline list shows all")
    watched = farm_of(settings, store)
    with Live() as live:
        follow(watched, wanted, live.show)
    return 1 if any(watched.state(job) in FAILED for job in wanted) else 0


def reachable_farm(settings: FarmConfig, store: Store) -> Farm:
    """The farm; the store alone where there is no broker, or it does not answer."""
    from pipeline.errors import FarmError
    from pipeline.farm.client import Farm

    try:
        return farm_of(settings, store)
    except FarmError:
        return Farm.offline(store, settings.model_copy(update={"broker_url": None}))


def farm_of(settings: FarmConfig, store: Store) -> Farm:
    """The farm with its broker where one is configured, else the store alone."""
    from pipeline.farm.client import Farm

    return Farm.offline(store, settings) if settings.broker_url is None else Farm.connect(store, settings)


@click.command(name="list")
@farm_option
@out_option
@json_option
def list_jobs(farm: str | None, out: str | None, as_json: bool) -> None:
    """List the jobs of the store: state, frames, priority, owner and when they were submitted."""
    from pipeline.farm.job import jobs, load
    from pipeline.farm.progress import snapshot

    store = store_of(farm_settings(farm), out)
    rows = [_row(job, snapshot(store, job)) for job in (load(store, job_id) for job_id in jobs(store))]
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    table = [("job", "state", "frames", "done", "priority", "show", "owner", "submitted")]
    table += [
        (
            row["job"],
            row["state"],
            f"{row['done']}/{row['frames']}",
            f"{row['fraction']:.0%}",
            str(row["priority"]),
            row["show"],
            row["owner"],
            row["created"].replace("T", " ")[:16],
        )
        for row in rows
    ]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _row(job: Job, found: Any) -> dict[str, Any]:
    return {
        "job": job.id,
        "state": found.state,
        "frames": len(found.frames),
        "done": found.done,
        "fraction": round(found.fraction, 4),
        "priority": found.priority,
        "show": job.show,
        "owner": job.owner,
        "created": job.created,
    }
