"""What a worker needs to know to load a frame's scene: plain data, made from a frozen job.

Nothing here imports Mitsuba.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.errors import SceneError
from pipeline.scene.displacement import displaced_camera, with_offsets

__all__ = ["EVERY_FRAME", "FrozenScene", "SceneSpec", "of"]

EVERY_FRAME = "*"
"""Key of a frozen scene that serves all frames of its job."""


@dataclass(frozen=True)
class FrozenScene:
    """A scene as it was when its job was submitted: a blob of XML and the blobs that it names.

    Attributes:
        xml: blob of the frozen XML, `<sha256>.xml`. Files in it are named by their blobs.
        files: blob → the file's name when it was frozen, for messages.
        references: blob → absolute path, for files too large to copy. Their content is checked when they are loaded.
        shapes: ids of the shapes (instances too, members of shape groups not), in the order of the XML.
        bsdfs: ids of the BSDFs.
        warnings: what the user should know, one line each.
    """

    xml: str
    files: dict[str, str] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)
    shapes: tuple[str, ...] = ()
    bsdfs: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), **{name: list(getattr(self, name)) for name in ("shapes", "bsdfs", "warnings")}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FrozenScene:
        """The inverse of `to_json`."""
        lists = {name: tuple(data.get(name, ())) for name in ("shapes", "bsdfs", "warnings")}
        return cls(
            xml=data["xml"], files=dict(data.get("files", {})), references=dict(data.get("references", {})), **lists
        )


@dataclass(frozen=True)
class SceneSpec:
    """One frame's scene, as plain data.

    Attributes:
        xml: blob of the frozen XML of this frame.
        previous, next: blobs of the neighbouring frames' XML; None where that frame was not frozen. Equal to `xml` when
            one scene serves all frames.
        references: as in `FrozenScene`, of all three.
        resolution: (width, height) in pixels; None takes the scene's own film.
        camera: `camera` of the shot config, or None for the scene's first sensor.
        animate: `animate` of the shot config: shape id → frame → pose; with the shapes' overrides as `offset`.
        overrides: other values of parameters: id → property → value (`pipeline.scene.overrides`).
        integrator, max_depth, rr_depth: as in the shot config; a depth of None leaves what the scene's integrator says,
            or Mitsuba's default.
        shutter: when it opens and closes, frames from the frame's own time; None: an instant.
        film, layers, colour: as in the shot config.
    """

    xml: str
    previous: str | None = None
    next: str | None = None
    references: Mapping[str, str] = field(default_factory=dict)
    resolution: tuple[int, int] | None = None
    camera: Mapping[str, Any] | None = None
    animate: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    integrator: str = "path"
    max_depth: int | None = None
    rr_depth: int | None = None
    shutter: tuple[float, float] | None = None
    film: Mapping[str, Any] = field(default_factory=dict)
    layers: Mapping[str, Any] = field(default_factory=dict)
    colour: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        pairs = {"resolution": self.resolution, "shutter": self.shutter}
        return {**asdict(self), **{name: None if pair is None else list(pair) for name, pair in pairs.items()}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SceneSpec:
        """The inverse of `to_json`."""
        resolution, shutter = data.get("resolution"), data.get("shutter")
        pairs = {
            "resolution": None if resolution is None else (int(resolution[0]), int(resolution[1])),
            "shutter": None if shutter is None else (float(shutter[0]), float(shutter[1])),
        }
        return cls(**{**data, **pairs})


def of(config: Mapping[str, Any], frozen: Mapping[str, FrozenScene | Mapping[str, Any]], frame: int) -> SceneSpec:
    """The scene of one frame of a job.

    Args:
        config: the shot config as JSON values (`model_dump(mode="json", by_alias=True)`).
        frozen: `{"*": scene}`, or one scene per frame number.
        frame: frame number.

    Raises:
        SceneError: the frame was not frozen.
    """

    def scene(number: int) -> FrozenScene | None:
        found = frozen.get(EVERY_FRAME) or frozen.get(str(number))
        return found if found is None or isinstance(found, FrozenScene) else FrozenScene.from_json(found)

    here, before, after = scene(frame), scene(frame - 1), scene(frame + 1)
    if here is None:
        raise SceneError(f"frame {frame} has no frozen scene")
    sampling = config.get("sampling") or {}
    resolution, shutter = config.get("resolution"), config.get("shutter")
    references = {k: v for found in (here, before, after) if found is not None for k, v in found.references.items()}
    changed = config.get("overrides") or {}
    animate, values = with_offsets(config.get("animate") or {}, changed, here.shapes)
    return SceneSpec(
        xml=here.xml,
        previous=None if before is None else before.xml,
        next=None if after is None else after.xml,
        references=references,
        resolution=None if resolution is None else (int(resolution[0]), int(resolution[1])),
        camera=displaced_camera(config.get("camera"), changed),
        animate=animate,
        overrides=values,
        integrator=sampling.get("integrator") or "path",
        max_depth=sampling.get("max_depth"),
        rr_depth=sampling.get("rr_depth"),
        shutter=None if shutter is None else (float(shutter[0]), float(shutter[1])),
        film=config.get("film") or {},
        layers=config.get("layers") or {},
        colour=config.get("colour") or {},
    )
