"""The sequences that denoisers are tested on: none of them comes from the generator that training data are made with.

Four scenes that others made (test data beside the repository), wrapped in moving cameras and objects; the two sample
shots; and two scenes built for this benchmark, in `benchmarks/scenes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.machine import ROOT
from benchmarks.render_subjects import SHARED
from pipeline.config.load import load_shot
from pipeline.config.shot import Shot

__all__ = ["CENTRE", "Clip", "clips"]

OWN = ROOT / "benchmarks" / "scenes"

FIRST, CENTRE, LAST = 1001, 1006, 1012
"""Of the shots made here. Keyframes stand at the first and the last frame."""

QUICK = ("cornell-box", "shot_010", "still_life")
"""What a quick run takes; as many as there are."""


@dataclass(frozen=True)
class Clip:
    """A few frames of a shot, two of which are judged.

    Attributes:
        shot: camera, scene and motion.
        centre: number of the first judged frame; the second one follows it, so that changes in time can be judged too.
        about: what is hard about it, in a few words.
    """

    shot: Shot
    centre: int
    about: str

    @property
    def name(self) -> str:
        return self.shot.shot

    @property
    def judged(self) -> tuple[int, int]:
        """The two frames that have references."""
        return self.centre, self.centre + 1

    def frames(self, radius: int) -> range:
        """What a denoiser that reads `radius` frames on either side needs for the judged frames."""
        return range(self.centre - radius, self.centre + 2 + radius)


def clips(*, quick: bool = False) -> list[Clip]:
    """All sequences whose scenes are there; for a quick run a few of them."""
    found = [*_shared(), *_samples(), *_own()]
    return [clip for clip in found if clip.name in QUICK] if quick else found


def _shared() -> list[Clip]:
    wrapped = (_cornell_box, _living_room, _veach_bidir, _veach_mis)
    made = [wrap() for wrap in wrapped]
    return [clip for clip in made if clip.shot.scene_path(clip.centre).exists()]


def _samples() -> list[Clip]:
    return [
        Clip(load_shot(ROOT / "shots" / "shot_010"), 1004, "two rooms joined by a door, a lamp, a rolling ball"),
        Clip(load_shot(ROOT / "shots" / "shot_020"), 1003, "grass, moss and leaves, a drifting boat, out of focus"),
    ]


def _own() -> list[Clip]:
    about = {
        "still_life": "glass, metal, wood grain and printed cloth, rolling fruit, out of focus",
        "courtyard": "leaves, pickets, blinds and spokes under moving shadows",
    }
    return [
        Clip(_shot(name, f"{name}.py", max_depth=12 if name == "still_life" else 8).at(OWN), CENTRE, told)
        for name, told in about.items()
    ]


# --- Scenes that others made --------------------------------------------------------------------------------------


def _cornell_box() -> Clip:
    camera = _camera(46.0, ((0.16, 1.30, 3.05), (0.02, 0.74, 0.0)), ((-0.06, 1.26, 2.86), (0.04, 0.74, 0.0)))
    animate = {
        "ShortBox": _moved(start=(-0.10, 0.0, 0.12), end=(0.16, 0.0, 0.02), turn=26.0),
        "TallBox": _moved(start=(0.0, 0.0, 0.0), end=(-0.06, 0.0, 0.10), turn=-14.0),
    }
    return _clip("cornell-box", camera, animate, "soft indirect light, turning boxes")


def _living_room() -> Clip:
    camera = _camera(80.0, ((5.02, 0.84, -2.34), (1.6, 0.90, -1.40)), ((4.72, 0.80, -2.22), (1.6, 0.88, -1.28)))
    horse = _moved(start=(0.0, 0.0, 0.0), end=(-0.40, 0.0, 0.0))
    animate = {
        **{part: horse for part in ("obj_45", "obj_46", "obj_47")},
        "obj_61": _moved(start=(0.0, 0.0, 0.0), end=(0.10, 0.0, -0.22)),  # a glass on the table
        "obj_42": _moved(start=(0.0, 0.0, 0.0), end=(0.05, 0.22, 0.20), turn=40.0),  # a cushion
    }
    return _clip("living-room", camera, animate, "daylight through a window, textures, mirror, masked leaves")


def _veach_bidir() -> Clip:
    camera = _camera(36.0, ((15.9, 4.25, 0.55), (-2.0, 3.30, -0.45)), ((15.0, 4.05, -0.15), (-2.0, 3.30, -0.45)))
    animate = {
        "Glass": _moved(start=(0.0, 0.0, -0.1), end=(0.3, 0.0, 1.3), turn=60.0),
        # The floor lamp's pole, foot and shade stay together; its light inside with them.
        **{
            part: _moved(start=(0.0, 0.0, 0.35), end=(0.0, 0.0, -0.55))
            for part in ("Lamp_0001", "Lamp_0002", "Lamp_0003", "Diffuse_0002")
        },
    }
    return _clip("veach-bidir", camera, animate, "almost all light is indirect, caustics of a glass egg")


def _veach_mis() -> Clip:
    camera = _camera(35.0, ((28.1, 3.6, 0.50), (0.0, 3.5, 0.10)), ((27.0, 3.45, -0.35), (0.0, 3.5, -0.10)))
    animate = {
        "Null_0001": _moved(start=(0.0, 0.0, -0.50), end=(0.0, 0.15, 0.60)),
        "Null_0002": _moved(start=(0.0, 0.0, 0.40), end=(0.0, 0.0, -1.00)),
        "Null_0003": _moved(start=(0.0, 0.0, 0.0), end=(0.0, 0.30, -0.80)),
    }
    return _clip("veach-mis", camera, animate, "glossy reflections of moving lights")


def _clip(name: str, camera: Mapping[str, Any], animate: Mapping[str, Any], about: str) -> Clip:
    shot = _shot(name, "scene.xml", max_depth=12, camera=camera, animate=animate).at(SHARED / name)
    return Clip(shot, CENTRE, about)


def _shot(name: str, scene: str, *, max_depth: int, **keys: Any) -> Shot:
    told: dict[str, Any] = {"shot": name, "scene": scene, "frames": f"{FIRST}-{LAST}", **keys}
    return Shot(**told, sampling={"max_depth": max_depth})


Place = Sequence[float]


def _camera(fov: float, first: tuple[Place, Place], last: tuple[Place, Place]) -> dict[str, Any]:
    """A camera that goes from (origin, target) to (origin, target); `fov` spans the width, degrees."""
    keyframes = {frame: {"origin": o, "target": t} for frame, (o, t) in ((FIRST, first), (LAST, last))}
    return {"fov": fov, "keyframes": keyframes}


def _moved(*, start: Place, end: Place, turn: float = 0.0) -> dict[int, Any]:
    """Keyframes of a shape that slides, and turns about the vertical through its middle by `turn` degrees."""
    keys: dict[int, Any] = {FIRST: {"translate": start}, LAST: {"translate": end}}
    if turn:
        keys[LAST]["rotate"] = {"axis": [0.0, 1.0, 0.0], "angle": turn}
    return keys
