"""How unlike a plate pictures are: one number each, without the bias that a render's own noise would add.

Of a picture there are two halves of disjoint samples, a and b. Where the plate is p, the mean of (a − p)(b − p) is the
squared error of what was rendered, while that of (a − p)² is larger by the noise, which depends on the parameters: a
darker light is less noisy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.match.plate import Plate

__all__ = ["LOSSES", "Loss", "LossName"]

Array = NDArray[np.float64]
LossName = Literal["l2", "log-l2", "multi-scale"]
LOSSES: tuple[str, ...] = get_args(LossName)

MOST_LEVELS = 8
LEAST_SIDE = 2  # pixels of the coarsest level


@dataclass(frozen=True)
class _Level:
    weight: Array  # H×W
    target: Array  # H×W×C, encoded
    energy: float  # Σ weight · target²


class Loss:
    """The weighted squared error of linear values, of their logarithms, or of the logarithms' at many scales, over the
    plate's own energy at each scale. A render of nothing at all is worth 1.

    Args:
        name: `l2`; `log-l2`: of log(1 + x/m), m being the plate's mean luminance; `multi-scale`: that of means over
            1, 2×2, 4×4 … pixels, which sees over gaps and through noise.
        plate: H×W pixels.
        alpha: whether the plate's alpha is compared too, as one more channel.
    """

    def __init__(self, name: LossName, plate: Plate, *, alpha: bool = False) -> None:
        self._log = name != "l2"
        self._alpha = alpha
        luminous = np.maximum(plate.image, 0.0)
        share = plate.weight / plate.weight.sum()
        self._middle = max(float(np.sum(share[..., None] * luminous) / 3.0), 1e-12)
        channels = plate.image
        if alpha and plate.alpha is not None:
            channels = np.concatenate([channels, plate.alpha[..., None]], axis=-1)
        self._levels: list[_Level] = []
        weight, image = plate.weight, channels
        for _ in range(MOST_LEVELS if name == "multi-scale" else 1):
            target = self._encoded(image)
            energy = float(np.sum(weight[..., None] * target * target))
            self._levels.append(_Level(weight, target, max(energy, 1e-30)))
            if min(weight.shape) < 2 * LEAST_SIDE:
                break
            image, weight = _halved(image, weight)

    def __call__(self, halves: NDArray[Any]) -> Array:
        """The loss of K pictures.

        Args:
            halves: K×2×H×W×4, linear RGB and alpha.
        """
        total = np.zeros(len(halves))
        for error, level in self._errors(halves):
            product = np.einsum("khwc,khwc,hw->k", error[:, 0], error[:, 1], level.weight, optimize=True)
            total += product / level.energy
        return total / len(self._levels)

    def residuals(self, halves: NDArray[Any]) -> Array:
        """K×2×m numbers of both halves; the sum over m of the products of the halves is the loss."""
        scaled = [
            error * np.sqrt(level.weight / (level.energy * len(self._levels)))[..., None]
            for error, level in self._errors(halves)
        ]
        return np.concatenate([each.reshape(*each.shape[:2], -1) for each in scaled], axis=-1)

    def _errors(self, halves: NDArray[Any]) -> Iterator[tuple[Array, _Level]]:
        """Encoded differences from the plate, K×2×H×W×C, level by level."""
        images = np.asarray(halves if self._alpha else halves[..., :3], dtype=np.float64)
        for index, level in enumerate(self._levels):
            if index:
                images, _ = _halved(images, self._levels[index - 1].weight)
            yield self._encoded(images) - level.target, level

    def _encoded(self, images: Array) -> Array:
        """Colour on the loss's curve; alpha as it is."""
        if not self._log:
            return images
        colour = np.log1p(np.maximum(images[..., :3], 0.0) / self._middle)
        return np.concatenate([colour, images[..., 3:]], axis=-1)


def _halved(images: Array, weight: Array) -> tuple[Array, Array]:
    """Means over 2×2 pixels by weight, …×H×W×C → …×⌈H/2⌉×⌈W/2⌉×C, and the weights' means."""
    height, width = weight.shape
    pad = [(0, height % 2), (0, width % 2)]
    weight = np.pad(weight, pad)
    images = np.pad(images, [(0, 0)] * (images.ndim - 3) + [*pad, (0, 0)]) * weight[..., None]
    cells = images.reshape(*images.shape[:-3], weight.shape[0] // 2, 2, weight.shape[1] // 2, 2, images.shape[-1])
    blocks = weight.reshape(weight.shape[0] // 2, 2, weight.shape[1] // 2, 2)
    sums = blocks.sum(axis=(1, 3))
    return cells.sum(axis=(-4, -2)) / np.where(sums > 0, sums, 1.0)[..., None], sums / 4.0
