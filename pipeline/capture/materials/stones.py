"""Stone and what is cast: marble, granite, plaster, concrete, gravel, cobbles, terrazzo."""

from __future__ import annotations

import numpy as np

from pipeline.capture.materials.colours import coloured, dielectric, near, paint, shades
from pipeline.capture.materials.fields import (
    Random,
    blurred,
    cells,
    covering,
    cracks,
    noise,
    per_cell,
    ridges,
    smoothstep,
    unit,
    warped,
)
from pipeline.capture.materials.surface import Surface, mixed

__all__ = ["cobbles", "concrete", "granite", "gravel", "marble", "plaster", "terrazzo"]


def marble(rng: Random, size: int) -> Surface:
    """Veined and polished, or honed."""
    hue, value = rng.random(), rng.uniform(0.15, 0.95)
    saturation = rng.beta(1.2, 6)
    bend = rng.uniform(0.03, 0.12)
    veins = warped(
        ridges(rng, size, scale=rng.uniform(1, 4), falloff=1.6),
        bend * noise(rng, size, scale=2),
        bend * noise(rng, size, scale=2),
    )
    veins = unit(veins) ** rng.uniform(1.5, 5)
    cloud = unit(noise(rng, size, scale=3, falloff=1.4))
    ground = shades(cloud, near(rng, hue, saturation, value, 0.05), near(rng, hue, saturation, value * 0.8, 0.05))
    vein = near(rng, hue + 0.1, saturation + 0.1, 1 - value if rng.random() < 0.5 else value * 0.5)
    diffuse = ground * (1 - veins[..., None]) + vein * veins[..., None]
    polish = rng.uniform(0.1, 0.45)
    roughness = polish + 0.08 * unit(noise(rng, size, scale=6)) + rng.uniform(-0.05, 0.12) * veins
    height = 0.0006 * noise(rng, size, scale=10) - rng.uniform(0, 0.004) * veins
    return Surface.of(diffuse, dielectric(rng), roughness, height)


def granite(rng: Random, size: int) -> Surface:
    """Grains of several minerals."""
    count = int(rng.integers(250, 1400))
    grains = cells(rng.random((count, 2)), size)
    kind = per_cell(rng, grains)
    hue = rng.random()
    minerals = [near(rng, hue, rng.uniform(0, 0.35), v, 0.08) for v in sorted(rng.uniform(0.05, 0.95, 4))]
    diffuse = shades(kind, *minerals) * (0.85 + 0.3 * unit(noise(rng, size, scale=20, falloff=1)))[..., None]
    roughness = rng.uniform(0.12, 0.6) + 0.15 * (per_cell(rng, grains) - 0.5)
    rough = rng.random() < 0.4
    height = (0.006 if rough else 0.0008) * (noise(rng, size, scale=12, falloff=1.2) + per_cell(rng, grains))
    return Surface.of(diffuse, dielectric(rng), roughness, height)


def plaster(rng: Random, size: int) -> Surface:
    """Trowelled, sprayed or brushed; painted or not."""
    colour = paint(rng)
    relief = noise(rng, size, scale=rng.uniform(3, 16), falloff=rng.uniform(0.9, 1.8))
    if rng.random() < 0.5:
        relief = np.maximum(relief, rng.uniform(-0.8, 0.3))  # flattened tops
    height = rng.uniform(0.002, 0.018) * relief + 0.002 * noise(rng, size, scale=40, falloff=1)
    shade = 1 + rng.uniform(0.02, 0.15) * noise(rng, size, scale=2.5, falloff=1.2)
    roughness = rng.uniform(0.45, 0.9) + 0.05 * noise(rng, size, scale=5)
    return Surface.of(colour * shade[..., None], dielectric(rng, dark=0.02), roughness, height)


