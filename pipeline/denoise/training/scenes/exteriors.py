"""Layouts under a sky or in a dome: fields, streets, colonnades, heaps of shapes."""

from __future__ import annotations

import numpy as np

from pipeline.denoise.training.scenes import furniture, openings
from pipeline.denoise.training.scenes.geometry import placed
from pipeline.denoise.training.scenes.lights import sky, softboxes, sunward
from pipeline.denoise.training.scenes.openings import Room, bulb
from pipeline.denoise.training.scenes.shapes import box, foliage, hair, pile, terrain
from pipeline.denoise.training.scenes.stage import Stage, scatter, standing
from pipeline.denoise.training.scenes.subjects import subject

__all__ = ["abstract", "colonnade", "field", "street"]


def field(stage: Stage) -> None:
    """Shapes, trees and grass on open ground; hard ones stand in a wood, with the sun behind leaves."""
    rng = stage.rng
    stage.scale = 1.5
    stage.add(terrain(rng, 60.0, 4.0), stage.slot("cloth"), solid=False)
    for x, z in scatter(rng, (-3.5, -3.5), (3.5, 3.5), count=int(rng.integers(3, 9)), apart=1.5):
        subject(stage, rng.uniform(0.4, 1.6), np.array([x, 0.0, z]))
    for x, z in scatter(rng, (-9.0, -9.0), (9.0, 9.0), count=8 if stage.hard else int(rng.integers(0, 6)), apart=2.2):
        if np.hypot(x, z) > 3.2:
            stage.put(furniture.tree(rng, rng.uniform(3.0, 6.5)), standing(rng, x, z))
    for x, z in rng.normal(0.0, 2.5, (rng.integers(0, 5), 2)):
        stage.put([(hair(rng, 0.5, 0.35, count=250), "leaf")], placed((x, 0.0, z)), solid=False)
    sunny = stage.hard or rng.random() < 0.6
    if stage.hard:
        roof = pile(rng, foliage(rng, 1.6, count=260, leaf=0.3), count=26, spread=3.5)
        stage.put([(roof.transformed(placed((0.0, 2.9, 0.0))), "leaf")], solid=False)
    stage.tags["light"] = "sun" if sunny else "overcast"
    irradiance = rng.uniform(1.0, 5.0)
    sun = sunward(rng) if sunny else None
    stage.lights.environment = sky(rng, sun=sun, level=rng.uniform(0.4, 1.2), sun_irradiance=irradiance)
    stage.zone = np.array([-6.0, 0.5, -6.0]), np.array([6.0, 2.4, 6.0])
    stage.beyond = 1.2


def street(stage: Stage) -> None:
    """Houses on both sides; a hard one is a lane at night under few lamps, or so narrow that the sky hardly shows."""
    rng = stage.rng
    stage.scale = 2.0
    night = stage.hard and rng.random() < 0.6
    half = rng.uniform(1.2, 2.0) if stage.hard else rng.uniform(3.0, 6.0)
    stage.add(box((-40.0, -0.2, -60.0), (40.0, 0.0, 60.0)), stage.slot("wall"), solid=False)
    for side in (-1, 1):
        z = -16.0
        while z < 14.0:
            width = rng.uniform(4.0, 7.0)
            front = placed((side * half, 0.0, z + width / 2), turn=-side * np.pi / 2)
            stage.put(furniture.house(rng, width, rng.uniform(5.0, 12.0), 6.0), front)
            z += width + (0.0 if rng.random() < 0.8 else 1.0)
    end = furniture.house(rng, 2.0 * half + 4.0, rng.uniform(4.0, 9.0), 4.0)
    stage.put(end, placed((0.0, 0.0, -16.5)))
    for x, z in scatter(rng, (-0.8 * half, -7.0), (0.8 * half, 3.0), count=int(rng.integers(2, 6)), apart=1.4):
        if rng.random() < 0.3:
            stage.put(furniture.plant(rng, rng.uniform(0.8, 1.6)), standing(rng, x, z))
        else:
            subject(stage, rng.uniform(0.4, 1.2), np.array([x, 0.0, z]))
    if night:
        stage.tags["light"] = "street_lamps"
        for z in (-5.0, 2.0):
            centre = np.array([0.75 * half * rng.choice([-1.0, 1.0]), rng.uniform(2.6, 3.6), z + rng.normal()])
            stage.lights.bulbs.append(bulb(rng, centre, rng.uniform(0.03, 0.09), reach=3.0))
            cover = furniture.shade(rng, 0.3, 0.25).transformed(placed(centre - (0.0, 0.05, 0.0)))
            stage.put([(cover, "metal")])
        stage.lights.environment = sky(rng, sun=None, level=0.01)
    else:
        stage.tags["light"] = "sun"
        irradiance = rng.uniform(1.0, 4.0)
        stage.lights.environment = sky(rng, sun=sunward(rng), level=rng.uniform(0.7, 1.6), sun_irradiance=irradiance)
    stage.subjects += [np.array([rng.uniform(-half, half), rng.uniform(0.8, 3.0), -8.0]) for _ in range(2)]
    stage.zone = np.array([-0.75 * half, 0.5, 1.0]), np.array([0.75 * half, 2.2, 9.0])
    stage.beyond = 1.2


