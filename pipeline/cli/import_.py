"""`pipeline import`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pipeline.cli.options import json_option


@click.command("import")
@click.argument("scene", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="SCENE.glb|.gltf")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, metavar="DIR", help="New shot.")
@json_option
def import_scene(scene: Path, out: Path, as_json: bool) -> None:
    """Make a shot of a glTF 2.0 scene: meshes, metallic-roughness materials, cameras, lights.

    What was not understood is said, one line each, on stderr. DIR is made, and gives the shot its name: shots/NAME.
    """
    from pipeline.errors import ConfigError
    from pipeline.interchange.gltf import read_gltf
    from pipeline.interchange.mitsuba_xml import write_shot

    if scene.suffix.lower() not in (".gltf", ".glb"):
        raise ConfigError("is neither .gltf nor .glb", path=scene, suggestion="export it as glTF 2.0")
    described = read_gltf(scene)
    files = write_shot(described, out)
    if as_json:
        counts = {name: len(getattr(described, name)) for name in ("meshes", "materials", "cameras", "lights")}
        document = {"shot": str(files[0]), **counts, "notes": list(described.notes)}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    for note in described.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(str(files[0]))
