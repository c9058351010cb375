"""The textures and the sky of shot_020, each a pure function of its size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from craft.pattern import cloud, fbm, mix, smoothstep, stretch, write_exr, write_png
from land import shore

SUN = (-30.0, 24.0)
"""Azimuth in degrees from −z towards +x, elevation in degrees: low, behind the scene, to the left."""


def direction(azimuth: float, elevation: float) -> np.ndarray:
    a, e = np.radians(azimuth), np.radians(elevation)
    return np.array((np.sin(a) * np.cos(e), np.sin(e), -np.cos(a) * np.cos(e)))


def sky(height: int) -> np.ndarray:
    """Late afternoon, linear radiance, latitude-longitude as Mitsuba's `envmap` reads it (−z at the image's edge).

    A clear gradient with a warm horizon, thin cloud, a wide hazy sun, a line of trees, a dark meadow below.
    """
    width = 2 * height
    v, u = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
    theta, phi = np.pi * v, 2 * np.pi * u
    d = np.stack([np.sin(phi) * np.sin(theta), np.cos(theta), -np.cos(phi) * np.sin(theta)], -1)
    up = d[..., 1]
    towards = np.clip(d @ direction(*SUN), -1, 1)
    apart = np.degrees(np.arccos(towards))

    zenith, middle, horizon = np.array((0.15, 0.30, 0.68)), np.array((0.36, 0.52, 0.80)), np.array((0.98, 0.74, 0.46))
    colour = mix(middle, zenith, smoothstep(0.15, 0.9, up))
    colour = mix(colour, horizon, np.exp(-np.clip(up, 0, 1) * 5.5))
    colour += np.exp(-apart / 16)[..., None] * np.array((2.6, 1.65, 0.75))
    colour += np.exp(-apart / 45)[..., None] * np.array((0.40, 0.27, 0.13))
    plane = np.stack([d[..., 0], d[..., 2]], -1) / np.maximum(up, 0.06)[..., None]
    wisps = fbm(plane * (0.55, 1.1) + 0.4 * fbm(plane * 0.7 + 11, 3, 3)[..., None] + 30, 5, 5, 0.55)
    veil = smoothstep(0.05, 0.75, wisps) * smoothstep(0.03, 0.25, up)
    lit = np.array((1.15, 0.98, 0.82)) + np.exp(-apart / 22)[..., None] * np.array((2.2, 1.5, 0.8))
    colour = mix(colour, lit, 0.75 * veil)

    sun = np.exp(-0.5 * (apart / 1.5) ** 2)[..., None] * np.array((2500.0, 1640.0, 860.0))
    ring = np.stack([np.sin(phi), np.cos(phi)], -1)
    crowns = 4.2 + 3.0 * fbm(ring * 2.2 + 5, 21, 3) + 1.8 * fbm(ring * 9 + 17, 31, 4)
    crowns *= 1 - 0.45 * np.exp(-((((np.degrees(phi) - SUN[0]) % 360 + 180) % 360 - 180) ** 2) / 900)
    elevation = np.degrees(np.arcsin(np.clip(up, -1, 1)))
    leafage = stretch(fbm(np.stack([phi * 18, elevation * 0.55], -1) + 40, 41, 3))
    trees = smoothstep(0.5, -0.5, elevation - crowns)
    tree_colour = mix((0.020, 0.035, 0.016), (0.10, 0.125, 0.045), leafage**1.5)
    tree_colour += np.exp(-apart / 20)[..., None] * np.array((0.30, 0.19, 0.07)) * leafage[..., None]
    colour = mix(colour + sun, tree_colour, trees * (0.82 + 0.18 * smoothstep(0.2, 0.5, leafage)))
    below = mix((0.13, 0.13, 0.06), (0.05, 0.05, 0.03), smoothstep(0, -0.5, up))
    return mix(colour, below, smoothstep(0.6, -0.6, elevation))


def soil(size: int) -> np.ndarray:
    """Tileable forest soil: crumbs, needles, bits of bark."""
    crumbs = cloud(size, size, 14, 101, 5, 0.65)
    image = mix((0.20, 0.15, 0.105), (0.43, 0.33, 0.235), crumbs)
    image = mix(image, (0.12, 0.085, 0.06), smoothstep(0.55, 0.9, cloud(size, size, 5, 111, 4)) * 0.7)
    rng = np.random.default_rng(113)
    y, x = np.meshgrid(np.arange(size) / size, np.arange(size) / size, indexing="ij")
    for _ in range(260):
        cx, cy, angle, length = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0, np.pi), rng.uniform(0.015, 0.05)
        dx, dy = (x - cx + 0.5) % 1 - 0.5, (y - cy + 0.5) % 1 - 0.5
        along, across = dx * np.cos(angle) + dy * np.sin(angle), -dx * np.sin(angle) + dy * np.cos(angle)
        mask = (np.abs(along) < length) & (np.abs(across) < 0.0032)
        image[mask] = np.array(
            ((0.46, 0.33, 0.20), (0.30, 0.19, 0.11), (0.52, 0.42, 0.26))[rng.integers(3)]
        ) * rng.uniform(0.75, 1.1)
    return image


def green(size: int) -> np.ndarray:
    """Tileable moss and short turf."""
    tufts = cloud(size, size, 26, 121, 4, 0.7)
    image = mix((0.10, 0.155, 0.045), (0.36, 0.42, 0.13), tufts)
    return mix(image, (0.42, 0.38, 0.16), 0.5 * smoothstep(0.6, 0.95, cloud(size, size, 4, 131, 4)))


def cover(size: int) -> np.ndarray:
    """Where the ground is green: 0 soil, 1 moss and turf; over the unit square of the ground's uv."""
    z, x = np.meshgrid((np.arange(size) + 0.5) / size * 16 - 8, (np.arange(size) + 0.5) / size * 16 - 8, indexing="ij")
    ragged = 0.9 * (cloud(size, size, 9, 141, 5) - 0.5) + 0.5 * (cloud(size, size, 40, 151, 3) - 0.5)
    return smoothstep(0.25, 0.65, shore(x, z) * 0.75 + ragged)


