"""Metal: brushed, cast, hammered, painted, rusted."""

from __future__ import annotations

import numpy as np

from pipeline.capture.materials import patterns
from pipeline.capture.materials.colours import coloured, dielectric, metal, near, paint, shades
from pipeline.capture.materials.fields import Random, cells, covering, noise, per_cell, smoothstep, unit
from pipeline.capture.materials.surface import Surface, mixed

__all__ = ["brushed", "cast", "hammered", "painted_metal", "rusted"]


def _bare(rng: Random, size: int, *, roughness: float, relief: float) -> Surface:
    """Polished or dull metal with smears."""
    smear = unit(noise(rng, size, scale=3, falloff=1.2))
    shine = (metal(rng) * (0.9 + 0.1 * smear[..., None])).astype(np.float32)
    height = relief * noise(rng, size, scale=12, falloff=1.1)
    return Surface.of(coloured(0, 0, rng.uniform(0.0, 0.25)), shine, roughness + 0.12 * (smear - 0.5), height)


def brushed(rng: Random, size: int) -> Surface:
    """Lines along one direction, scratches across."""
    stretch = (30.0, 1.0) if rng.random() < 0.5 else (1.0, 30.0)
    lines = noise(rng, size, scale=40, falloff=0.5, stretch=stretch)
    marks = patterns.scratches(rng, size, count=int(rng.integers(5, 80)), spread=rng.uniform(0.2, np.pi))
    surface = _bare(rng, size, roughness=rng.uniform(0.2, 0.5), relief=0.0005)
    surface = surface.raised(rng.uniform(0.0003, 0.0015) * lines - 0.001 * marks)
    return surface.rougher(0.05 * lines + 0.12 * marks)


def cast(rng: Random, size: int) -> Surface:
    """Cast or sand-blasted: a grain, pits, dirt in the hollows."""
    grain = noise(rng, size, scale=rng.uniform(8, 40), falloff=0.9)
    surface = _bare(rng, size, roughness=rng.uniform(0.3, 0.65), relief=0.002)
    surface = surface.raised(rng.uniform(0.001, 0.006) * grain)
    hollows = covering(-grain, rng.uniform(0.05, 0.4), softness=0.6)
    dirt = Surface.of(near(rng, 0.08, 0.4, 0.15), dielectric(rng), 0.85, surface.height)
    return mixed(surface, dirt, (rng.uniform(0.3, 0.9) * hollows).astype(np.float32))


def hammered(rng: Random, size: int) -> Surface:
    """Dimples beside dimples."""
    count = int(rng.integers(40, 220))
    blows = cells(rng.random((count, 2)), size, warp=(0.01 * noise(rng, size), 0.01 * noise(rng, size)))
    radius = 0.55 / np.sqrt(count)
    bowl = (blows.x**2 + blows.y**2) / radius**2
    surface = _bare(rng, size, roughness=rng.uniform(0.15, 0.4), relief=0.0006)
    tarnish = 1 - smoothstep(blows.edge, 0, 0.3 * radius)
    surface = surface.raised((rng.uniform(0.2, 0.5) * radius * np.clip(bowl, 0, 2)).astype(np.float32))
    return surface.rougher(0.15 * tarnish + 0.05 * (per_cell(rng, blows) - 0.5))


def painted_metal(rng: Random, size: int) -> Surface:
    """A coat of paint, chipped down to metal and primer."""
    base = _bare(rng, size, roughness=rng.uniform(0.25, 0.5), relief=0.001)
    peel = rng.uniform(0.0003, 0.002) * noise(rng, size, scale=18, falloff=1.6)  # orange peel
    coat = Surface.of(paint(rng), dielectric(rng, dark=0.04), rng.uniform(0.1, 0.5), peel)
    chips = covering(noise(rng, size, scale=rng.uniform(4, 12), falloff=1), rng.uniform(0.0, 0.35), softness=0.05)
    marks = patterns.scratches(rng, size, count=int(rng.integers(0, 40)))
    bare = np.maximum(chips, smoothstep(marks, 0.4, 0.9))
    return mixed(coat, base, bare, step=-0.006)


def rusted(rng: Random, size: int) -> Surface:
    """Iron with rust that eats its way in from pits and runs."""
    base = _bare(rng, size, roughness=rng.uniform(0.3, 0.55), relief=0.001)
    flakes = noise(rng, size, scale=16, falloff=0.8)
    tone = unit(noise(rng, size, scale=5, falloff=0.9))
    hue = rng.uniform(0.02, 0.08)
    if rng.random() < 0.2:
        hue = rng.uniform(0.4, 0.5)  # verdigris
    colour = shades(tone, coloured(hue, 0.85, 0.2), coloured(hue + 0.02, 0.75, 0.45), coloured(hue + 0.04, 0.6, 0.65))
    rust = Surface.of(colour, dielectric(rng, dark=0.02, light=0.05), 0.85 + 0.08 * flakes, 0.006 * flakes)
    mask = covering(noise(rng, size, scale=rng.uniform(2, 6), falloff=1.0), rng.uniform(0.1, 0.95), softness=0.25)
    return mixed(base, rust, mask, step=0.004)
