"""What is wrong with a configuration, gathered, placed and told: one line per problem."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipeline.errors import ConfigError

__all__ = ["KeyPath", "Problem", "Source", "nearest", "problems_of"]

KeyPath = tuple[str, ...]
"""Keys from the top of a file down to a value: ("sampling", "max_spp")."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where (by key, by line where the reader knows it better), what, and what to do."""

    keys: KeyPath
    message: str
    suggestion: str | None = None
    line: int | None = None


@dataclass(frozen=True)
class Source:
    """Where values came from: the file, the line of every key, and the options that stand above the file."""

    path: Path | str | None = None
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    options: Mapping[KeyPath, str] = field(default_factory=dict)
    """Names of the options (or variables) by the keys that they set."""
    origins: Mapping[KeyPath, Path] = field(default_factory=dict)
    """The file of a key, where that is another one than `path`."""

    def error(self, problems: Iterable[Problem]) -> ConfigError:
        """One error that tells every problem, in the order of the file; its attributes are the first one's."""
        placed = (self._place(problem) for problem in problems)
        first, *rest = sorted(placed, key=lambda error: (str(error.path or ""), error.line or 0))
        if not rest:
            return first
        more = "\n".join(str(error) for error in rest)
        told = first.message + (f" ({first.suggestion})" if first.suggestion else "")
        return ConfigError(f"{told}\n{more}", path=first.path, line=first.line, key=first.key)

    def _place(self, problem: Problem) -> ConfigError:
        path, line = self.path, problem.line
        options = [option for keys, option in self.options.items() if problem.keys[: len(keys)] == keys]
        if options and line is None:
            path = options[0]
        elif line is None:
            at = next((key for key in _upwards(problem.keys) if key in self.lines), None)
            line, path = (None, path) if at is None else (self.lines[at], self.origins.get(at, path))
        return ConfigError(
            problem.message, path=path, line=line, key=".".join(problem.keys) or None, suggestion=problem.suggestion
        )


def _upwards(keys: KeyPath) -> Iterator[KeyPath]:
    for length in range(len(keys), 0, -1):
        yield keys[:length]


def nearest(name: str, names: Iterable[str]) -> str | None:
    """`did you mean …?`, where one of `names` is nearly `name`."""
    close = difflib.get_close_matches(name, sorted(set(names)), n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else None


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Pydantic's findings about `model` in the words of a configuration file."""
    return [_problem(details, model) for details in error.errors(include_url=False)]


def _problem(details: ErrorDetails, model: type[BaseModel]) -> Problem:
    keys = tuple(str(key) for key in details["loc"] if key != "[key]")
    kind, value, context = details["type"], details.get("input"), details.get("ctx", {})
    if kind == "extra_forbidden":
        return Problem(keys, "unknown key", _known_key(keys, model))
    if kind == "literal_error":
        words = _words(keys, model)
        hint = nearest(value, words) if isinstance(value, str) else None
        return Problem(keys, f"must be {context['expected'].replace(chr(39), '')}, not {_shown(value)}", hint)
    if kind == "value_error":
        text = str(context["error"])
        if text.endswith("?)") and " (did you mean " in text:
            text, _, hint = text[:-1].rpartition(" (")
            return Problem(keys, text, hint)
        return Problem(keys, text)
    told = _MESSAGES.get(kind)
    if told is None:
        return Problem(keys, details["msg"][:1].lower() + details["msg"][1:])
    bounds = {name: _bound(limit) for name, limit in context.items()}
    return Problem(keys, told.format(**bounds) + ("" if kind in _WITHOUT_VALUE else f", not {_shown(value)}"))


_MESSAGES = {
    "missing": "missing",
    "model_type": "must hold keys",
    "dict_type": "must hold keys",
    "too_short": "must not be empty",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "must match {pattern}",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
}
_WITHOUT_VALUE = {"missing", "too_short", "string_too_short"}


def _bound(limit: Any) -> str:
    return str(int(limit)) if isinstance(limit, float) and limit.is_integer() else str(limit)


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "keys"
    if isinstance(value, int) and abs(value) >= 10**20:
        return "a huge number"
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _known_key(keys: KeyPath, model: type[BaseModel]) -> str | None:
    """A key that was probably meant: nearly the same name here, or the same name elsewhere."""
    here = _model_at(keys[:-1], model)
    known = _names(here) if here is not None else {}
    if hint := nearest(keys[-1], known):
        return hint
    elsewhere = [".".join(path) for path in _all_keys(model) if path[-1] == keys[-1]]
    return f"did you mean {elsewhere[0]}?" if elsewhere else None


def _names(model: type[BaseModel]) -> dict[str, Any]:
    """Annotations by the names that the file uses."""
    return {info.alias or name: info.annotation for name, info in model.model_fields.items()}


def _annotation_at(keys: KeyPath, model: type[BaseModel]) -> Any:
    annotation: Any = model
    for key in keys:
        here = _model_in(annotation)
        if here is not None:
            annotation = _names(here).get(key)
        else:
            mappings = (a for a in _alternatives(annotation) if typing.get_origin(a) is dict)
            annotation = next((typing.get_args(mapping)[1] for mapping in mappings), None)
    return annotation


def _model_at(keys: KeyPath, model: type[BaseModel]) -> type[BaseModel] | None:
    return _model_in(_annotation_at(keys, model))


def _model_in(annotation: Any) -> type[BaseModel] | None:
    for alternative in _alternatives(annotation):
        if isinstance(alternative, type) and issubclass(alternative, BaseModel):
            return alternative
    return None


def _alternatives(annotation: Any) -> Iterator[Any]:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        yield from _alternatives(typing.get_args(annotation)[0])
    elif origin in (typing.Union, types.UnionType):
        for argument in typing.get_args(annotation):
            yield from _alternatives(argument)
    else:
        yield annotation


def _words(keys: KeyPath, model: type[BaseModel]) -> list[str]:
    return [
        word
        for alternative in _alternatives(_annotation_at(keys, model))
        if typing.get_origin(alternative) is typing.Literal
        for word in typing.get_args(alternative)
    ]


def _all_keys(model: type[BaseModel], above: KeyPath = ()) -> Iterator[KeyPath]:
    for name, annotation in _names(model).items():
        yield (*above, name)
        below = _model_in(annotation)
        if below is not None:
            yield from _all_keys(below, (*above, name))