def cap(height: int, width: int) -> np.ndarray:
    """Fly agaric: v from the gills (first row) to the crown; orange at the rim, blood red above, streaks."""
    v, _ = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width, endpoint=False), indexing="ij")
    streaks = cloud(height, width, (2, 40), 161, 3, 0.6)
    image = mix((0.86, 0.30, 0.07), (0.74, 0.055, 0.03), smoothstep(0.08, 0.50, v + 0.10 * (streaks - 0.5)))
    image = mix(image, (0.50, 0.02, 0.02), 0.55 * smoothstep(0.55, 1.0, v) * cloud(height, width, 3, 171, 3))
    return mix(image, (0.93, 0.80, 0.58), (1 - smoothstep(0.03, 0.075, v)))


def rock(size: int, seed: int, dark: tuple[float, float, float], light: tuple[float, float, float]) -> np.ndarray:
    """Tileable stone: mottles, grains, a few spots of lichen."""
    image = mix(dark, light, 0.6 * cloud(size, size, 4, seed, 6, 0.6) + 0.4 * cloud(size, size, 40, seed + 10, 2))
    image = mix(image, np.array(light) * 1.2, 0.5 * smoothstep(0.80, 0.86, cloud(size, size, 7, seed + 20, 3)))
    lichen = smoothstep(0.74, 0.80, cloud(size, size, 5, seed + 30, 5))
    return mix(image, (0.55, 0.56, 0.33), 0.6 * lichen)


def leaf(size: int, seed: int, young: tuple[float, float, float], old: tuple[float, float, float]) -> np.ndarray:
    """A dying birch leaf: v from tip to stalk (image rows), midrib at the middle column, side veins, spots."""
    v, u = np.meshgrid(np.linspace(0, 1, size), np.linspace(-1, 1, size), indexing="ij")
    patches = cloud(size, size, 4, seed, 4)
    image = mix(young, old, smoothstep(0.25, 0.8, patches * 0.7 + 0.45 * np.abs(u)))
    vein = np.exp(-((u / 0.03) ** 2)) + 0.7 * np.exp(-(((((v + 0.55 * np.abs(u)) * 9) % 1 - 0.5) / 0.09) ** 2)) * (
        np.abs(u) < 0.95
    )
    image = mix(image, np.array(young) * 0.55 + 0.25, 0.45 * np.clip(vein, 0, 1))
    return mix(image, (0.16, 0.09, 0.05), smoothstep(0.83, 0.92, cloud(size, size, 9, seed + 10, 2)))


def shell(height: int, width: int) -> np.ndarray:
    """Snail shell: u runs six times along the coil, v around it: brown bands on cream, growth lines."""
    v, u = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width, endpoint=False), indexing="ij")
    bands = sum(np.exp(-(((v - place) / 0.045) ** 2)) for place in (0.20, 0.42, 0.66, 0.86))
    growth = 0.5 + 0.5 * np.sin(2 * np.pi * u * 14 + 2 * np.sin(2 * np.pi * u * 3))
    image = mix((0.80, 0.64, 0.40), (0.34, 0.18, 0.09), np.clip(bands * (0.65 + 0.35 * growth), 0, 1))
    return image * (0.85 + 0.15 * growth)[..., None]


def write_all(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_exr(folder / "sky.exr", sky(256))
    write_png(folder / "soil.png", soil(384), levels=64)
    write_png(folder / "green.png", green(320), levels=64)
    write_png(folder / "cover.png", cover(384), levels=32)
    write_png(folder / "cap.png", cap(128, 192), levels=96)
    write_png(folder / "stone_grey.png", rock(192, 201, (0.30, 0.29, 0.28), (0.60, 0.58, 0.54)), levels=64)
    write_png(folder / "stone_ochre.png", rock(192, 251, (0.34, 0.25, 0.17), (0.68, 0.55, 0.40)), levels=64)
    write_png(folder / "leaf_gold.png", leaf(160, 301, (0.86, 0.62, 0.14), (0.62, 0.30, 0.07)), levels=64)
    write_png(folder / "leaf_rust.png", leaf(160, 331, (0.70, 0.32, 0.09), (0.36, 0.13, 0.06)), levels=64)
    write_png(folder / "shell.png", shell(64, 256), levels=64)
