"""A shot's frame, opened for its preview: the scene as the cache sees it, its camera, and its identity.

Needs Mitsuba with a variant set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.shot import Shot
from pipeline.errors import ConfigError
from pipeline.radiosity.cameras import View, view_of
from pipeline.radiosity.identity import Identity, identity_of
from pipeline.radiosity.sources import Sources, sources_of
from pipeline.scene import spec
from pipeline.scene.animation import camera_to_world, look_at
from pipeline.scene.cameras import Camera
from pipeline.scene.freeze import freeze
from pipeline.scene.load import FrameScene, load, update
from pipeline.scene.spec import FrozenScene, SceneSpec

__all__ = ["Opened", "open_frame"]

DEFAULT_FOV = 60.0  # degrees, of a scene whose camera is not perspective


@dataclass(frozen=True)
class Opened:
    """One frame of a shot, loaded.

    Attributes:
        shot: its config.
        frame: its number.
        sources: the scene as the cache sees it.
        identity: of the scene.
        view: the shot's camera at its resolution.
        hide_emitters: as the scene's integrator says.
        camera: `camera` of the shot, with its overrides; None where the scene's own is used.
    """

    shot: Shot
    frame: int
    sources: Sources
    identity: Identity
    view: View
    hide_emitters: bool
    camera: Mapping[str, Any] | None
    _scene: FrameScene = field(repr=False)
    _frozen: dict[str, FrozenScene] = field(repr=False)
    _blobs: Path = field(repr=False)

    def view_at(self, frame: int) -> View:
        """The shot's camera at another frame; nothing is loaded. Of a scene's own camera, that of this frame."""
        if not (self.camera and self.camera.get("keyframes")):
            return self.view
        return replace(self.view, to_world=camera_to_world(self.camera["keyframes"], frame))

    def at(self, frame: int) -> Opened:
        """Another frame of the shot, of those that were opened with this one; this one must not be used afterwards.

        Raises:
            SceneError: the frame was not opened, or its scene cannot be loaded or previewed.
        """
        wanted = _spec(self.shot, self._frozen, frame)
        return _opened(self.shot, frame, update(self._scene, wanted, frame), wanted, self._frozen, self._blobs)


def open_frame(shot: Shot, frame: int, blobs: Path, *, others: Sequence[int] = ()) -> Opened:
    """Freezes and loads a frame of a shot.

    Args:
        shot: its config.
        frame: its number, one of the shot's.
        blobs: where frozen files go.
        others: frames that `Opened.at` will be asked for.

    Raises:
        ConfigError: the shot has no such frame.
        SceneError: the scene cannot be loaded, or has nothing that a preview could show.
    """
    known = shot.frame_list
    for number in (frame, *others):
        if number not in known:
            raise ConfigError(f"{shot.shot} has no frame {number}; it has {shot.frames}", path="--frame")
    frozen = freeze(shot, [frame, *others], blobs)
    wanted = _spec(shot, frozen, frame)
    return _opened(shot, frame, load(wanted, frame, blobs), wanted, frozen, blobs)


def _spec(shot: Shot, frozen: dict[str, FrozenScene], frame: int) -> SceneSpec:
    # An instant, whatever the shutter: a preview shows no motion blur.
    return replace(spec.of(shot.model_dump(mode="json", by_alias=True), frozen, frame), shutter=None)


def _opened(
    shot: Shot, frame: int, fs: FrameScene, wanted: SceneSpec, frozen: dict[str, FrozenScene], blobs: Path
) -> Opened:
    sources = sources_of(fs.scene)
    return Opened(
        shot=shot,
        frame=frame,
        sources=sources,
        identity=identity_of(wanted, frame, blobs),
        view=_view(fs.cameras.current, fs.scene, sources, fs.width, fs.height),
        hide_emitters=fs.hide_emitters,
        camera=wanted.camera,
        _scene=fs,
        _frozen=frozen,
        _blobs=blobs,
    )


def _view(camera: Camera | None, scene: Any, sources: Sources, width: int, height: int) -> View:
    """The camera's view; of a camera that is no pinhole, one that stands where it stands."""
    if camera is not None:
        return view_of(camera, width, height)
    to_world = np.array(scene.sensors()[0].world_transform().matrix, dtype=np.float64).reshape(4, 4)
    eye = to_world[:3, 3]
    middle = (sources.surfaces.lower + sources.surfaces.upper) / 2
    target = middle if np.linalg.norm(middle - eye) > 1e-3 * sources.surfaces.diagonal else eye + to_world[:3, 2]
    up = (0.0, 1.0, 0.0) if abs(target - eye)[[0, 2]].sum() > 1e-9 else (0.0, 0.0, 1.0)
    return View(look_at(eye, target, up), DEFAULT_FOV, width, height)
