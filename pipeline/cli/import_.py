"""`pipeline import`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pipeline.cli.options import json_option


@click.command("import")
@click.argument("scene", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="SCENE.glb|.usd|…")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, metavar="DIR", help="New shot.")
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder that all files of the scene lie in.  [default: the scene's own]",
)
@click.option("--frame", type=float, metavar="F", help="Of USD: time code of which everything is taken.  [the first]")
@json_option
def import_scene(scene: Path, out: Path, root: Path | None, frame: float | None, as_json: bool) -> None:
    """Make a shot of a scene in glTF 2.0 or USD: meshes, materials, cameras, lights.

    What was not understood is said, one line each, on stderr. DIR is made, and gives the shot its name: shots/NAME.
    """
    from pipeline.interchange.mitsuba_xml import write_shot
    from pipeline.interchange.reading import read_scene

    described = read_scene(scene, root=root, frame=frame)
    files = write_shot(described, out)
    if as_json:
        counts = {name: len(getattr(described, name)) for name in ("meshes", "materials", "cameras", "lights")}
        document = {"shot": str(files[0]), **counts, "notes": list(described.notes)}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    for note in described.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(str(files[0]))
