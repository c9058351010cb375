"""A scene while it is being built: meshes by material slot, what moves, lights, and where the camera may be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from pipeline.denoise.training.scenes.furniture import Parts
from pipeline.denoise.training.scenes.geometry import Array, Mesh, placed
from pipeline.denoise.training.scenes.lights import Lights
from pipeline.denoise.training.scenes.materials import PALETTES, SURFACES, family
from pipeline.denoise.training.scenes.movement import Motion

__all__ = ["MOVERS", "Box", "Mover", "Stage", "scatter", "standing"]

MOVERS = 4
"""Shapes of a scene that can move."""

Box = tuple[Array, Array]
"""Lower and upper corner."""


@dataclass(frozen=True)
class Mover:
    mesh: Mesh
    slot: int
    motion: Motion


@dataclass
class Stage:
    """What layouts fill.

    Attributes:
        rng: all that is random in the scene.
        palette: key of `materials.PALETTES`.
        hard: whether light is to be hard to find.
        scale: size of a typical thing, metres: textures repeat about as often.
        meshes: per slot of the palette, what stands still.
        solids: boxes that the camera keeps out of.
        zone: box that the camera stays in.
        subjects: points worth looking at.
        beyond: distance from the camera within which nothing may block the view.
        tags: what to remember of the scene.
    """

    rng: np.random.Generator
    palette: str
    hard: bool
    scale: float = 1.0
    meshes: list[list[Mesh]] = field(default_factory=list)
    movers: list[Mover] = field(default_factory=list)
    lights: Lights = field(default_factory=Lights)
    solids: list[Box] = field(default_factory=list)
    zone: Box = field(default_factory=lambda: (np.full(3, -1.0), np.full(3, 1.0)))
    subjects: list[Array] = field(default_factory=list)
    beyond: float = 0.6
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.meshes = [[] for _ in PALETTES[self.palette]]
        self._tiles = 10.0 ** self.rng.uniform(-0.5, 0.4, len(self.meshes))

    def slot(self, surface: str) -> int:
        """A slot for something made of `surface`; matte where the palette has nothing of the kind."""
        kinds = PALETTES[self.palette]
        families = [found for name in SURFACES[surface] if (found := family(name, kinds))] or [family("matte", kinds)]
        found = families[0] if self.rng.random() < 0.6 else families[self.rng.integers(len(families))]
        return found[self.rng.integers(len(found))]

    def put(self, parts: Parts, matrix: Array | None = None, *, solid: bool = True) -> None:
        """Stands a thing somewhere (4×4). Parts of one surface get one slot."""
        slots = {surface: self.slot(surface) for _, surface in parts}
        for mesh, surface in parts:
            self.add(mesh if matrix is None else mesh.transformed(matrix), slots[surface], solid=solid)

    def add(self, mesh: Mesh, slot: int, *, solid: bool = True) -> None:
        self.meshes[slot].append(self._mapped(mesh, slot))
        if solid:
            self.solids.append(mesh.bounds)

    def move(self, mesh: Mesh, slot: int, motion: Motion) -> None:
        """Adds something that moves; it stands still when all movers are taken."""
        if len(self.movers) == MOVERS:
            self.add(mesh, slot)
            return
        self.movers.append(Mover(self._mapped(mesh, slot), slot, motion))
        low, high = mesh.bounds
        far = 4.0 * np.abs(motion["translate"])
        self.solids.append((low - far, high + far))

    def has(self, surface: str) -> bool:
        """Whether the palette has the surface itself, rather than something in its stead."""
        return bool(family(SURFACES[surface][0], PALETTES[self.palette]))

    def _mapped(self, mesh: Mesh, slot: int) -> Mesh:
        if PALETTES[self.palette][slot] == "leaf":
            return mesh  # one picture, one leaf
        return mesh.mapped(1.0 / (self.scale * self._tiles[slot]))


def scatter(
    rng: np.random.Generator, low: tuple[float, float], high: tuple[float, float], *, count: int, apart: float
) -> Iterator[tuple[float, float]]:
    """Up to `count` points of a rectangle (x, z), at least `apart` from each other (Poisson disc by dart throwing)."""
    kept: list[Array] = []
    for _ in range(20 * count):
        point = rng.uniform(low, high)
        if all(np.hypot(*(point - other)) >= apart for other in kept):
            kept.append(point)
            yield float(point[0]), float(point[1])
        if len(kept) == count:
            return


def standing(rng: np.random.Generator, x: float, z: float, y: float = 0.0) -> Array:
    """4×4: at a place, turned anyhow."""
    return placed((x, y, z), turn=rng.uniform(0.0, 2.0 * np.pi))
