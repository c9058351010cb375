"""`pipeline review`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from pipeline.cli.options import farm_option, farm_settings, jobs_argument, out_option, store_of


@click.command()
@jobs_argument(name="job", many=False)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write the page and its data into a folder that opens without a server, and end.",
)
@click.option("--frames", metavar="RANGE", help="With --folder: some of the frames.  [default: all]")
@click.option(
    "--layers",
    metavar="NAMES",
    help="With --folder: layers at full precision; `none`: small pictures alone.  [default: what a review needs]",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Port on this machine.  [any]")
@click.option("--open/--no-open", "browser", default=True, help="Open the page in a browser.")
@farm_option
@out_option
def review(
    job: str,
    folder: Path | None,
    frames: str | None,
    layers: str | None,
    port: int,
    browser: bool,
    farm: str | None,
    out: str | None,
) -> None:
    """Look at a shot: frames, layers, comparisons, λ live, convergence and cost, from the first pass on.

    The page is served to this machine alone, with the address that is printed, until Ctrl-C. On a farm, the same page
    is at /review/ of its server. A done version has it as review/index.html, with small pictures.
    """
    from pipeline.errors import ConfigError
    from pipeline.farm.lookup import find_job

    settings = farm_settings(farm)
    if folder is not None:
        from pipeline.config.frames import FrameRange
        from pipeline.farm.products import Products
        from pipeline.review.export import LAYERS, export

        store = store_of(settings, out)
        wanted = None if frames is None else list(FrameRange.parse(frames))
        names = LAYERS if layers is None else [] if layers == "none" else [name.strip() for name in layers.split(",")]
        for line in export(Products(store, find_job(store, job)), folder, layers=names, frames=wanted):
            click.echo(f"left out: {line}", err=True)
        click.echo(str(folder / "index.html"))
        return
    if frames is not None or layers is not None:
        raise ConfigError("belongs to --folder: the page shows all", path="--frames" if frames else "--layers")
    missing = [name for name in ("fastapi", "uvicorn", "prometheus_client") if find_spec(name) is None]
    if missing:
        raise ConfigError(f"the review needs {', '.join(missing)}", suggestion="pip install 'penumbra-pipeline[farm]'")
    from pipeline.farm.client import Farm
    from pipeline.review.serving import serve

    store = store_of(settings, out)
    found = find_job(store, job)
    connected = Farm.offline(store, settings) if settings.broker_url is None else Farm.connect(store, settings)
    serve(connected, found.id, project=Path.cwd(), port=port, browser=browser, tell=click.echo)
