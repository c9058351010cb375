"""Layouts with walls around: furnished rooms, halls, boxes."""

from __future__ import annotations

import numpy as np

from pipeline.denoise.training.scenes import furniture, openings
from pipeline.denoise.training.scenes.geometry import placed
from pipeline.denoise.training.scenes.lights import sky
from pipeline.denoise.training.scenes.openings import Room
from pipeline.denoise.training.scenes.shapes import random_shape
from pipeline.denoise.training.scenes.stage import Stage, scatter, standing
from pipeline.denoise.training.scenes.subjects import subject

__all__ = ["boxed", "furnished", "hall"]


def _light(stage: Stage, room: Room) -> None:
    ways = openings.HARD if stage.hard else openings.PLAIN
    way = ways[stage.rng.integers(len(ways))]
    stage.tags["light"] = way.__name__
    way(stage, room)


def furnished(stage: Stage) -> None:
    """A living room: sofa, table with chairs, shelves, pictures, plants, a rug."""
    rng = stage.rng
    room = Room(*rng.uniform((3.2, 3.2, 2.4), (6.5, 7.5, 3.2)))
    _light(stage, room)
    openings.build(stage, room)
    w, d = room.width, room.depth
    x, z = rng.uniform((0.35 * w, 0.35 * d), (0.65 * w, 0.65 * d))
    height = rng.uniform(0.4, 0.76)
    wide, deep = rng.uniform((0.7, 0.6), (1.6, 1.0))
    stage.put(furniture.table(rng, wide, deep, height), placed((x, 0.0, z)))
    stage.put(furniture.rug(wide + 1.2, deep + 1.0), placed((x, 0.0, z)), solid=False)
    for k in range(rng.integers(1, 5)):
        size = rng.uniform(0.1, 0.28)
        at = np.array([x, height, z]) + rng.uniform((-0.35 * wide, 0.0, -0.35 * deep), (0.35 * wide, 0.0, 0.35 * deep))
        subject(stage, size, at, moving=0.75 * (k == 0), reach=2.0)
    for angle in rng.uniform(0.0, 2.0 * np.pi, rng.integers(0, 5)):
        out = 0.6 * max(wide, deep) + 0.15
        place = (x + out * np.sin(angle), 0.0, z + out * np.cos(angle))
        stage.put(furniture.chair(rng), placed(place, turn=angle + np.pi + rng.normal(0.0, 0.3)))
    for side in rng.permutation(4)[:3]:
        _against(stage, room, int(side))
    for px, pz in scatter(rng, (0.4, 0.4), (w - 0.4, d - 0.4), count=int(rng.integers(1, 4)), apart=1.2):
        if np.hypot(px - x, pz - z) > 1.1:
            size = rng.uniform(0.3, 0.8)
            subject(stage, size, np.array([px, 0.0, pz]), reach=2.0)
    stage.zone = np.array([0.3, 0.5, 0.3]), np.array([w - 0.3, min(1.9, room.height - 0.4), d - 0.3])


def _against(stage: Stage, room: Room, side: int) -> None:
    """Something that stands or hangs at a wall, where it has no window or door."""
    rng = stage.rng
    length = room.length(side)
    x = rng.uniform(0.25, 0.75) * length
    if any(x0 - 0.9 < x < x1 + 0.9 for x0, x1, _, _ in room.holes.get(side, [])):
        return
    match rng.choice(["shelf", "sofa", "picture", "mirror", "plant", "curtain"]):
        case "shelf":
            tall = rng.uniform(0.8, 0.85 * room.height)
            stage.put(furniture.shelf(rng, rng.uniform(0.7, 1.3), tall), room.at(side, x, 0.0, 0.01))
        case "sofa":
            stage.put(furniture.sofa(rng, rng.uniform(1.2, 2.0)), room.at(side, x, 0.0, 0.5))
        case "plant":
            stage.put(furniture.plant(rng, rng.uniform(0.7, 1.5)), room.at(side, x, 0.0, 0.5))
        case "curtain":
            stage.put(furniture.curtain(rng, 1.2, room.height - 0.15), room.at(side, x - 0.6, 0.02, 0.12))
        case picture:
            surface = "mirror" if picture == "mirror" else "paper"
            hung = furniture.picture_frame(rng.uniform(0.3, 1.1), rng.uniform(0.3, 1.1), surface)
            stage.put(hung, room.at(side, x, 0.58 * room.height, 0.001))
    stage.subjects.append(room.at(side, x, rng.uniform(0.3, 0.7) * room.height, 0.3)[:3, 3])


