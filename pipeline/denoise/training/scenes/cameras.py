"""Cameras: where they stand, how they move, their lenses."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.denoise.training.scenes.geometry import Array, unit
from pipeline.denoise.training.scenes.movement import offsets
from pipeline.denoise.training.scenes.stage import Box, Stage

__all__ = ["MOVES", "camera", "entry"]

MOVES = ("still", "pan", "dolly", "truck", "orbit", "handheld", "crane")
"""`still` comes up as often as the chance below says; the others share the rest."""

STILL, FOCUSED = 0.2, 0.2
"""Share of cameras that stand still, and of those with a visible depth of field."""

PINHOLE = 1e-5
"""Aperture radius in metres of lenses that are sharp everywhere: one kind of sensor serves all."""

CLEARANCE = 0.12
"""Metres between the camera and anything solid, at least (in scenes of scale 1)."""


def camera(stage: Stage, frames: int) -> dict[str, Any]:
    """`camera` of the shot config. Adds `camera` and `lens` to the stage's tags."""
    rng = stage.rng
    move = "still" if rng.random() < STILL else str(rng.choice(MOVES[1:]))
    lamps = [(b.centre - b.radius, b.centre + b.radius) for b in stage.lights.bulbs]
    solids = [*stage.solids, *lamps]
    best: tuple[float, list[tuple[Array, Array]]] | None = None
    for _ in range(80):
        origin = rng.uniform(*stage.zone)
        target = stage.subjects[rng.integers(len(stage.subjects))] + 0.15 * stage.scale * rng.normal(size=3)
        path = _path(rng, move, origin, target, frames)
        free = min(_clearance(stage, solids, *pose) for pose in path)
        if best is None or free > best[0]:
            best = free, path
        if free >= CLEARANCE * stage.scale:
            break
    assert best is not None
    path = best[1]
    origin, target = path[len(path) // 2]
    reach = float(np.linalg.norm(target - origin))
    focused = rng.random() < FOCUSED
    stage.tags |= {"camera": move, "lens": "thin" if focused else "sharp"}
    return {
        "fov": round(float(rng.uniform(28.0, 80.0)), 3),
        "fov_axis": "x",
        "aperture_radius": round(float(reach * 10.0 ** rng.uniform(-2.2, -1.4)), 6) if focused else PINHOLE,
        "focus_distance": round(reach * float(rng.uniform(0.6, 1.3) if focused else 1.0), 5),
        "keyframes": {
            frame: {"origin": _rounded(o), "target": _rounded(t), "up": [0.0, 1.0, 0.0]}
            for frame, (o, t) in zip(offsets(frames), path, strict=True)
        },
    }


def _path(rng: np.random.Generator, move: str, origin: Array, target: Array, frames: int) -> list[tuple[Array, Array]]:
    """Origin and target per frame. Speeds are such that things move by up to some eight pixels of 128 a frame."""
    view = target - origin
    reach = float(np.linalg.norm(view))
    side = unit(np.cross(view, (0.0, 1.0, 0.0)))
    speed = rng.choice([-1.0, 1.0]) * 10.0 ** rng.uniform(-2.5, -1.25)  # of the distance, per frame
    tilt = rng.normal(0.0, 0.4)
    poses = []
    for t in offsets(frames).values():
        o, at = origin, target
        match move:
            case "pan":
                at = target + speed * reach * t * (side + np.array([0.0, tilt, 0.0]))
            case "dolly":
                o = origin + 0.7 * speed * t * view
            case "truck":
                o, at = origin + speed * reach * t * side, target + speed * reach * t * side
            case "orbit":
                angle = 1.5 * speed * t
                c, s = np.cos(angle), np.sin(angle)
                o = target - np.array([c * view[0] + s * view[2], view[1], c * view[2] - s * view[0]])
            case "crane":
                o = origin + np.array([0.0, 0.6 * speed * reach * t, 0.0])
            case "handheld":
                o = origin + 0.3 * abs(speed) * reach * rng.normal(size=3)
                at = target + 0.6 * abs(speed) * reach * rng.normal(size=3)
        poses.append((o, at))
    return poses


def _clearance(stage: Stage, solids: list[Box], origin: Array, target: Array) -> float:
    """How far a camera is from the nearest solid; less where its view is blocked or short; negative inside
    of a solid, or outside of the zone."""
    low, high = stage.zone
    free = [float(np.minimum(origin - low, high - origin).min()) + CLEARANCE * stage.scale]
    view = unit(target - origin)
    if abs(view[1]) > 0.97:
        free.append(-1.0)
    free.append(0.5 * CLEARANCE * stage.scale * float(np.linalg.norm(target - origin)) / stage.beyond)
    for solid in solids:
        away = np.maximum(solid[0] - origin, origin - solid[1])
        outside = float(np.linalg.norm(np.maximum(away, 0.0)))
        free.append(outside if outside > 0.0 else float(away.max()))
        hit = entry(solid, origin, view)
        if hit < stage.beyond:
            free.append(0.25 * hit * CLEARANCE * stage.scale / stage.beyond)
    return min(free)


def entry(solid: Box, origin: Array, view: Array) -> float:
    """Distance at which a ray enters a box; inf where it does not (slab test)."""
    inverse = 1.0 / np.where(np.abs(view) < 1e-12, 1e-12, view)
    a, b = (solid[0] - origin) * inverse, (solid[1] - origin) * inverse
    near, far = np.minimum(a, b).max(), np.maximum(a, b).min()
    return float(near) if far >= max(near, 0.0) else np.inf


def _rounded(vector: Array) -> list[float]:
    return [round(float(x), 6) for x in vector]
