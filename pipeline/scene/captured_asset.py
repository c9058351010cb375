"""A captured material on disk: a folder with `asset.yaml` and the four maps that `captured` renders.

    asset.yaml      format, size, how it was made, how well it fits
    albedo.exr      linear Rec. 709, [0, 1]
    specular.exr    linear Rec. 709, [0, 1]: reflectance at normal incidence
    roughness.exr   Y; α of GGX is its square
    normal.exr      R G B are x, y, z of the unit normal, not packed; x to the right, y up in the picture

Maps have one size. Nothing here imports Mitsuba or torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import AssetError, ConfigError

__all__ = ["FORMAT", "MAPS", "PLUGIN", "RECORD", "CapturedAsset", "is_asset", "read"]

FORMAT = "captured-material-v1"
RECORD = "asset.yaml"

PLUGIN = "captured"
"""The BSDF that renders it: `pipeline.scene.captured`."""

MAPS = {"diffuse": "albedo.exr", "specular": "specular.exr", "roughness": "roughness.exr", "normal": "normal.exr"}
"""File of each map, by its name as a parameter of the BSDF."""

_CHANNELS = {"diffuse": "RGB", "specular": "RGB", "roughness": "Y", "normal": "RGB"}


@dataclass(frozen=True)
class CapturedAsset:
    """An asset that was read and checked.

    Attributes:
        directory: where it is.
        maps: the file of each map.
        height, width: of the maps, texels.
        record: all of `asset.yaml`.
    """

    directory: Path
    maps: dict[str, Path]
    height: int
    width: int
    record: dict[str, Any] = field(repr=False)


def is_asset(directory: Path) -> bool:
    """Whether a folder says that it is one."""
    return (directory / RECORD).is_file()


def read(directory: Path) -> CapturedAsset:
    """Reads an asset's record and the headers of its maps.

    Raises:
        AssetError: a file is missing or of another kind, or the maps differ in size.
    """
    from pipeline.config.yaml_file import read_yaml

    if not directory.is_dir():
        raise AssetError(f"missing asset {directory}")
    if not is_asset(directory):
        raise AssetError(f"{directory} has no {RECORD}: it is no captured material (see pipeline capture)")
    try:
        record = read_yaml(directory / RECORD).data
    except (ConfigError, OSError) as error:
        raise AssetError(f"{directory / RECORD} cannot be read: {error}") from error
    if record.get("format") != FORMAT:
        raise AssetError(f"{directory / RECORD}: format is {record.get('format')!r}; this version reads {FORMAT}")
    files = {name: directory / file for name, file in MAPS.items()}
    sizes = {name: _size(path, _CHANNELS[name]) for name, path in files.items()}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{MAPS[name]} {width}×{height}" for name, (height, width) in sizes.items())
        raise AssetError(f"{directory}: maps of different sizes: {told}")
    height, width = sizes["diffuse"]
    return CapturedAsset(directory, files, height, width, record)


def _size(path: Path, channels: str) -> tuple[int, int]:
    """(height, width) of an EXR with those channels."""
    import OpenEXR

    if not path.is_file():
        raise AssetError(f"missing map {path}")
    try:
        with OpenEXR.File(str(path), header_only=True) as file:
            header = file.header()
            names = sorted(channel.name for channel in header["channels"])
            low, high = header["dataWindow"]
    except (OSError, RuntimeError, KeyError) as error:
        raise AssetError(f"{path} cannot be read as an EXR: {error}") from error
    if names != sorted(channels):
        raise AssetError(f"{path}: has channels {', '.join(names)} where {', '.join(channels)} belong")
    return int(high[1] - low[1]) + 1, int(high[0] - low[0]) + 1
