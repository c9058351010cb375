"""What may be submitted over HTTP: shots and edits of the server's project by name, and values that name no files.

Who holds a write token may spend the farm's time, and no more: not read the server's files through a texture or a map,
nor have a scene's Python run that the studio did not put into the project.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from pipeline.errors import ConfigError

__all__ = ["checked_overrides", "checked_sources"]

_SHOT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_EDIT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)*\.otio")

_TOP: Final = frozenset({"frames", "priority", "resolution"})
_SECTIONS: Final = frozenset({"sampling", "denoise", "farm"})
_FILES: Final = frozenset({"sampling.importance", "sampling.reference", "denoise.lambda_map"})
_KEY: Final = re.compile(r"[a-z_]+(\.[A-Za-z0-9_.-]+)?")


def checked_sources(sources: Sequence[str], project: Path) -> list[str]:
    """Sources as `submission.submit` takes them in the project's directory.

    Args:
        sources: names of shots, or paths of .otio edits relative to the project.
        project: directory that holds `shots/`.

    Raises:
        ConfigError: one of them is neither, or lies outside of the project.
    """
    root = project.resolve()
    checked = []
    for source in sources:
        if _SHOT.fullmatch(source) and not source.endswith(".otio"):
            place = root / "shots" / source
        elif _EDIT.fullmatch(source):
            place = root / PurePosixPath(source)
        else:
            raise ConfigError(
                f"{source!r:.80} is neither the name of a shot nor the path of an .otio edit in the project"
            )
        if not place.resolve().is_relative_to(root):
            raise ConfigError(f"{source!r:.80} leads out of the project")
        if not place.exists():
            raise ConfigError(f"there is no {source!r:.80} in the server's project")
        checked.append(source)
    return checked


def checked_overrides(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides without those that name files.

    Raises:
        ConfigError: a key that may not be set from afar, or a value that is no plain one.
    """
    for key, value in overrides.items():
        section, _, rest = key.partition(".")
        known = _KEY.fullmatch(key) and (key in _TOP or (section in _SECTIONS and rest))
        if not known or any(key == name or key.startswith(f"{name}.") for name in _FILES):
            raise ConfigError(
                f"{key!r:.60} cannot be set through the API; what names files stands in the shot's own file"
            )
        if not _is_plain(value):
            raise ConfigError(f"{key}: a value is a number, a word, or a list of numbers, not {value!r:.60}")
    return dict(overrides)


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) <= 16 and all(isinstance(item, (int, float)) for item in value)
    return value is None or isinstance(value, (bool, int, float)) or (isinstance(value, str) and len(value) <= 4096)
