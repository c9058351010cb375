"""`pipeline shots EDIT.otio`: what an edit asks for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from pipeline.config.frame_rate import frame_rate_text
from pipeline.editorial.clips import EditClip
from pipeline.editorial.timeline import Edit, load_edit_shots, read_edit
from pipeline.errors import ConfigError

__all__ = ["shots"]


@click.command()
@click.argument("edit", type=click.Path(path_type=Path), metavar="EDIT.otio")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
@click.pass_context
def shots(context: click.Context, edit: Path, as_json: bool) -> None:
    """List the shots of an edit, their frame ranges, and what stands in the way of rendering them.

    Exits with 2 when there is a problem.
    """
    read = read_edit(edit)
    problems = [f"{read.path}: {problem}" for problem in read.problems]
    if read.shots and not problems:
        try:
            load_edit_shots(read)
        except ConfigError as error:
            problems = str(error).splitlines()
    if as_json:
        click.echo(json.dumps(_document(read, problems), indent=2, ensure_ascii=False))
    else:
        for line in _listing(read):
            click.echo(line)
        for note in (*read.notes, *_clip_notes(read)):
            click.echo(f"note: {note}", err=True)
        for problem in problems:
            click.echo(f"problem: {problem}", err=True)
    if problems:
        context.exit(ConfigError.exit_code)


def _listing(edit: Edit) -> list[str]:
    width = max((len(shot.name) for shot in edit.shots), default=0)
    lines = []
    for shot in edit.shots:
        clips = ", ".join(f"{clip.name!r:.40}{_place(clip)}" for clip in shot.clips)
        count = f"{len(shot.frames)} frame{'s' * (len(shot.frames) > 1)}"
        lines.append(f"{shot.name:<{width}}  {shot.frames}  {count}, {frame_rate_text(shot.rate)} fps  {clips}")
    return lines


def _place(clip: EditClip) -> str:
    return "" if clip.offset is None else f" at {clip.offset}"


def _clip_notes(edit: Edit) -> list[str]:
    return [f"clip {clip.name!r:.60}: {note}" for shot in edit.shots for clip in shot.clips for note in clip.notes]


def _document(edit: Edit, problems: list[str]) -> dict[str, Any]:
    return {
        "edit": str(edit.path),
        "shots": [
            {
                "shot": shot.name,
                "frames": str(shot.frames),
                "count": len(shot.frames),
                "fps": frame_rate_text(shot.rate),
                "clips": [
                    {
                        "clip": clip.name,
                        "track": clip.track,
                        "frames": str(clip.frames),
                        "handles": clip.handles,
                        "offset": None if clip.offset is None else str(clip.offset),
                        "notes": list(clip.notes),
                    }
                    for clip in shot.clips
                ],
            }
            for shot in edit.shots
        ],
        "problems": problems,
        "notes": list(edit.notes),
    }
