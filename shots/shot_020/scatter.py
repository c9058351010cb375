"""Where the small things of shot_020 stand.

A placement is [x, y, z, turn, tilt, azimuth of the tilt, scale]; angles in degrees.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from craft.mesh import Mesh, join, place, rotation
from land import height, shore

Placement = list[float]

CLEAR = ((2.05, -1.1, 0.55), (1.25, -0.65, 0.30), (2.75, -0.5, 0.28), (-2.15, -1.5, 0.8))
"""x, z, radius that stay free: the mushrooms and the rock."""


def _strew(
    rng: np.random.Generator,
    count: int,
    area: tuple[float, float, float, float],
    wanted: Callable[[float, float, float], float],
    *,
    scale: tuple[float, float],
    tilt: float,
    sink: float = 0.0,
    apart: float = 0.0,
    clear: float = 0.0,
) -> list[Placement]:
    """Darts over x0…x1, z0…z1, kept with probability `wanted(x, z, distance from the shore)`."""
    out: list[Placement] = []
    for _ in range(count * 60):
        if len(out) == count:
            break
        x, z, dart, size = (
            rng.uniform(area[0], area[1]),
            rng.uniform(area[2], area[3]),
            rng.uniform(),
            rng.uniform(*scale),
        )
        turn, lean, azimuth = rng.uniform(0, 360), tilt * rng.uniform(), rng.uniform(0, 360)
        if dart > wanted(x, z, float(shore(x, z))):
            continue
        if any(np.hypot(x - cx, z - cz) < r + clear for cx, cz, r in CLEAR):
            continue
        if apart and any(np.hypot(x - p[0], z - p[2]) < apart * (size + p[6]) for p in out):
            continue
        y = float(height(x, z)) - sink * size
        out.append([round(float(value), 4) for value in (x, y, z, turn, lean, azimuth, size)])
    return out


def placements() -> tuple[dict[str, list[Placement]], dict[str, list[Placement]]]:
    """What is joined into meshes, and what the scene places as instances; group → placements."""
    rng = np.random.default_rng(2020)

    def beach(x: float, z: float, d: float) -> float:
        return float(np.exp(-(((d - 0.05) / 0.32) ** 2)))

    def bank(x: float, z: float, d: float) -> float:
        return float(d > 0.55) * (0.35 + 0.65 * float(np.sin(1.7 * x + 0.9 * z + 1.0) > -0.2))

    def mossy(x: float, z: float, d: float) -> float:
        return float(0.22 < d < 2.6) * float(np.exp(-(((x - 1.9) / 1.6) ** 2 + ((z + 0.9) / 1.3) ** 2)))

    near = (-4.5, 4.5, -3.5, 4.2)
    strewn: dict[str, list[Placement]] = {}
    for name, count in (("pebbles_grey", 72), ("pebbles_ochre", 44)):
        strewn[name] = _strew(rng, count, near, beach, scale=(0.05, 0.17), tilt=18, sink=0.25, apart=0.65)
    strewn["moss"] = _strew(rng, 230, (0.3, 3.7, -2.4, 0.5), mossy, scale=(0.7, 1.35), tilt=16, clear=-0.42)
    strewn["grass_near"] = _strew(rng, 110, (-5.2, 5.2, -5.0, 1.8), bank, scale=(0.6, 1.15), tilt=14)
    strewn["grass_far"] = _strew(rng, 110, (-9.0, 9.0, -17.0, -4.0), bank, scale=(0.8, 1.5), tilt=12)
    strewn["clover"] = _strew(rng, 46, (-4.2, 4.2, -3.0, 1.5), bank, scale=(0.8, 1.25), tilt=8, clear=-0.05)
    strewn["daisy"] = _strew(rng, 44, (-6.5, 6.5, -10.0, -2.2), bank, scale=(0.9, 1.5), tilt=14, clear=0.25)
    # in front of the lens, out of focus: tufts at both lower corners
    strewn["grass_near"] += [
        [-1.75, 0.0, 4.75, 40, 4, 0, 1.1],
        [-2.05, 0.02, 4.4, 170, 4, 0, 1.2],
        [-1.4, 0.0, 4.9, 80, 4, 0, 0.9],
    ]
    strewn["grass_near"] += [[1.95, 0.05, 4.55, 260, 6, 90, 1.0], [1.65, 0.02, 4.8, 10, 4, 0, 0.9]]

    def leaves(x: float, z: float, d: float) -> float:
        return float(d > 0.1) * float(np.exp(-max(d - 0.4, 0.0)))

    placed: dict[str, list[Placement]] = {}
    for name in ("leaf_a", "leaf_b"):
        placed[name] = _strew(
            rng, 10, (-3.2, 3.6, -2.2, 2.6), leaves, scale=(0.8, 1.35), tilt=24, sink=-0.03, apart=0.2, clear=-0.1
        )
    placed["stone"] = _strew(rng, 12, near, beach, scale=(0.20, 0.36), tilt=12, sink=0.3, apart=0.7, clear=0.1)
    # two leaves float on the water
    placed["leaf_a"] += [[0.62, 0.004, 1.30, 205, 0, 0, 0.95]]
    placed["leaf_b"] += [[-1.75, 0.004, 1.75, 70, 0, 0, 1.0]]
    return strewn, placed


def strew(placements: list[Placement], variants: list[dict[str, Mesh]]) -> dict[str, Mesh]:
    """Layer → all copies joined; the variants take turns."""
    layers: dict[str, list[Mesh]] = {}
    for number, (x, y, z, turn, tilt, azimuth, size) in enumerate(placements):
        lean = rotation((0, 1, 0), azimuth) @ rotation((1, 0, 0), tilt) @ rotation((0, 1, 0), turn - azimuth)
        for layer, mesh in variants[number % len(variants)].items():
            copy = place(mesh, (x, y, z), turn=lean, scale=size)
            layers.setdefault(layer, []).append(Mesh(copy.points, copy.uv * size + (0.37 * number) % 1))
    return {layer: join(*meshes) for layer, meshes in layers.items()}


def write(path: Path, placed: dict[str, list[Placement]]) -> None:
    rows = {name: "[\n  " + ",\n  ".join(json.dumps(p) for p in places) + "]" for name, places in placed.items()}
    path.write_text("{\n" + ",\n".join(f'"{name}": {text}' for name, text in rows.items()) + "\n}\n")
