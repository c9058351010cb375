"""Viewpoints of the viewer as camera keyframes of a shot: one line is put into `shot.yaml`, every other byte stays."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node

from pipeline.config.load import load_shot
from pipeline.config.yaml_file import read_yaml
from pipeline.errors import ConfigError
from pipeline.radiosity.cameras import View

__all__ = ["save_view", "with_keyframe"]


def save_view(path: Path, frame: int, view: View, distance: float) -> None:
    """Writes a view into a shot as the camera's keyframe at a frame, in place of the one that may be there.

    Args:
        path: the shot's YAML.
        frame: its number.
        view: the camera.
        distance: of the target, world units.

    Raises:
        ConfigError: the file cannot be read or written, or would be wrong.
    """
    read_yaml(path)
    text = path.read_bytes().decode("utf-8")
    changed = with_keyframe(text, frame, view, distance)
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(changed)
        load_shot(temporary)
        os.chmod(temporary, path.stat().st_mode)
        os.replace(temporary, path)
        temporary = ""
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", path=path) from error
    finally:
        if temporary:
            os.unlink(temporary)


def with_keyframe(text: str, frame: int, view: View, distance: float) -> str:
    """The YAML text of a shot with a keyframe of its camera; a camera is added where there is none.

    >>> v = View(np.eye(4), 40.0, 4, 3)
    >>> with_keyframe("camera: {fov: 40, keyframes: {1: {origin: [0, 0, 0], target: [1, 0, 0]}}}", 2, v, 1.0)[-67:]
    ', 2: {origin: [0, 0, 0], target: [0, 0, 1], up: [0, 1, 0]}}}'
    """
    key = _keyframe(view, distance)
    root = YAML(typ="rt").compose(text)
    camera = _child(root, "camera")
    if camera is None or not isinstance(camera[1], MappingNode):
        block = f"camera:\n  fov: {view.fov:.6g}\n  keyframes:\n    {frame}: {key}\n"
        return text + ("" if text.endswith("\n") else "\n") + block
    keyframes = _child(camera[1], "keyframes")
    if keyframes is None or not isinstance(keyframes[1], MappingNode):
        raise ConfigError("holds no keyframes", key="camera.keyframes")
    node = keyframes[1]
    there = _child(node, str(frame))
    if there is not None:
        start, end = there[1].start_mark.index, there[1].end_mark.index
        tail = text[start:end]
        return text[:start] + key + tail[len(tail.rstrip()) :] + text[end:]
    if node.flow_style:
        last = node.value[-1][1].end_mark.index
        return f"{text[:last]}, {frame}: {key}{text[last:]}"
    first = node.value[0][0].start_mark
    return f"{text[: first.index]}{frame}: {key}\n{' ' * first.column}{text[first.index :]}"


def _child(node: Node | None, name: str) -> tuple[Node, Node] | None:
    if not isinstance(node, MappingNode):
        return None
    return next(((key, value) for key, value in node.value if key.value == name), None)


def _keyframe(view: View, distance: float) -> str:
    up = view.to_world[:3, 1] / np.linalg.norm(view.to_world[:3, 1])
    target = view.origin + distance * view.forward
    return f"{{origin: {_vector(view.origin)}, target: {_vector(target)}, up: {_vector(up)}}}"


def _vector(values: Sequence[float] | np.ndarray) -> str:
    # + 0 makes −0 a 0
    return "[" + ", ".join(f"{round(float(value), 5) + 0:.6g}" for value in values) + "]"
