"""Names that a scene may use: Mitsuba's plugins, and what was probably meant by a name that is not there.

Imports nothing of Mitsuba: the plugins are read off the installed package's directories.
"""

from __future__ import annotations

import difflib
import functools
import os
import re
from collections.abc import Iterable
from importlib.machinery import PathFinder
from pathlib import Path

__all__ = ["meant", "meant_file", "plugins"]

_SPECIAL = {"scene", "rgb", "spectrum", "ref"}
"""Types that the parser itself understands."""

_LISTED = 20_000
"""Files looked at for one suggestion, at most."""


@functools.cache
def plugins() -> frozenset[str]:
    """Names of all plugins of the installed Mitsuba, those written in Python too; empty if it is not installed."""
    found = PathFinder.find_spec("mitsuba")  # not what `sys.modules` holds: a variant takes the package's place there
    if found is None or not found.submodule_search_locations:
        return frozenset()
    package = Path(found.submodule_search_locations[0])
    compiled = {path.stem for path in (package / "plugins").iterdir() if path.suffix in (".so", ".dylib", ".dll")}
    in_python = {
        name
        for path in (package / "python").rglob("*.py")
        for name in re.findall(r"\bregister_\w+\(\s*[\"'](\w+)[\"']", path.read_text(encoding="utf-8"))
    }
    return frozenset(compiled | in_python | _SPECIAL)


def meant(word: str, choices: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the choice most like `word`, or nothing."""
    names = {choice.lower(): choice for choice in sorted(choices, reverse=True)}
    close = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    return f" (did you mean '{names[close[0]]}'?)" if close else ""


def meant_file(missing: Path, root: Path) -> str:
    """` (did you mean 'x'?)` for a file like a missing one: in its directory, or of the same name below `root`."""
    folder = missing.parent
    beside = [entry.name for entry in folder.iterdir() if entry.is_file()] if folder.is_dir() else []
    if near := meant(missing.name, beside):
        return near
    seen = 0
    for directory, _, files in os.walk(root):
        for name in files:
            seen += 1
            if seen > _LISTED:
                return ""
            if name.lower() == missing.name.lower():
                return f" (there is {os.path.relpath(os.path.join(directory, name), root)})"
    return ""
