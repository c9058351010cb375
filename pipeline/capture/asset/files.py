"""Maps as files: EXR of half floats, which is what is rendered, and PNG of 16 bits to look at and take elsewhere.

PNGs of albedos are sRGB-encoded, those of roughness are not, and normals are packed as (n + 1) / 2, y up (as OpenGL
and glTF have it).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.capture.flash import srgb
from pipeline.capture.maps import ROUGHNESS_MIN, Maps
from pipeline.errors import AssetError, StoreError
from pipeline.images.size import check_exr
from pipeline.scene.captured_asset import MAPS, read

__all__ = ["arrays", "read_maps", "write_exr", "write_maps", "write_png"]

Pixels = NDArray[np.float32]


def arrays(maps: Maps) -> dict[str, Pixels]:
    """The maps of the first material of a batch: H×W×3, of roughness H×W×1."""
    names = ("diffuse", "specular", "roughness", "normal")
    return {name: np.ascontiguousarray(getattr(maps, name)[0].permute(1, 2, 0).cpu().numpy()) for name in names}


def write_maps(folder: Path, maps: Maps) -> None:
    """Writes all four, as EXR and PNG.

    Raises:
        StoreError: the folder cannot be written.
    """
    for name, pixels in arrays(maps).items():
        file = folder / MAPS[name]
        write_exr(file, pixels)
        if name == "normal":
            shown = pixels * 0.5 + 0.5
        else:
            shown = pixels if name == "roughness" else srgb(torch.from_numpy(pixels)).numpy()
        write_png(file.with_suffix(".png"), shown)


def read_maps(folder: Path) -> Maps:
    """The maps of an asset, as they are rendered: batch of one.

    Raises:
        AssetError: a map is missing, not finite, or the maps differ in size.
    """
    import OpenEXR

    asset = read(folder)
    found = {}
    for name, path in asset.maps.items():
        try:
            check_exr(path)
        except (OSError, ValueError) as error:
            raise AssetError(f"{path}: cannot be read as a map: {error}") from error
        with OpenEXR.File(str(path), separate_channels=False) as file:
            channels = file.channels()
            pixels = channels["Y" if name == "roughness" else "RGB"].pixels.astype(np.float32)
        if not np.isfinite(pixels).all():
            raise AssetError(f"{path}: has values that are not finite")
        found[name] = torch.from_numpy(pixels.reshape(asset.height, asset.width, -1)).permute(2, 0, 1)[None]
    return Maps(
        found["diffuse"].clamp(0, 1),
        found["specular"].clamp(0, 1),
        torch.nn.functional.normalize(found["normal"], dim=1),
        found["roughness"].clamp(ROUGHNESS_MIN, 1),
    )


def write_exr(path: Path, pixels: Pixels) -> None:
    """Half floats, ZIP; one channel is Y, three are R G B.

    Raises:
        StoreError: it cannot be written.
    """
    import OpenEXR

    half = np.ascontiguousarray(pixels.astype(np.float16))
    channels = {"Y": half[..., 0].copy()} if half.shape[-1] == 1 else {"RGB": half}
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    try:
        with OpenEXR.File(header, channels) as file:
            file.write(str(path))
    except (OSError, RuntimeError) as error:
        raise StoreError(f"{path}: cannot be written: {error}") from error


def write_png(path: Path, shown: Pixels) -> None:
    """16 bits per channel, of H×W×1 or H×W×3 values in [0, 1].

    Raises:
        StoreError: it cannot be written.
    """
    import cv2

    codes = (np.clip(shown, 0, 1) * 65535 + 0.5).astype(np.uint16)
    stored: Any = codes[..., 0] if codes.shape[-1] == 1 else codes[..., ::-1]
    if not cv2.imwrite(str(path), stored):
        raise StoreError(f"{path}: cannot be written")
