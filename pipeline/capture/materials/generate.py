"""Materials by their seeds: one family, or two that meet, with dirt and wear, turned and scaled."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pipeline.capture.maps import Maps
from pipeline.capture.materials import built, cloths, metals, stones
from pipeline.capture.materials.colours import near
from pipeline.capture.materials.fields import Random, covering, noise
from pipeline.capture.materials.patterns import bricks
from pipeline.capture.materials.surface import Surface, mixed

__all__ = ["FAMILIES", "HELD_OUT", "LEARNT", "material", "surface"]

FAMILIES: dict[str, Callable[[Random, int], Surface]] = {
    "brickwork": built.brickwork,
    "brushed": metals.brushed,
    "carpet": cloths.carpet,
    "cast": metals.cast,
    "cobbles": stones.cobbles,
    "concrete": stones.concrete,
    "fabric": cloths.fabric,
    "foil": built.foil,
    "granite": stones.granite,
    "gravel": stones.gravel,
    "hammered": metals.hammered,
    "knitwear": cloths.knitwear,
    "lacquer": built.lacquer,
    "leather": cloths.leather,
    "marble": stones.marble,
    "painted_metal": metals.painted_metal,
    "panel": built.panel,
    "paper": cloths.paper,
    "parquet": built.parquet,
    "plaster": stones.plaster,
    "plastic": built.plastic,
    "rusted": metals.rusted,
    "scales": built.scales,
    "terrazzo": stones.terrazzo,
    "tiles": built.tiles,
    "wood": built.wood,
}

HELD_OUT = ("cobbles", "hammered", "knitwear", "parquet", "scales", "terrazzo")
"""Families that training never draws: the benchmark's test set."""

LEARNT = tuple(name for name in FAMILIES if name not in HELD_OUT)

BLENDED = 0.4  # of the materials: two families that meet


def material(seed: int, size: int, *, families: Sequence[str] = LEARNT) -> Maps:
    """A material.

    Args:
        seed: which; the same maps for the same seed, size and families.
        size: texels a side.
        families: names that are drawn from.

    Returns:
        maps, batch of one, periodic but for scratches.
    """
    return surface(np.random.default_rng((seed, size)), size, families).maps()


def surface(rng: Random, size: int, families: Sequence[str]) -> Surface:
    """As `material`, before it is maps."""
    made = _one(rng, size, families)
    if rng.random() < BLENDED:
        other = _one(rng, size, families)
        made = mixed(made, other, _meeting(rng, size), step=rng.uniform(-0.01, 0.02))
    if rng.random() < 0.3:
        made = _soiled(rng, made)
    if rng.random() < 0.5:
        made = _relit(rng, made)
    return _turned(rng, made)


def _one(rng: Random, size: int, families: Sequence[str]) -> Surface:
    return FAMILIES[families[int(rng.integers(len(families)))]](rng, size)


def _meeting(rng: Random, size: int) -> np.ndarray:
    """Where one of two materials is: patches, wear, or tiles of both."""
    kind = rng.integers(3)
    if kind == 0:
        return covering(noise(rng, size, scale=rng.uniform(1, 3), falloff=1.8), rng.uniform(0.2, 0.8), softness=0.1)
    if kind == 1:
        return covering(noise(rng, size, scale=rng.uniform(2, 8), falloff=0.9), rng.uniform(0.1, 0.6), softness=0.2)
    count = int(rng.integers(2, 7))
    laid = bricks(rng, size, rows=count, columns=count, shift=0.0)
    chosen = rng.random(laid.count) < 0.5
    return chosen[laid.number].astype(np.float32)


def _soiled(rng: Random, made: Surface) -> Surface:
    """Dirt that gathers low, and dulls."""
    size = made.height.shape[0]
    low = -made.height / max(float(made.height.std()), 1e-6) + rng.uniform(0.5, 2) * noise(
        rng, size, scale=4, falloff=1
    )
    mask = rng.uniform(0.3, 0.9) * covering(low.astype(np.float32), rng.uniform(0.1, 0.5), softness=0.6)
    mask = mask.astype(np.float32)
    dirt = Surface.of(near(rng, 0.09, 0.4, 0.2, 0.08), np.full(3, 0.03, np.float32), 0.9, made.height)
    return mixed(made, dirt, mask)


def _relit(rng: Random, made: Surface) -> Surface:
    """Another gloss, another depth of relief: so that no family has one of its own."""
    bump = float(np.exp(rng.normal(0, 0.35)))
    return Surface(made.diffuse, made.specular, made.roughness, made.height * np.float32(bump)).rougher(
        float(rng.normal(0, 0.12))
    )


def _turned(rng: Random, made: Surface) -> Surface:
    """Quarter turns, mirror images and shifts."""
    turns, flip = int(rng.integers(4)), rng.random() < 0.5
    dy, dx = (int(rng.integers(made.height.shape[0])) for _ in range(2))

    def moved(values: np.ndarray) -> np.ndarray:
        values = np.rot90(np.roll(values, (dy, dx), (0, 1)), turns)
        return np.ascontiguousarray(values[:, ::-1] if flip else values)

    return Surface(moved(made.diffuse), moved(made.specular), moved(made.roughness), moved(made.height))
