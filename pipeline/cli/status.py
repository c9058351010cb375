"""`pipeline status`, `pipeline watch`, `pipeline list`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.options import farm_option, farm_settings, jobs_argument, json_option, out_option, store_of

if TYPE_CHECKING:
    from pipeline.config.farm import Farm as FarmConfig
    from pipeline.farm.client import Farm
    from pipeline.farm.job import Job
    from pipeline.farm.store import Store

FAILED = ("failed", "cancelled")


@click.command()
@jobs_argument(name="jobs")
@farm_option
@out_option
@json_option
def status(jobs: tuple[str, ...], farm: str | None, out: str | None, as_json: bool) -> int:
    """Say how far jobs are, frame by frame: rounds, samples per pixel, predicted error, failures.

    Exits with 1 when one of them failed or was cancelled.
    """
    from pipeline.cli.live import frame_rows, summary
    from pipeline.farm.attempts import failure
    from pipeline.farm.lookup import find_job
    from pipeline.farm.progress import snapshot

    settings = farm_settings(farm)
    store = store_of(settings, out)
    slots = live_slots(settings, store)
    found = [snapshot(store, find_job(store, text), slots=slots, cost_per_hour=settings.cost_per_hour) for text in jobs]
    if as_json:
        documents = [_document(store, job) for job in found]
        click.echo(json.dumps(documents[0] if len(documents) == 1 else documents, indent=2))
    else:
        for job in found:
            click.echo(f"{click.style(job.job, bold=True)}  {summary(job)}")
            rows = [("frame", "state", "round", "spp", "error", "p99"), *frame_rows(job.frames, job)]
            widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
            for row in rows:
                click.echo(
                    "  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                )
            for task in job.failures:
                why = failure(store, job.directory, task)
                click.echo(f"  {click.style('failed', fg='red')} {task}: {why.reason} ({why.attempts} attempts)")
    return 1 if any(job.state in FAILED for job in found) else 0


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


def live_slots(settings: FarmConfig, store: Store) -> int:
    """Slots at work for the store, for the forecast; 0 where there is no broker, or it does not answer."""
    from pipeline.errors import FarmError

    try:
        return farm_of(settings, store).slots()
    except FarmError:
        return 0


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
    table = [("job", "state", "frames", "done", "priority", "owner", "submitted")]
    table += [
        (
            row["job"],
            row["state"],
            f"{row['done']}/{row['frames']}",
            f"{row['fraction']:.0%}",
            str(row["priority"]),
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
        "owner": job.owner,
        "created": job.created,
    }
