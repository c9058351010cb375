"""`pipeline encode`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from pipeline.cli.options import json_option
from pipeline.errors import ConfigError

__all__ = ["encode"]


@click.command()
@click.argument("source", metavar="MAP", type=click.Path(path_type=Path))
@click.option("--out", required=True, metavar="FILE", type=click.Path(path_type=Path), help="FILE.neural, or an image.")
@click.option(
    "--kind",
    type=click.Choice(["texture", "environment"]),
    default="texture",
    show_default=True,
    help="An environment map goes round, and keeps its sun exactly.",
)
@click.option("--steps", type=int, default=1500, show_default=True, help="Of training.")
@click.option("--width", type=int, default=32, show_default=True, help="Of the networks: detail, and bytes.")
@click.option("--tile", type=int, default=64, show_default=True, help="Texels of a side that one network learns.")
@click.option("--optimizer", default="auto", show_default=True, metavar="NAME", help="auto, adam, esgd, …")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--threads", type=int, help="CPU threads.  [default: all]")
@json_option
def encode(
    source: Path,
    out: Path,
    kind: str,
    steps: int,
    width: int,
    tile: int,
    optimizer: str,
    seed: int,
    threads: int | None,
    as_json: bool,
) -> int:
    """Make a neural map of a texture or an environment map, or an image of a neural map.

    MAP is a PNG, JPEG, TIFF or BMP, or an EXR with linear values. Scenes name the result as the file of a `bitmap` or
    an `envmap`. A MAP that ends in .neural is decoded, into a PNG, or an EXR where its values are linear. Exits with 0:
    done, 1: failed, 2: bad input.
    """
    from pipeline.images.neural_map import SUFFIX

    if source.suffix == SUFFIX:
        document = _decoded(source, out)
    elif out.suffix == SUFFIX:
        settings = {"kind": kind, "steps": steps, "width": width, "tile": tile, "optimizer": optimizer, "seed": seed}
        document = _encoded(source, out, settings, threads)
    else:
        raise ConfigError(f"must end in {SUFFIX}, not '{out.suffix}'", path="--out")
    if as_json:
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        click.echo(out)
    return 0


def _encoded(source: Path, out: Path, settings: dict[str, object], threads: int | None) -> dict[str, object]:
    import torch

    from pipeline.images.neural_map import save
    from pipeline.optim.assets.encode import Settings
    from pipeline.optim.assets.encode import encode as fit_map
    from pipeline.optim.assets.source import read_source

    if threads:
        torch.set_num_threads(threads)
    read = read_source(source)
    stored, fit = fit_map(read, Settings(**settings), progress=_progress)  # type: ignore[arg-type]
    click.echo(f"optimizer {fit.optimizer}: {fit.reason}", err=True)
    size = save(out, stored)
    share = read.size / size
    click.echo(
        f"{stored.width}×{stored.height}×{stored.channels}: {fit.psnr:.1f} dB, energy {fit.energy:.3f}, {size} bytes "
        f"({share:.2g} × smaller than {read.name}), {fit.seconds:.0f} s",
        err=True,
    )
    return {"file": str(out), "bytes": size, "source_bytes": read.size, **asdict(fit)}


def _progress(done: int, steps: int, loss: float) -> None:
    click.echo(f"step {done} of {steps}: loss {loss:.2e}", err=True)


def _decoded(source: Path, out: Path) -> dict[str, object]:
    from pipeline.images.neural_map import decode, read
    from pipeline.images.neural_map_export import export

    stored = read(source)
    export(out, stored, decode(stored))
    size = {"width": stored.width, "height": stored.height, "channels": stored.channels, "coding": stored.coding}
    return {"file": str(out), **size, "provenance": dict(stored.provenance)}
