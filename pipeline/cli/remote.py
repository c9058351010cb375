"""The commands that `pipeline --api URL` sends to a farm's server, in place of those that work on this machine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.options import json_option
from pipeline.cli.submit import OPTIONS, setting

if TYPE_CHECKING:
    from pipeline.api.client import ApiClient

LOOKING = ("submit", "status", "watch", "list", "logs", "usage")
CONTROL = (
    "workers", "pause", "resume", "cancel", "retry", "skip", "priority", "approve", "adjust", "change",
    "drain", "bar", "allow",
)  # fmt: skip
REMOTE = (*LOOKING, *CONTROL)
"""Commands that go through the API."""

FAILED = ("failed", "cancelled")
FOLLOW_SECONDS = 1.0
RETURN_SECONDS = 2.0
"""Time to the next try after the server has gone away under somebody who watches."""


def module_of(command: str) -> str:
    """Where the command that asks a server is."""
    return __name__ if command in LOOKING else "pipeline.cli.remote_control"


@contextmanager
def api_client(ctx: click.Context) -> Iterator[ApiClient]:
    """The server that `--api` names."""
    from pipeline.api.client import ApiClient, token_from

    with ApiClient(ctx.find_root().params["api"], token_from()) as client:
        if client.is_open_to_view:
            click.echo(f"warning: the token travels unencrypted to {client.url}", err=True)
        yield client


def _jobs(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.argument("jobs", nargs=-1, required=True, metavar="SHOT[.vNNN]…")(command)


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SHOT|EDIT.otio…")
@click.option("--frames", metavar="RANGE", help="Frames, as 1001-1008, 1001,1005 or 1001-1100x10.")
@click.option("--lambda", "lambda_", type=float, metavar="X", help="λ of the denoiser.")
@click.option("--max-spp", type=int, metavar="N", help="Most samples per pixel of a frame.")
@click.option("--target-error", type=float, metavar="E", help="Predicted error at which a frame is done.")
@click.option("--priority", type=int, metavar="P", help="0 (last) to 9 (first).")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any other key: --set sampling.seed=3.")
@json_option
@click.pass_context
def submit(
    ctx: click.Context, /, sources: tuple[str, ...], settings: tuple[str, ...], as_json: bool, **options: Any
) -> None:
    """Submit shots of the server's project."""
    overrides = {OPTIONS[name]: value for name, value in options.items() if value is not None}
    overrides |= dict(setting(text) for text in settings)
    with api_client(ctx) as client:
        made = client.submit(sources, overrides)
    if as_json:
        print_documents(made)
        return
    for each in made:
        for warning in each["warnings"]:
            click.echo(f"warning: {warning}", err=True)
        click.echo(f"{each['job']}: {each['state']}")


@click.command()
@_jobs
@json_option
@click.pass_context
def status(ctx: click.Context, jobs: tuple[str, ...], as_json: bool) -> int:
    """Say how far jobs are. Exits with 1 when one of them failed or was cancelled."""
    with api_client(ctx) as client:
        found = [client.job(name) for name in jobs]
    if as_json:
        print_documents(found)
    else:
        for job in found:
            click.echo(f"{click.style(job['job'], bold=True)}  {_summary(job)}")
            rows = [("frame", "state", "round", "spp", "error"), *map(_frame_row, job["frame_list"])]
            _table(rows, indent="  ")
            for line in job["waits"]:
                click.echo(f"  {click.style('waits', fg='yellow')} {line}")
            for failed in job["failed"]:
                words = f"{failed['task']}: {failed['reason']} ({failed['attempts']} attempts)"
                click.echo(f"  {click.style('failed', fg='red')} {words}")
    return 1 if any(job["state"] in FAILED for job in found) else 0


