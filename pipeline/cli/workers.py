"""`pipeline workers`, `drain`, `bar` and `allow`: who works on the farm, and who is not to."""

from __future__ import annotations

import json
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
    rows = _rows(_service(farm, out))
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
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
        for row in rows
    ]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _rows(service: Farm) -> list[dict[str, Any]]:
    """Live workers, then those that are gone and were asked to stay away."""
    from pipeline.farm.roster import orders

    asked = orders(service.store)
    tasks: dict[str, list[str]] = {}
    for held in service.running():
        tasks.setdefault(held.worker, []).append(f"{held.ticket.job} {held.ticket.task}")
    rows = []
    for worker in service.workers():
        order = asked.pop(worker["name"], None)
        told = worker["reason"] or (f"asked to {order.order}" if order is not None and order.order != "in" else "")
        by = f" (by {order.by})" if order is not None and order.order == "out" else ""
        kept = ("name", "host", "state", "device", "slots", "memory", "started")
        row = {key: worker[key] for key in kept} | {"pools": [pool for pool in worker["pools"] if pool]}
        rows.append(row | {"tags": worker["tags"], "tasks": tasks.get(worker["name"], []), "reason": told + by})
    for name, order in sorted(asked.items()):
        if order.order == "out":
            gone = {"name": name, "host": "", "state": "out, gone", "device": "", "slots": 0, "memory": 0, "started": 0}
            rows.append(gone | {"pools": [], "tags": [], "tasks": [], "reason": f"{order.reason} (by {order.by})"})
    return rows


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="WORKER…")
@farm_option
@out_option
def drain(names: tuple[str, ...], farm: str | None, out: str | None) -> None:
    """Have workers end when their running tasks are done; they take no others."""
    service = _service(farm, out)
    for name in names:
        service.order(_known(service, name), "drain", "somebody drains it")
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
    from pipeline.farm.lookup import find_job

    found = None if job is None else find_job(service.store, job)
    for name in names:
        if barring:
            _known(service, name)
        if found is None:
            service.order(name, "out" if barring else "in", reason)
        elif barring:
            service.bar(found, name)
        else:
            service.allow(found, name)
        click.echo(f"{name}: {'kept off' if barring else 'takes tasks of'} {'the farm' if found is None else found.id}")


def _known(service: Farm, name: str) -> str:
    """A live worker's name.

    Raises:
        ConfigError: there is none; with a name that is near.
    """
    from pipeline.config.problems import nearest
    from pipeline.errors import ConfigError

    live = [str(worker["name"]) for worker in service.workers()]
    if name not in live:
        raise ConfigError(f"there is no live worker '{name}'", suggestion=nearest(name, live))
    return name


def _service(farm: str | None, out: str | None) -> Farm:
    settings = farm_settings(farm)
    return farm_of(settings, store_of(settings, out))
