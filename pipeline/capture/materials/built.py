"""Laid and made: tiles, brickwork, planks, parquet, scales, panels with holes and studs, printed and coated sheets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipeline.capture.materials import patterns
from pipeline.capture.materials.colours import coloured, dielectric, metal, near, paint, shades
from pipeline.capture.materials.fields import (
    Cells,
    Field,
    Random,
    covering,
    noise,
    per_cell,
    ridges,
    smoothstep,
    unit,
    warped,
)
from pipeline.capture.materials.surface import Surface, mixed

__all__ = ["brickwork", "foil", "lacquer", "panel", "parquet", "plastic", "scales", "tiles", "wood"]


def tiles(rng: Random, size: int) -> Surface:
    """Glazed or matt tiles, square, long or six-sided, some patterned, in sunk joints."""
    kind = rng.integers(3)
    if kind == 0:
        count = int(rng.integers(2, 9))
        laid = patterns.bricks(rng, size, rows=count, columns=count, shift=0.0)
    elif kind == 1:
        laid = patterns.bricks(rng, size, rows=2 * int(rng.integers(2, 7)), columns=int(rng.integers(2, 6)))
    else:
        laid = patterns.hexagons(size, rows=2 * int(rng.integers(2, 6)))
    joint = rng.uniform(0.003, 0.012)
    body = smoothstep(laid.edge, joint, joint + rng.uniform(0.004, 0.02))
    shade, second = per_cell(rng, laid), paint(rng)
    first = paint(rng)
    if rng.random() < 0.5:
        diffuse = first * (0.8 + 0.4 * shade[..., None])
    else:
        diffuse = shades((shade > rng.uniform(0.3, 0.7)).astype(np.float32), first, second)
    if rng.random() < 0.35:
        motif = _motif(rng, laid)
        diffuse = diffuse * (1 - motif[..., None]) + paint(rng) * motif[..., None]
    diffuse = diffuse * (1 + rng.uniform(0, 0.15) * noise(rng, size, scale=8, falloff=1.2)[..., None])
    tilt = rng.uniform(0, 0.03)
    lean = tilt * ((per_cell(rng, laid) - 0.5) * laid.x + (per_cell(rng, laid) - 0.5) * laid.y) * 4
    height = 0.02 * body + lean * body + rng.uniform(0, 0.003) * noise(rng, size, scale=10)
    gloss = rng.uniform(0.1, 0.6)
    tile = Surface.of(diffuse, dielectric(rng), gloss + 0.1 * (per_cell(rng, laid) - 0.5), height)
    grout = Surface.of(
        near(rng, 0.1, 0.1, rng.uniform(0.15, 0.85)), dielectric(rng), 0.9, 0.002 * noise(rng, size, scale=40)
    )
    return mixed(grout, tile, smoothstep(body, 0.05, 0.4))


def _motif(rng: Random, laid: Cells) -> Field:
    """A figure in each tile: rings, a star, a lozenge."""
    scale = 2.0 / max(float(np.abs(laid.x).max()), 1e-3)
    x, y = laid.x * scale / 2, laid.y * scale / 2
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    kind = rng.integers(3)
    if kind == 0:
        value = np.cos(radius * rng.uniform(6, 14))
    elif kind == 1:
        value = rng.uniform(0.5, 0.9) + 0.25 * np.cos(int(rng.integers(3, 9)) * angle) - radius
    else:
        value = rng.uniform(0.5, 0.9) - np.abs(x) - np.abs(y)
    return smoothstep(value, -0.03, 0.03)


def brickwork(rng: Random, size: int) -> Surface:
    """Bricks in mortar, worn or painted."""
    rows = 2 * int(rng.integers(2, 6))
    laid = patterns.bricks(rng, size, rows=rows, columns=max(rows // 2 - int(rng.integers(0, 2)), 2))
    wobble = 0.006 * noise(rng, size, scale=8, falloff=1.4)
    edge = laid.edge + wobble
    body = smoothstep(edge, 0.008, 0.02)
    hue = rng.uniform(0.0, 0.09) if rng.random() < 0.7 else rng.random()
    colours = [near(rng, hue, rng.uniform(0.2, 0.7), v, 0.06) for v in rng.uniform(0.25, 0.75, 3)]
    diffuse = shades(per_cell(rng, laid), *colours) * (1 + 0.2 * noise(rng, size, scale=14, falloff=0.9)[..., None])
    relief = 0.006 * noise(rng, size, scale=18, falloff=0.9) - 0.01 * covering(noise(rng, size, scale=20), 0.04)
    brick = Surface.of(
        diffuse,
        dielectric(rng, dark=0.02),
        rng.uniform(0.6, 0.95),
        0.025 * body * (1 + 0.4 * per_cell(rng, laid)) + relief,
    )
    mortar = Surface.of(
        near(rng, 0.1, 0.12, rng.uniform(0.35, 0.8)),
        dielectric(rng),
        0.95,
        0.006 * noise(rng, size, scale=30, falloff=0.9),
    )
    wall = mixed(mortar, brick, smoothstep(edge, 0.006, 0.014))
    if rng.random() < 0.25:
        coat = covering(noise(rng, size, scale=3, falloff=1), rng.uniform(0.5, 1.0))
        wall = wall.stained(coat, paint(rng), strength=0.9).rougher(-0.3 * coat)
    return wall


def wood(rng: Random, size: int) -> Surface:
    """Planks with grain, raw, oiled or varnished."""
    laid = patterns.planks(rng, size, rows=int(rng.integers(1, 7)))
    return _timber(rng, size, laid, along_x=np.ones((size, size), bool))


def parquet(rng: Random, size: int) -> Surface:
    """Herringbone."""
    laid = patterns.herringbone(rng, size, count=4 * int(rng.integers(1, 4)))
    lying = _lying(laid)
    return _timber(rng, size, laid, along_x=lying)


def _lying(laid: Cells) -> np.ndarray:
    """Whether a texel's block is longer along x."""
    wide = np.zeros(laid.count)
    high = np.zeros(laid.count)
    np.maximum.at(wide, laid.number.ravel(), np.abs(laid.x).ravel())
    np.maximum.at(high, laid.number.ravel(), np.abs(laid.y).ravel())
    return (wide > high)[laid.number]


