"""Proxies of a frame: the layers that a review looks at first, so small that they are on the screen at once.

They are made with the deliverable, from its layers in memory, and stand in its manifest: whoever looks at a frame of
twenty layers decodes none of them to see the first picture, and plays a shot from proxies alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.images.channels import BY_NAME
from pipeline.images.deliverable import HALF_MAX

__all__ = ["LAYERS", "SIZE", "block_means", "proxies", "proxy_step"]

SIZE: Final = (640, 360)
"""Width and height that a whole frame is brought down to, at most."""

LAYERS: Final = ("beauty", "noisy", "error", "samples")
"""Layers of `channels.LAYERS` that have a proxy."""


def proxy_step(width: int, height: int) -> int:
    """Pixels to either side that become one of a proxy.

    >>> proxy_step(1920, 1080), proxy_step(480, 270)
    (3, 1)
    """
    return max(1, -(-width // SIZE[0]), -(-height // SIZE[1]))


def block_means(values: NDArray[Any], step: int) -> NDArray[Any]:
    """An image of one `step`-th of the size: means of `step`² pixels, float32; rows and columns left over are dropped.

    Args:
        values: H×W×C or H×W, of a float type.
        step: pixels to either side that become one; 1 gives the image itself.
    """
    if step == 1:
        return values
    height, width = values.shape[0] // step, values.shape[1] // step
    blocks = values[: height * step, : width * step].reshape(height, step, width, step, *values.shape[2:])
    means: NDArray[Any] = blocks.mean(axis=(1, 3), dtype=np.float32)
    return means


def proxies(layers: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[Any]]:
    """The proxies of a deliverable's layers: H'×W'×C, half floats where the deliverable has such.

    Args:
        layers: of a `Deliverable`: H×W×C, or H×W where a layer has one channel.
    """
    made: dict[str, NDArray[Any]] = {}
    for name in LAYERS:
        values, stored = layers[name], BY_NAME[name]
        small = block_means(values, proxy_step(values.shape[1], values.shape[0]))
        if stored.pixel == "half":
            small = np.clip(small, -HALF_MAX, HALF_MAX)
        made[name] = small.reshape(*small.shape[:2], len(stored.channels)).astype(stored.dtype)
    return made
