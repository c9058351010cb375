"""Writing `overrides` into a shot file: everything else in it, comments too, stays as it is written."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from pipeline.config.yaml_file import read_yaml
from pipeline.errors import ConfigError

__all__ = ["write_overrides"]

DIGITS = 6
KEY = "overrides"


def write_overrides(path: Path, overrides: Mapping[str, Mapping[str, Any]]) -> None:
    """Sets overrides in a shot file; those that it has stay, as do others of the same object.

    No line outside of the file's `overrides` is touched.

    Args:
        path: of the shot file.
        overrides: id → property → number, three numbers or text.

    Raises:
        ConfigError: the file cannot be read or written, or would say something else than before.
    """
    before = read_yaml(path).data
    rounded = {name: {prop: _rounded(value) for prop, value in values.items()} for name, values in overrides.items()}
    wanted = {str(name): dict(values) for name, values in (before.get(KEY) or {}).items()}
    for name, values in rounded.items():
        wanted.setdefault(name, {}).update(values)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(_edited(path, path.read_text(encoding="utf-8-sig"), rounded), encoding="utf-8")
        after = read_yaml(temporary).data
        if {**after, KEY: None} != {**before, KEY: None} or after[KEY] != wanted:
            raise ConfigError("cannot be edited without changing what else it says", path=path, key=KEY)
        temporary.replace(path)
    except YAMLError as error:
        raise ConfigError("cannot be edited; write them on lines of their own", path=path, key=KEY) from error
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror or error}", path=path) from error
    finally:
        temporary.unlink(missing_ok=True)


def _rounded(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_rounded(each) for each in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _edited(path: Path, text: str, overrides: Mapping[str, Mapping[str, Any]]) -> str:
    """`text` with its `overrides` changed, or with new ones at its end."""
    lines = text.splitlines(keepends=True)
    found = read_yaml(path).lines.get((KEY,))
    yaml = YAML()
    yaml.width = 10_000
    yaml.preserve_quotes = True
    if found is None:
        first = last = len(lines)
        lead = "\n" if not text or text.endswith("\n") else "\n\n"
        section = CommentedMap({KEY: CommentedMap()})
    else:
        first, last, lead = found - 1, _end_of(lines, found), ""
        section = yaml.load("".join(lines[first:last]))
        if section[KEY] is None:
            section[KEY] = CommentedMap()
    for name, values in overrides.items():
        inner = section[KEY].get(name)
        if inner is None:
            inner = section[KEY][name] = CommentedMap()
            inner.fa.set_flow_style()
        for prop, value in values.items():
            inner[prop] = CommentedSeq(value) if isinstance(value, list) else value
            if isinstance(value, list):
                inner[prop].fa.set_flow_style()
    stream = io.StringIO()
    yaml.dump(section, stream)
    return "".join([*lines[:first], lead, stream.getvalue(), *lines[last:]])


def _end_of(lines: list[str], found: int) -> int:
    """Where a section ends that begins in line `found` (from 1): before what is not indented, and the comments that
    belong to that."""
    last = end = found
    while last < len(lines):
        line = lines[last]
        inside = line[0] in " \t}" and bool(line.strip())
        if not inside and line.strip() and not line.startswith("#"):
            break
        last += 1
        end = last if inside else end
    return end