def colonnade(stage: Stage) -> None:
    """A roofed walk whose columns or lattices let the day in from the sides."""
    rng = stage.rng
    w, h, d = rng.uniform((2.5, 2.8, 9.0), (4.5, 4.5, 14.0))
    stone = stage.slot("wall")
    stage.add(box((-20.0, -0.3, -20.0), (20.0, 0.0, 20.0)), stage.slot("wood"), solid=False)
    stage.add(box((-w / 2 - 0.4, h, -d), (w / 2 + 0.4, h + 0.3, d)), stone, solid=False)
    stage.add(box((-w / 2 - 0.4, 0.0, -d - 0.3), (w / 2 + 0.4, h, -d)), stone)
    if stage.hard:  # one side and the back are closed; the other side has a fine lattice, or a parapet
        stage.add(box((-w / 2 - 0.4, 0.0, -d), (-w / 2 - 0.1, h, d)), stone)
        stage.add(box((-w / 2 - 0.4, 0.0, d), (w / 2 + 0.4, h, d + 0.3)), stone)
        if rng.random() < 0.5:
            stage.add(box((w / 2, rng.uniform(0.8, 1.4), -d), (w / 2 + 0.2, h, d)), stone)
        else:
            bars = furniture.grid(2.0 * d, h, columns=int(10 * d), rows=int(4 * h), thick=0.03)
            stage.put(bars, placed((w / 2 + 0.1, 0.0, 0.0), turn=np.pi / 2))
    radius = rng.uniform(0.08, 0.2)
    for z in np.arange(-d + 0.5, d, rng.uniform(1.5, 3.0)):
        for x in (-w / 2, w / 2):
            stage.put(furniture.column(radius, h), placed((x, 0.0, z)))
    for x, z in scatter(rng, (-0.3 * w, -5.0), (0.3 * w, 1.5), count=int(rng.integers(2, 6)), apart=1.0):
        subject(stage, rng.uniform(0.3, 0.9), np.array([x, 0.0, z]))
    sun = sunward(rng) if rng.random() < 0.7 else None
    stage.tags["light"] = "sun" if sun is not None else "overcast"
    level = rng.uniform(1.0, 2.0) * (4.0 if stage.hard else 1.0)
    stage.lights.environment = sky(rng, sun=sun, level=level, sun_irradiance=rng.uniform(1.0, 4.0))
    stage.zone = np.array([-w / 2 + 0.5, 0.5, 2.0]), np.array([w / 2 - 0.5, 2.0, 5.5])


def abstract(stage: Stage) -> None:
    """Shapes that float anyhow inside a dome of light; hard ones inside a room that gets its light as rooms do."""
    rng = stage.rng
    room = Room(*rng.uniform((4.0, 4.5, 3.5), (5.5, 6.5, 5.0)))
    middle = np.array([room.width, room.height, room.depth]) / 2.0
    spread = 0.9 if not stage.hard else 0.7
    for at in middle + rng.normal(0.0, spread, (rng.integers(6, 16), 3)):
        subject(stage, rng.uniform(0.25, 0.9), at)
    if rng.random() < 0.5:
        bars = furniture.grid(3.6, 3.0, columns=int(rng.integers(5, 30)), rows=int(rng.integers(4, 20)), thick=0.02)
        stage.put(bars, placed((middle[0], 0.2, middle[2] - 1.8)))
    if stage.hard:
        way = openings.HARD[rng.integers(len(openings.HARD))]
        stage.tags["light"] = way.__name__
        way(stage, room)
        openings.build(stage, room)
    else:
        kind = str(rng.choice(["softboxes", "sky"]))
        stage.tags["light"] = kind
        level = rng.uniform(0.4, 1.2)
        sun = sunward(rng) if rng.random() < 0.5 else None
        dome = softboxes(rng, level=level) if kind == "softboxes" else sky(rng, sun=sun, level=level)
        stage.lights.environment = dome
    stage.zone = np.full(3, 0.3), 2.0 * middle - 0.3
