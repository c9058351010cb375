"""Options that several commands share, and the store and farm that they stand for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from pipeline.config.farm import Farm
    from pipeline.farm.store import Store

__all__ = ["farm_option", "farm_settings", "jobs_argument", "json_option", "out_option", "store_of"]

Command = Callable[..., Any]


def _complete_jobs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Ids of the store's jobs, and their shots."""
    from click.shell_completion import CompletionItem

    from pipeline.errors import PenumbraError
    from pipeline.farm.job import jobs

    try:
        ids = jobs(store_of(farm_settings(ctx.params.get("farm")), ctx.params.get("out")))
    except PenumbraError:
        return []  # a shell asks while a line is being typed: there is nobody to tell
    words = dict.fromkeys([*(job_id.rpartition(".")[0] for job_id in ids), *ids])
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


def jobs_argument(*, name: str = "jobs", many: bool = True, required: bool = True) -> Callable[[Command], Command]:
    """SHOT or SHOT.vNNN, once or several times."""
    return click.argument(
        name,
        nargs=-1 if many else 1,
        required=required,
        metavar="SHOT[.vNNN]" + ("…" if many else ""),
        shell_complete=_complete_jobs,
    )


def out_option(command: Command) -> Command:
    """--out: the store, in place of the farm's."""
    text = "Where jobs and frames are: a folder or a URL.  [default: the farm profile's, else ./renders]"
    return click.option("--out", metavar="DIR", help=text)(command)


def farm_option(command: Command) -> Command:
    """--farm: the profile."""
    text = "Farm profile: a name in configs/farm, or a YAML file.  [default: $PIPELINE_FARM]"
    return click.option("--farm", metavar="PROFILE", help=text)(command)


def json_option(command: Command) -> Command:
    """--json: one document on stdout."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")(command)


def farm_settings(profile: str | None) -> Farm:
    """The farm's settings: profile, environment variables, defaults."""
    from pipeline.config.farm import load_farm

    return load_farm(profile)


def store_of(farm: Farm, out: str | None) -> Store:
    """The store that is meant."""
    from pipeline.farm.store import open_store

    return open_store(out or farm.store)
