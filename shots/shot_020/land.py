"""The lie of the land of shot_020: a puddle, its bank, a meadow.

World units are decimetres, y is up, the water is at y = 0.
"""

from __future__ import annotations

import numpy as np
from craft.mesh import Mesh, from_grid
from craft.pattern import fbm, smoothstep

PUDDLE = (-0.55, 1.35)
"""x, z of the puddle's middle."""


def shore(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Distance from the puddle's edge, decimetres, negative over water."""
    dx, dz = np.asarray(x, float) - PUDDLE[0], np.asarray(z, float) - PUDDLE[1]
    angle = np.arctan2(dz / 0.62, dx)
    radius = np.hypot(dx, dz / 0.62)
    edge = 3.0 * (1 + 0.13 * np.sin(2 * angle + 0.6) + 0.08 * np.sin(3 * angle + 2.0) + 0.04 * np.sin(7 * angle))
    return (radius - edge) * 0.8


def height(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Height of the ground, decimetres."""
    x, z = np.broadcast_arrays(np.asarray(x, float), np.asarray(z, float))
    d = shore(x, z)
    bed = -0.35 * smoothstep(0.0, -1.2, d)
    bank = 0.26 * smoothstep(-0.1, 1.1, d)
    p = np.stack([x, z], -1)
    hillocks = 0.20 * fbm(p * 0.55 + 20, 3, 3) * smoothstep(0.1, 1.5, d)
    crumbs = 0.028 * fbm(p * 3.7 + 40, 5, 3) * smoothstep(-0.15, 0.3, d)
    knoll = 0.55 * np.exp(-(((x - 2.0) / 1.3) ** 2 + ((z + 1.1) / 1.2) ** 2))
    rise = 0.35 * smoothstep(3.0, 16.0, -z) + 0.25 * smoothstep(2.5, 8.0, np.abs(x))
    return bed + bank + hillocks + crumbs + knoll + rise


def ground() -> Mesh:
    """Fine near the puddle, coarse towards the horizon. uv: decimetres / 16 + ½, the unit square around the origin."""

    def lines(near: float, far_low: float, far_high: float, count: int) -> np.ndarray:
        middle = np.linspace(-near, near, count)
        step = middle[1] - middle[0]
        out = [middle]
        for end, sign in ((far_low, -1), (far_high, 1)):
            reach, width, side = near, step, []
            while reach < abs(end):
                width *= 1.22
                reach += width
                side.append(sign * reach)
            out.append(np.array(side))
        return np.sort(np.concatenate(out))

    xs, zs = lines(4.2, -55, 55, 76), lines(4.2, -90, 14, 76)
    x, z = np.meshgrid(xs, zs, indexing="ij")
    points = np.stack([x, height(x, z), z], -1)[:, ::-1]
    uv = np.stack([x, z], -1)[:, ::-1] / 16 + 0.5
    return from_grid(points, uv)


def water() -> Mesh:
    """The puddle's surface: faint rings around the boat and a breath of wind."""
    x, z = np.meshgrid(np.linspace(-4.4, 3.2, 84), np.linspace(-1.3, 4.0, 66), indexing="ij")
    r = np.hypot(x + 0.35, (z - 1.1) * 1.15)
    rings = 0.0045 * np.sin(r * 13) * np.exp(-r * 0.85) * smoothstep(0.2, 0.8, r)
    breath = 0.0030 * fbm(np.stack([x * 1.1, z * 2.6], -1) + 9, 11, 3)
    points = np.stack([x, rings + breath, z], -1)[:, ::-1]
    return from_grid(points, np.zeros((*x.shape, 2)))
