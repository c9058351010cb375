"""YAML files, in which every value knows its line.

Reads a small and safe part of YAML 1.2: mappings, lists and the scalars of the core schema (so that `yes` and `on` are
text, and `010` is ten). Tags, anchors and aliases are refused: a configuration needs none, and aliases are how a
kilobyte becomes a gigabyte. Syntax is ruamel.yaml's; values are made here, straight from its events, so that nothing
but plain data can come out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from pipeline.config.problems import KeyPath, Problem, Source
from pipeline.errors import ConfigError

__all__ = ["MAX_BYTES", "YamlFile", "read_yaml"]

MAX_BYTES = 2**20
_MAX_DEPTH = 24
_MAX_DIGITS = 64

# The core schema of YAML 1.2.2, §10.3.2.
_NULL = re.compile(r"null|Null|NULL|~|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"([-+]?)(\.inf|\.Inf|\.INF)")
_NAN = re.compile(r"\.nan|\.NaN|\.NAN")


@dataclass(frozen=True)
class YamlFile:
    """A mapping read from a file."""

    path: Path
    data: dict[Any, Any]
    lines: dict[KeyPath, int]
    """1-based line of every key (and list item), by its path from the top."""

    @property
    def source(self) -> Source:
        return Source(self.path, self.lines)


def read_yaml(path: Path) -> YamlFile:
    """The mapping in a YAML file.

    Raises:
        ConfigError: unreadable, larger than 1 MiB, not UTF-8, malformed, or with duplicate keys, tags, anchors,
            aliases or several documents; with the line.
    """
    return _Reader(path).read(_text(path))


def _text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise ConfigError("is not a file", path=path)
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", path=path) from error
    if len(data) > MAX_BYTES:
        raise ConfigError(f"is larger than {MAX_BYTES // 2**20} MiB, which no configuration is", path=path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError("is not UTF-8 text", path=path, line=line, suggestion="save it as UTF-8") from error


@dataclass
class _Level:
    """A mapping or list that is being read."""

    keys: KeyPath
    value: dict[Any, Any] | list[Any]
    seen: set[str] = field(default_factory=set)
    key: Any = None
    has_key: bool = False


class _Reader:
    """Builds plain data from the events of one document, with a stack of its own (no recursion)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[KeyPath, int] = {}
        self.problems: list[Problem] = []
        self.stack: list[_Level] = []
        self.root: Any = None

    def read(self, text: str) -> YamlFile:
        documents = 0
        for event in self._events(text):
            line = event.start_mark.line + 1
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise ConfigError("holds a second document; one is expected", path=self.path, line=line)
            self._take(event, line)
        if self.problems:
            raise Source(self.path).error(self.problems)
        if self.root is None:
            raise ConfigError("is empty", path=self.path)
        if not isinstance(self.root, dict):
            raise ConfigError("must hold keys and values, as in `shot: shot_010`", path=self.path, line=1)
        return YamlFile(self.path, self.root, self.lines)

    def _events(self, text: str) -> Iterator[Event]:
        try:
            yield from YAML(typ="safe", pure=True).parse(text)
        except MarkedYAMLError as error:
            what = error.problem or error.context or "malformed"
            # What was opened and never closed is to be mended where it opens, not at the end of the file.
            unclosed = "end of stream" in what or "<stream end>" in what
            mark = (unclosed and error.context_mark) or error.problem_mark or error.context_mark
            line = mark.line + 1 if mark is not None else None
            hint = "indent with spaces, not with tabs" if "'\\t'" in what else None
            raise ConfigError(f"malformed YAML: {what}", path=self.path, line=line, suggestion=hint) from error
        except YAMLError as error:
            told = " ".join(str(error).split())
            raise ConfigError(f"malformed YAML: {told:.120}", path=self.path) from error
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"malformed YAML: {error!s:.120}", path=self.path) from error

    def _take(self, event: Event, line: int) -> None:
        if isinstance(event, AliasEvent):
            raise ConfigError(f"alias *{event.anchor} is not supported; write the value out", path=self.path, line=line)
        if isinstance(event, (ScalarEvent, MappingStartEvent, SequenceStartEvent)):
            self._refuse_marks(event, line)
        if isinstance(event, (MappingStartEvent, SequenceStartEvent)):
            if len(self.stack) >= _MAX_DEPTH:
                raise ConfigError(f"is nested deeper than {_MAX_DEPTH} levels", path=self.path, line=line)
            if self._expects_key():
                raise ConfigError("a key must be a single word or number", path=self.path, line=line)
            value: dict[Any, Any] | list[Any] = {} if isinstance(event, MappingStartEvent) else []
            keys = self._put(value, line)
            self.stack.append(_Level(keys, value))
        elif isinstance(event, (MappingEndEvent, SequenceEndEvent)):
            self.stack.pop()
        elif isinstance(event, ScalarEvent):
            if self._expects_key():
                self._take_key(event, line)
            else:
                self._put(self._scalar(event, line), line)

    def _refuse_marks(self, event: ScalarEvent | MappingStartEvent | SequenceStartEvent, line: int) -> None:
        if event.anchor is not None:
            message = f"anchor &{event.anchor} is not supported; write the value out"
            raise ConfigError(message, path=self.path, line=line)
        if event.tag is not None:
            raise ConfigError(f"tag {event.tag!s:.60} is not supported", path=self.path, line=line)

    def _expects_key(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1].value, dict) and not self.stack[-1].has_key

    def _take_key(self, event: ScalarEvent, line: int) -> None:
        level = self.stack[-1]
        value = self._scalar(event, line)
        # Frames are integer keys; whatever else a key looks like (`on`, `1.5`, `null`) is text as written.
        key = value if isinstance(value, int) and not isinstance(value, bool) else str(event.value)
        keys = (*level.keys, str(key))
        if str(key) in level.seen:
            before = self.lines[keys]
            self.problems.append(Problem(keys, f"appears twice, first in line {before}", line=line))
        else:
            level.seen.add(str(key))
            self.lines[keys] = line
        level.key, level.has_key = key, True

    def _put(self, value: Any, line: int) -> KeyPath:
        """Stores a value under the open key or as the next item; returns the path to it."""
        if not self.stack:
            self.root = value
            return ()
        level = self.stack[-1]
        if isinstance(level.value, dict):
            keys = (*level.keys, str(level.key))
            level.value.setdefault(level.key, value)
            level.has_key = False
        else:
            keys = (*level.keys, str(len(level.value)))
            level.value.append(value)
            self.lines[keys] = line
        return keys

    def _scalar(self, event: ScalarEvent, line: int) -> Any:
        text = str(event.value)
        if not event.implicit[0]:  # quoted or a block: text, whatever it looks like
            return text
        try:
            return _plain_scalar(text)
        except ValueError as error:
            raise ConfigError(str(error), path=self.path, line=line) from error


def _plain_scalar(text: str) -> Any:
    """The value of a scalar without quotes."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text):
        return True
    if _FALSE.fullmatch(text):
        return False
    number = next((kind for kind in (_INT, _OCTAL, _HEX, _FLOAT) if kind.fullmatch(text)), None)
    if number is not None and len(text) > _MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits is longer than any setting needs")
    if number is _FLOAT:
        return float(text)
    if number is not None:
        return int(text) if number is _INT else int(text, 0)
    if match := _INFINITY.fullmatch(text):
        return -math.inf if match[1] == "-" else math.inf
    return math.nan if _NAN.fullmatch(text) else text