def concrete(rng: Random, size: int) -> Surface:
    """Grey, stained, with pores and cracks."""
    stain = unit(noise(rng, size, scale=2, falloff=1.1))
    value = rng.uniform(0.3, 0.75)
    hue, saturation = rng.uniform(0.05, 0.2), rng.uniform(0, 0.15)
    diffuse = shades(stain, near(rng, hue, saturation, value, 0.04), near(rng, hue, saturation, value * 0.7, 0.04))
    pores = covering(noise(rng, size, scale=rng.uniform(14, 30), falloff=2), rng.uniform(0.005, 0.05), softness=0.3)
    lines = cracks(rng, size, count=int(rng.integers(3, 14))) if rng.random() < 0.5 else np.zeros_like(pores)
    height = 0.003 * noise(rng, size, scale=5, falloff=1.1) - 0.012 * blurred(pores, 0.004) - 0.012 * lines
    surface = Surface.of(diffuse, dielectric(rng, dark=0.02, light=0.05), 0.75 + 0.08 * (stain - 0.5), height)
    surface = surface.stained(np.maximum(pores, lines), coloured(hue, 0.2, 0.15), strength=0.8)
    if rng.random() < 0.35:  # sealed, worn to a shine in places
        wet = covering(noise(rng, size, scale=2.5), rng.uniform(0.2, 0.9), softness=0.6)
        surface = surface.rougher(-rng.uniform(0.2, 0.5) * wet)
    return surface


def gravel(rng: Random, size: int) -> Surface:
    """Pebbles pressed into earth or tar."""
    count = int(rng.integers(120, 700))
    warp = 0.012 * noise(rng, size, scale=8), 0.012 * noise(rng, size, scale=8)
    division = cells(rng.random((count, 2)), size, warp=warp)
    radius = 0.6 / np.sqrt(count)
    dome = np.sqrt(np.clip(division.edge / radius, 0, 1))
    lift = per_cell(rng, division)
    height = radius * (1.1 * dome + 0.8 * lift) + 0.0015 * noise(rng, size, scale=25, falloff=1)
    hue = rng.uniform(0.02, 0.18) if rng.random() < 0.8 else rng.random()
    stones = [near(rng, hue, rng.uniform(0, 0.4), v, 0.08) for v in rng.uniform(0.15, 0.85, 4)]
    diffuse = shades(per_cell(rng, division), *stones) * (0.9 + 0.1 * noise(rng, size, scale=12)[..., None])
    ground = smoothstep(dome, 0.05, 0.5)
    surface = Surface.of(diffuse, dielectric(rng), rng.uniform(0.35, 0.8) + 0.2 * (lift - 0.5), height)
    return surface.stained(1 - ground, near(rng, 0.08, 0.3, 0.18), strength=0.9).rougher(0.2 * (1 - ground))


def cobbles(rng: Random, size: int) -> Surface:
    """Setts or rounded stones in joints of sand."""
    side = int(rng.integers(4, 9))
    at = (np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).reshape(-1, 2) + 0.5) / side
    at = at + np.stack([0.5 / side * ((np.arange(side * side) // side) % 2), np.zeros(side * side)], -1)
    warp = 0.01 * noise(rng, size, scale=5), 0.01 * noise(rng, size, scale=5)
    division = cells(at + rng.normal(0, 0.07 / side, at.shape), size, warp=warp)
    body = smoothstep(division.edge * side, 0.04, 0.28)
    height = (0.09 / side * 2) * body + 0.006 * noise(rng, size, scale=14, falloff=1.1) * body
    hue = rng.uniform(0, 1)
    colours = [near(rng, hue, rng.uniform(0, 0.25), v, 0.06) for v in rng.uniform(0.2, 0.7, 3)]
    diffuse = shades(per_cell(rng, division), *colours) * (1 + 0.12 * noise(rng, size, scale=16, falloff=1)[..., None])
    stone = Surface.of(diffuse, dielectric(rng), rng.uniform(0.3, 0.7) + 0.1 * per_cell(rng, division), height)
    sand = Surface.of(near(rng, 0.1, 0.3, 0.35), dielectric(rng), 0.9, 0.003 * noise(rng, size, scale=40, falloff=1))
    return mixed(sand, stone, smoothstep(body, 0.02, 0.25))


def terrazzo(rng: Random, size: int) -> Surface:
    """Chips of stone in a polished ground."""
    division = cells(rng.random((int(rng.integers(60, 300)), 2)), size)
    chip = smoothstep(division.edge - 0.02 * per_cell(rng, division), 0.0, 0.004) * (per_cell(rng, division) > 0.3)
    colours = [paint(rng) for _ in range(4)]
    ground = Surface.of(paint(rng), dielectric(rng), rng.uniform(0.2, 0.4), 0.0006 * noise(rng, size, scale=20))
    chips = Surface.of(
        shades(per_cell(rng, division), *colours), dielectric(rng), rng.uniform(0.1, 0.3), 0.0004 * noise(rng, size)
    )
    return mixed(ground, chips, chip.astype(np.float32), step=0.0006)
