"""Textures by Mitsuba's own gradients: where many parameters change values and nothing moves, sampling needs more
pictures than there are texels, and differentiation two.

Needs Mitsuba with a variant set that differentiates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.match.plate import Plate
from pipeline.scene.overrides import Overrides

__all__ = ["Texels", "fit"]

Array = NDArray[np.float64]

RATE = 0.05, 0.005
"""Of Adam, in texel values: at the first step and at the last."""

DARK = 0.1
"""Of the plate's mean light: darker pixels count no more than this."""


@dataclass(frozen=True)
class Texels:
    """Textures that were found.

    Attributes:
        values: by owner, in the shape of the texture.
        evaluations: pictures, and gradients of pictures.
    """

    values: dict[str, Array]
    evaluations: int


def fit(
    scene: Any,
    sensor: Any,
    start: Mapping[str, Array],
    plate: Plate,
    *,
    max_depth: int,
    steps: int = 120,
    spp: int = 16,
    seed: int = 0,
    on_step: Callable[[Mapping[str, Array], float, int], Any] | None = None,
) -> Texels:
    """Fits textures to a plate by Adam on the squared error over the plate's own light.

    Picture and gradient have random numbers of their own, so that the gradient is that of the mean picture.

    Args:
        scene, sensor: Mitsuba's, of the plate's size.
        start: by id of the owner of a texture, H×W×C, 0 … 1.
        max_depth: of paths, −1 without limit.
        spp: samples per pixel of each picture, and of its gradient.
        on_step: told values, the mean change of a texel, and pictures so far.
    """
    import drjit as dr
    import mitsuba as mi

    overrides = Overrides(scene)
    params = overrides.params
    keys = {owner: overrides.target(owner, "texture").keys[0] for owner in start}
    optimiser = mi.ad.Adam(lr=RATE[0])
    for owner, key in keys.items():
        optimiser[key] = mi.TensorXf(np.ascontiguousarray(start[owner], dtype=np.float32))
    integrator = mi.load_dict({"type": "prb", "max_depth": max_depth})
    target = mi.TensorXf(plate.image.astype(np.float32))
    share = plate.weight / plate.weight.sum()
    level = DARK * max(float(np.sum(share[..., None] * np.maximum(plate.image, 0.0)) / 3.0), 1e-12)
    weight = share[..., None] / (3.0 * np.maximum(plate.image, level) ** 2)
    weight = mi.TensorXf(weight.astype(np.float32))
    before = {owner: np.asarray(values, dtype=np.float64) for owner, values in start.items()}
    rng = np.random.default_rng([seed, 2])
    for number in range(steps):
        optimiser.set_learning_rate(RATE[0] * (RATE[1] / RATE[0]) ** (number / max(steps - 1, 1)))
        params.update(optimiser)
        own, of_gradient = (int(value) for value in rng.integers(2**31, size=2))
        picture = mi.render(
            scene,
            params,
            sensor=sensor,
            integrator=integrator,
            spp=spp,
            spp_grad=spp,
            seed=own,
            seed_grad=of_gradient,
        )
        dr.backward(dr.sum(dr.square(picture[..., :3] - target) * weight, axis=None))
        optimiser.step()
        for key in keys.values():
            optimiser[key] = dr.clip(optimiser[key], 0.0, 1.0)
        now = {owner: np.array(optimiser[key], dtype=np.float64) for owner, key in keys.items()}
        if on_step is not None:
            moved = float(np.mean([np.abs(now[owner] - before[owner]).mean() for owner in now]))
            on_step(now, moved, 2 * (number + 1))
        before = now
    return Texels(before, 2 * steps)
