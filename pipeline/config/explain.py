"""Where each of a shot's settings came from: a file and its line, an option, or the default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.config.problems import KeyPath, Source
from pipeline.config.shot import Shot

__all__ = ["DEFAULT", "Setting", "settings"]

DEFAULT = "default"


@dataclass(frozen=True)
class Setting:
    """One value.

    Attributes:
        key: dotted, `sampling.max_spp`.
        value: as JSON has it.
        origin: `shots/show.yaml:3`, `--max-spp`, or `default`.
    """

    key: str
    value: Any
    origin: str


def settings(shot: Shot, source: Source) -> list[Setting]:
    """Every value of a shot, in the order of the schema.

    Args:
        shot: as loaded.
        source: where its values stand (`load_explained`).
    """
    found = _leaves(shot.model_dump(mode="json", by_alias=True), ())
    return [Setting(".".join(keys), value, _origin(keys, source)) for keys, value in found]


def _leaves(node: Mapping[str, Any], keys: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*keys, str(key)))
        else:
            yield (*keys, str(key)), value


def _origin(keys: KeyPath, source: Source) -> str:
    option = next((name for set_, name in source.options.items() if keys[: len(set_)] == set_), None)
    if option is not None:
        return option
    if keys not in source.lines:
        return DEFAULT
    return f"{source.origins.get(keys, source.path)}:{source.lines[keys]}"
