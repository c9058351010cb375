"""Meshes and textures of the still life: all made here, the same every time. Units: decimetres, y up."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "shots"))

from craft.mesh import (
    Mesh,
    arc,
    catmull,
    circle,
    grid,
    join,
    lathe,
    place,
    quad,
    rounded_box,
    sweep,
    write_ply,
)
from craft.pattern import cloud, mix, smoothstep, wood, write_png

TABLE = (16.0, 9.0)  # width and depth


def write(folder: Path) -> None:
    """Writes `meshes/*.ply` and `textures/*.png`."""
    for name in ("meshes", "textures"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, mesh in _meshes().items():
        write_ply(folder / "meshes" / f"{name}.ply", mesh)
    for name, image in _textures().items():
        write_png(folder / "textures" / f"{name}.png", image)


def _turned(*points: tuple[float, float], steps: int = 5, segments: int = 96) -> Mesh:
    return lathe(catmull(points, steps), segments)


def _meshes() -> dict[str, Mesh]:
    width, depth = TABLE
    return {
        "table": place(rounded_box((width, 0.5, depth), 0.06, 3), (0, -0.25, -0.5)),
        "wall": quad((-20, -6, -7), (40, 0, 0), (0, 20, 0)),
        "window": quad((-11, 1.2, 3.2), (0, 0, -6.4), (0, 7.2, 0)),
        "mullions": _mullions(),
        "cloth": grid(_cloth, 160, 60),
        "glass": _wine_glass(),
        "wine": _turned((0.001, 1.06), (0.26, 1.10), (0.50, 1.30), (0.565, 1.5), (0.560, 1.505), (0.001, 1.505)),
        "bottle": _bottle(),
        "kettle": _kettle(),
        "bowl": _bowl(),
        "orange": _orange(),
        "candlestick": _candlestick(),
        "candle": _turned((0.001, 1.0), (0.19, 1.0), (0.19, 2.0), (0.17, 2.32), (0.10, 2.30), (0.001, 2.26)),
        "flame": _turned((0.001, 2.38), (0.06, 2.46), (0.075, 2.56), (0.035, 2.74), (0.001, 2.86), segments=24),
        "spoon": _spoon(),
    }


def _mullions() -> Mesh:
    """Bars of a window of two by three panes, some way in front of it."""
    upright = rounded_box((0.3, 7.6, 0.22), 0.04)
    across = rounded_box((0.3, 0.22, 6.8), 0.04)
    bars = [place(upright, (-10.4, 4.8, z)) for z in (-3.2, 0.0, 3.2)]
    bars += [place(across, (-10.4, y, 0)) for y in (1.2, 3.6, 6.0, 8.4)]
    return join(*bars)


def _cloth(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A runner across the table, in faint folds."""
    x, z = -5.2 + 10.4 * u, 2.3 - 3.5 * v
    fold = 0.018 * np.sin(2.1 * x + 0.8 * z) + 0.012 * np.sin(1.3 * z - 3.1 * x) + 0.008 * np.sin(7 * x + 2 * z)
    return np.stack([x + 0.02 * np.sin(3 * z), 0.035 + fold * smoothstep(0.0, 0.4, 0.5 - np.abs(u - 0.5)), z], -1)


def _wine_glass() -> Mesh:
    outside = catmull(
        [
            (0.001, 0.0),
            (0.55, 0.0),
            (0.63, 0.03),
            (0.34, 0.10),
            (0.08, 0.22),
            (0.055, 0.55),
            (0.07, 0.86),
            (0.28, 1.0),
            (0.56, 1.28),
            (0.65, 1.62),
            (0.57, 2.1),
        ],
        6,
    )
    inside = catmull([(0.54, 2.11), (0.615, 1.62), (0.53, 1.29), (0.27, 1.05), (0.001, 1.0)], 6)
    return lathe(np.concatenate([outside, inside]), 96)


def _bottle() -> Mesh:
    outside = catmull(
        [
            (0.001, 0.06),
            (0.5, 0.02),
            (0.78, 0.0),
            (0.84, 0.12),
            (0.84, 1.7),
            (0.70, 2.15),
            (0.34, 2.6),
            (0.27, 3.3),
            (0.33, 3.36),
            (0.32, 3.5),
        ],
        6,
    )
    inside = catmull(
        [(0.22, 3.5), (0.21, 2.62), (0.62, 2.08), (0.755, 1.66), (0.75, 0.2), (0.4, 0.16), (0.001, 0.2)], 6
    )
    return lathe(np.concatenate([outside, inside]), 96)


def _kettle() -> Mesh:
    body = _turned(
        (0.001, 0.02),
        (0.85, 0.02),
        (1.08, 0.16),
        (1.20, 0.62),
        (1.06, 1.12),
        (0.70, 1.42),
        (0.56, 1.5),
        (0.57, 1.58),
        (0.45, 1.66),
        (0.16, 1.74),
        (0.09, 1.82),
        (0.15, 1.95),
        (0.08, 2.05),
        (0.001, 2.06),
    )
    spout = sweep(
        circle(1.0, 20),
        catmull([(0.95, 0.55, 0), (1.35, 0.75, 0), (1.62, 1.18, 0), (1.95, 1.42, 0)], 8),
        scale=np.linspace(0.26, 0.12, 25),
    )
    bend = arc((0, 1.35), 0.98, 15, 165, 24)
    handle = sweep(circle(0.07, 12), np.stack([bend[:, 0], bend[:, 1] + 0.15, np.zeros(25)], -1))
    return join(body, spout, handle)


