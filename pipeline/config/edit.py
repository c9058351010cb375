"""Changing single values of a YAML file: every other byte of it stays, comments, order and spacing among them."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from pipeline.config.yaml_file import read_yaml
from pipeline.errors import ConfigError

__all__ = ["edit_file", "with_value"]

Value = str | int | float | bool | None

_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./-]*")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off"})


def edit_file(path: Path, values: Mapping[str, Value]) -> None:
    """Writes values into a YAML file, in one step.

    Args:
        path: of a file that `read_yaml` takes.
        values: by dotted key; a key that is not there is added.

    Raises:
        ConfigError: the file cannot be read or written, or a key leads through something that holds no keys.
    """
    before = read_yaml(path).data
    wanted = before
    text = path.read_bytes().decode("utf-8")  # as it is, line ends too
    for key, value in values.items():
        keys = tuple(key.split("."))
        try:
            text = with_value(text, keys, value)
        except ValueError as error:
            raise ConfigError(str(error), path=path, key=key) from error
        wanted = _placed(wanted, keys, value)
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-", suffix=path.suffix)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        if read_yaml(Path(temporary)).data != wanted:
            raise ConfigError("cannot be edited without changing other values", path=path, suggestion="edit it by hand")
        os.chmod(temporary, path.stat().st_mode)
        os.replace(temporary, path)
        temporary = ""
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", path=path) from error
    finally:
        if temporary:
            os.unlink(temporary)


def with_value(text: str, keys: tuple[str, ...], value: Value) -> str:
    """A YAML text with another value at a place; nothing else in it changes.

    >>> with_value("a: 1  # one\\nb: {c: 2}\\n", ("b", "d"), 3.5)
    'a: 1  # one\\nb: {c: 2, d: 3.5}\\n'

    Raises:
        ValueError: the text is no YAML mapping, or a key leads through something that holds no keys.
    """
    try:
        root = YAML(typ="rt").compose(text)
    except YAMLError as error:
        raise ValueError(f"is not YAML: {error}") from error
    if not isinstance(root, MappingNode):
        raise ValueError("holds no keys")
    node: Node = root
    for depth, key in enumerate(keys):
        if not isinstance(node, MappingNode):
            raise ValueError(f"{'.'.join(keys[:depth])} holds no keys")
        pair = next((each for each in node.value if each[0].value == key), None)
        if pair is None:
            return _into(text, node, key, _nested(keys[depth + 1 :], value), top=depth == 0)
        name, found = pair
        if found.start_mark.index == found.end_mark.index:  # nothing stands behind the colon
            at = text.index(":", name.end_mark.index) + 1
            return text[:at] + " " + _nested(keys[depth + 1 :], value) + text[at:]
        if isinstance(found, ScalarNode) and str(found.tag).endswith(":null"):
            return _over(text, found, _nested(keys[depth + 1 :], value))
        node = found
    if not isinstance(node, ScalarNode):
        raise ValueError(f"{'.'.join(keys)} is no single value")
    return _over(text, node, _written(value))


def _over(text: str, node: Node, written: str) -> str:
    return text[: node.start_mark.index] + written + text[node.end_mark.index :]


def _into(text: str, node: MappingNode, key: str, written: str, *, top: bool) -> str:
    """A text with one more key in a mapping."""
    entry = f"{_written(key)}: {written}"
    if node.flow_style:
        at = node.end_mark.index - 1
        last = node.value[-1][1].end_mark.index if node.value else at
        return text[:last] + (", " if node.value else "") + entry + text[last:]
    if top:  # a new block goes to the end of the file
        return text + ("" if text.endswith("\n") else "\n") + entry + "\n"
    mark = node.value[0][0].start_mark
    first, column = int(mark.index), int(mark.column)
    return text[:first] + entry + "\n" + " " * column + text[first:]


def _nested(keys: tuple[str, ...], value: Value) -> str:
    written = _written(value)
    for key in reversed(keys):
        written = f"{{{_written(key)}: {written}}}"
    return written


def _written(value: Value) -> str:
    """A scalar as `read_yaml` takes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int):
        return str(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return "'" + value.replace("'", "''") + "'"


def _placed(data: Mapping[Any, Any], keys: tuple[str, ...], value: Value) -> dict[Any, Any]:
    """The values with another one at a place."""
    copy = dict(data)
    if len(keys) > 1:
        copy[keys[0]] = _placed(copy.get(keys[0]) or {}, keys[1:], value)
    else:
        copy[keys[0]] = _seen(value)
    return copy


def _seen(value: Value) -> Value:
    """A value as it is read again: floats are written with six digits."""
    if not isinstance(value, float):
        return value
    told = f"{value:.6g}"
    return float(told) if any(mark in told for mark in ".en") else int(told)
