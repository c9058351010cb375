"""Single shapes: boxes, lathed, displaced and swept ones, cloth, foliage, hair. They stand on y = 0 at the origin
unless said."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from pipeline.denoise.training.scenes.geometry import (
    Array,
    Mesh,
    grid_surface,
    joined,
    placed,
    quad,
    scattered,
    turned,
    unit,
)
from pipeline.denoise.training.scenes.noise import waves

__all__ = [
    "ball",
    "blob",
    "bowl",
    "box",
    "cloth",
    "cylinder",
    "foliage",
    "goblet",
    "hair",
    "knot",
    "lathe",
    "pile",
    "random_shape",
    "ring",
    "superquadric",
    "terrain",
    "tube",
    "vase",
]

SMALLEST = 1e-5
"""Radius of a lathed shape at its axis: the surface keeps a normal there."""


def box(low: ArrayLike, high: ArrayLike) -> Mesh:
    """An axis-parallel box between two corners."""
    a, b = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    x, y, z = np.diag(b - a)
    sides = [(a, z, y), (a, x, z), (a, y, x), (b, -y, -z), (b, -z, -x), (b, -x, -y)]
    return joined(quad(*side) for side in sides)


def lathe(profile: ArrayLike, *, sides: int = 48) -> Mesh:
    """A surface of revolution about y. `profile` is n×2 (radius, height), upwards along the outside; a point given
    twice is a sharp edge."""
    r, y = np.maximum(np.asarray(profile, dtype=np.float64), (SMALLEST, -np.inf)).T
    angle = np.linspace(0.0, 2.0 * np.pi, sides + 1)
    angle[-1] = 0.0
    height = np.repeat(y[:, None], sides + 1, axis=1)
    return grid_surface(np.stack([r[:, None] * np.cos(angle), height, r[:, None] * np.sin(angle)], 2), closed_v=True)


def ball(radius: float, *, rings: int = 32) -> Mesh:
    t = np.linspace(-np.pi / 2, np.pi / 2, rings)
    return lathe(np.stack([radius * np.cos(t), radius + radius * np.sin(t)], axis=1))


def cylinder(radius: float, height: float, *, top: float | None = None, sides: int = 40) -> Mesh:
    """A cylinder, or a cone whose upper radius is `top`."""
    upper = radius if top is None else top
    corners = [(radius, 0.0), (radius, 0.0), (upper, height), (upper, height)]
    return lathe([(0.0, 0.0), *corners, (0.0, height)], sides=sides)


def vase(rng: np.random.Generator, height: float) -> Mesh:
    """A vessel with a wall, open at the top."""
    t = np.linspace(0.0, 1.0, 24)
    radius = 0.28 + 0.14 * np.sin(2.0 * np.pi * (t * rng.uniform(0.4, 1.1) + rng.random())) - 0.12 * t * rng.random()
    outer = height * np.stack([radius, t], axis=1)
    inner = outer[::-1] - np.array([0.025 * height, 0.0])
    inner[:, 1] = np.maximum(inner[:, 1], 0.03 * height)
    return lathe([(0.0, 0.0), outer[0], *outer, *inner, inner[-1], (0.0, 0.03 * height)])


def bowl(radius: float, depth: float) -> Mesh:
    t = np.linspace(0.15, 1.0, 20)
    outer = np.stack([radius * np.sqrt(t), depth * t**1.6], axis=1)
    inner = outer[::-1] * np.array([0.94, 0.94]) + np.array([0.0, 0.07 * depth])
    return lathe([(0.0, outer[0, 1]), *outer, *inner, (0.0, inner[-1, 1])])


def goblet(height: float) -> Mesh:
    """A wine glass with a wall."""
    outer = [(0.0, 0.0), (0.2, 0.0), (0.2, 0.0), (0.19, 0.015), (0.04, 0.035), (0.022, 0.12), (0.022, 0.42)]
    cup = [(0.1, 0.48), (0.17, 0.56), (0.2, 0.68), (0.19, 0.85), (0.165, 1.0)]
    inner = [(0.155, 1.0), (0.178, 0.85), (0.187, 0.68), (0.158, 0.57), (0.09, 0.5), (0.0, 0.475)]
    return lathe(height * np.array([*outer, *cup, *inner]))


def ring(radius: float, thickness: float) -> Mesh:
    """A torus that lies on the ground."""
    t = np.linspace(0.0, 2.0 * np.pi, 28)
    return lathe(np.stack([radius - thickness * np.cos(t), thickness + thickness * np.sin(t)], axis=1)[::-1])


def superquadric(size: ArrayLike, roundness: float, *, rings: int = 40) -> Mesh:
    """Between a box (roundness 0.1), an ellipsoid (1) and an octahedron (2), inside a box of that size.

    Source: Barr 1981, "Superquadrics and angle-preserving transformations".
    """

    def power(x: Array) -> Array:
        return np.asarray(np.sign(x) * np.abs(x) ** roundness)

    latitude = np.linspace(-np.pi / 2, np.pi / 2, rings)[:, None]
    longitude = np.linspace(0.0, 2.0 * np.pi, rings + 1)[None, :]
    c = np.maximum(power(np.cos(latitude)), 1e-4)
    x, z = c * power(np.cos(longitude)), c * power(np.sin(longitude))
    points = np.stack([x, np.broadcast_to(power(np.sin(latitude)) + 1.0, x.shape), z], axis=2)
    return grid_surface(points * np.asarray(size, dtype=np.float64) / 2.0, closed_v=True)


def blob(rng: np.random.Generator, radius: float, *, depth: float = 0.25, length: float = 0.7) -> Mesh:
    """A displaced sphere; waves of `length` radii and of `depth` radii."""
    sphere = ball(1.0, rings=56)
    direction = sphere.points - (0.0, 1.0, 0.0)
    moved = direction * (1.0 + depth * waves(rng, direction, length=2.0 * length))[:, None]
    points = radius * (moved - (0.0, moved[:, 1].min(), 0.0))
    return grid_surface(points.reshape(56, -1, 3), closed_v=True)


def tube(path: ArrayLike, radius: ArrayLike, *, sides: int = 12) -> Mesh:
    """A circle swept along a path (n×3), carried parallel; `radius` is one or n. The ends are closed.

    Source: Wang et al. 2008, "Computation of rotation minimizing frames", the simplest of its schemes.
    """
    p = np.asarray(path, dtype=np.float64)
    r = np.broadcast_to(np.asarray(radius, dtype=np.float64), len(p)).copy()
    p, r = np.concatenate([p[:1], p[:1], p, p[-1:], p[-1:]]), np.concatenate([[SMALLEST, r[0]], r, [r[-1], SMALLEST]])
    inner = unit(np.gradient(p[2:-2], axis=0))
    tangents = np.concatenate([inner[:1], inner[:1], inner, inner[-1:], inner[-1:]])
    normal = unit(np.cross(tangents[0], np.eye(3)[np.abs(tangents[0]).argmin()]))
    angle = np.linspace(0.0, 2.0 * np.pi, sides + 1)
    rows = []
    for centre, tangent, size in zip(p, tangents, r, strict=True):
        normal = unit(normal - tangent * (normal @ tangent))
        side = np.cross(normal, tangent)
        rows.append(centre + size * (np.cos(angle)[:, None] * normal + np.sin(angle)[:, None] * side))
    return grid_surface(np.stack(rows), closed_v=True)


def knot(rng: np.random.Generator, size: float) -> Mesh:
    """A smooth closed-looking curve of low frequencies, swept."""
    t = np.linspace(0.0, 2.0 * np.pi, 160)
    counts, phase = rng.integers(1, 5, 3), rng.uniform(0.0, 2.0 * np.pi, 3)
    path = np.stack([np.sin(n * t + f) for n, f in zip(counts, phase, strict=True)], axis=1) * (1.0, 0.8, 1.0)
    radius = rng.uniform(0.06, 0.2)
    return tube(size / 2.2 * (path + np.array([0.0, 0.8 + radius, 0.0])), size / 2.2 * radius, sides=16)


def hair(rng: np.random.Generator, radius: float, height: float, *, count: int = 160) -> Mesh:
    """Strands that grow from a disc and bend: hair, grass, a brush."""
    t = np.linspace(0.0, 1.0, 7)
    kinds = []
    for _ in range(5):
        bend = rng.uniform(0.0, 0.6) * height
        path = np.stack([bend * t * t, height * rng.uniform(0.6, 1.0) * t, 0.2 * bend * np.sin(3.0 * t)], axis=1)
        strand = tube(path, 0.012 * height * (1.05 - t), sides=5)
        turn, distance = 2.0 * np.pi * rng.random(count // 5), radius * np.sqrt(rng.random(count // 5))
        roots = np.stack([distance * np.cos(turn), np.zeros_like(turn), distance * np.sin(turn)], axis=1)
        spin = turn + rng.normal(0.0, 0.8, count // 5)
        kinds.append(scattered(strand, np.stack([placed(at, turn=-a) for at, a in zip(roots, spin, strict=True)])))
    return joined(kinds)


def foliage(rng: np.random.Generator, radius: float, *, count: int = 350, leaf: float = 0.12) -> Mesh:
    """A cloud of bent leaves, each about `leaf` radii long; texture coordinates run over each leaf once."""
    s = np.array([0.0, 0.5, 1.0])
    spine = np.stack([s - 0.5, -0.25 * (2.0 * s - 1.0) ** 2, np.zeros(3)], axis=1)
    one = grid_surface(spine[:, None] + np.outer([0.225, -0.225], (0.0, 0.0, 1.0))[None])
    matrices = []
    for _ in range(count):
        matrix = turned(rng.normal(size=3), rng.uniform(0.0, np.pi))
        matrix[:3, :3] *= leaf * radius * rng.uniform(0.7, 1.5)
        matrix[:3, 3] = radius * (unit(rng.normal(size=3)) * rng.uniform(0.35, 1.0) + (0.0, 1.0, 0.0))
        matrices.append(matrix)
    return scattered(one, np.stack(matrices))


def cloth(rng: np.random.Generator, width: float, height: float, *, folds: float = 8.0, depth: float = 0.05) -> Mesh:
    """A hanging cloth in the plane z = 0: x in [0, width], y in [0, height], folds along y."""
    x, y = np.linspace(0.0, 1.0, 96), np.linspace(0.0, 1.0, 12)
    phase = 2.0 * np.pi * folds * x + 1.5 * np.sin(2.0 * np.pi * (x * rng.uniform(1, 3) + rng.random()))
    z = depth * np.sin(phase)[:, None] * (1.0 - 0.3 * y) + 0.3 * depth * np.sin(5.0 * y + rng.random())
    points = np.stack([np.broadcast_to(width * x[:, None], z.shape), np.broadcast_to(height * y, z.shape), z], 2)
    return grid_surface(points)


def terrain(rng: np.random.Generator, size: float, height: float, *, cells: int = 96) -> Mesh:
    """Ground about the origin, flat there and hilly outwards."""
    x = np.linspace(-size / 2, size / 2, cells)
    points = np.stack([*np.meshgrid(x, [0.0], x, indexing="ij")], axis=-1)[:, 0]
    away = np.clip(np.hypot(points[..., 0], points[..., 2]) / (0.5 * size), 0.0, 1.0)
    hills = away**2 * (1.0 + waves(rng, points, length=size / 4))
    points[..., 1] = height * (hills + 0.004 * waves(rng, points, length=1.0))
    return grid_surface(points[:, ::-1])


def pile(rng: np.random.Generator, one: Mesh, *, count: int, spread: float) -> Mesh:
    """Copies of a mesh about the origin, of random place, turn and size."""
    return scattered(
        one,
        np.stack(
            [
                placed((x, 0.0, z), turn=rng.uniform(0.0, 2.0 * np.pi), size=rng.uniform(0.5, 1.4))
                for x, z in spread * rng.normal(size=(count, 2))
            ]
        ),
    )


def random_shape(rng: np.random.Generator, size: float) -> Mesh:
    """Any of the shapes above that fills about size³."""
    half = size / 2.0
    makers: list[Callable[[], Mesh]] = [
        lambda: ball(half),
        lambda: box((-half, 0.0, -half), np.array([half, size * rng.uniform(0.3, 1.2), half])),
        lambda: cylinder(half * rng.uniform(0.4, 1.0), size),
        lambda: cylinder(half, size, top=half * rng.uniform(0.0, 0.5)),
        lambda: vase(rng, size),
        lambda: bowl(half, half),
        lambda: ring(0.36 * size, 0.13 * size),
        lambda: superquadric((size, size * rng.uniform(0.5, 1.2), size), rng.choice([0.15, 0.3, 0.6, 1.6])),
        lambda: blob(rng, half, depth=rng.uniform(0.05, 0.3), length=rng.uniform(0.25, 1.0)),
        lambda: knot(rng, size),
        lambda: hair(rng, 0.4 * size, size),
        lambda: pile(rng, ball(0.13 * size, rings=16), count=14, spread=0.25 * size),
    ]
    return makers[rng.integers(len(makers))]()
