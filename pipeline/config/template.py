"""Templates of paths: `{show}/{shot}/v{version:03}/{shot}.{frame:04}.exr`, and what makes two files one.

A template names a file below the store. `{show}`, `{sequence}` and `{shot}` are names, `{version}` and `{frame}`
numbers, which may say how many digits they are padded to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from string import Formatter
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator

from pipeline.config.problems import Problem, nearest

if TYPE_CHECKING:
    from pipeline.config.shot import Shot

__all__ = ["Template", "collisions", "expand"]

_NAMES: Final = ("show", "sequence", "shot")
_NUMBERS: Final = ("version", "frame")
_PADDING = re.compile(r"0[1-9][0-9]?d?")


def expand(template: str, *, show: str, sequence: str, shot: str, version: int, frame: int) -> str:
    """The path of one frame's file.

    >>> expand("{shot}/v{version:03}/{shot}.{frame:04}.exr", show="", sequence="", shot="a_010", version=2, frame=7)
    'a_010/v002/a_010.0007.exr'
    """
    return template.format(show=show, sequence=sequence, shot=shot, version=version, frame=frame)


def collisions(shot: Shot) -> Iterator[Problem]:
    """Templates of a shot that would make one file of two frames, versions or shots, or that name what it lacks."""
    for key, template in shot.output.templates():
        used = set(_fields(template))
        where = ("output", key)
        for field, many in (("frame", "frames"), ("version", "versions"), ("shot", "shots")):
            if field not in used:
                padded = {"frame": "{frame:04}", "version": "{version:03}"}.get(field, f"{{{field}}}")
                yield Problem(where, f"{template} makes one file of different {many}", f"put {padded} into it")
        for field in ("show", "sequence"):
            if field in used and not getattr(shot, field):
                yield Problem(where, f"{template} names the {field}, and the shot has none")


def _template(text: str) -> str:
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"{text!r:.80} is not a template: {error}") from error
    for _, field, padding, conversion in parts:
        if field is None:
            continue
        if field not in (*_NAMES, *_NUMBERS) or conversion:
            hint = nearest(field, (*_NAMES, *_NUMBERS))
            known = ", ".join(f"{{{name}}}" for name in (*_NAMES, *_NUMBERS))
            raise ValueError(f"{{{field}}} is none of {known}" + (f" ({hint})" if hint else ""))
        if padding and (field in _NAMES or not _PADDING.fullmatch(padding)):
            raise ValueError(f"{{{field}:{padding}}}: only numbers are padded, as in {{frame:04}}")
    if not text.isprintable() or "\\" in text or any(part in ("", ".", "..") for part in text.split("/")):
        raise ValueError(f"must be a path below the store, without .. or empty parts, not {text!r:.80}")
    return text


def _fields(template: str) -> list[str]:
    return [field for _, field, _, _ in Formatter().parse(template) if field is not None]


Template = Annotated[str, AfterValidator(_template)]
"""A path below the store with `{show}`, `{sequence}`, `{shot}`, `{version:03}` and `{frame:04}` in it."""
