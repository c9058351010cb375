"""The textures of shot_010, each a pure function of its size: parquet, plaster, wood, rug, paintings, glaze, books."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from craft.pattern import cloud, fbm, mix, normals_from, smoothstep, spectral, stretch, wood, write_exr, write_png

HERRINGBONE = 4
"""A plank is this many times longer than wide; the pattern repeats every 2 × 4 plank widths."""


def parquet(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Herringbone oak: colour, roughness, normal map; the tile is 8 plank widths wide."""
    n = HERRINGBONE
    cells = 2 * n
    y, x = np.meshgrid((np.arange(size) + 0.5) * cells / size, (np.arange(size) + 0.5) * cells / size, indexing="ij")
    ix, iy = np.floor(x).astype(int), np.floor(y).astype(int)
    k = (ix + iy) % cells
    lying = k < n  # each diagonal holds n cells of a lying plank, then n of a standing one
    start_x = np.where(lying, ix - k, ix)
    start_y = np.where(lying, iy, iy - (k - n))
    along = np.where(lying, x - start_x, y - start_y) / n
    across = np.where(lying, y - start_y, x - start_x)
    plank = (start_x % cells) * cells + start_y % cells + np.where(lying, 0, cells * cells)

    rng = np.random.default_rng(101)
    tone, hue, tilt_a, tilt_b, shift = (rng.uniform(-1, 1, 2 * cells * cells)[plank] for _ in range(5))
    rows = 256
    ring, pores = wood(rows * 2, rows * 2, 7, rings=9, fibre=150)
    v = ((along * 0.5 + shift) * rows * 2).astype(int) % (rows * 2)
    u = ((across * 0.13 + hue * 0.5) * rows * 2).astype(int) % (rows * 2)
    grain, pore = ring[v, u], pores[v, u]

    edge = np.minimum(np.minimum(across, 1 - across), np.minimum(along, 1 - along) * n)
    joint = 1 - smoothstep(0.006, 0.03, edge)
    colour = mix((0.66, 0.44, 0.26), (0.47, 0.28, 0.15), 0.75 * grain + 0.2 * pore)
    colour *= (1 + 0.17 * tone)[..., None] * mix((1.03, 1.0, 0.95), (0.97, 1.0, 1.04), 0.5 + 0.5 * hue)
    colour = mix(colour, (0.13, 0.075, 0.04), 0.85 * joint)

    wear = cloud(size, size, 3, 31, 4)
    scuffs = smoothstep(0.72, 0.98, cloud(size, size, (9, 9), 51, 3))
    rough = 0.17 + 0.14 * wear + 0.10 * scuffs + 0.08 * pore + 0.05 * tone + 0.35 * joint

    bevel = np.where(edge < 0.05, (0.05 - edge) / 0.05, 0) * 0.22
    nearest_u = np.where(lying, np.minimum(along, 1 - along) * n, np.minimum(across, 1 - across)) <= edge + 1e-9
    lower = np.where(
        lying, np.where(nearest_u, along < 0.5, across < 0.5), np.where(nearest_u, across < 0.5, along < 0.5)
    )
    slope = np.where(lower, 1.0, -1.0) * bevel
    nx = 0.016 * tilt_a - np.where(nearest_u, slope, 0)
    ny = 0.016 * tilt_b - np.where(nearest_u, 0, slope)
    normal = np.stack([nx, ny, np.ones_like(nx)], -1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    return colour, rough, normal * 0.5 + 0.5


def plaster(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Lime-washed plaster: colour, normal map of trowel strokes."""
    broad = cloud(size, size, 2, 61, 5, 0.55)
    strokes = cloud(size, size, (10, 5), 71, 4, 0.6)
    colour = mix((0.53, 0.60, 0.565), (0.62, 0.67, 0.62), 0.7 * broad + 0.3 * strokes)
    colour = mix(colour, (0.70, 0.72, 0.66), 0.55 * smoothstep(0.72, 1, cloud(size, size, 4, 91, 5)))
    relief = 0.6 * spectral(size, size, 1.9, 95) + 0.25 * strokes
    return colour, normals_from(relief, 7.0)


def walnut(height: int, width: int) -> np.ndarray:
    ring, pores = wood(height, width, 211, rings=6, fibre=110)
    colour = mix((0.60, 0.39, 0.235), (0.31, 0.175, 0.10), 0.8 * ring + 0.22 * pores)
    return colour * (0.9 + 0.2 * cloud(height, width, (1, 3), 215, 3))[..., None]


def marble(size: int) -> np.ndarray:
    """White marble with grey veins: ridges of warped noise."""
    y, x = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size), indexing="ij")
    p = np.stack([x, y], -1) * 3
    drift = np.stack([fbm(p, 221, 4), fbm(p + 5.2, 231, 4)], -1)
    veins = np.zeros((size, size))
    for i, (scale, sharpness, weight) in enumerate(((0.55, 16, 1.0), (1.1, 22, 0.55), (2.4, 26, 0.3))):
        ridge = np.abs(fbm(p * scale + 0.9 * drift + 3.1 * i, 241 + 10 * i, 4))
        veins += weight * np.exp(-ridge * sharpness) * smoothstep(-0.3, 0.5, fbm(p * 0.8 + i, 281 + i, 3))
    colour = mix((0.86, 0.845, 0.81), (0.74, 0.745, 0.735), stretch(fbm(p * 1.4 + drift, 291, 5)))
    return mix(colour, (0.36, 0.37, 0.375), np.clip(veins, 0, 0.85))


def oak(height: int, width: int) -> np.ndarray:
    ring, pores = wood(height, width, 311, rings=7, fibre=120)
    return mix((0.78, 0.60, 0.40), (0.60, 0.41, 0.25), 0.50 * ring + 0.40 * pores)


def rug(height: int, width: int) -> np.ndarray:
    """A woven rug: field of diamonds, three borders, a medallion; symmetric both ways."""
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    knots = 96  # the weave has a resolution of its own
    gx, gy = np.round(x * knots) / knots, np.round(y * 1.5 * knots) / knots
    ax, ay = np.abs(gx), np.abs(gy)
    ruby, navy, cream = (0.47, 0.10, 0.09), (0.10, 0.15, 0.25), (0.80, 0.70, 0.54)
    gold, teal = (0.72, 0.49, 0.20), (0.18, 0.36, 0.37)
    image = np.broadcast_to(np.array(ruby), (height, width, 3)).copy()

    def paint(mask: np.ndarray, colour: tuple[float, float, float]) -> None:
        image[mask] = colour

    def lattice(step: float, radius: float) -> np.ndarray:
        cx, cy = np.abs((ax / step) % 1 - 0.5), np.abs((ay / step) % 1 - 0.5)
        return cx + cy < radius

    paint(lattice(0.17, 0.26), navy)
    paint(lattice(0.17, 0.15), gold)
    paint(lattice(0.17, 0.07), cream)
    d = ax * 1.25 + ay * 0.85 + 0.05 * np.abs(((ax - ay) * 9) % 1 - 0.5)
    for reach, colour in (
        (0.74, cream),
        (0.70, navy),
        (0.55, gold),
        (0.52, teal),
        (0.36, cream),
        (0.33, ruby),
        (0.16, gold),
    ):
        paint(d < reach, colour)
    petals = (np.cos(8 * np.arctan2(gy, gx)) > 0.25) & (d > 0.36) & (d < 0.50)
    paint(petals, cream)
    dots = (np.cos(16 * np.arctan2(gy, gx)) > 0.55) & (d > 0.58) & (d < 0.66)
    paint(dots, gold)
    border = np.maximum(ax, ay - 0.5)  # 1 at the rim on all four sides
    for reach, colour in ((0.70, cream), (0.715, navy), (0.74, gold), (0.755, navy), (0.93, cream), (0.945, ruby)):
        paint(border > reach, colour)
    run = np.where(ax > ay - 0.5, ay, ax)
    zigzag = np.abs((run * 7) % 1 - 0.5) * 0.26
    band = (border > 0.765) & (border < 0.925)
    paint(band & (np.abs(border - 0.78 - zigzag) < 0.028), cream)
    paint(band & (np.abs(border - 0.80 - zigzag) < 0.010), gold)
    paint(band & ((np.abs((run * 7) % 1 - 0.5) < 0.10) & (border > 0.865)), ruby)

    weave = 0.93 + 0.07 * np.where((np.floor(x * knots * 2) + np.floor(y * knots * 3)) % 2 == 0, 1, -1)
    fading = 0.88 + 0.24 * cloud(height, width, (6, 2), 401, 4)
    abrash = 1 + 0.06 * np.sign(np.sin(gy * 37 + 2 * np.sin(gy * 11)))
    return np.clip(image * (weave * fading * abrash)[..., None], 0, 1)


def ball(height: int, width: int) -> np.ndarray:
    """A toy ball of painted rubber: coloured gores, a cream band with stars, caps."""
    v, u = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width, endpoint=False), indexing="ij")
    gores = np.array([(0.80, 0.10, 0.07), (0.95, 0.78, 0.42), (0.10, 0.33, 0.45), (0.93, 0.90, 0.82)] * 2)
    image = gores[np.floor(u * 8).astype(int) % 8]
    image[(v < 0.12) | (v > 0.88)] = (0.95, 0.78, 0.42)
    image[(np.abs(v - 0.5) < 0.105)] = (0.06, 0.16, 0.24)
    image[(np.abs(v - 0.5) < 0.09)] = (0.93, 0.90, 0.82)
    px, py = ((u * 12) % 1 - 0.5) * 0.262, v - 0.5
    angle, radius = np.arctan2(py, px), np.hypot(px, py)
    image[radius < 0.038 + 0.022 * np.cos(5 * angle + np.pi / 2)] = (0.80, 0.10, 0.07)
    dirt = smoothstep(0.5, 1, cloud(height, width, 4, 451, 5))
    return mix(image, (0.42, 0.34, 0.27), 0.35 * dirt)


def landscape(height: int, width: int) -> np.ndarray:
    """A small oil painting: evening sky, hills in layers, a lake that mirrors them."""
    y, x = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij")
    p = np.stack([x * 5, y * 9], -1)
    stroke = fbm(p + 0.35 * fbm(p, 505, 3)[..., None], 501, 4)
    shore = 0.66
    mirrored = np.where(y < shore, y, shore - 0.9 * (y - shore) + 0.008 * np.sin(220 * y))
    image = mix((0.20, 0.33, 0.46), (0.96, 0.66, 0.38), smoothstep(0.05, 0.62, mirrored + 0.07 * stroke))
    sun = np.hypot((x - 0.63) * width / height, mirrored - 0.47)
    image = mix(image, (1.0, 0.87, 0.58), 1 - smoothstep(0.03, 0.16, sun))
    clouds = smoothstep(0.1, 0.8, fbm(np.stack([x * 4, mirrored * 14], -1), 521, 4))
    image = mix(image, (0.85, 0.55, 0.47), 0.5 * clouds)
    hills = [(0.50, 0.09, (0.49, 0.45, 0.53)), (0.56, 0.08, (0.33, 0.37, 0.42)), (0.615, 0.05, (0.17, 0.24, 0.24))]
    for i, (level, swing, colour) in enumerate(hills):
        ridge = level + swing * fbm(np.stack([x * (3 + 2 * i), 0 * x + i], -1), 541 + i, 5)
        image = mix(image, np.array(colour) * (1 + 0.12 * stroke)[..., None], smoothstep(0, 0.008, mirrored - ridge))
    image = np.where((y > shore)[..., None], image * 0.86 + np.array((0.0, 0.015, 0.025)), image)
    bank = 0.90 + 0.05 * fbm(np.stack([x * 6, 0 * x], -1), 561, 4) - 0.12 * smoothstep(0.55, 0.0, x)
    image = mix(image, mix((0.10, 0.12, 0.07), (0.34, 0.27, 0.11), stretch(stroke)), smoothstep(0, 0.012, y - bank))
    image = image**0.8
    bristles = fbm(np.stack([x * 16 + 0.4 * stroke, y * 70], -1), 571, 2)
    return np.clip(image * (1 + 0.07 * bristles + 0.06 * stroke)[..., None], 0, 1)


def glaze(size: int) -> np.ndarray:
    """Stoneware: a blue-green glaze with iron specks, that pools towards the foot (v = 0 is the first row)."""
    v = np.linspace(0, 1, size)[:, None] * np.ones((1, size))
    wavy = v + 0.05 * (cloud(size, size, (2, 5), 601, 3) - 0.5)
    colour = mix((0.36, 0.235, 0.15), (0.30, 0.50, 0.53), smoothstep(0.13, 0.17, wavy))
    colour = mix(colour, (0.16, 0.36, 0.44), 0.7 * smoothstep(0.2, 0.9, wavy) * cloud(size, size, (3, 6), 605, 4))
    specks = smoothstep(0.90, 0.97, cloud(size, size, (52, 70), 611, 1))
    return mix(colour, (0.16, 0.12, 0.09), 0.6 * specks)


def linen(size: int) -> np.ndarray:
    """The glow of a lamp shade, linear radiance: threads, brighter around the bulb's height."""
    v, u = np.meshgrid(np.arange(size) / size, np.arange(size) / size, indexing="ij")
    threads = 0.92 + 0.05 * np.sin(u * 2 * np.pi * 64) + 0.05 * np.sin(v * 2 * np.pi * 32)
    slubs = 0.86 + 0.14 * cloud(size, size, (40, 6), 701, 2)
    glow = 0.42 + 0.58 * np.exp(-(((v - 0.45) / 0.30) ** 2))
    colour = mix((0.88, 0.60, 0.36), (1.0, 0.86, 0.62), smoothstep(0.45, 1.0, glow))
    return 8.0 * colour**2.2 * (threads * slubs * (0.55 + 0.45 * glow))[..., None]


def dusk(size: int) -> np.ndarray:
    """The sky in the window behind the camera, linear radiance: deep blue over a last band of orange and dark roofs."""
    v, u = np.meshgrid(np.linspace(1, 0, size), np.linspace(0, 1, size), indexing="ij")  # v = 0 at the sill
    image = mix((1.25, 1.65, 2.35), (0.45, 0.95, 2.2), smoothstep(0.35, 1.0, v))
    image = mix((3.0, 1.65, 0.85), image, smoothstep(0.16, 0.55, v))
    streaks = smoothstep(0.62, 0.85, cloud(size, size, (6, 1), 721, 4)) * smoothstep(0.2, 0.4, v)
    image = mix(image, (1.9, 1.25, 1.2), 0.5 * streaks)
    roofs = 0.15 + 0.05 * np.abs((u * 3.5) % 1 - 0.5) + 0.03 * np.floor(5 * np.abs(np.sin(u * 5 + 1)))
    return 1.8 * mix((0.03, 0.045, 0.07), image, smoothstep(-0.01, 0.01, v - roofs))


def book_spine(height: int, width: int, seed: int, cloth: tuple[float, float, float]) -> np.ndarray:
    """Cloth boards with a gilt title: the lower half of the image is the cover, the upper half the spine."""
    v, u = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij")
    image = np.array(cloth) * (0.88 + 0.24 * cloud(height, width, (24, 24), seed, 3))[..., None]
    rng = np.random.default_rng(seed)
    rules = np.zeros_like(u, dtype=bool)
    for place in (0.08, 0.11, 0.89, 0.92):
        rules |= np.abs(u - place) < 0.006
    cursor = 0.22
    while cursor < 0.72:
        w = rng.uniform(0.012, 0.03)
        rules |= (u > cursor) & (u < cursor + w) & (v > 0.10) & (v < 0.36)
        cursor += w + rng.choice([0.012, 0.012, 0.035])
    image[rules & (v < 0.5)] = (0.80, 0.62, 0.27)
    return image


def write_all(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    colour, rough, normal = parquet(768)
    write_png(folder / "parquet_color.png", colour, levels=64)
    write_png(folder / "parquet_roughness.png", rough, levels=64)
    write_png(folder / "parquet_normal.png", normal)
    colour, normal = plaster(320)
    write_png(folder / "plaster_color.png", colour, levels=128)
    write_png(folder / "plaster_normal.png", normal, levels=128)
    write_png(folder / "walnut.png", walnut(512, 320), levels=64)
    write_png(folder / "marble.png", marble(448), levels=96)
    write_png(folder / "oak.png", oak(512, 256), levels=64)
    write_png(folder / "rug.png", rug(768, 512), levels=48)
    write_png(folder / "ball.png", ball(128, 256), levels=64)
    write_png(folder / "landscape.png", landscape(224, 288), levels=64)
    write_png(folder / "glaze.png", glaze(192), levels=64)
    write_exr(folder / "linen.exr", linen(96))
    write_exr(folder / "dusk.exr", dusk(96)[::-1])
    write_png(folder / "book_red.png", book_spine(96, 192, 801, (0.36, 0.08, 0.07)), levels=64)
    write_png(folder / "book_blue.png", book_spine(96, 192, 811, (0.10, 0.20, 0.28)), levels=64)
