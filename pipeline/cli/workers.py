"""`pipeline workers`, `drain`, `bar` and `allow`: who works on the farm, and who is not to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.options import farm_option, farm_settings, json_option, out_option, store_of
from pipeline.cli.status import farm_of

if TYPE_CHECKING:
    from pipeline.farm.client import Farm

JOB_OPTION = click.option("--job", metavar="SHOT[.vNNN]", help="Off this job alone.  [default: the whole farm]")


@click.command()
@farm_option
@out_option
@json_option
def workers(farm: str | None, out: str | None, as_json: bool) -> None:
    """List the workers: what they do, what they offer, and which were taken out, by whom and why."""
    from pipeline.farm.crew import crew

    tell([asdict(member) for member in crew(_service(farm, out))], as_json=as_json)


def tell(members: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Prints workers, as `crew.Member` describes them: a table, or JSON."""
    if as_json:
        click.echo(json.dumps(members, indent=2, ensure_ascii=False))
        return
    table = [("worker", "state", "task", "device", "memory", "slots", "pools", "tags", "")]
    table += [
        (
            row["name"],
            row["state"],
            ", ".join(row["tasks"]),
            row["device"],
            f"{row['memory'] / 1024:.1f} GiB" if row["memory"] else "",
            str(row["slots"]),
            ",".join(row["pools"]),
            ",".join(row["tags"]),
            row["reason"],
        )
        for row in members
    ]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="WORKER…")
@farm_option
@out_option
def drain(names: tuple[str, ...], farm: str | None, out: str | None) -> None:
    """Have workers end when their running tasks are done; they take no others."""
    from pipeline.farm.crew import live_worker

    service = _service(farm, out)
    for name in names:
        service.order(live_worker(service, name), "drain", "somebody drains it")
        click.echo(f"{name}: ends after the tasks that run")


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="WORKER…")
@JOB_OPTION
@click.option("--reason", default="", help="What is wrong with it.")
@farm_option
@out_option
def bar(names: tuple[str, ...], job: str | None, reason: str, farm: str | None, out: str | None) -> None:
    """Keep workers off a job, or off all of them until `allow`. Running tasks come to their end."""
    _ask(_service(farm, out), names, job, reason, barring=True)


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="WORKER…")
@JOB_OPTION
@farm_option
@out_option
def allow(names: tuple[str, ...], job: str | None, farm: str | None, out: str | None) -> None:
    """Let workers take tasks again that they were kept off, by somebody or by the farm itself."""
    _ask(_service(farm, out), names, job, "", barring=False)


def _ask(service: Farm, names: tuple[str, ...], job: str | None, reason: str, *, barring: bool) -> None:
    from pipeline.farm.crew import live_worker
    from pipeline.farm.lookup import find_job

    found = None if job is None else find_job(service.store, job)
    for name in names:
        if barring:
            live_worker(service, name)
        if found is None:
            service.order(name, "out" if barring else "in", reason)
        elif barring:
            service.bar(found, name)
        else:
            service.allow(found, name)
        click.echo(f"{name}: {'kept off' if barring else 'takes tasks of'} {'the farm' if found is None else found.id}")


def _service(farm: str | None, out: str | None) -> Farm:
    settings = farm_settings(farm)
    return farm_of(settings, store_of(settings, out))
