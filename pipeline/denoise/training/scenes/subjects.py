"""What scenes are about: random shapes that one looks at, some of them moving."""

from __future__ import annotations

import numpy as np

from pipeline.denoise.training.scenes import movement
from pipeline.denoise.training.scenes.geometry import Array
from pipeline.denoise.training.scenes.shapes import random_shape
from pipeline.denoise.training.scenes.stage import Stage, standing

__all__ = ["subject"]


def subject(
    stage: Stage, size: float, at: Array, *, surface: str = "any", moving: float = 0.4, reach: float | None = None
) -> None:
    """Stands a random shape somewhere.

    Args:
        size: metres.
        at: the point that it stands on.
        surface: key of `materials.SURFACES`.
        moving: the chance that it moves.
        reach: distance from which it will be seen, to find its speed; three times its size if None.
    """
    rng = stage.rng
    mesh = random_shape(rng, size).transformed(standing(rng, at[0], at[2], at[1]))
    slot = stage.slot(surface)
    if rng.random() < moving:
        stage.move(mesh, slot, movement.motion(rng, 3.0 * size if reach is None else reach))
    else:
        stage.add(mesh, slot)
    stage.subjects.append(at + np.array([0.0, size / 2.0, 0.0]))
