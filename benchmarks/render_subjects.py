"""The scenes that rendering is measured on, loaded as a worker loads them: frozen first, then from their blobs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.machine import ROOT
from pipeline.config.load import load_shot
from pipeline.config.shot import Shot
from pipeline.scene import spec
from pipeline.scene.freeze import freeze
from pipeline.scene.spec import SceneSpec

if TYPE_CHECKING:
    from pipeline.render.passes import Program

__all__ = ["ANIMATED", "CALM", "Subject", "subjects"]

SHARED = ROOT.parent / "shared" / "scenes"
CALM = "cornell-box"
THEIRS = (CALM, "living-room", "veach-bidir")
"""Scenes that others made, as test data beside the repository. The calm one has no rare bright samples."""

ANIMATED = "shot_010"
MAX_DEPTH = 12


@dataclass(frozen=True)
class Subject:
    """A frozen scene.

    Attributes:
        name: of the scene or shot.
        frame: its first frame.
        frames: that were frozen.
    """

    name: str
    frame: int
    frames: tuple[int, ...]
    _config: dict[str, Any]
    _frozen: dict[str, Any]
    _blobs: Path

    def spec(self, frame: int, resolution: tuple[int, int], **keys: Any) -> SceneSpec:
        """The scene of a frame at (width, height), with other keys of the shot laid over it."""
        return spec.of({**self._config, "resolution": list(resolution), **keys}, self._frozen, frame)

    def program(self, resolution: tuple[int, int], frame: int | None = None, **keys: Any) -> Program:
        """Loaded and ready for passes. Mitsuba's variant must be set."""
        from pipeline.render.passes import prepare
        from pipeline.scene.load import load

        number = self.frame if frame is None else frame
        return prepare(load(self.spec(number, resolution, **keys), number, self._blobs))


@contextmanager
def subjects(theirs: Sequence[str] = THEIRS) -> Iterator[dict[str, Subject]]:
    """The sample shot and the shared scenes that are there, by name; their blobs live as long as the context."""
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for name in theirs:
            if (SHARED / name / "scene.xml").exists():
                keys: dict[str, Any] = {"shot": name, "scene": "scene.xml", "frames": "1"}
                shot = Shot(**keys, sampling={"max_depth": MAX_DEPTH}).at(SHARED / name)
                found[name] = _frozen(shot, Path(folder))
        found[ANIMATED] = _frozen(load_shot(ROOT / "shots" / ANIMATED), Path(folder))
        yield found


def _frozen(shot: Shot, blobs: Path) -> Subject:
    frames = tuple(shot.frame_list[:3])
    scenes = freeze(shot, frames, blobs)
    config = shot.model_dump(mode="json", by_alias=True)
    return Subject(shot.shot, frames[0], frames, config, dict(scenes), blobs)
