"""Tasks of the matching benchmark that need no renderer (QUAD, boxes), and what every task is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.match.descent import GradientOf
from pipeline.match.estimators import BlackBox
from pipeline.match.minimise import Bounds, Record, Stopping, minimise

if TYPE_CHECKING:
    from benchmarks.match_methods import Contender

__all__ = ["Task", "boxes", "quad"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """One inverse problem whose answer is known.

    Attributes:
        key: as in the paper's Table 2.
        loss: the black box; of rendered tasks, noisy.
        truth: n.
        start: seed → n.
        bounds: scales and limits; σ is in scales.
        sigma: (first, last).
        evaluations: the budget: what a failure counts.
        error: θ → error of a fresh, unsmoothed picture; its start value is what reductions are of.
        autodiff: Mitsuba's own gradient, where there is a renderer.
        about: one line.
        size: of its pictures, for names of files.
    """

    key: str
    loss: BlackBox
    truth: Array
    start: Callable[[int], Array]
    bounds: Bounds
    sigma: tuple[float, float]
    evaluations: int
    error: Callable[[Array], float]
    autodiff: GradientOf | None = None
    about: str = ""
    size: str = "-"

    @property
    def n(self) -> int:
        """Parameters."""
        return len(self.truth)

    def takes(self, method: Contender) -> bool:
        """Whether a method can run it at all."""
        return method.fits(self)

    def solve(self, method: Contender, number: float, seed: int, note: Callable[[Record], bool]) -> str:
        """Searches from the start of `seed`; `note` is told of each step, and calls it off. Why it ended."""
        optimiser, schedule = method.make(self, number)
        stopping = Stopping(self.evaluations, threshold=0.0, tolerance=0.0)
        start = self.start(seed)
        return minimise(
            self.loss, start, optimiser, schedule, bounds=self.bounds, stopping=stopping, seed=seed, on_step=note
        ).reason

    def distance(self, theta: Array) -> float:
        """Parameter error: length of what is left, in scales."""
        return float(np.linalg.norm((theta - self.truth) / self.bounds.scale))


def quad() -> Task:
    """5 x₀² + 5 x₁² + 7.5 x₀ x₁, from a random point at distance 2."""
    A = np.array([[10.0, 7.5], [7.5, 10.0]])

    def loss(points: Array, seed: int) -> Array:
        return np.asarray(0.5 * np.einsum("ki,ij,kj->k", points, A, points))

    def start(seed: int) -> Array:
        way = np.random.default_rng([seed, 1]).standard_normal(2)
        return np.asarray(2.0 * way / np.linalg.norm(way))

    return Task(
        "QUAD",
        loss,
        np.zeros(2),
        start,
        Bounds.free(2),
        (0.5, 0.02),
        4000,
        lambda theta: float(loss(theta[None], 0)[0]),
        about="the quadratic of the paper, n = 2",
    )


SIDE = 48  # pixels of the boxes' picture
BOX = 0.2  # side of a box, of the picture's

COLOURS = np.array([[1.0, 0.2, 0.2], [0.2, 1.0, 0.2], [0.3, 0.4, 1.0], [1.0, 0.9, 0.2], [0.9, 0.3, 1.0]])


def boxes(count: int) -> Task:
    """Places of some boxes, added up in one picture; at the start none of them overlaps its own place."""
    truth = np.array([[0.3, 0.7], [0.7, 0.7], [0.5, 0.45], [0.3, 0.2], [0.7, 0.2]])[:count].ravel()
    colours = COLOURS[:count]
    edges = np.linspace(0.0, 1.0, SIDE + 1)

    def pictures(points: Array) -> Array:
        centres = points.reshape(len(points), count, 2)
        low, high = centres[..., None] - BOX / 2, centres[..., None] + BOX / 2
        cover = np.clip(np.minimum(high, edges[1:]) - np.maximum(low, edges[:-1]), 0.0, None) * SIDE  # K×count×2×SIDE
        return np.asarray(np.einsum("kbx,kby,bc->kyxc", cover[:, :, 0], cover[:, :, 1], colours, optimize=True))

    target = pictures(truth[None])[0]

    def loss(points: Array, seed: int) -> Array:
        return np.asarray(np.mean((pictures(points) - target) ** 2, axis=(1, 2, 3)))

    def start(seed: int) -> Array:
        """Each box beside its place, within the picture, without overlap."""
        rng = np.random.default_rng([seed, 2])
        found = []
        for place in truth.reshape(-1, 2):
            moved = place
            while np.abs(moved - place).max() <= BOX:
                angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(1.2, 1.8) * BOX
                moved = np.clip(place + far * np.array([np.cos(angle), np.sin(angle)]), BOX / 2, 1 - BOX / 2)
            found.append(moved)
        return np.concatenate(found)

    n = 2 * count
    return Task(
        f"BOX{n}",
        loss,
        truth,
        start,
        Bounds(np.full(n, 0.2), np.full(n, BOX / 2), np.full(n, 1 - BOX / 2)),
        (0.75, 0.01),
        4000 if count == 1 else 20_000,
        lambda theta: float(loss(theta[None], 0)[0]),
        about=f"{count} box{'es' if count > 1 else ''} of a fifth of the picture, n = {n}",
    )
