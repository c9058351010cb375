"""Loading shots: find the file, lay options over it, check everything, say everything that is wrong."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.config.available import require_available, resolved
from pipeline.config.inheritance import read_layers
from pipeline.config.problems import KeyPath, Problem, Source, nearest, problems_of
from pipeline.config.references import missing_references
from pipeline.config.shot import Shot
from pipeline.config.template import collisions
from pipeline.errors import ConfigError

__all__ = ["find_shot", "load_explained", "load_shot", "overlaid"]

FILE_NAME = "shot.yaml"


def load_shot(where: Path | str, overrides: Mapping[str, Any] | None = None) -> Shot:
    """A shot with what it inherits from its sequence and show, checked down to the existence of the files that it
    names.

    Args:
        where: a shot's name (`shots/<name>/shot.yaml` below the current directory), its directory, or its file.
        overrides: values by dotted key, `{"sampling.max_spp": 64, "denoise.lambda": 2.0}`; they stand above the
            file, and what is wrong with them is told by the option's name (`--max-spp`).

    Returns:
        The shot, which knows its directory.

    Raises:
        ConfigError: one line for every problem.
    """
    return load_explained(where, overrides)[0]


def load_explained(where: Path | str, overrides: Mapping[str, Any] | None = None) -> tuple[Shot, Source]:
    """As `load_shot`, with where each value came from. Raises as it does."""
    path = find_shot(where)
    layers = read_layers(path)
    data, options = _overlaid(layers.data, overrides or {})
    source = replace(layers.source, options=options)
    try:
        shot = Shot.model_validate(data).at(path.parent)
    except ValidationError as error:
        raise source.error(problems_of(error, Shot)) from error
    problems = [*missing_references(shot), *collisions(shot)]
    if problems:
        raise source.error(problems)
    require_available(shot, source)
    return resolved(shot), source


def overlaid(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> Shot:
    """A shot that was frozen, with other values laid over it. The files that it names are not looked for.

    Args:
        config: of a job, as JSON values.
        overrides: as `load_shot` takes them.

    Raises:
        ConfigError: one line for every problem.
    """
    data, options = _overlaid(dict(config), overrides)
    source = Source(options=options)
    try:
        shot = Shot.model_validate(data)
    except ValidationError as error:
        raise source.error(problems_of(error, Shot)) from error
    require_available(shot, source)
    return resolved(shot)


def find_shot(where: Path | str) -> Path:
    """The shot file that `where` (a name, a directory or a file) stands for.

    Raises:
        ConfigError: there is none.
    """
    if not str(where).isprintable():
        raise ConfigError(f"{str(where)!r:.60} is not a shot: a path has no control characters")
    shots, path = Path("shots"), Path(where)
    named = shots / path.name / FILE_NAME
    try:
        if isinstance(where, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", where) and named.is_file():
            return named
        if path.is_dir():
            if (path / FILE_NAME).is_file():
                return path / FILE_NAME
            hint = nearest(FILE_NAME, (entry.name for entry in path.iterdir()))
            raise ConfigError(f"has no {FILE_NAME}", path=path, suggestion=hint)
        if path.exists():
            return path
    except OSError as error:  # a name too long for the file system, or no permission
        raise ConfigError(f"{str(where)!r:.60} is not a shot: {error.strerror}") from error
    known = [p.parent.name for p in shots.glob(f"*/{FILE_NAME}")] if shots.is_dir() else []
    raise ConfigError(
        f"there is no shot {str(where)!r:.60}: neither {named}, nor such a directory, nor such a file",
        suggestion=nearest(str(where), known),
    )


def _overlaid(data: dict[Any, Any], overrides: Mapping[str, Any]) -> tuple[dict[Any, Any], dict[KeyPath, str]]:
    """A copy of `data` with `overrides` in place, and the name of each option by the keys that it sets."""
    merged = copy.deepcopy(data)
    options: dict[KeyPath, str] = {}
    for dotted, value in overrides.items():
        keys = tuple(dotted.split("."))
        option = "--" + keys[-1].replace("_", "-")
        options[keys] = option
        level = merged
        for depth, key in enumerate(keys[:-1], start=1):
            inner = level.setdefault(_same_key(level, key), {})
            if not isinstance(inner, dict):
                raise Source(options=options).error([Problem(keys, f"{'.'.join(keys[:depth])} holds no keys")])
            level = inner
        level[_same_key(level, keys[-1])] = value
    return merged, options


def _same_key(level: Mapping[Any, Any], key: str) -> Any:
    """The key of `level` that is written `key`: frames are integers there."""
    return next((known for known in level if str(known) == key), key)
