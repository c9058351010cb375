"""The black box of a match: rows of parameters in, losses against the plate out; and what none of it depends on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.match.losses import Loss
from pipeline.match.minimise import Bounds
from pipeline.match.parameters import Parameter
from pipeline.match.plate import Plate

__all__ = ["Held", "Objective", "Pictures", "inert"]

Array = NDArray[np.float64]

STEPS = (-8.0, -4.0, -1.0, 1.0, 4.0, 8.0)
"""Scales by which each parameter is tried for an effect."""

SHARE = 1e-5
"""Of the picture's energy: a parameter that varies it by less changes nothing (bits of a ray's packet do)."""


class Pictures(Protocol):
    """What renders: `Renders`."""

    parameters: list[Parameter]

    def images(self, theta: Array, *, spp: int, seed: int) -> NDArray[np.float32]:
        """K×2×H×W×4."""
        ...


class Objective:
    """A loss of rendered pictures.

    Args:
        pictures: renders.
        loss: judges.
        spp: samples per pixel in each half; may be changed between steps.
    """

    def __init__(self, pictures: Pictures, loss: Loss, *, spp: int) -> None:
        self._pictures, self._loss, self.spp = pictures, loss, spp

    def __call__(self, points: Array, seed: int) -> Array:
        """Losses at K×n parameters."""
        return self._loss(self._pictures.images(points, spp=self.spp, seed=seed))


def inert(pictures: Pictures, plate: Plate, start: Array, bounds: Bounds, *, spp: int, seed: int) -> list[bool]:
    """Which parameters change nothing in the picture: its variance over several of their values is nil.

    All versions share their random numbers, so that nothing but the parameter makes them differ. A texture's values
    are tried together.

    Args:
        start, bounds: search units, of all parameters.
    """
    groups: dict[tuple[str, str, str], list[int]] = {}
    for index, p in enumerate(pictures.parameters):
        groups.setdefault((p.owner, p.prop, "" if p.prop == "texture" else p.component), []).append(index)
    dead = [False] * len(start)
    for places in groups.values():
        rows = np.tile(start, (1 + len(STEPS), 1))
        for row, step in enumerate(STEPS, start=1):
            rows[row, places] += step * bounds.scale[places]
        images = pictures.images(bounds.clip(rows), spp=spp, seed=seed).mean(axis=1, dtype=np.float64)
        weighted = images * plate.weight[..., None]
        if float(weighted.var(axis=0).sum()) <= SHARE**2 * float((weighted**2).mean(axis=0).sum()):
            for index in places:
                dead[index] = True
    return dead


class Held:
    """Pictures of some of the parameters; the others stay where they start.

    Args:
        pictures: of all parameters.
        start: n, search units.
        free: n, which are left.
    """

    def __init__(self, pictures: Pictures, start: Array, free: Sequence[bool]) -> None:
        self._pictures, self._start, self._free = pictures, start, np.asarray(free, dtype=bool)
        self.parameters = [p for p, left in zip(pictures.parameters, free, strict=True) if left]

    def whole(self, theta: Array) -> Array:
        """K×n of all parameters, from K×m of those that are left (or n from m)."""
        full = np.broadcast_to(self._start, (*theta.shape[:-1], len(self._start))).copy()
        full[..., self._free] = theta
        return full

    def images(self, theta: Array, *, spp: int, seed: int) -> NDArray[np.float32]:
        """K×2×H×W×4."""
        return self._pictures.images(self.whole(np.atleast_2d(theta)), spp=spp, seed=seed)
