"""`pipeline maps`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pipeline.cli.options import farm_option, farm_settings, jobs_argument, json_option, out_option, store_of


@click.command()
@jobs_argument(name="job", many=False)
@click.option("--frame", "frames", type=int, multiple=True, metavar="F", help="Frame, once or several times.  [all]")
@click.option("--to", type=click.Path(path_type=Path), metavar="DIR", help="Folder of the maps.  [maps/<job>]")
@farm_option
@out_option
@json_option
def maps(job: str, frames: tuple[int, ...], to: Path | None, farm: str | None, out: str | None, as_json: bool) -> None:
    """Write what each round of a frame looked like: denoised picture, predicted error, samples.

    Of every round that has ended, also while the job goes on: a PNG with legends, and an EXR with the numbers (R G B,
    error.Y, samples.Y so far, round.Y of that round).
    """
    from pipeline.errors import ConfigError
    from pipeline.farm import names
    from pipeline.farm.control import Control
    from pipeline.farm.job import wanted_frames
    from pipeline.farm.lookup import find_job
    from pipeline.farm.products import Products
    from pipeline.farm.round_maps import write

    store = store_of(farm_settings(farm), out)
    found = find_job(store, job)
    if found.engine != "mitsuba":
        raise ConfigError(f"{found.id} is a rehearsal, which has no pictures")
    there = wanted_frames(found, Control(store, found.directory).look())
    if unknown := [frame for frame in frames if frame not in there]:
        raise ConfigError(f"{found.id} has no frame {unknown[0]}", path="--frame")
    folder = to or Path("maps") / found.id
    products = Products(store, found)
    begun = [frame for frame in there if products.exists(names.buffers(frame, 0))]
    written = [path for frame in frames or begun or there[:1] for path in write(found, products, frame, folder)]
    if as_json:
        click.echo(json.dumps({"job": found.id, "maps": [str(path) for path in written]}, indent=2))
    else:
        click.echo(f"{found.id}: {len(written)} files in {folder}")
