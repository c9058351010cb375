"""`pipeline capture`."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.options import farm_option, farm_settings, json_option
from pipeline.errors import AssetError, ConfigError

if TYPE_CHECKING:
    from pipeline.capture.run import Order

__all__ = ["capture", "check_packages"]


def check_packages(*names: str) -> None:
    """Raises ConfigError where one of them is not installed."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        extras = "pip install 'penumbra-pipeline[learn,capture]'"
        raise ConfigError(f"materials need {' and '.join(missing)}", suggestion=extras)


def _numbers(option: str, text: str, count: int) -> list[float]:
    try:
        values = [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        values = []
    if len(values) != count:
        raise click.BadParameter(f"{text!r}: {count} numbers are wanted", param_hint=option)
    return values


@click.command()
@click.argument("photographs", metavar="PHOTO…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, metavar="DIR", type=click.Path(path_type=Path), help="The asset's folder.")
@click.option("--each", is_flag=True, help="A material of each photograph, DIR/NAME, in place of one of all.")
@click.option(
    "--corners", metavar='"X,Y X,Y X,Y X,Y"', help="Pixels of a rectangle's corners, clockwise from top left."
)
@click.option("--crop", metavar="L,T,W,H", help="A rectangle of pixels: left, top, width, height.")
@click.option("--aspect", type=float, help="Height over width of what --corners shows.  [default: by perspective]")
@click.option("--fov", type=float, help="Degrees along the photograph's longer side.  [default: EXIF's, else 67.3]")
@click.option("--exposure", type=float, help="Light of a white surface below the flash; 1 saturates.  [default: 1.6]")
@click.option("--resolution", default=1024, show_default=True, help="Texels of the longer side, at most 4096.")
@click.option("--size", type=float, metavar="METRES", help="Width of the patch.  [default: the card's, else 0.2]")
@click.option("--tile", is_flag=True, help="Make it tileable.")
@click.option("--method", type=click.Choice(["network", "descent"]), default="network", show_default=True)
@click.option("--preset", type=click.Choice(["small", "full", "tiny"]), default="small", show_default=True)
@click.option("--weights", type=click.Path(path_type=Path), help="Weights, in place of those of --preset.")
@click.option("--extra", default=0, show_default=True, metavar="STEPS", help="Of descent after the network.")
@click.option("--movie/--no-movie", default=True, show_default=True, help="A movie of a turning light.")
@click.option("--name", help="Of the material.  [default: DIR's]")
@click.option("--threads", type=int, help="CPU threads.  [default: all]")
@click.option("--on-farm", is_flag=True, help="With --each: a task of the farm for each photograph.")
@farm_option
@click.option("--detach", is_flag=True, help="With --on-farm: do not wait; the same command again fetches them.")
@json_option
def capture(
    photographs: tuple[Path, ...],
    out: Path,
    each: bool,
    corners: str | None,
    crop: str | None,
    aspect: float | None,
    fov: float | None,
    exposure: float | None,
    size: float | None,
    tile: bool,
    movie: bool,
    name: str | None,
    threads: int | None,
    on_farm: bool,
    farm: str | None,
    detach: bool,
    as_json: bool,
    **settings: Any,
) -> int:
    """Make a material of flash photographs of a flat surface.

    PHOTO is a JPEG, PNG, TIFF, EXR or camera raw file, or a folder of them. Several show one material and the same
    patch of it, unless --each. The patch is the printed card's window (pipeline assets card), what --corners or --crop
    say, or the whole picture. With --each, photographs that cannot be used are told and left out. --on-farm sends
    them to the farm, or to local workers where none is configured. Exits with 0: done, 1: failed, 2: bad input.
    """
    if (on_farm and not each) or (detach and not on_farm):
        raise click.UsageError("the farm makes a material of each photograph: --on-farm --each [--detach]")
    check_packages("torch", "cv2")
    import torch

    from pipeline.capture.asset.write import Wishes
    from pipeline.capture.photo.prepare import Region
    from pipeline.capture.run import Order, photographs_below, summary
    from pipeline.capture.run import capture as run

    if threads:
        torch.set_num_threads(threads)
    quad = None if corners is None else _numbers("--corners", corners, 8)
    part = None if crop is None else [round(value) for value in _numbers("--crop", crop, 4)]
    region = Region(
        corners=None if quad is None else tuple((quad[k], quad[k + 1]) for k in range(0, 8, 2)),
        crop=None if part is None else (part[0], part[1], part[2], part[3]),
        aspect=aspect,
        field_of_view=fov,
        exposure=exposure,
    )
    found = tuple(photographs_below(photographs))
    if on_farm:
        shared = Order(found, out, Wishes("", size, tile, movie), region, **settings)
        return _on_farm(found, shared, farm, wait=not detach, as_json=as_json)
    orders = [((path,), out / path.stem, path.stem) for path in found] if each else [(found, out, name or out.name)]
    records, refused = {}, 0
    for paths, folder, called in orders:
        wishes = Wishes(called, size, tile, movie)
        try:
            record = run(Order(paths, folder, wishes, region, **settings), say=lambda line: click.echo(line, err=True))
        except AssetError as error:
            if not each:
                raise
            click.echo(f"pipeline: {error}", err=True)  # the others are made all the same
            refused += 1
            continue
        click.echo(f"{folder}: {summary(record)}", err=True)
        records[str(folder)] = record
        if not as_json:
            click.echo(folder)
    if as_json:
        document = [{"directory": folder, **record} for folder, record in records.items()]
        click.echo(json.dumps(document if each else document[0], indent=2, ensure_ascii=False))
    return AssetError.exit_code if refused else 0


def _on_farm(found: Sequence[Path], order: Order, farm: str | None, *, wait: bool, as_json: bool) -> int:
    """Has the farm make a material of each photograph."""
    from pipeline.capture.run import summary
    from pipeline.cli.live import Live
    from pipeline.farm import capturing, carry_out

    service = carry_out.place(farm_settings(farm), wait=wait)
    with Live() as live:
        made = capturing.capture(
            found, order, service, wait=wait, show=live.show, say=lambda line: click.echo(line, err=True)
        )
    for folder, record in made.records.items():
        click.echo(f"{folder}: {summary(record)}", err=True)
        if not as_json:
            click.echo(folder)
    for file, reason in made.refused.items():
        click.echo(f"pipeline: {file}: {reason}", err=True)
    if as_json:
        told = [{"directory": str(folder), **record} for folder, record in made.records.items()]
        click.echo(
            json.dumps({"job": made.job, "state": made.state, "materials": told, "refused": made.refused}, indent=2)
        )
    return 1 if made.state in ("failed", "cancelled") else 0
