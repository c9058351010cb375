"""How much of the optimisers' benchmark is run: in full, and quickly."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FULL", "QUICK", "CacheSizes", "Course", "Sizes"]


@dataclass(frozen=True)
class Course:
    """How fields are trained.

    Attributes:
        steps: gradient steps.
        batch: samples of each.
        width, depth: of the fields.
        looks: on the way, evenly.
    """

    steps: int
    batch: int
    width: int
    depth: int
    looks: int = 60


@dataclass(frozen=True)
class CacheSizes:
    """How much is measured of the radiance cache.

    Attributes:
        seconds: of each training.
        tuning: seconds of each training that a rate is tried with.
        rates: tried; 1 takes the product's.
        scenes, seeds: that judge.
        resolution: of judged pictures.
        spp: of their references.
    """

    seconds: float
    tuning: float
    rates: int
    scenes: int
    seeds: int
    resolution: tuple[int, int]
    spp: int


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        images, shapes, rooms: courses.
        pixels: of an image's side: few enough that a field can learn it all. Beyond that every optimiser ends in the
            noise of what it cannot learn, as long as its rate stays what it is.
        tuning, test: how many images to tune on, and to judge by.
        table: images that all optimisers run, of those that judge; Adam and ESGD run all.
        seeds: of trials that judge.
        rates: tried at least, half a decade apart.
        points: of a shape.
        view: pixels of a room's view.
        samples: on a ray.
        conditions: seeds of the condition numbers.
        probes: seeds of the densities.
        pairs: of timings.
        timed: (batch, width) at which a step's cost and memory are measured.
        cache: seconds of each training of the radiance cache, seeds, rates, and pixels of its pictures; see
            `optim_cache`.
    """

    images: Course
    shapes: Course
    rooms: Course
    pixels: int
    tuning: int
    test: int
    table: int
    seeds: int
    rates: int
    points: int
    view: int
    samples: int
    conditions: int
    probes: int
    pairs: int
    timed: tuple[int, int]
    cache: CacheSizes


FULL = Sizes(
    images=Course(3000, 512, 128, 4),
    shapes=Course(3000, 1024, 128, 4),
    rooms=Course(4000, 256, 96, 4, 40),
    pixels=96,
    tuning=2,
    test=4,
    table=2,
    seeds=5,
    rates=5,
    points=200_000,
    view=64,
    samples=48,
    conditions=10,
    probes=5,
    pairs=9,
    timed=(512, 256),
    cache=CacheSizes(120.0, 40.0, 5, 2, 3, (160, 90), 4096),
)
QUICK = Sizes(
    images=Course(400, 128, 48, 4, 40),
    shapes=Course(250, 256, 32, 4, 25),
    rooms=Course(120, 64, 24, 3, 12),
    pixels=32,
    tuning=1,
    test=1,
    table=1,
    seeds=2,
    rates=5,
    points=20_000,
    view=24,
    samples=16,
    conditions=3,
    probes=2,
    pairs=3,
    timed=(256, 128),
    cache=CacheSizes(6.0, 0.0, 1, 1, 1, (48, 27), 256),
)
