"""A texture that was found, as a file beside its shot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenEXR
from numpy.typing import NDArray

from pipeline.errors import StoreError

__all__ = ["write_texture"]

FOLDER = "overrides"


def write_texture(directory: Path, bsdf: str, pixels: NDArray[np.float64]) -> str:
    """Writes H×W×C linear values as an EXR.

    Returns:
        its path as the shot file writes it.

    Raises:
        StoreError: it cannot be written.
    """
    name = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in bsdf)
    path = directory / FOLDER / f"{name}.exr"
    values = np.asarray(pixels, dtype=np.float32)
    names = "RGBA"[: values.shape[2]] if values.shape[2] > 1 else "Y"
    channels = {key: np.ascontiguousarray(values[..., index]) for index, key in enumerate(names)}
    temporary = path.with_name(f".{path.name}")
    try:
        path.parent.mkdir(exist_ok=True)
        OpenEXR.File({"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}, channels).write(
            str(temporary)
        )
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        raise StoreError(f"{path}: cannot write the texture: {error}") from error
    return path.relative_to(directory).as_posix()
