"""`pipeline clean`."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any

import click

from pipeline.cli.options import farm_option, farm_settings, jobs_argument, json_option, out_option, store_of

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kMGT]?)i?B?")
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


class Size(click.ParamType):  # type: ignore[type-arg]
    """A number of bytes: 500MB, 20GB, 1.5TB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = _SIZE.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"'{value}' is not a size such as 500MB, 20GB or 1.5TB", param, ctx)
        return int(float(match[1]) * _UNITS[match[2]])


@click.command()
@jobs_argument(name="jobs", required=False)
@click.option("--budget", type=Size(), metavar="SIZE", help="What each finished job may keep, as 20GB.")
@click.option("--dry-run", is_flag=True, help="Say what would go; remove nothing.")
@farm_option
@out_option
@json_option
def clean(
    jobs: tuple[str, ...], budget: int | None, dry_run: bool, farm: str | None, out: str | None, as_json: bool
) -> int:
    """Remove what finished jobs can do without, and what no job needs any more.

    With --budget, finished jobs that keep more lose the sums of earlier rounds first, then their pictures and error
    maps; deliverables, reports and the last sums stay. Without names, frozen files that no job uses and damaged
    products go as well, when they are a day old. Nothing goes that Penumbra did not make. Exits with 1 when a job
    stays above the budget.
    """
    from pipeline.farm import clean as cleaning
    from pipeline.farm.lookup import find_job
    from pipeline.farm.volume import bytes_text

    store = store_of(farm_settings(farm), out)
    wanted = [find_job(store, text) for text in jobs] or None
    found = cleaning.find(store, wanted, budget=budget)
    removed = 0 if dry_run else cleaning.apply(store, found)
    if as_json:
        document = {**asdict(found), "found": found.size, "removed": removed}
        click.echo(json.dumps(document, indent=2))
        return 1 if found.over else 0
    by_why: dict[str, tuple[int, int]] = {}
    for removal in found.removals:
        count, size = by_why.get(removal.why, (0, 0))
        by_why[removal.why] = count + 1, size + removal.size
    for why, (count, size) in by_why.items():
        click.echo(f"  {bytes_text(size):>9}  {count} × {why}")
    for note in found.notes:
        click.echo(f"  {note}", err=True)
    for job_id, over in found.over.items():
        click.echo(f"{job_id} keeps {bytes_text(over)} more than the budget: deliverables and last sums", err=True)
    click.echo(f"{bytes_text(found.size)} can go" if dry_run else f"{bytes_text(removed)} removed")
    return 1 if found.over else 0
