"""`pipeline redenoise`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from pipeline.cli.options import farm_option, farm_settings, jobs_argument, json_option, out_option
from pipeline.cli.submit import tell

OPTIONS = {
    "lambda_": "denoise.lambda",
    "lambda_map": "denoise.lambda_map",
    "backend": "denoise.backend",
    "preset": "denoise.preset",
    "window": "denoise.temporal_radius",
    "frames": "frames",
}
"""Which key of the version's configuration each option lays a value over."""

NO_MAP = "none"


def _radius(ctx: click.Context, param: click.Parameter, window: int | None) -> int | None:
    """Frames on either side of a window of so many."""
    if window is not None and window % 2 == 0:
        raise click.BadParameter(f"{window} is even: the frame itself, and as many after it as before")
    return None if window is None else window // 2


@click.command()
@jobs_argument(name="job", many=False)
@click.option(
    "--lambda", "lambda_", type=float, metavar="X", help="λ of the denoiser: above 1 keeps more detail and noise."
)
@click.option("--lambda-map", metavar="MAP", help="EXR or PNG with λ per pixel; none leaves out the version's own.")
@click.option("--backend", metavar="NAME", help="Another denoiser: kpcn, oidn or none.")
@click.option("--preset", metavar="NAME", help="Another network: fast or paper.")
@click.option(
    "--window",
    type=click.IntRange(1, 17),
    callback=_radius,
    metavar="N",
    help="Frames that the denoiser reads, its own in the middle: 1, 3, 5 …",
)
@click.option("--frames", metavar="RANGE", help="Some of the version's frames.  [default: all]")
@farm_option
@out_option
@click.option("--wait/--detach", default=None, help="Wait for the frames.  [default: only without a farm]")
@click.option("--workers", type=click.IntRange(1, 256), metavar="N", help="Local workers, where there is no farm.")
@json_option
def redenoise(
    job: str,
    farm: str | None,
    out: str | None,
    wait: bool | None,
    workers: int | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Denoise a rendered version anew, with another λ or another denoiser: a new version, without a sample.

    The samples stay those of the version that was rendered (by default the shot's newest one), whatever guided them.
    Exits with 0: done or enqueued, 1: failed, 2: bad input.
    """
    from pipeline.cli.live import Live
    from pipeline.farm.redenoise import redenoise as denoise_anew

    overrides = {OPTIONS[name]: value for name, value in options.items() if value is not None}
    if options["lambda_map"] == NO_MAP:
        overrides[OPTIONS["lambda_map"]] = None
    profile = farm_settings(farm)
    with Live() as live:
        result = denoise_anew(job, overrides, settings=profile, out=out, wait=wait, workers=workers, show=live.show)
    if as_json:
        click.echo(json.dumps(asdict(result), indent=2, ensure_ascii=False))
    else:
        tell(result)
    return 1 if result.state in ("failed", "cancelled") else 0
