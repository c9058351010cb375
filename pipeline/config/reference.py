"""Reference pages of the configuration, from the models: every key with its type, default, range and meaning."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

__all__ = ["Key", "keys_of", "table"]

_LIMITS = {"minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}"}
_TYPES = {"integer": "whole number", "number": "number", "string": "text", "boolean": "yes or no", "null": "null"}


@dataclass(frozen=True)
class Key:
    """One key of a file.

    Attributes:
        path: as it is written, with dots: `sampling.max_spp`; `<…>` stands for a name that the user chooses.
        type: in words, with the range.
        default: as YAML, or `required`.
        meaning: the field's description.
    """

    path: str
    type: str
    default: str
    meaning: str


def keys_of(model: type[BaseModel]) -> Iterator[Key]:
    """Every key of a model, those of models within it after the key that holds them."""
    schema = model.model_json_schema(by_alias=True)
    yield from _keys(schema, schema.get("$defs", {}), "")


def table(model: type[BaseModel]) -> str:
    """The keys as a Markdown table."""
    rows = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    rows += [f"| `{key.path}` | {key.type} | {key.default} | {_cell(key.meaning)} |" for key in keys_of(model)]
    return "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _keys(schema: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str) -> Iterator[Key]:
    required = set(schema.get("required", ()))
    for name, given in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        default = "required" if name in required else _default(given)
        yield Key(path, _type(given, definitions), default, given.get("description", ""))
        yield from _within(given, definitions, path)


def _within(given: Mapping[str, Any], definitions: Mapping[str, Any], path: str) -> Iterator[Key]:
    """The keys of the models that a value may hold."""
    for one in _alternatives(_resolved(given, definitions)):
        one = _resolved(one, definitions)
        if "properties" in one:
            yield from _keys(one, definitions, f"{path}.")
        elif isinstance(one.get("additionalProperties"), Mapping):
            yield from _within(one["additionalProperties"], definitions, f"{path}.<{_word(path)}>")


def _word(path: str) -> str:
    """What a user's own key stands for: frames below `keyframes`, and below a shape; else a name."""
    last = path.rsplit(".", 1)[-1]
    return "frame" if last == "keyframes" or last.startswith("<") else "id"


def _resolved(given: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = given.get("$ref")
    if reference is None:
        return given
    found: Mapping[str, Any] = definitions[reference.rsplit("/", 1)[-1]]
    return found


def _alternatives(given: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(given.get("anyOf", [given]))


def _type(given: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    return " or ".join(dict.fromkeys(_one_type(_resolved(one, definitions), definitions) for one in
                                     _alternatives(_resolved(given, definitions))))  # fmt: skip


def _one_type(given: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "enum" in given:
        return ", ".join(f"`{value}`" for value in given["enum"])
    if "const" in given:
        return f"`{given['const']}`"
    kind = given.get("type")
    if kind == "object":
        return "keys below" if "properties" in given else "a table"
    if kind == "array":
        inner = given.get("prefixItems")
        if inner:
            return "[" + ", ".join(_type(each, definitions) for each in inner) + "]"
        return "list of " + _type(given["items"], definitions) if "items" in given else "list"
    limits = [text.format(_number(given[name])) for name, text in _LIMITS.items() if name in given]
    kinds = kind if isinstance(kind, list) else [kind or "string"]
    return ", ".join([" or ".join(_TYPES.get(each, each) for each in kinds), *limits])


def _number(value: float) -> str:
    return f"{value:g}" if abs(value) < 1e6 else f"{value:,.0f}".replace(",", " ")


def _default(given: Mapping[str, Any]) -> str:
    if "default" not in given:
        return "–"
    value = given["default"]
    return "–" if isinstance(value, dict) else f"`{json.dumps(value, ensure_ascii=False)}`"