def _bowl() -> Mesh:
    return _turned(
        (0.001, 0.03),
        (0.42, 0.0),
        (0.48, 0.1),
        (0.9, 0.42),
        (1.18, 0.86),
        (1.22, 0.90),
        (1.16, 0.90),
        (0.86, 0.48),
        (0.45, 0.2),
        (0.001, 0.16),
    )


def _orange() -> Mesh:
    """Radius about 0.42, dimpled at the stalk."""
    t = np.linspace(-90, 90, 41)
    radius = 0.42 - 0.05 * np.exp(-(((t - 90) / 16) ** 2))
    x, y = radius * np.cos(np.radians(t)), radius * 0.96 * np.sin(np.radians(t))
    return lathe(np.stack([x, y], -1), 64)


def _candlestick() -> Mesh:
    return _turned(
        (0.001, 0.0),
        (0.6, 0.0),
        (0.64, 0.05),
        (0.3, 0.14),
        (0.11, 0.24),
        (0.10, 0.42),
        (0.18, 0.52),
        (0.09, 0.62),
        (0.09, 0.82),
        (0.24, 0.92),
        (0.40, 0.98),
        (0.41, 1.01),
        (0.001, 1.0),
    )


def _spoon() -> Mesh:
    def leaf(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        a, r = 2 * np.pi * u, v
        x, z = 0.42 * r * np.cos(a), 0.28 * r * np.sin(a)
        return np.stack([x, 0.10 * r**2 + 0.03, -z], -1)

    bowl = grid(leaf, 48, 8)
    path = catmull([(0.40, 0.13, 0), (0.7, 0.16, 0), (1.3, 0.12, 0), (2.1, 0.07, 0)], 10)
    handle = sweep(circle(1.0, 12) * [1.0, 0.45], path, scale=np.linspace(0.06, 0.11, len(path)))
    return join(bowl, handle)


# --- Textures -----------------------------------------------------------------------------------------------------


def _textures() -> dict[str, np.ndarray]:
    return {"table": _table(), "wall": _wall(), "cloth": _printed(), "bowl": _painted(), "orange": _peel()}


def _table() -> np.ndarray:
    """Planks of walnut, the grain along the first axis; joints between them."""
    planks = []
    for number, tone in enumerate((1.0, 0.86, 1.08, 0.93)):
        ring, pores = wood(1024, 256, 11 + number, rings=5.0)
        plank = mix((0.47, 0.31, 0.19), (0.27, 0.16, 0.095), ring) * tone
        plank *= (1 - 0.28 * smoothstep(0.70, 0.9, pores))[..., None]
        plank[:, :3] *= 0.35
        planks.append(plank)
    return np.concatenate(planks, axis=1)


def _wall() -> np.ndarray:
    tone = cloud(512, 512, 4, 5, 6, 0.55)
    image: np.ndarray = mix((0.35, 0.40, 0.42), (0.47, 0.52, 0.52), tone)
    return image


def _printed() -> np.ndarray:
    """Linen in gingham with a woven border; 1536 × 512."""
    height, width = 512, 1536
    y, x = np.meshgrid(np.arange(height) / height, np.arange(width) / width, indexing="ij")
    checks = ((x * 36 % 1 > 0.5).astype(float) + (y * 12 % 1 > 0.5).astype(float)) / 2
    threads = 0.5 + 0.25 * np.sin(2 * np.pi * x * 420) + 0.25 * np.sin(2 * np.pi * y * 140)
    image = mix((0.90, 0.87, 0.80), (0.55, 0.10, 0.11), checks) * (0.9 + 0.1 * threads)[..., None]
    border = (np.abs(y - 0.5) > 0.44) & (np.abs(y - 0.5) < 0.47)
    return np.where(border[..., None], np.array([0.16, 0.17, 0.30]), image)


def _painted() -> np.ndarray:
    """Blue on white: zigzags, bands and dots; v is the first axis."""
    height, width = 384, 1024
    y, x = np.meshgrid(np.arange(height) / height, np.arange(width) / width, indexing="ij")
    zigzag = np.abs((y - 0.36) * 9 - 0.5 * np.abs((x * 24) % 2 - 1)) < 0.16
    dots = np.hypot((x * 32) % 1 - 0.5, ((y - 0.22) * 12)) < 0.28
    bands = (np.abs(y - 0.29) < 0.008) | (np.abs(y - 0.46) < 0.012) | (np.abs(y - 0.16) < 0.006)
    ink = (zigzag | dots | bands).astype(float) * (0.85 + 0.15 * cloud(height, width, 8, 3, 4))
    image: np.ndarray = mix((0.88, 0.87, 0.83), (0.07, 0.14, 0.42), ink)
    return image


def _peel() -> np.ndarray:
    pores = cloud(512, 512, 40, 9, 2)
    tone = cloud(512, 512, 3, 21, 4)
    image: np.ndarray = mix((0.93, 0.47, 0.06), (0.87, 0.34, 0.02), tone)
    image *= (1 - 0.22 * smoothstep(0.62, 0.85, pores))[..., None]
    return image
