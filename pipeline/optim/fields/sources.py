"""Files as signals: images and meshes, by their ending."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.errors import AssetError
from pipeline.optim.assets.source import DISPLAY, LINEAR, read_source
from pipeline.optim.fields.image import ImageSignal
from pipeline.optim.fields.occupancy import MESHES, OccupancySignal, occupancy_of, open_mesh

__all__ = ["open_signal"]

POINTS, HELD_OUT = 200_000, 50_000
"""Of a mesh's cube: to train with, and to judge by."""


def open_signal(file: Path) -> ImageSignal | OccupancySignal:
    """The signal that a file holds: an image's codes over their range, or whether a closed mesh encloses a point.

    Raises:
        AssetError: the file is missing, of an unknown kind, cannot be read, or its mesh is not closed.
        DeviceError: a mesh needs rays, and nothing here can trace them.
    """
    suffix = file.suffix.lower()
    if suffix in (*DISPLAY, *LINEAR):
        source = read_source(file)
        return ImageSignal(source.codes.astype(np.float32) / np.float32(source.top))
    if suffix in MESHES:
        from pipeline.device import set_variant

        set_variant()
        return occupancy_of(open_mesh(file), points=POINTS, held_out=HELD_OUT)
    kinds = ", ".join((*DISPLAY, *LINEAR, *MESHES))
    raise AssetError(f"{file}: is neither an image nor a mesh (one of {kinds})")
