"""The plate: what a shot is to look like, as scene-linear pixels with weights.

An EXR holds scene-linear light in the space that the shot is rendered in. A PNG, TIFF or JPEG holds what a display
shows; it is taken back through the view transform that made it, which must be known.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import OpenEXR
from numpy.typing import NDArray
from PIL import Image

from pipeline.config.colour import SPACES, Rendering
from pipeline.errors import AssetError, ConfigError
from pipeline.images.colour_space import CHROMATICITIES, convert
from pipeline.images.display_inverse import from_display
from pipeline.images.masks import read_mask
from pipeline.images.size import check_image

__all__ = ["VIEWS", "Plate", "View", "read_plate", "reduced", "size_for"]

Array = NDArray[np.float64]
View = Literal["linear", "srgb", "aces"]
VIEWS: tuple[str, ...] = get_args(View)
"""How pixels are coded: as light, with the curve of sRGB alone, or by the pipeline's own view transform."""

SAME_PRIMARIES = 2e-3
BURNT = 0.995  # display values above it have lost their light: no weight
REFERENCE = "--reference"


@dataclass(frozen=True)
class Plate:
    """What is to be matched.

    Attributes:
        image: H×W×3, scene-linear; 0 where the weight is 0.
        weight: H×W, 0 … 1; 0 leaves a pixel out.
        alpha: H×W, or None.
        space: that the image is in.
    """

    image: Array
    weight: Array
    alpha: Array | None
    space: Rendering = "linear_srgb"

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.image.shape[1], self.image.shape[0]


def read_plate(
    path: Path,
    *,
    size: tuple[int, int],
    view: View | None = None,
    mask: Path | None = None,
    space: Rendering = "linear_srgb",
) -> Plate:
    """Reads a plate.

    Args:
        path: EXR, PNG, TIFF or JPEG.
        size: (width, height) that the shot is rendered at.
        view: how pixels are coded; None: linear for an EXR, and an error for all else.
        mask: weights, white where the plate counts (`read_mask`), of the plate's size.
        space: that the shot is rendered in.

    Raises:
        ConfigError: another size or colour space than the shot's, or a picture without its view transform.
        AssetError: not a readable picture, or without a pixel that counts.
    """
    is_exr = path.suffix.lower() == ".exr"
    if view is None and not is_exr:
        raise ConfigError(
            f"{path.name} holds display values",
            path=REFERENCE,
            suggestion="say how they were made: --view srgb or aces",
        )
    try:
        check_image(path)
        image, alpha = _exr(path, space) if is_exr else _picture(path)
    except (OSError, ValueError, RuntimeError, Image.DecompressionBombError) as error:
        raise AssetError(f"{path}: cannot be read as a plate: {error}") from error
    _require_size(path, (image.shape[1], image.shape[0]), size)
    weight: Array = np.asarray(np.isfinite(image).all(axis=-1), dtype=np.float64)
    if view in ("srgb", "aces"):
        weight = weight * (image < BURNT).all(axis=-1)
        image = from_display(np.nan_to_num(image), curve_only=view == "srgb").astype(np.float64)
        weight = weight * np.isfinite(image).all(axis=-1)
        image = convert(np.nan_to_num(image), SPACES["linear_srgb"], SPACES[space]).astype(np.float64)
    if mask is not None:
        painted = read_mask(mask)
        _require_size(mask, (painted.shape[1], painted.shape[0]), size)
        weight = weight * np.clip(painted, 0.0, 1.0)
    if not weight.any():
        raise AssetError(f"{path}: no pixel of the plate counts: all are masked, burnt out, or not finite")
    return Plate(np.where(weight[..., None] > 0, image, 0.0), weight, alpha, space)


def reduced(plate: Plate, size: tuple[int, int]) -> Plate:
    """The plate at fewer pixels: means over areas, each pixel by its weight."""
    rows, columns = _areas(plate.size[1], size[1]), _areas(plate.size[0], size[0])

    def mean(values: Array) -> Array:
        return np.asarray(np.einsum("ih,hw...,jw->ij...", rows, values, columns, optimize=True))

    weight = mean(plate.weight)
    safe = np.where(weight > 0, weight, 1.0)
    image = mean(plate.image * plate.weight[..., None]) / safe[..., None]
    alpha = None if plate.alpha is None else mean(plate.alpha * plate.weight) / safe
    return Plate(image, weight, alpha, plate.space)


def size_for(size: tuple[int, int], pixels: int) -> tuple[int, int]:
    """The largest (width, height) of at most so many pixels that keeps the picture's shape, best by whole divisors."""
    width, height = size
    if width * height <= pixels:
        return size
    smallest = int(np.ceil(np.sqrt(width * height / pixels)))
    for divisor in range(smallest, 2 * smallest + 1):
        if width % divisor == 0 and height % divisor == 0:
            return width // divisor, height // divisor
    scale = np.sqrt(pixels / (width * height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _areas(many: int, few: int) -> Array:
    """few×many: by how much each source pixel belongs to each mean; rows sum to 1."""
    edges = np.linspace(0.0, many, few + 1)
    low, high = edges[:-1, None], edges[1:, None]
    cells = np.arange(many)
    overlap = np.clip(np.minimum(high, cells + 1.0) - np.maximum(low, cells), 0.0, None)
    return np.asarray(overlap / overlap.sum(axis=1, keepdims=True))


def _require_size(path: Path, found: tuple[int, int], wanted: tuple[int, int]) -> None:
    if found != wanted:
        raise ConfigError(
            f"{path.name} is {found[0]}×{found[1]}, the shot {wanted[0]}×{wanted[1]}",
            path=REFERENCE,
            suggestion="conform the plate to the shot, or set its resolution",
        )


def _exr(path: Path, space: Rendering) -> tuple[Array, Array | None]:
    with OpenEXR.File(str(path), separate_channels=True) as file:
        part = next((part for part in file.parts if {"R", "G", "B"} <= {*part.channels}), None)
        if part is None:
            raise ValueError("no part has channels R, G, B")
        primaries = part.header.get("chromaticities")
        if primaries is not None and not np.allclose(primaries, CHROMATICITIES[space], atol=SAME_PRIMARIES):
            told = ", ".join(f"{value:.3f}" for value in primaries)
            raise ConfigError(
                f"{path.name} has other primaries than {SPACES[space]} ({told})",
                path=REFERENCE,
                suggestion="convert it to the space that the shot is rendered in (colour.rendering)",
            )
        channels = {
            name: np.asarray(part.channels[name].pixels, np.float64) for name in "RGBA" if name in part.channels
        }
    return np.stack([channels[name] for name in "RGB"], axis=-1), channels.get("A")


def _picture(path: Path) -> tuple[Array, Array | None]:
    with Image.open(path) as picture:
        if picture.mode.startswith("I"):
            raise ValueError("it has one channel; a plate has three")
        values = np.asarray(picture.convert("RGBA"), dtype=np.float64) / 255.0
        has_alpha = "A" in picture.getbands()
    return values[..., :3], values[..., 3] if has_alpha else None