def _timber(rng: Random, size: int, laid: Cells, *, along_x: np.ndarray) -> Surface:
    """Boards with rings and fibres along them."""
    frequency = rng.uniform(5, 18)
    bend = noise(rng, size, scale=2, falloff=2, stretch=(5, 1)), noise(rng, size, scale=2, falloff=2, stretch=(1, 5))
    shift = 10 * per_cell(rng, laid)
    across = np.where(along_x, laid.y, laid.x)
    along = np.where(along_x, laid.x, laid.y)
    cup = across * frequency + shift + rng.uniform(0.3, 1.2) * np.where(along_x, *bend)
    cup = cup + rng.uniform(0, 4) * along**2 * np.sign(shift - 5)
    rings = (cup % 1.0).astype(np.float32) ** rng.uniform(1, 3)
    fibre = np.where(
        along_x,
        noise(rng, size, scale=30, falloff=0.8, stretch=(24, 1)),
        noise(rng, size, scale=30, falloff=0.8, stretch=(1, 24)),
    )
    hue, saturation, value = rng.uniform(0.05, 0.11), rng.uniform(0.3, 0.75), rng.uniform(0.25, 0.9)
    if rng.random() < 0.15:
        hue, saturation = rng.random(), rng.uniform(0.1, 0.5)  # stained
    light, dark = coloured(hue, saturation, value), near(rng, hue - 0.01, saturation + 0.1, value * 0.55, 0.04)
    contrast = rng.uniform(0.3, 1.0)
    diffuse = shades(unit(contrast * rings + 0.15 * fibre), light, dark)
    diffuse = diffuse * (0.75 + 0.5 * per_cell(rng, laid)[..., None])
    gap = 1 - smoothstep(laid.edge, 0.001, rng.uniform(0.004, 0.01))
    varnished = rng.random() < 0.55
    roughness = rng.uniform(0.12, 0.4) if varnished else rng.uniform(0.45, 0.8)
    relief = (0.0005 if varnished else rng.uniform(0.001, 0.004)) * (fibre + rings)
    surface = Surface.of(
        diffuse, dielectric(rng), roughness + 0.06 * fibre * (not varnished) + 0.05 * rings, relief - 0.02 * gap
    )
    surface = surface.stained(gap, coloured(hue, 0.5, 0.06), strength=0.9).rougher(0.4 * gap)
    if rng.random() < 0.2:  # old paint, flaked
        left = covering(noise(rng, size, scale=4, falloff=1, stretch=(3, 1)), rng.uniform(0.3, 0.9))
        coat = Surface.of(paint(rng), dielectric(rng), rng.uniform(0.25, 0.7), 0.5 * surface.height)
        surface = mixed(surface, coat, left, step=0.004)
    return surface


def scales(rng: Random, size: int) -> Surface:
    """Overlapping round shingles, of slate, clay, leather or card, some with metal foil."""
    laid = patterns.scales(size, rows=2 * int(rng.integers(2, 6)))
    body = smoothstep(laid.edge, 0.002, rng.uniform(0.01, 0.025))
    kind = per_cell(rng, laid)
    colours = [paint(rng) for _ in range(3)]
    grain = noise(rng, size, scale=40, falloff=0.8)
    height = rng.uniform(0.01, 0.03) * body + rng.uniform(0, 0.15) * laid.y + rng.uniform(0.0005, 0.002) * grain
    base = Surface.of(shades(kind, *colours), dielectric(rng), rng.uniform(0.3, 0.7), height)
    if rng.random() < 0.5:
        gilt = Surface.of(coloured(0, 0, 0.05), metal(rng), rng.uniform(0.2, 0.45) + 0.04 * grain, height)
        base = mixed(base, gilt, ((kind > rng.uniform(0.4, 0.8)) * body).astype(np.float32))
    return base.stained(1 - body, near(rng, rng.random(), 0.4, 0.2), strength=0.9)


