"""`pipeline config`."""

from __future__ import annotations

import json
from typing import Any

import click

from pipeline.cli.options import json_option

__all__ = ["config"]


@click.command()
@click.argument("shot", metavar="SHOT")
@click.option("--explain", is_flag=True, help="Say for each value where it came from.")
@json_option
def config(shot: str, explain: bool, as_json: bool) -> None:
    """Print a shot's settings as they are used: its own, those of its sequence and show, and the defaults.

    SHOT is a name in shots/, a directory with a shot.yaml, or such a file. With --explain each line ends with the file
    and line that the value came from.
    """
    from pipeline.config import explain as explaining
    from pipeline.config.load import load_explained

    loaded, source = load_explained(shot)
    found = explaining.settings(loaded, source)
    if as_json:
        document: dict[str, Any] = {
            each.key: {"value": each.value, "from": each.origin} if explain else each.value for each in found
        }
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    texts = [f"{each.key}: {json.dumps(each.value, ensure_ascii=False)}" for each in found]
    width = min(max(map(len, texts)), 72)
    for each, text in zip(found, texts, strict=True):
        click.echo(f"{text.ljust(width)}  {each.origin}" if explain else text)
