"""A decoded neural map as an ordinary image, to look at or to take elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import AssetError
from pipeline.images.neural_map import NeuralMap

__all__ = ["export"]

CHANNELS = {1: "Y", 3: "RGB", 4: "RGBA"}


def export(path: Path, stored: NeuralMap, codes: NDArray[np.uint16]) -> None:
    """Writes codes as what they were encoded from: linear values as an EXR of halves, display values as a PNG.

    Args:
        path: `.exr` for a map of linear values, `.png` (8 bits) for one of display values.
        stored: the map that the codes are of.
        codes: H×W×C, as `decode` gives them.

    Raises:
        AssetError: another suffix, or the file cannot be written.
    """
    wanted = ".exr" if stored.coding == "half" else ".png"
    if path.suffix.lower() != wanted:
        what = "linear" if stored.coding == "half" else "display-encoded"
        raise AssetError(f"{path}: a map of {what} values becomes a {wanted} file")
    temporary = path.with_name(f".{path.stem}.part{wanted}")
    try:
        if stored.coding == "half":
            _write_exr(temporary, codes.view(np.float16))
        else:
            from PIL import Image

            pixels = ((codes.astype(np.uint32) + 128) // 257).astype(np.uint8)
            Image.fromarray(pixels[..., 0] if stored.channels == 1 else pixels).save(temporary)
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        raise AssetError(f"{path}: cannot be written: {error}") from error


def _write_exr(path: Path, values: NDArray[np.float16]) -> None:
    import OpenEXR

    names = CHANNELS[values.shape[2]]
    channels = {name: np.ascontiguousarray(values[..., index]) for index, name in enumerate(names)}
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with OpenEXR.File(header, channels) as file:
        file.write(str(path))
