"""`pipeline diff OLD.otio NEW.otio`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.options import json_option

if TYPE_CHECKING:
    from pipeline.editorial.diff import EditDiff


@click.command()
@click.argument("old", type=click.Path(path_type=Path), metavar="OLD.otio")
@click.argument("new", type=click.Path(path_type=Path), metavar="NEW.otio")
@json_option
def diff(old: Path, new: Path, as_json: bool) -> int:
    """Say what changed between two edits: clips added, removed, trimmed, retimed, moved, and the frames to render.

    Exits with 0: nothing changed, 1: something did, 2: bad input.
    """
    from pipeline.editorial.diff import compare
    from pipeline.editorial.timeline import read_edit

    found = compare(read_edit(old), read_edit(new))
    if as_json:
        click.echo(json.dumps(_document(found), indent=2, ensure_ascii=False))
    else:
        _tell(found)
    return 1 if found.changes else 0


def _document(found: EditDiff) -> dict[str, Any]:
    shots = {
        each.shot: {
            name: None if (frames := getattr(each, name)) is None else str(frames)
            for name in ("added", "dropped", "kept")
        }
        for each in found.shots
    }
    return {"changes": [asdict(change) for change in found.changes], "frames": shots}


def _tell(found: EditDiff) -> None:
    if not found.changes:
        click.echo("the edits ask for the same frames, in the same places")
        return
    for change in found.changes:
        told = " → ".join(each for each in (change.before, change.after) if each)
        track = f" on {change.track}" if change.track else ""
        click.echo(f"{change.kind:<8} {change.shot}  {change.clip}{track}: {told}")
    for each in found.shots:
        if each.added is not None:
            click.echo(f"to render  {each.shot}  {each.added} ({len(each.added)} frames)")
