"""Things made of several parts: furniture, lamps, windows, plants, buildings' parts.

Each is a list of (mesh, surface); surfaces are the keys of `materials.SURFACES`. Things stand on y = 0 about the
origin, those that hang on walls stand at z = 0 and face +z.
"""

from __future__ import annotations

import numpy as np

from pipeline.denoise.training.scenes.geometry import Mesh, joined, placed, quad, scattered, turned
from pipeline.denoise.training.scenes.shapes import (
    ball,
    box,
    cloth,
    cylinder,
    foliage,
    hair,
    lathe,
    superquadric,
    tube,
    vase,
)

__all__ = [
    "Parts",
    "blinds",
    "chair",
    "column",
    "curtain",
    "floor_lamp",
    "grid",
    "house",
    "leaf_door",
    "picture_frame",
    "plant",
    "rug",
    "shade",
    "shelf",
    "sofa",
    "stairs",
    "table",
    "tree",
    "wall",
    "window_frame",
]

Parts = list[tuple[Mesh, str]]


def _legs(width: float, depth: float, height: float, thick: float) -> Mesh:
    x, z = width / 2 - thick, depth / 2 - thick
    leg = box((-thick / 2, 0.0, -thick / 2), (thick / 2, height, thick / 2))
    return scattered(leg, np.stack([placed((i * x, 0.0, j * z)) for i in (-1, 1) for j in (-1, 1)]))


def table(rng: np.random.Generator, width: float, depth: float, height: float) -> Parts:
    """A table, its top between height − 0.04 and height."""
    if rng.random() < 0.3:
        radius = min(width, depth) / 2
        top = cylinder(radius, 0.04).transformed(placed((0.0, height - 0.04, 0.0)))
        return [(top, "wood"), (cylinder(0.3 * radius, height - 0.04, top=0.06), "metal")]
    top = box((-width / 2, height - 0.04, -depth / 2), (width / 2, height, depth / 2))
    return [(top, "wood"), (_legs(width, depth, height - 0.04, rng.uniform(0.03, 0.08)), "metal")]


def chair(rng: np.random.Generator) -> Parts:
    thick = rng.uniform(0.02, 0.04)
    seat = superquadric((0.44, 0.06, 0.44), 0.3).transformed(placed((0.0, 0.42, 0.0)))
    posts = [box((x - thick / 2, 0.45, -0.21), (x + thick / 2, 0.92, -0.21 + thick)) for x in (-0.19, 0.19)]
    count = int(rng.integers(2, 7))
    if rng.random() < 0.5:  # rungs across
        rungs = [box((-0.19, y, -0.205), (0.19, y + 0.025, -0.195)) for y in np.linspace(0.55, 0.88, count)]
    else:
        rungs = [box((x, 0.45, -0.205), (x + 0.015, 0.9, -0.195)) for x in np.linspace(-0.16, 0.15, count)]
        rungs.append(box((-0.2, 0.88, -0.21), (0.2, 0.94, -0.19)))
    return [(seat, "cloth"), (joined([_legs(0.42, 0.42, 0.43, thick), *posts, *rungs]), "wood")]


def sofa(rng: np.random.Generator, width: float) -> Parts:
    def pad(size: tuple[float, float, float], at: tuple[float, float, float]) -> Mesh:
        return superquadric(size, 0.25).transformed(placed(at))

    body = [
        pad((width, 0.3, 0.85), (0.0, 0.08, 0.0)),
        pad((width, 0.5, 0.22), (0.0, 0.3, -0.33)),
        *(pad((0.18, 0.34, 0.85), (x, 0.24, 0.0)) for x in (-width / 2 + 0.09, width / 2 - 0.09)),
    ]
    cushions = [
        pad((0.42, 0.4, 0.14), (x, 0.0, 0.0)).transformed(
            placed((0.0, 0.38, -0.12), turn=rng.normal(0.0, 0.15)) @ turned((1.0, 0.0, 0.0), -0.3)
        )
        for x in rng.uniform(-width / 2 + 0.4, width / 2 - 0.4, rng.integers(1, 4))
    ]
    return [(joined(body), "cloth"), (joined(cushions), "any")]


