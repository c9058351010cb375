"""`pipeline denoise`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.options import json_option
from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from pipeline.denoise.sequence.run import Done

WIDEST = 17
"""Most frames that a window may hold."""


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="IN…", type=click.Path())
@click.option("--out", required=True, metavar="DIR", type=click.Path(path_type=Path), help="Where the frames go.")
@click.option("--backend", type=click.Choice(["kpcn", "oidn", "none"]), default="kpcn", show_default=True)
@click.option("--preset", type=click.Choice(["fast", "paper"]), default="fast", show_default=True)
@click.option(
    "--lambda",
    "lambda_",
    type=float,
    metavar="X",
    help="λ, 1 … 10: above 1 keeps more detail and more noise.  [default: 1]",
)
@click.option(
    "--lambda-map", metavar="M.exr", type=click.Path(path_type=Path), help="λ per pixel, in place of --lambda."
)
@click.option("--window", type=int, metavar="N", help="Frames read at a time, odd: the frame and its neighbours.")
@click.option(
    "--mapping",
    metavar="NAME|FILE",
    help="What channels hold: penumbra, cycles, renderman, arnold, plain, or a YAML file.  [default: as recognised]",
)
@json_option
def denoise(
    inputs: tuple[str, ...],
    out: Path,
    backend: str,
    preset: str,
    lambda_: float | None,
    lambda_map: Path | None,
    window: int | None,
    mapping: str | None,
    as_json: bool,
) -> int:
    """Denoise EXR sequences, Penumbra's own and other renderers', into files of the same names in another folder.

    IN are files, a folder, or a pattern: shot.#.exr, shot.1001-1008#.exr, shot.%04d.exr. All other channels and
    attributes are kept. Exits with 0: done, 1: failed, 2: bad input.
    """
    from pipeline.config.denoise import Denoise
    from pipeline.denoise import backends
    from pipeline.denoise.sequence.plan import prepare
    from pipeline.denoise.sequence.run import run

    if lambda_ is not None and lambda_map is not None:
        raise click.UsageError("--lambda and --lambda-map exclude each other")
    if window is not None and (window % 2 == 0 or not 1 <= window <= WIDEST):
        raise ConfigError(f"must be an odd number, 1 … {WIDEST}, not {window}", path="--window")
    warnings: list[str] = []

    def warn(line: str) -> None:
        warnings.append(line)
        click.echo(f"warning: {line}", err=True)

    plan = prepare(
        inputs,
        out,
        lambda_=1.0 if lambda_ is None else lambda_,
        lambda_map=lambda_map,
        mapping=mapping,
        warn=warn,
    )
    radius = None if window is None else (window - 1) // 2
    settings = Denoise.model_validate({"backend": backend, "preset": preset, "temporal_radius": radius})
    denoiser = backends.backend(settings)
    if backend != "kpcn" and (lambda_map is not None or lambda_ not in (None, 1.0)):
        warn(f"λ steers kpcn alone; {backend} does not read it")
    if window not in (None, 1) and denoiser.radius == 0:
        warn(f"{backend} reads one frame at a time; --window changes nothing")
    done: list[Done] = []
    for result in run(plan, denoiser, warn=warn):
        done.append(result)
        if not as_json:
            click.echo(f"{result.frame:>6}  {result.seconds:7.2f} s  {result.output}")
    if as_json:
        document = {
            "backend": denoiser.name,
            "mapping": plan.mapping,
            "source": plan.source,
            "lambda": str(lambda_map) if lambda_map is not None else lambda_ or 1.0,
            "frames": [asdict(result) for result in done],
            "warnings": warnings,
        }
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    return 0
