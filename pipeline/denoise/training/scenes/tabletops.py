"""Layouts seen closely: still lifes on a table, products in a studio."""

from __future__ import annotations

import numpy as np

from pipeline.denoise.training.scenes import furniture
from pipeline.denoise.training.scenes.geometry import Array, grid_surface, placed, turned, unit
from pipeline.denoise.training.scenes.lights import Spot, sky, softboxes, sunward, white
from pipeline.denoise.training.scenes.openings import bulb, panel
from pipeline.denoise.training.scenes.shapes import ball, bowl, box, cloth, goblet, hair, pile, random_shape, ring, vase
from pipeline.denoise.training.scenes.stage import Stage, scatter, standing
from pipeline.denoise.training.scenes.subjects import subject

__all__ = ["still_life", "studio"]


def _tableware(stage: Stage, at: Array) -> None:
    """Something that stands on a table: glasses, bowls, vases with twigs, fruit, books, rings."""
    rng = stage.rng
    size = rng.uniform(0.1, 0.24)
    stand = standing(rng, at[0], at[2], at[1])
    match rng.choice(["goblet", "vase", "bowl", "books", "rings", "any"], p=[0.2, 0.15, 0.2, 0.15, 0.1, 0.2]):
        case "goblet":
            stage.put([(goblet(size), "glass")], stand)
        case "vase":
            twigs = hair(rng, 0.1 * size, 2.2 * size, count=30).transformed(placed((0.0, 0.1 * size, 0.0)))
            stage.put([(vase(rng, size), "any"), (twigs, "leaf")], stand)
        case "bowl":
            fruit = pile(rng, ball(0.2 * size, rings=20), count=6, spread=0.2 * size)
            inside = fruit.transformed(placed((0.0, 0.12 * size, 0.0)))
            stage.put([(bowl(0.8 * size, 0.5 * size), "any"), (inside, "paper")], stand)
        case "books":
            for k in range(rng.integers(2, 6)):
                book = box((-0.07, 0.03 * k, -0.1), (0.07, 0.03 * k + 0.029, 0.1))
                stage.put(
                    [(book, "paper" if k % 2 else "paint")], stand @ turned((0.0, 1.0, 0.0), rng.normal(0.0, 0.3))
                )
        case "rings":
            stage.put([(ring(0.4 * size, 0.06 * size), "metal")], stand)
        case _:
            subject(stage, size, at, moving=0.5)
    stage.subjects.append(at + np.array([0.0, size / 2.0, 0.0]))


def still_life(stage: Stage) -> None:
    """Things on a table, seen closely. Plain: soft boxes or sky. Hard: small lamps, light through slits or glass."""
    rng = stage.rng
    stage.scale, stage.beyond = 0.25, 0.15
    stage.add(box((-0.8, -0.04, -0.6), (0.8, 0.0, 0.6)), stage.slot("wood"), solid=False)
    stage.add(box((-4.0, -0.9, -4.0), (4.0, -0.8, 4.0)), stage.slot("wall"), solid=False)
    for x, z in scatter(rng, (-0.45, -0.4), (0.45, 0.2), count=int(rng.integers(4, 11)), apart=0.2):
        _tableware(stage, np.array([x, 0.0, z]))
    size = rng.uniform(0.08, 0.2)
    subject(stage, size, np.array([rng.uniform(-0.3, 0.3), 0.0, 0.35]), moving=0.7)
    if rng.random() < 0.5:
        drape = cloth(rng, 2.4, 1.6, folds=rng.uniform(3.0, 12.0), depth=0.05)
        stage.put([(drape, "cloth")], placed((-1.2, -0.3, -0.7)))
    if stage.hard:
        _small_lamps(stage)
    else:
        day = rng.random() < 0.5
        stage.tags["light"] = "sky" if day else "softboxes"
        sun = sunward(rng) if rng.random() < 0.4 else None
        level = rng.uniform(0.4, 1.2)
        stage.lights.environment = sky(rng, sun=sun, level=level) if day else softboxes(rng, level=level)
    stage.zone = np.array([-0.7, 0.08, 0.3]), np.array([0.7, 0.8, 1.2])