def hall(stage: Stage) -> None:
    """A long room: columns, stairs, doors; hard ones are lit through an opening at the far end."""
    rng = stage.rng
    room = Room(*rng.uniform((2.0, 8.0, 2.6), (4.5, 15.0, 4.5)))
    w, h, d = room.width, room.height, room.depth
    if stage.hard and rng.random() < 0.55:
        stage.tags["light"] = "far_opening"
        half = rng.uniform(0.3, 0.45) * w
        side = int(rng.choice([0, 1]))
        middle = w / 2 if side == 0 else rng.uniform(0.1, 0.35) * d
        room.holes[side] = [(middle - half, middle + half, 0.0 if rng.random() < 0.5 else 0.3 * h, 0.8 * h)]
        outward = -room.frame(side)[:3, 2]
        sun = outward + rng.uniform((-0.4, 0.2, -0.4), (0.4, 0.9, 0.4))
        stage.lights.environment = sky(rng, sun=sun, level=rng.uniform(8.0, 25.0), sun_irradiance=rng.uniform(0.5, 3.0))
    else:
        _light(stage, room)
    openings.build(stage, room)
    for z in np.arange(1.2, d - 1.0, rng.uniform(1.6, 3.0)):
        for x in (0.14 * w, 0.86 * w):
            kind = rng.choice(["column", "object", "plant", "none"])
            if kind == "column":
                stage.put(furniture.column(0.05 * w, h), placed((x, 0.0, z)))
            elif kind == "object":
                size = rng.uniform(0.3, 0.9)
                stage.put([(random_shape(rng, size), "any")], standing(rng, x, z))
            elif kind == "plant":
                stage.put(furniture.plant(rng, rng.uniform(0.6, 1.4)), placed((x, 0.0, z)))
    if rng.random() < 0.4:
        stage.put(furniture.stairs(0.5 * w, int(rng.integers(4, 10))), placed((w / 2, 0.0, 0.35 * d)))
    for _ in range(rng.integers(1, 4)):
        at = rng.uniform((0.35 * w, 0.0, 0.3 * d), (0.65 * w, 0.0, 0.7 * d))
        subject(stage, rng.uniform(0.3, 0.8), at, moving=0.75, reach=3.0)
    stage.subjects += [np.array([rng.uniform(0.2, 0.8) * w, 0.35 * h, rng.uniform(0.0, 0.3) * d]) for _ in range(3)]
    stage.zone = np.array([0.3, 0.5, 0.55 * d]), np.array([w - 0.3, min(1.9, h - 0.5), d - 0.3])


def boxed(stage: Stage) -> None:
    """A small box with shapes in it, like the one at Cornell; its front may be open."""
    rng = stage.rng
    room = Room(*rng.uniform((1.8, 2.0, 1.7), (2.8, 3.4, 2.6)))
    stage.scale = 0.7
    w, h, d = room.width, room.height, room.depth
    _light(stage, room)
    openings.build(stage, room)
    places = scatter(rng, (0.35, 0.3), (w - 0.35, 0.6 * d), count=int(rng.integers(3, 8)), apart=0.55)
    for k, (x, z) in enumerate(places):
        size = rng.uniform(0.25, 0.65)
        y = rng.uniform(0.0, 0.4) * h if rng.random() < 0.2 else 0.0
        subject(stage, size, np.array([x, y, z]), moving=0.6 if k < 3 else 0.0, reach=1.5)
    if rng.random() < 0.3:
        lattice = furniture.grid(0.8 * w, 0.7 * h, columns=int(rng.integers(4, 14)), rows=5, thick=0.012)
        stage.put(lattice, placed((w / 2, 0.0, 0.12)))
    stage.zone = np.array([0.25, 0.3, 0.65 * d]), np.array([w - 0.25, h - 0.3, d - 0.2])
