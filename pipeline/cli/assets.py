"""`pipeline assets`: the library of captured materials, and the card to photograph them with."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pipeline.cli.capture import check_packages
from pipeline.cli.options import json_option

__all__ = ["assets"]


@click.group()
def assets() -> None:
    """List captured materials; print the card to photograph them with."""


@assets.command(name="list")
@click.argument("folders", metavar="DIR…", nargs=-1, type=click.Path(path_type=Path))
@json_option
def list_assets(folders: tuple[Path, ...], as_json: bool) -> int:
    """List the materials at or below folders.

    Without DIR, those below ./assets. Exits with 1 where one of them cannot be used.
    """
    from pipeline.capture.asset.library import find

    entries = list(find(folders or (Path("assets"),)))
    rows = []
    for entry in entries:
        record = {} if entry.asset is None else entry.asset.record
        rows.append(
            {"directory": str(entry.directory), **record, **({"problem": entry.problem} if entry.problem else {})}
        )
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    for row, entry in zip(rows, entries, strict=True):
        if as_json:
            break
        if entry.asset is None:
            click.echo(f"{row['directory']}  unusable: {entry.problem}")
            continue
        wide, high = row.get("size", (0.0, 0.0))
        tiles = "tiles" if row.get("tileable") else ""
        error = row.get("fit", {}).get("rmse", float("nan"))
        size = f"{entry.asset.width}×{entry.asset.height}"
        click.echo(f"{row['directory']:40}  {size:>10}  {100 * wide:.3g}×{100 * high:.3g} cm  fit {error:.4f}  {tiles}")
    return int(any(entry.asset is None for entry in entries))


@assets.command()
@click.option("--out", default="card.pdf", show_default=True, metavar="FILE", type=click.Path(path_type=Path))
def card(out: Path) -> int:
    """Write the card to print at its true size: a frame with a window of 10 cm, as PDF or PNG.

    Photographs that show it need no --corners, --size or --exposure.
    """
    check_packages("cv2")
    from pipeline.capture.photo.card import write

    click.echo(write(out))
    return 0
