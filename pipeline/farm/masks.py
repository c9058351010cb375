"""Maps and references that a shot names: checked, and frozen by content as the files of its scene are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.config.shot import Shot
from pipeline.denoise import lambda_map
from pipeline.errors import AssetError
from pipeline.farm.references import freeze_references
from pipeline.images.masks import read_mask
from pipeline.scene import blobs as content

__all__ = ["freeze_lambda_map", "freeze_masks"]


def freeze_masks(shot: Shot, config: dict[str, Any], blobs: Path) -> None:
    """Puts a shot's maps and references into the blob directory: in the frozen config their names are those of blobs.

    Args:
        shot: as configured.
        config: its frozen config, which is changed.
        blobs: the blob directory.

    Raises:
        AssetError: the importance mask, or a reference, is not an image, or not of the frame's size.
        ConfigError: the λ map is not an EXR or PNG, or not of the frame's size.
    """
    width, height = shot.rendered_size or (0, 0)
    if shot.sampling.importance is not None:
        path = shot.resolve(shot.sampling.importance)
        rows, columns = read_mask(path).shape
        if shot.resolution is not None and (columns, rows) != (width, height):
            raise AssetError(
                f"{path}: sampling.importance: the map is {columns}×{rows} pixels, the frame {width}×{height}"
            )
        config["sampling"]["importance"] = content.put(blobs, path)
    if shot.denoise.lambda_map is not None:
        path = shot.resolve(shot.denoise.lambda_map)
        shape = None if shot.resolution is None else (height, width)
        config["denoise"]["lambda_map"] = freeze_lambda_map(path, shape, blobs)
    # Only the oracle looks at a reference: another guide makes the same pictures with and without it.
    config["sampling"]["reference"] = freeze_references(shot, blobs) if shot.sampling.guide == "oracle" else None


def freeze_lambda_map(path: Path, shape: tuple[int, int] | None, blobs: Path) -> str:
    """Puts a λ map into the blob directory, and returns the blob's name.

    Args:
        path: an EXR or PNG.
        shape: (H, W) that it must have, where that is known.
        blobs: the blob directory.

    Raises:
        ConfigError: it is not an EXR or PNG, or of another size.
    """
    lambda_map.read(path, shape)
    return content.put(blobs, path)
