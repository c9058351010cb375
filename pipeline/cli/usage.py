"""`pipeline usage`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from pipeline.cli.options import farm_option, farm_settings, jobs_argument, json_option, out_option, store_of


@click.command()
@jobs_argument(name="jobs")
@farm_option
@out_option
@json_option
def usage(jobs: tuple[str, ...], farm: str | None, out: str | None, as_json: bool) -> None:
    """Say what jobs have used: device time by kind of work, what of it was in vain, its price, bytes in the store."""
    from pipeline.farm.lookup import find_job
    from pipeline.farm.usage import usage as usage_of

    settings = farm_settings(farm)
    store = store_of(settings, out)
    found = [asdict(usage_of(store, find_job(store, text), cost_per_hour=settings.cost_per_hour)) for text in jobs]
    if as_json:
        click.echo(json.dumps(found[0] if len(found) == 1 else found, indent=2))
        return
    for each in found:
        tell(each)


def tell(used: dict[str, Any]) -> None:
    """For people: the document of a job's usage."""
    from pipeline.farm.volume import bytes_text

    cost = "" if used["cost"] is None else f", cost {used['cost']:.2f}"
    click.echo(f"{click.style(used['job'], bold=True)}  {used['seconds']:.0f} s of device time{cost}")
    if used["in_vain"]:
        click.echo(f"  in vain        {used['in_vain']:.0f} s")
    for kind, spent in used["by_kind"].items():
        lost = f", {spent['lost']:.0f} without an end" if spent["lost"] else ""
        click.echo(f"  {kind:<14} {spent['seconds']:.0f} s in {spent['attempts']:.0f} attempts{lost}")
    total = sum(used["stored"].values())
    parts = ", ".join(f"{part} {bytes_text(size)}" for part, size in _largest(used["stored"]))
    click.echo(f"  in the store   {bytes_text(total)} ({parts})")


def _largest(stored: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(stored.items(), key=lambda item: -item[1])[:4]
