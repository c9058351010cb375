"""Freezing a shot's scenes: checked, and copied by content, so that later edits do not change a running job.

The work is done in a subprocess (`freezing.py`): a scene may end the process that reads it. Nothing here imports
Mitsuba.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from pipeline.errors import SceneError, StoreError
from pipeline.scene.spec import FrozenScene

__all__ = ["COPY_LIMIT", "freeze"]

log = logging.getLogger(__name__)

COPY_LIMIT = 2 * 2**30
"""Bytes. Larger files are not copied: they stay where they are, and their content is checked when they are loaded."""

LISTED = 50
"""Problems that one message tells, at most."""


class _Shot(Protocol):
    """What freezing needs of `pipeline.config.shot.Shot`."""

    @property
    def directory(self) -> Path: ...
    @property
    def scene_per_frame(self) -> bool: ...
    def scene_path(self, frame: int) -> Path: ...
    def model_dump(self, *, mode: str, by_alias: bool) -> dict[str, Any]: ...


def freeze(shot: _Shot, frames: Iterable[int], blobs: Path, *, copy_limit: int = COPY_LIMIT) -> dict[str, FrozenScene]:
    """Checks and freezes the scenes of a shot.

    Args:
        shot: the shot config.
        frames: frames to freeze.
        blobs: directory that the content-addressed files go to; made if it is not there.
        copy_limit: bytes, see `COPY_LIMIT`.

    Returns:
        `{"*": scene}` when one scene serves all frames, else one per frame number.

    Raises:
        SceneError: what is wrong, all of it at once, one line each.
        StoreError: the blob directory cannot be written.
    """
    numbers = sorted(set(frames))
    if not numbers:
        raise SceneError("no frames to freeze")
    scenes = {str(frame): str(shot.scene_path(frame).absolute()) for frame in numbers}
    try:
        blobs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{blobs}: {error.strerror}") from error
    request = {
        "scenes": scenes,
        "varies": shot.scene_per_frame or shot.scene_path(numbers[0]).suffix.lower() == ".py",
        "config": shot.model_dump(mode="json", by_alias=True),
        "directory": str(shot.directory.absolute()),
        "blobs": str(blobs.absolute()),
        "copy_limit": copy_limit,
    }
    answer = _ask(request)
    if answer["problems"]:
        raise SceneError(_text(answer["problems"], shot.directory))
    return {key: FrozenScene.from_json(scene) for key, scene in answer["frozen"].items()}


def _ask(request: dict[str, Any]) -> dict[str, Any]:
    """The answer of the freezing process.

    Raises:
        SceneError: it died.
    """
    with tempfile.TemporaryDirectory(prefix="penumbra-freeze-") as name:
        folder = Path(name)
        (folder / "request.json").write_text(json.dumps(request))
        command = [sys.executable, "-m", "pipeline.scene.freezing", name]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
        )
        for line in done.stdout.splitlines():
            log.info("scene: %s", line)
        answer, stage = folder / "answer.json", folder / "stage"
        if done.returncode == 0 and answer.exists():
            return dict(json.loads(answer.read_text()))
        at = stage.read_text() if stage.exists() else "starting"
    raise SceneError(f"the process that checks scenes {_death(done.returncode)} while {at}{_last_line(done.stdout)}")


def _death(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"failed (exit status {code})"


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return f": {lines[-1][:300]}" if lines else ""


def _text(problems: list[str], directory: Path) -> str:
    """The problems, one per line, with paths as the user wrote them."""
    shown = os.path.relpath(directory) if directory.absolute().is_relative_to(Path.cwd()) else str(directory)
    prefix = "" if shown == "." else f"{shown}/"
    unique = [line.replace(f"{directory.absolute()}/", prefix) for line in dict.fromkeys(problems)]
    more = len(unique) - LISTED
    return "\n".join([*unique[:LISTED], *([f"… and {more} more"] if more > 0 else [])])