def panel(rng: Random, size: int) -> Surface:
    """Sheets with holes, studs or a chequer, of metal, rubber or plastic."""
    shiny = rng.random() < 0.6
    count = 2 * int(rng.integers(2, 7))
    kind = rng.integers(3)
    grain = noise(rng, size, scale=30, falloff=0.9)
    if kind == 0:
        inside = patterns.dots(size, count=count, radius=rng.uniform(0.25, 0.4), staggered=rng.random() < 0.6)
        shape = -smoothstep(inside, -0.04, 0.04)
    elif kind == 1:
        inside = patterns.dots(size, count=count, radius=rng.uniform(0.25, 0.4), staggered=rng.random() < 0.6)
        shape = np.sqrt(np.clip(inside * 2.5, 0, 1)).astype(np.float32)
    else:
        inside = patterns.dots(size, count=count, radius=0.4, staggered=False, long=rng.uniform(2.2, 3.2))
        shape = smoothstep(inside, 0.0, 0.16)
    height = rng.uniform(0.02, 0.05) * shape * 4 / count + 0.001 * grain
    roughness = rng.uniform(0.2, 0.5) + 0.05 * grain
    if shiny:
        sheet = Surface.of(coloured(0, 0, rng.uniform(0, 0.2)), metal(rng), roughness, height)
    else:
        sheet = Surface.of(paint(rng), dielectric(rng), roughness + 0.15, height)
    if kind == 0:
        behind = Surface.of(paint(rng) * 0.2, dielectric(rng), 0.9, height)
        sheet = mixed(sheet, behind, smoothstep(inside, -0.02, 0.02))
    return sheet


def plastic(rng: Random, size: int) -> Surface:
    """Moulded, with a grain, grooves or none."""
    relief = noise(rng, size, scale=rng.uniform(15, 50), falloff=1.2)
    if rng.random() < 0.4:
        x = np.linspace(0, 1, size, endpoint=False, dtype=np.float32)
        relief = np.broadcast_to(np.sin(2 * np.pi * int(rng.integers(6, 30)) * x), (size, size)).astype(np.float32)
        relief = relief if rng.random() < 0.5 else np.ascontiguousarray(relief.T)
    height = rng.uniform(0.0002, 0.004) * relief
    wear = unit(noise(rng, size, scale=3, falloff=1.2))
    marks = patterns.scratches(rng, size, count=int(rng.integers(0, 40)))
    roughness = rng.uniform(0.12, 0.55) + 0.12 * wear + 0.1 * marks
    diffuse = paint(rng) * (1 + 0.04 * noise(rng, size, scale=3)[..., None])
    return Surface.of(diffuse, dielectric(rng, dark=0.035, light=0.06), roughness, height - 0.0006 * marks)


def lacquer(rng: Random, size: int) -> Surface:
    """Printed card or painted board: flat, coloured in patches, glossy or matt, dusty."""
    colours = [paint(rng) for _ in range(int(rng.integers(2, 5)))]
    drawing = noise(rng, size, scale=rng.uniform(1.5, 6), falloff=rng.uniform(1.2, 3))
    drawing = warped(drawing, 0.05 * noise(rng, size, scale=3), 0.05 * noise(rng, size, scale=3))
    steps = len(colours)
    flat = np.clip(np.floor(unit(drawing) * steps), 0, steps - 1) / max(steps - 1, 1)
    diffuse = shades(flat.astype(np.float32), *colours)
    dust = covering(noise(rng, size, scale=10, falloff=1), rng.uniform(0.0, 0.2), softness=0.5)
    roughness = rng.uniform(0.1, 0.5) + 0.3 * dust + 0.06 * unit(ridges(rng, size, scale=5))
    height = rng.uniform(0.0002, 0.0015) * noise(rng, size, scale=rng.uniform(10, 40), falloff=1)
    surface = Surface.of(diffuse, dielectric(rng), roughness, height)
    return surface.stained(dust, near(rng, 0.1, 0.1, 0.6), strength=0.3)


def foil(rng: Random, size: int) -> Surface:
    """Metal foil stamped into paper or leather in a figure."""
    motif: list[Callable[[], Field]] = [
        lambda: covering(noise(rng, size, scale=rng.uniform(2, 6), falloff=2.5), rng.uniform(0.2, 0.6)),
        lambda: smoothstep(
            patterns.dots(size, count=2 * int(rng.integers(2, 6)), radius=0.36, staggered=True), -0.02, 0.02
        ),
        lambda: covering(ridges(rng, size, scale=3, falloff=2.5), rng.uniform(0.2, 0.5)),
    ]
    mask = motif[int(rng.integers(3))]()
    grain = noise(rng, size, scale=35, falloff=0.8)
    paper = Surface.of(
        paint(rng) * (1 + 0.08 * grain[..., None]), dielectric(rng), rng.uniform(0.5, 0.85), 0.002 * grain
    )
    leaf = Surface.of(
        coloured(0, 0, 0.04),
        metal(rng),
        rng.uniform(0.18, 0.4) + 0.03 * grain,
        rng.uniform(0.0005, 0.002) * noise(rng, size, scale=18, falloff=1),
    )
    return mixed(paper, leaf, mask, step=rng.uniform(-0.012, 0.004))
