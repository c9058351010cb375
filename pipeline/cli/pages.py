"""Writes the reference pages: `python -m pipeline.cli.pages docs/reference`.

What they say comes from the models and the commands alone; a test compares them with what is committed.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from pipeline.cli.main import COMMANDS, cli
from pipeline.config.farm import Farm
from pipeline.config.reference import table
from pipeline.config.shot import Shot

__all__ = ["pages"]

NOTE = "<!-- Written by `python -m pipeline.cli.pages docs/reference`. -->\n"


def pages() -> Mapping[str, str]:
    """The pages by file name."""
    shot = "Keys of `shot.yaml`. Unknown keys are refused, with the nearest known one.\n"
    farm = "Keys of a farm profile: `configs/farm/NAME.yaml`, chosen with `--farm NAME` or `PIPELINE_FARM`.\n"
    return {
        "shot.md": f"{NOTE}\n# shot.yaml\n\n{shot}\n{table(Shot)}",
        "farm.md": f"{NOTE}\n# Farm profile\n\n{farm}\n{table(Farm)}",
        "commands.md": f"{NOTE}\n# Commands\n\n{_commands()}",
    }


def _commands() -> str:
    """`--help` of every command and its subcommands, by topic."""
    parts = []
    root = click.Context(cli, info_name="pipeline", max_content_width=100, terminal_width=100)
    for topic in dict.fromkeys(entry.topic for entry in COMMANDS.values()):
        parts.append(f"## {topic}\n")
        for entry in COMMANDS.values():
            command = cli.get_command(root, entry.name)
            if entry.topic == topic and command is not None:
                parts += _help_of(command, entry.name, root)
    return "\n".join(parts)


def _help_of(command: click.Command, name: str, parent: click.Context) -> list[str]:
    context = click.Context(command, info_name=name, parent=parent, max_content_width=100, terminal_width=100)
    path = context.command_path
    found = [f"### {path}\n", f"```text\n{command.get_help(context).rstrip()}\n```\n"]
    if isinstance(command, click.Group):
        for sub in command.list_commands(context):
            inner = command.get_command(context, sub)
            if inner is not None:
                found += _help_of(inner, sub, context)
    return found


def main(folder: Path) -> None:
    """Writes all pages into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
