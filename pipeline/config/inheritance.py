"""What a shot inherits: `show.yaml` and `sequence.yaml` in the directories above it hold settings for all shots below.

    show.yaml  <  sequence.yaml  <  shot.yaml  <  options of the command line

Keys of a section are laid over each other one by one; lists, cameras' keyframes and a shape's keyframes are replaced as
a whole. `null` takes back what was inherited. Paths start from the directory of the file that they stand in.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipeline.config.problems import KeyPath, Problem, Source
from pipeline.config.yaml_file import YamlFile, read_yaml
from pipeline.errors import ConfigError

__all__ = ["PATHS", "SEQUENCE_FILE", "SHOW_FILE", "Layered", "read_layers"]

SHOW_FILE: Final = "show.yaml"
SEQUENCE_FILE: Final = "sequence.yaml"

PATHS: Final[tuple[KeyPath, ...]] = (
    ("scene",),
    ("materials", "*"),
    ("overrides", "*", "texture"),
    ("sampling", "reference"),
    ("sampling", "importance"),
    ("denoise", "lambda_map"),
)
"""Keys whose values are paths; `*` stands for any."""

_WHOLE: Final[tuple[KeyPath, ...]] = (("camera", "keyframes"), ("animate", "*"))
"""Mappings that are replaced as a whole: keyframes of two files mixed are nobody's motion."""


@dataclass(frozen=True)
class Layered:
    """A shot's settings with those that it inherits beneath them, and where each stands."""

    data: dict[Any, Any]
    source: Source


def read_layers(path: Path) -> Layered:
    """Reads a shot file and what is above it.

    Args:
        path: of the shot file.

    Raises:
        ConfigError: one of the files cannot be read, or a show or sequence names a shot.
    """
    files = [*(read_yaml(found) for found in _above(path)), read_yaml(path)]
    for file in files[:-1]:
        if "shot" in file.data:
            raise file.source.error([Problem(("shot",), f"{file.path.name} is for many shots, and names none")])
    data: dict[Any, Any] = {}
    lines: dict[KeyPath, int] = {}
    origins: dict[KeyPath, Path] = {}
    for file in files:
        own = file.data if file.path == path else _rebased(file, path.parent)
        data = _merged(data, own, (), lines)
        lines |= file.lines
        origins |= dict.fromkeys(file.lines, file.path)
    return Layered(data, Source(path, lines, origins=origins))


def _above(path: Path) -> Iterator[Path]:
    """`show.yaml` and `sequence.yaml`, the nearest of each, that one first. A sequence above the show is not the
    shot's."""
    sequence: Path | None = None
    for folder in path.absolute().parent.parents:
        try:
            if sequence is None and (folder / SEQUENCE_FILE).is_file():
                sequence = folder / SEQUENCE_FILE
            if (folder / SHOW_FILE).is_file():
                yield _shown(folder / SHOW_FILE, path)
                break
        except OSError as error:  # a directory above that may not be looked into
            raise ConfigError(f"cannot be read: {error.strerror}", path=folder) from error
    if sequence is not None:
        yield _shown(sequence, path)


def _shown(found: Path, path: Path) -> Path:
    """As the user would write it: relative where the shot's own path is."""
    return found if path.is_absolute() else Path(os.path.relpath(found))


def _merged(
    below: Mapping[Any, Any], above: Mapping[Any, Any], at: KeyPath, lines: dict[KeyPath, int]
) -> dict[Any, Any]:
    """`above` laid over `below`. Lines of what is replaced are forgotten."""
    merged = dict(below)
    for key, value in above.items():
        keys = (*at, str(key))
        same = next((known for known in merged if str(known) == str(key)), key)
        old = merged.pop(same, None)
        if isinstance(old, Mapping) and isinstance(value, Mapping) and not _matches(keys, _WHOLE):
            merged[key] = _merged(old, value, keys, lines)
            continue
        for known in [known for known in lines if known[: len(keys)] == keys]:
            del lines[known]
        merged[key] = value
    return merged


def _rebased(file: YamlFile, folder: Path) -> dict[Any, Any]:
    """The data of a file above, its relative paths as they are written from `folder`."""

    def walk(node: Any, keys: KeyPath) -> Any:
        if isinstance(node, Mapping):
            return {key: walk(value, (*keys, str(key))) for key, value in node.items()}
        if isinstance(node, str) and node and _matches(keys, PATHS) and not Path(node).is_absolute():
            return Path(os.path.relpath(file.path.parent / node, folder)).as_posix()
        return node

    return {key: walk(value, (str(key),)) for key, value in file.data.items()}


def _matches(keys: KeyPath, patterns: tuple[KeyPath, ...]) -> bool:
    return any(
        len(keys) == len(pattern) and all(p in ("*", k) for p, k in zip(pattern, keys, strict=True))
        for pattern in patterns
    )
