"""Reading OpenTimelineIO files that others wrote, some of which OpenTimelineIO itself does not survive.

OpenTimelineIO 0.18 ends the process on very deep nesting, and when it searches a timeline whose tracks are null: both
are looked for here. Its JSON is wider than the standard's (`Inf`), so that Python's own parser cannot be asked.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeAlias

import opentimelineio as otio

from pipeline.config.problems import nearest
from pipeline.errors import ConfigError

__all__ = ["Contents", "read_otio"]

MAX_BYTES = 256 * 2**20
_MAX_DEPTH = 400

Contents: TypeAlias = (
    otio.schema.Timeline | otio.schema.SerializableCollection | otio.core.Composition | otio.schema.Clip
)
"""What a file may hold: a timeline, several, or a part of one."""

_STRING_OR_BRACKET = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
_PARSE_ERROR = re.compile(r"JSON parse error.*: (?P<what>[^:]*?)\.? \(line (?P<line>\d+), column \d+\)")

_CPP_TYPE = re.compile(r" \(of type '[^']*'\)")


def read_otio(path: Path) -> Contents:
    """The timeline (or collection, stack, track, clip) in an .otio file.

    Raises:
        ConfigError: unreadable, truncated, not OpenTimelineIO, of a newer schema, or holding something else.
    """
    text = _text(path)
    if not text.strip():
        raise ConfigError("is empty", path=path)
    if _depth(text) > _MAX_DEPTH:
        raise ConfigError(f"is nested deeper than {_MAX_DEPTH} levels", path=path)
    try:
        contents: Any = otio.adapters.read_from_string(text, adapter_name="otio_json")
    except (otio.exceptions.OTIOError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise _unreadable(error, path) from error
    if not isinstance(contents, Contents):
        raise ConfigError(f"holds no timeline but {_kind(contents)}", path=path)
    if _lacks_tracks(contents):
        raise ConfigError("is not a valid OpenTimelineIO file: a timeline has no tracks", path=path)
    return contents


def _text(path: Path) -> str:
    if path.suffix.lower() != ".otio":
        raise ConfigError("is not an .otio file", path=path, suggestion="convert other edits with otioconvert")
    try:
        if not path.exists():
            names = (entry.name for entry in path.parent.iterdir()) if path.parent.is_dir() else ()
            raise ConfigError("there is no such edit", path=path, suggestion=nearest(path.name, names))
        if not path.is_file():
            raise ConfigError("is not a file", path=path)
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"is larger than {MAX_BYTES // 2**20} MiB, which no edit is", path=path)
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", path=path) from error
    except UnicodeDecodeError as error:
        raise ConfigError("is not UTF-8 text, as OpenTimelineIO files are", path=path) from error
    except ValueError as error:  # a NUL in the path
        raise ConfigError(f"{str(path)!r:.60} is not a path") from error


def _depth(text: str) -> int:
    """Deepest nesting of brackets outside of strings."""
    deepest = depth = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        if token[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token[0] in "]}":
            depth -= 1
    return deepest


def _lacks_tracks(contents: Any) -> bool:
    if isinstance(contents, otio.schema.Timeline):
        return contents.tracks is None
    return isinstance(contents, otio.schema.SerializableCollection) and any(_lacks_tracks(item) for item in contents)


def _unreadable(error: Exception, path: Path) -> ConfigError:
    told = " ".join(str(error.args[0] if error.args else error).split())
    if match := _PARSE_ERROR.fullmatch(told):
        return ConfigError(f"is truncated or not JSON: {match['what']}", path=path, line=int(match["line"]))
    told = _CPP_TYPE.sub("", told)
    return ConfigError(f"is not a valid OpenTimelineIO file: {told:.160}", path=path)


def _kind(value: Any) -> str:
    if not isinstance(value, otio.core.SerializableObject):
        return "plain data"
    return f"the unknown schema {value.original_schema_name}" if value.is_unknown_schema else f"a {value.schema_name()}"
