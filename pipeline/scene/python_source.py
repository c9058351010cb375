"""Scenes written in Python: `build(frame)` of a `.py` file, and what its dict mentions.

The file runs here, so this belongs in a subprocess. Needs Mitsuba with a variant set, for values that a dict may hold.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import SceneError
from pipeline.scene.mentions import FileMention, Mentions

__all__ = ["build", "load_builder", "read_dict"]


def load_builder(path: Path) -> Callable[[int], Any]:
    """The `build` function of a scene file, whose directory comes first on `sys.path` and is the working directory.

    Raises:
        SceneError: the file cannot be read or run, or has no such function.
    """
    if not path.is_file():
        raise SceneError(f"{path}: missing file")
    sys.path.insert(0, str(path.parent.resolve()))
    os.chdir(path.parent)
    spec = importlib.util.spec_from_file_location("penumbra_scene", path.resolve())
    if spec is None or spec.loader is None:
        raise SceneError(f"{path}: is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise SceneError(_told(path, error)) from error
    function = getattr(module, "build", None)
    if not callable(function):
        raise SceneError(f"{path}: has no function build(frame)")
    return function  # type: ignore[no-any-return]


def build(function: Callable[[int], Any], path: Path, frame: int) -> dict[str, Any]:
    """The dict of one frame.

    Raises:
        SceneError: the function raised, or gave something else.
    """
    try:
        scene = function(frame)
    except (Exception, SystemExit) as error:
        raise SceneError(f"{_told(path, error)} in build({frame})") from error
    if not isinstance(scene, dict) or scene.get("type") != "scene":
        raise SceneError(f'{path}: build({frame}) must return a dict with "type": "scene"')
    return scene


def read_dict(scene: Mapping[str, Any], path: Path) -> tuple[dict[str, Any], Mentions]:
    """A scene dict in the form that Mitsuba takes, with absolute file names; and what it mentions.

    Places are paths of keys, `walls.bsdf.reflectance`. A None, which ends the process in Mitsuba, is a problem here.
    """
    mentions = Mentions()
    return _walk(scene, (), path, mentions), mentions


def _walk(node: Mapping[str, Any], keys: tuple[str, ...], source: Path, mentions: Mentions) -> dict[str, Any]:
    place = f"{source}: {'.'.join(keys) or 'scene'}"
    kind = node.get("type")
    clean: dict[str, Any] = {}
    if isinstance(kind, str):
        if keys:
            mentions.plugins.append(("Mitsuba", kind, place))
    elif kind is not None or "type" not in node:
        mentions.problems.append(f"{place}: has no 'type'")
    for key, value in node.items():
        at = f"{source}: {'.'.join((*keys, str(key)))}"
        if not isinstance(key, str):
            mentions.problems.append(f"{at}: keys must be strings, not {type(key).__name__}")
        elif value is None or (isinstance(value, (list, tuple)) and any(item is None for item in value)):
            mentions.problems.append(f"{at}: is None; leave the key out, or give it a value")
        elif isinstance(value, Mapping):
            clean[key] = _walk(value, (*keys, key), source, mentions)
        elif key == "filename" and isinstance(value, (str, os.PathLike)):
            name = os.fspath(value)
            found = Path(name) if Path(name).is_absolute() else source.parent / name
            mentions.files.append(FileMention(name, found, at))
            clean[key] = str(found.absolute())
        else:
            clean[key] = _value(value)
    return clean


def _value(value: Any) -> Any:
    """Values that Mitsuba's parser does not take as they are."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, np.ndarray) and value.ndim > 1:
        import mitsuba as mi

        return mi.TensorXf(np.ascontiguousarray(value, dtype=np.float32))
    if isinstance(value, np.generic):
        return value.item()
    return value


def _told(path: Path, error: BaseException) -> str:
    """`scene.py:12: ValueError: …` for an error that the user's file raised."""
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path.resolve()
    ]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{path}{f':{line}' if line else ''}: {type(error).__name__}{f': {text}' if text else ''}"