def shelf(rng: np.random.Generator, width: float, height: float) -> Parts:
    """A bookcase, open in front, with books; its back is at z = 0."""
    depth, thick, rows = 0.28, 0.025, max(2, int(height / 0.36))
    boards = [box((-width / 2, y, 0.0), (width / 2, y + thick, depth)) for y in np.linspace(0.0, height, rows + 1)]
    boards += [box((x, 0.0, 0.0), (x + thick, height, depth)) for x in (-width / 2 - thick, width / 2)]
    boards.append(box((-width / 2, 0.0, 0.0), (width / 2, height, 0.01)))
    books: tuple[list[Mesh], ...] = ([], [], [])
    for y in np.linspace(0.0, height, rows + 1)[:-1] + thick:
        x = -width / 2 + 0.01
        while x < width / 2 - 0.06:
            w, h = rng.uniform(0.012, 0.05), rng.uniform(0.6, 0.92) * (height / rows - thick)
            if rng.random() < 0.88:
                book = box((x, y, 0.03), (x + w, y + h, rng.uniform(0.17, 0.26)))
                books[rng.integers(3)].append(book)
            x += w + 0.001
    kinds = ("paper", "paint", "any")
    return [(joined(boards), "wood"), *((joined(b), k) for b, k in zip(books, kinds, strict=True) if b)]


def shade(rng: np.random.Generator, radius: float, height: float) -> Mesh:
    """A lampshade, open above and below."""
    top = radius * rng.uniform(0.4, 1.0)
    return lathe([(radius, 0.0), (top, height), (top, height), (0.985 * top, height), (0.985 * radius, 0.0)])


def floor_lamp(rng: np.random.Generator, height: float) -> Parts:
    """Stand and shade; the bulb belongs at `height`."""
    foot = cylinder(0.14, 0.02)
    pole = box((-0.01, 0.0, -0.01), (0.01, height - 0.06, 0.01))
    cover = shade(rng, 0.2, 0.26).transformed(placed((0.0, height - 0.13, 0.0)))
    return [(joined([foot, pole]), "metal"), (cover, "shade")]


def plant(rng: np.random.Generator, height: float) -> Parts:
    pot = vase(rng, 0.35 * height)
    if rng.random() < 0.4:
        return [(pot, "any"), (hair(rng, 0.07 * height, height), "leaf")]
    crown = foliage(rng, 0.34 * height, count=260, leaf=rng.uniform(0.15, 0.4))
    stem = tube([(0.0, 0.1 * height, 0.0), (0.02, 0.3 * height, 0.01), (0.0, 0.6 * height, 0.0)], 0.012 * height)
    return [(pot, "any"), (stem, "wood"), (crown.transformed(placed((0.0, 0.32 * height, 0.0))), "leaf")]


def tree(rng: np.random.Generator, height: float) -> Parts:
    sway = rng.normal(0.0, 0.05 * height, (4, 3)) * (1.0, 0.0, 1.0)
    trunk = np.stack([np.zeros(4), np.linspace(0.0, 0.75, 4) * height, np.zeros(4)], axis=1) + sway
    radius = 0.04 * height * np.array([1.2, 0.9, 0.7, 0.3])
    crown = foliage(rng, 0.32 * height, count=700, leaf=rng.uniform(0.08, 0.2))
    above = placed((trunk[-1, 0], 0.36 * height, trunk[-1, 2]))
    return [(tube(trunk, radius), "wood"), (crown.transformed(above), "leaf")]


def rug(width: float, depth: float) -> Parts:
    return [(superquadric((width, 0.012, depth), 0.12), "cloth")]


def picture_frame(width: float, height: float, surface: str) -> Parts:
    """A framed picture (or mirror) about the origin of its wall."""
    w, h, b = width / 2, height / 2, 0.04
    bars = [
        box((-w - b, -h - b, 0.0), (w + b, -h, 0.035)),
        box((-w - b, h, 0.0), (w + b, h + b, 0.035)),
        box((-w - b, -h, 0.0), (-w, h, 0.035)),
        box((w, -h, 0.0), (w + b, h, 0.035)),
    ]
    return [(joined(bars), "wood"), (quad((-w, -h, 0.015), (width, 0.0, 0.0), (0.0, height, 0.0)), surface)]


def wall(length: float, height: float, thick: float, holes: list[tuple[float, float, float, float]]) -> Mesh:
    """A wall with x in [−thick, length + thick], y in [0, height], z in [−thick, 0].

    Args:
        holes: (x0, x1, y0, y1), in the order of x, without overlap.
    """
    blocks, x = [], -thick
    for x0, x1, y0, y1 in holes:
        blocks.append((x, x0, 0.0, height))
        blocks += [(x0, x1, 0.0, y0)] if y0 > 0.0 else []
        blocks.append((x0, x1, y1, height))
        x = x1
    blocks.append((x, length + thick, 0.0, height))
    return joined(box((a, c, -thick), (b, d, 0.0)) for a, b, c, d in blocks)


