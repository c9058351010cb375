"""What lies about in shot_020: fallen leaves, stones, a snail, a paper boat. Each about its own origin, decimetres."""

from __future__ import annotations

import numpy as np
from craft.mesh import (
    Mesh,
    box_uv,
    catmull,
    circle,
    from_grid,
    grid,
    icosphere,
    join,
    place,
    rotation,
    sweep,
    warp,
)
from craft.pattern import fbm


def fallen_leaf(seed: int) -> Mesh:
    """A curled birch leaf with a stalk, 0.5 dm. uv: the unit square, the midrib at u = ½."""
    rng = np.random.default_rng(seed)
    curl, roll = rng.uniform(0.3, 0.75), rng.uniform(-0.25, 0.25)

    def surface(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        c = 2 * v - 1
        half = 0.19 * np.sin(np.pi * u**0.70) ** 0.85 * (1 + 0.06 * np.abs((u * 11) % 1 - 0.5))
        y = (
            curl * 0.32 * half * c**2
            + 0.10 * curl * (u - 0.45) ** 2
            + roll * 0.3 * half * c * u
            + 0.006 * np.cos(u * 22 + 3 * np.abs(c)) * np.abs(c)
        )
        return np.stack([half * c * (1 - 0.15 * curl * np.abs(c)), y, 0.52 * u], -1)

    leaf = grid(surface, 16, 10)
    leaf = Mesh(leaf.points[:, [0, 2, 1]], leaf.uv[:, [0, 2, 1]][..., ::-1])
    stalk = sweep(circle(0.007, 5), catmull([(0, 0.012, 0.02), (0.01, 0.03, -0.09), (0.03, 0.02, -0.2)], 3), caps=False)
    stalk = Mesh(stalk.points, np.full_like(stalk.uv, 0.5))
    return place(join(leaf, stalk), (0, 0.015, -0.2))


def stone(seed: int, subdivisions: int, rough: float, shape: tuple[float, float, float]) -> Mesh:
    """A pebble or a rock of radius about 1."""

    def weather(p: np.ndarray) -> np.ndarray:
        return p * (1 + 0.22 * fbm(p * 0.8 + seed * 1.7, seed, 2) + rough * fbm(p * 2.6 + seed, seed + 5, 3))[:, None]

    rock = place(warp(icosphere(subdivisions), weather), scale=shape)
    return box_uv(rock, grain=1, scale=0.45, offset=(seed * 0.37, seed * 0.61))


def snail() -> dict[str, Mesh]:
    """A garden snail: the spiral shell (uv: along the coil, around it) and the body, head towards +x."""
    turns, steps = 3.1, 112
    t = np.linspace(0, 1, steps)
    angle = 2 * np.pi * turns * t
    size = np.exp(2.0 * (t - 1))
    radius = 0.115 * size
    centre = np.stack([np.cos(angle + 0.35) * radius, np.sin(angle + 0.35) * radius, 0.095 * (1 - size)], -1)
    tube = 0.088 * size
    ring = circle(1.0, 18)
    ring = np.concatenate([ring, ring[:1]])
    inward = np.stack([np.cos(angle + 0.35), np.sin(angle + 0.35), 0 * angle], -1)
    points = centre[:, None] + tube[:, None, None] * (
        ring[None, :, :1] * inward[:, None] + ring[None, :, 1:] * np.array((0, 0, 1.0))
    )
    uv = np.stack(np.meshgrid(t * 6, np.linspace(0, 1, len(ring)), indexing="ij"), -1)
    shell = from_grid(points, uv)
    if (
        np.cross(shell.points[:, 1] - shell.points[:, 0], shell.points[:, 2] - shell.points[:, 0])[-30:]
        * (shell.points[-30:, 0] - centre[-1])
    ).sum() < 0:
        shell = Mesh(shell.points[:, [0, 2, 1]], shell.uv[:, [0, 2, 1]])
    shell = place(shell, (-0.03, 0.20, -0.02), turn=rotation((0, 0, 1), 200) @ rotation((1, 0, 0), 6))
    spine = catmull(
        [
            (-0.34, 0.008, 0),
            (-0.22, 0.022, 0),
            (-0.06, 0.045, 0),
            (0.10, 0.05, 0),
            (0.20, 0.085, 0),
            (0.265, 0.135, 0.005),
            (0.30, 0.145, 0.008),
        ],
        6,
    )
    girth = np.interp(np.linspace(0, 1, len(spine)), [0, 0.25, 0.5, 0.75, 0.93, 1], [0.15, 0.7, 1.05, 0.95, 0.72, 0.2])
    body = sweep(circle(0.062, 16) * (1.15, 0.75), spine, scale=girth)
    parts = [body]
    for side in (-1, 1):
        horn = catmull([(0.27, 0.155, 0.018 * side), (0.31, 0.215, 0.035 * side), (0.345, 0.27, 0.05 * side)], 4)
        parts.append(sweep(circle(0.008, 8), horn, scale=np.linspace(1.0, 0.6, len(horn))))
        parts.append(place(icosphere(2), horn[-1], scale=0.0115))
        feeler = catmull([(0.295, 0.125, 0.018 * side), (0.335, 0.115, 0.03 * side)], 3)
        parts.append(sweep(circle(0.006, 6), feeler, scale=np.linspace(1.0, 0.6, len(feeler))))
    return {"snail_shell": shell, "snail_body": join(*parts)}


def boat() -> Mesh:
    """A folded paper boat, bow towards +x, 1.1 dm long; single sheets, to be rendered from both sides."""
    bow, stern = np.array((0.56, 0.20, 0.0)), np.array((-0.56, 0.20, 0.0))
    keel_f, keel_b = np.array((0.26, -0.055, 0.0)), np.array((-0.26, -0.055, 0.0))
    peak = np.array((0.0, 0.44, 0.0))
    meshes = []

    def sheet(corners: list[np.ndarray], cells: int = 4) -> None:
        a, b, c, d = (np.asarray(p, float) for p in corners)
        meshes.append(
            grid(
                lambda u, v: (
                    (1 - u)[..., None] * ((1 - v)[..., None] * a + v[..., None] * d)
                    + u[..., None] * ((1 - v)[..., None] * b + v[..., None] * c)
                    + (0.006 * np.sin(np.pi * u) * np.sin(np.pi * v))[..., None] * np.array((0, 0, 1.0))
                ),
                cells,
                cells,
            )
        )

    for side in (-1, 1):
        belly = np.array((0.0, 0.10, 0.205 * side))
        gunwale = np.array((0.0, 0.145, 0.215 * side))
        low = np.array((0.0, -0.055, 0.075 * side))
        sheet([keel_b + np.array((0, 0, 0.04 * side)), low, belly, stern])
        sheet([low, keel_f + np.array((0, 0, 0.04 * side)), bow, belly])
        sheet([stern, belly, gunwale, stern + np.array((0.02, 0.022, 0.0))])  # the folded brim, a second sheet
        sheet([belly, bow, bow + np.array((-0.02, 0.022, 0.0)), gunwale])
        sheet([keel_b + np.array((0, 0, 0.04 * side)), keel_f + np.array((0, 0, 0.04 * side)), keel_f, keel_b], 2)
        foot = 0.055 * side
        sheet([np.array((-0.30, 0.04, foot)), np.array((0.30, 0.04, foot)), peak, peak], 5)
    return join(*meshes)
