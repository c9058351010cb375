"""The picture in an EXR, whoever wrote it: R, G, B of its first part."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import OpenEXR
from numpy.typing import NDArray

from pipeline.errors import AssetError
from pipeline.images.size import check_exr

__all__ = ["read_beauty"]


def read_beauty(path: Path) -> NDArray[np.float32]:
    """H×W×3, linear, as stored. Of one of our deliverables it is the denoised beauty.

    Raises:
        AssetError: not a readable EXR, without R, G and B, or with values that are not finite.
    """
    try:
        check_exr(path)
        with redirect_stdout(io.StringIO()), OpenEXR.File(str(path), separate_channels=True) as file:
            channels = {name: np.asarray(channel.pixels) for name, channel in file.parts[0].channels.items()}
    except (OSError, ValueError, RuntimeError, IndexError) as error:
        raise AssetError(f"{path}: not a readable EXR: {' '.join(str(error).split())}") from error
    missing = [name for name in "RGB" if name not in channels]
    if missing:
        raise AssetError(f"{path}: has no channel {', '.join(missing)} in its first part")
    beauty = np.stack([channels[name] for name in "RGB"], axis=-1).astype(np.float32)
    if not np.isfinite(beauty).all():
        raise AssetError(f"{path}: has values that are not finite")
    return beauty