@click.command()
@click.argument("jobs", nargs=-1, metavar="SHOT[.vNNN]…")
@click.pass_context
def watch(ctx: click.Context, jobs: tuple[str, ...]) -> int:
    """Follow jobs until they end; by default all that are not finished."""
    from pipeline.api.client import ApiDown

    with api_client(ctx) as client:
        known = [client.job(name) for name in jobs] or [job for job in client.jobs() if not _has_ended(job)]
        states = {job["job"]: job for job in known}
        for job in known:
            click.echo(f"{job['job']}: {_summary(job)}")
        while not all(map(_has_ended, states.values())):
            try:
                for job in client.events():
                    if job["job"] in states and job != states[job["job"]]:
                        states[job["job"]] = job
                        click.echo(f"{job['job']}: {_summary(job)}")
                    if all(map(_has_ended, states.values())):
                        break
            except ApiDown as error:
                click.echo(f"{error}; trying again", err=True)
                time.sleep(RETURN_SECONDS)
    return 1 if any(job["state"] in FAILED for job in states.values()) else 0


@click.command(name="list")
@json_option
@click.pass_context
def list_jobs(ctx: click.Context, as_json: bool) -> None:
    """List the jobs of the farm's store."""
    with api_client(ctx) as client:
        found = client.jobs()
    if as_json:
        print_documents(found)
        return
    rows = [("job", "state", "frames", "done", "priority", "owner", "submitted")]
    rows += [
        (
            job["job"],
            job["state"],
            f"{job['done']}/{job['frames']}",
            f"{job['fraction']:.0%}",
            str(job["priority"]),
            job["owner"],
            job["created"].replace("T", " ")[:16],
        )
        for job in found
    ]
    _table(rows)


@click.command()
@click.argument("job", metavar="SHOT[.vNNN]")
@click.argument("task", required=False, default="")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job ends, with what comes.")
@click.option("--failed", is_flag=True, help="Of the tasks that failed alone.")
@click.pass_context
def logs(ctx: click.Context, job: str, task: str, follow: bool, failed: bool) -> None:
    """Show what the tasks of a job said, oldest first."""
    from pipeline.farm.attempts import Line

    after = 0.0
    with api_client(ctx) as client:
        while True:
            ended = not follow or _has_ended(client.job(job))
            for each in client.logs(job, task=task, failed=failed, after=after):
                click.echo(click.style(f"== {each['task']}, attempt {each['attempt'] + 1}", bold=True))
                for line in each["lines"]:
                    click.echo(str(Line(**line)))
                after = max(after, each["lines"][-1]["at"])
            if ended:
                return
            time.sleep(FOLLOW_SECONDS)


@click.command()
@_jobs
@json_option
@click.pass_context
def usage(ctx: click.Context, jobs: tuple[str, ...], as_json: bool) -> None:
    """Device time, its price, and bytes in the store."""
    from pipeline.cli.usage import tell

    with api_client(ctx) as client:
        found = [client.usage(name) for name in jobs]
    if as_json:
        print_documents(found)
    else:
        for each in found:
            tell(each)


def print_documents(documents: list[dict[str, Any]]) -> None:
    """One JSON document: of one thing itself, else a list."""
    click.echo(json.dumps(documents[0] if len(documents) == 1 else documents, indent=2, ensure_ascii=False))


def _has_ended(job: dict[str, Any]) -> bool:
    return job["state"] in ("done", *FAILED)


def _summary(job: dict[str, Any]) -> str:
    words = [job["state"], f"{job['done']}/{job['frames']} frames"]
    if not _has_ended(job):
        words.append(f"{job['fraction']:.0%}")
    if left := job.get("remaining_seconds"):
        from pipeline.cli.live import span
        from pipeline.farm.forecast import Interval

        words.append(f"ETA {span(Interval(**left))}")
    if job["absent"]:
        words.append(f"{job['absent']} given up")
    if job["failures"]:
        words.append(f"{job['failures']} failed tasks")
    return ", ".join(words)


def _frame_row(frame: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(frame["frame"]),
        frame["state"] + (" (degraded)" if frame["degraded"] else ""),
        "" if frame["round"] is None else str(frame["round"] + 1),
        "" if frame["samples_per_pixel"] is None else f"{frame['samples_per_pixel']:.0f}",
        "" if frame["error"] is None else f"{frame['error']:.4f}",
    )


def _table(rows: Sequence[tuple[str, ...]], indent: str = "") -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo(indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