def window_frame(rng: np.random.Generator, width: float, height: float) -> Parts:
    """Frame and bars of a window with its lower left corner at the origin, in a wall that is 0.15 thick."""
    b = rng.uniform(0.03, 0.07)
    bars = [
        box((0.0, 0.0, -0.1), (width, b, -0.05)),
        box((0.0, height - b, -0.1), (width, height, -0.05)),
        *(box((x, 0.0, -0.1), (x + b, height, -0.05)) for x in (0.0, width - b)),
        *(box((x, 0.0, -0.09), (x + 0.03, height, -0.06)) for x in np.arange(1, rng.integers(1, 4)) * width / 3),
        *(box((0.0, y, -0.09), (width, y + 0.03, -0.06)) for y in np.arange(1, rng.integers(1, 4)) * height / 3),
    ]
    sill = box((-0.05, -0.03, -0.02), (width + 0.05, 0.0, 0.1))
    return [(joined([*bars, sill]), "paint")]


def blinds(rng: np.random.Generator, width: float, height: float) -> Parts:
    """Slats in front of a window whose lower left corner is the origin."""
    step, tilt = rng.uniform(0.03, 0.08), rng.uniform(-1.2, 1.2)
    slat = box((0.0, -0.001, -0.5 * step), (width, 0.001, 0.5 * step)).transformed(turned((1.0, 0.0, 0.0), tilt))
    reach = height * rng.choice([1.0, 1.0, 0.6])
    rows = np.arange(height, height - reach, -step)
    return [(scattered(slat, np.stack([placed((0.0, y, 0.04)) for y in rows])), "paint")]


def curtain(rng: np.random.Generator, width: float, height: float) -> Parts:
    hung = cloth(rng, width, height, folds=width * rng.uniform(4.0, 9.0), depth=rng.uniform(0.02, 0.06))
    rod = tube([(-0.1, height, 0.0), (width / 2, height, 0.0), (width + 0.1, height, 0.0)], 0.012)
    return [(hung, str(rng.choice(["shade", "cloth"]))), (rod, "metal")]


def leaf_door(width: float, height: float, angle: float) -> Parts:
    """A door's leaf whose hinge is the origin, opened by radians towards +z."""
    panels = [box((0.0, 0.0, -0.04), (width, height, 0.0))]
    panels += [box((0.12, y, 0.0), (width - 0.12, y + 0.3 * height, 0.012)) for y in (0.12 * height, 0.55 * height)]
    handle = ball(0.03, rings=16).transformed(placed((width - 0.08, 0.47 * height, 0.02)))
    swing = turned((0.0, 1.0, 0.0), -angle)
    return [(joined(panels).transformed(swing), "wood"), (handle.transformed(swing), "metal")]


def grid(width: float, height: float, *, columns: int, rows: int, thick: float) -> Parts:
    """A lattice in the plane z = 0."""
    bars = [box((x - thick, 0.0, -thick), (x + thick, height, thick)) for x in np.linspace(0.0, width, columns + 1)]
    bars += [box((0.0, y - thick, -thick), (width, y + thick, thick)) for y in np.linspace(0.0, height, rows + 1)]
    return [(joined(bars).transformed(placed((-width / 2, 0.0, 0.0))), "metal")]


def stairs(width: float, steps: int) -> Parts:
    """Steps that rise towards −z."""
    treads = [box((-width / 2, 0.0, -0.28 * (k + 1)), (width / 2, 0.17 * (k + 1), -0.28 * k)) for k in range(steps)]
    return [(joined(treads), "wall")]


def column(radius: float, height: float) -> Parts:
    """A fluted column with base and capital."""
    shaft = cylinder(radius, height, top=0.85 * radius)
    flutes = 1.0 - 0.06 * np.abs(np.sin(10.0 * np.arctan2(shaft.points[:, 2], shaft.points[:, 0])))[:, None]
    points = shaft.points * np.concatenate([flutes, np.ones_like(flutes), flutes], axis=1)
    b = 1.3 * radius
    ends = [box((-b, y, -b), (b, y + 0.3 * radius, b)) for y in (0.0, height - 0.3 * radius)]
    return [(joined([Mesh(points, shaft.normals, shaft.uv, shaft.faces), *ends]), "wall")]


def house(rng: np.random.Generator, width: float, height: float, depth: float) -> Parts:
    """A block with rows of windows in its front (+z) and a cornice."""
    body = box((-width / 2, 0.0, -depth), (width / 2, height, 0.0))
    cornice = box((-width / 2 - 0.2, height, -depth - 0.2), (width / 2 + 0.2, height + 0.3, 0.25))
    panes, sills = [], []
    for x in np.arange(-width / 2 + 1.0, width / 2 - 1.0, rng.uniform(1.8, 3.0)):
        for y in np.arange(1.0, height - 1.6, rng.uniform(2.6, 3.4)):
            panes.append(quad((x, y, 0.01), (1.0, 0.0, 0.0), (0.0, 1.5, 0.0)))
            sills.append(box((x - 0.08, y - 0.1, 0.0), (x + 1.08, y, 0.15)))
    parts: Parts = [(body, "wall"), (joined([cornice, *sills]), "paint")]
    return [*parts, (joined(panes), "mirror")] if panes else parts
