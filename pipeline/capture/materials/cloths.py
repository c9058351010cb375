"""Fabric, leather and paper."""

from __future__ import annotations

import numpy as np

from pipeline.capture.materials import patterns
from pipeline.capture.materials.colours import dielectric, near, paint, shades
from pipeline.capture.materials.fields import Random, cells, covering, noise, per_cell, smoothstep, unit
from pipeline.capture.materials.surface import Surface

__all__ = ["carpet", "fabric", "knitwear", "leather", "paper"]


def fabric(rng: Random, size: int) -> Surface:
    """Woven: plain, twill or basket, of one colour, striped, checked; linen to satin."""
    over = int(rng.integers(1, 4))
    threads = 2 * over * int(rng.integers(4, 14))
    cloth = patterns.weave(size, threads=threads, over=over, shift=int(rng.integers(1, over + 1)))
    first, second = paint(rng), paint(rng)
    if rng.random() < 0.5:
        second = first * rng.uniform(0.5, 1.0)
    colour = np.where(cloth.warp[..., None], first, second)
    if rng.random() < 0.4:  # stripes or checks
        period = int(rng.integers(3, 12))
        striped = (cloth.thread // period) % 2 == 0
        if rng.random() < 0.5:
            striped = striped & cloth.warp
        colour = np.where(striped[..., None], paint(rng), colour)
    fuzz = noise(rng, size, scale=40, falloff=0.6)
    diffuse = colour * (0.45 + 0.55 * cloth.height[..., None]) * (1 + 0.1 * fuzz[..., None])
    uneven = 1 + 0.3 * noise(rng, size, scale=threads / 2, falloff=1)
    height = rng.uniform(0.3, 0.9) / threads * cloth.height * uneven + 0.0015 * fuzz
    silky = rng.random() < 0.3
    roughness = (rng.uniform(0.3, 0.5) if silky else rng.uniform(0.6, 0.95)) + 0.04 * fuzz
    shine = dielectric(rng, light=0.14 if silky else 0.06)
    return Surface.of(diffuse, shine, roughness, height)


def knitwear(rng: Random, size: int) -> Surface:
    """Stocking stitch, with fibres."""
    stitches = 4 * int(rng.integers(2, 6))  # a multiple of 4, so that the rows close too
    loop, along = patterns.knit(size, stitches=stitches)
    twist = 0.5 + 0.5 * np.sin(2 * np.pi * 3 * along)
    fuzz = noise(rng, size, scale=45, falloff=0.5)
    colour = paint(rng)
    other = paint(rng) if rng.random() < 0.4 else colour
    pattern = covering(noise(rng, size, scale=3, falloff=3), 0.5)
    base = shades(pattern, colour, other)
    diffuse = base * (0.25 + 0.75 * loop[..., None]) * (0.85 + 0.15 * twist[..., None]) * (1 + 0.12 * fuzz[..., None])
    height = 0.8 / stitches * (loop + 0.08 * twist * loop) + 0.002 * fuzz
    return Surface.of(diffuse, dielectric(rng, dark=0.02, light=0.05), rng.uniform(0.7, 1.0), height)


def carpet(rng: Random, size: int) -> Surface:
    """Tufts."""
    count = int(rng.integers(500, 2200))
    tufts = cells(rng.random((count, 2)), size)
    radius = 0.5 / np.sqrt(count)
    dome = np.sqrt(np.clip(tufts.edge / radius, 0, 1))
    fuzz = noise(rng, size, scale=50, falloff=0.4)
    colours = [paint(rng) for _ in range(3)]
    pick = unit(noise(rng, size, scale=2.5, falloff=2)) if rng.random() < 0.5 else per_cell(rng, tufts)
    diffuse = shades(pick, *colours) * (0.3 + 0.7 * dome[..., None]) * (1 + 0.2 * fuzz[..., None])
    height = radius * (1.2 * dome + 0.8 * per_cell(rng, tufts)) + 0.003 * fuzz
    return Surface.of(diffuse, dielectric(rng, dark=0.02, light=0.04), rng.uniform(0.8, 1.0), height)


def leather(rng: Random, size: int) -> Surface:
    """Grain of fine cells between creases, tanned and waxed."""
    count = int(rng.integers(250, 1500))
    warp = 0.008 * noise(rng, size, scale=10), 0.008 * noise(rng, size, scale=10)
    grain = cells(rng.random((count, 2)), size, warp=warp)
    radius = 0.4 / np.sqrt(count)
    pillow = smoothstep(grain.edge, 0.0, radius)
    folds = noise(rng, size, scale=3, falloff=1.6)
    height = rng.uniform(0.2, 0.6) * radius * pillow * (0.6 + 0.6 * unit(folds)) + 0.002 * folds
    hue = rng.uniform(0.0, 0.1) if rng.random() < 0.7 else rng.random()
    base = near(rng, hue, rng.uniform(0.2, 0.8), rng.uniform(0.12, 0.75), 0.05)
    worn = covering(noise(rng, size, scale=2.5), rng.uniform(0.0, 0.4), softness=0.8)
    diffuse = base * (0.6 + 0.4 * pillow[..., None]) * (1 + 0.12 * folds[..., None])
    surface = Surface.of(diffuse, dielectric(rng), rng.uniform(0.22, 0.6) + 0.15 * (1 - pillow), height)
    return surface.stained(worn, near(rng, hue, 0.4, 0.6), strength=0.4).rougher(0.15 * worn)


def paper(rng: Random, size: int) -> Surface:
    """Paper, card, wallpaper: fibres, creases, an embossed figure."""
    fibre = noise(rng, size, scale=25, falloff=0.7)
    height = rng.uniform(0.0005, 0.003) * fibre
    if rng.random() < 0.5:
        height = height + rng.uniform(0.004, 0.015) * covering(
            noise(rng, size, scale=rng.uniform(3, 8), falloff=2.5), 0.5
        )
    if rng.random() < 0.4:  # crumpled: facets
        facets = cells(rng.random((int(rng.integers(10, 60)), 2)), size)
        lean = rng.normal(0, rng.uniform(0.05, 0.3), (facets.count, 2)).astype(np.float32)
        height = height + lean[facets.number, 0] * facets.x * 2 + lean[facets.number, 1] * facets.y * 2
    colour = near(rng, rng.uniform(0.05, 0.16), rng.uniform(0.05, 0.4), 0.8) if rng.random() < 0.5 else paint(rng)
    diffuse = colour * (1 + 0.05 * fibre[..., None]) * (1 + 0.05 * noise(rng, size, scale=2)[..., None])
    return Surface.of(diffuse, dielectric(rng, dark=0.03, light=0.05), rng.uniform(0.4, 0.9), height)