def _small_lamps(stage: Stage) -> None:
    """A table lamp, small bulbs in tins, a globe of glass, or light through a slit between two boards; a closed room
    spreads what there is."""
    rng = stage.rng
    slot = stage.slot("wall")
    for low, high in (
        ((-4.0, -0.9, -2.2), (4.0, 2.6, -2.1)),
        ((-4.0, -0.9, 2.1), (4.0, 2.6, 2.2)),
        ((-2.2, -0.9, -4.0), (-2.1, 2.6, 4.0)),
        ((2.1, -0.9, -4.0), (2.2, 2.6, 4.0)),
        ((-4.0, 2.0, -4.0), (4.0, 2.1, 4.0)),
    ):
        stage.add(box(low, high), slot, solid=False)
    way = str(rng.choice(["lamp", "bulbs", "slit", "globe"]))
    stage.tags["light"] = f"table_{way}"
    x, z = rng.uniform(-0.5, 0.5), rng.uniform(-0.5, -0.2)
    if way == "lamp":
        stage.put(furniture.floor_lamp(rng, 0.45), placed((x, 0.0, z)))
        stage.lights.bulbs.append(bulb(rng, np.array([x, 0.43, z]), 0.02, reach=0.5))
    elif way == "bulbs":
        for centre in rng.uniform((-0.6, 0.15, -0.5), (0.6, 0.6, 0.1), (2, 3)):
            stage.lights.bulbs.append(bulb(rng, centre, 10.0 ** rng.uniform(-2.6, -1.9), reach=0.4, level=0.5))
            tin = furniture.shade(rng, 0.05, 0.14).transformed(placed(centre - np.array([0.0, 0.06, 0.0])))
            stage.put([(tin, "paint")])
    elif way == "globe":
        centre = np.array([x, 0.3, z])
        radius = rng.uniform(0.06, 0.1)
        stage.lights.bulbs.append(bulb(rng, centre, radius, reach=0.9))
        around = ball(1.4 * radius).transformed(placed(centre - (0.0, 1.4 * radius, 0.0)))
        stage.put([(around, "glass")])
    else:
        for side in (-1, 1):
            gap = rng.uniform(0.02, 0.12)
            board = box((gap, -0.6, 0.0), (1.6, 1.6, 0.01)) if side > 0 else box((-1.6, -0.6, 0.0), (-gap, 1.6, 0.01))
            stage.put([(board, "wall")], placed((0.0, 0.0, -1.0)))
        u, v = np.array([0.4, 0.0, 0.0]), np.array([0.0, 0.4, 0.0])
        stage.lights.panels.append(panel(rng, np.array([rng.normal(0.0, 0.5), 0.9, -2.0]), u, v, reach=2.0, level=6.0))


def studio(stage: Stage) -> None:
    """A product on a turntable before a sweep of paper; hard ones are lit through glass, past flags, by tiny lamps."""
    rng = stage.rng
    stage.scale = 0.6
    bend = np.linspace(0.0, np.pi / 2, 12)
    line = [(6.0, 0.0), *zip(-1.5 - np.sin(bend), 1.0 - np.cos(bend), strict=True), (-2.5, 4.0)]
    z, y = np.array(line).T
    points = np.stack(np.broadcast_arrays(np.linspace(-5.0, 5.0, 4)[:, None], y, z), axis=2)
    stage.add(grid_surface(points), stage.slot("paint"), solid=False)
    for k in range(rng.integers(1, 5)):
        at = np.array([rng.normal(0.0, 0.45), 0.0, rng.normal(0.0, 0.35)]) if k else np.zeros(3)
        subject(stage, rng.uniform(0.35, 0.9), at, moving=0.6 if k == 0 else 0.3)
    if rng.random() < 0.5:
        plates = pile(rng, random_shape(rng, 0.1), count=24, spread=0.6)
        stage.put([(plates, "any")])
    if stage.hard:
        for _ in range(2):  # glass and metal between the light and the ground
            at = np.array([rng.normal(0.0, 0.5), 0.0, rng.normal(0.0, 0.5)])
            subject(stage, rng.uniform(0.3, 0.6), at, surface=str(rng.choice(["glass", "metal"])))
        if rng.random() < 0.7:
            stage.tags["light"] = "bounce_card"
            card = box((-1.5, 0.3, 4.0), (1.5, 3.0, 4.05))
            stage.add(card, stage.slot("white"), solid=False)
            origin, patch = (
                rng.uniform((-1.5, 2.0, 1.0), (1.5, 2.8, 2.0)),
                rng.uniform((-0.8, 0.8, 4.0), (0.8, 2.4, 4.0)),
            )
            stage.lights.spot = Spot(origin, patch, white(rng) * rng.uniform(150.0, 400.0))
        else:
            stage.tags["light"] = "flagged"
            for _ in range(2):
                centre = rng.uniform((-1.6, 0.8, -0.8), (1.6, 2.2, 1.2))
                stage.lights.bulbs.append(bulb(rng, centre, 10.0 ** rng.uniform(-2.2, -1.2), reach=1.6, level=0.6))
                flag = furniture.shade(rng, 0.25, 0.35).transformed(placed(centre - np.array([0.0, 0.2, 0.0])))
                stage.put([(flag, "shade")])
    else:
        stage.tags["light"] = "panels"
        for _ in range(rng.integers(1, 4)):
            angle, up = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(1.2, 3.0)
            centre = np.array([2.0 * np.sin(angle), up, 2.2 * np.cos(angle)])
            u = unit(np.cross((0.0, 1.0, 0.0), -centre)) * rng.uniform(0.2, 0.8)
            v = unit(np.cross(-centre, u)) * rng.uniform(0.2, 0.8)
            stage.lights.panels.append(panel(rng, centre, u, v, reach=3.0, level=0.5))
        if rng.random() < 0.5:
            stage.lights.environment = softboxes(rng, level=rng.uniform(0.1, 0.5))
    stage.zone = np.array([-1.8, 0.15, 0.9]), np.array([1.8, 1.8, 3.2])
    stage.beyond = 0.4
