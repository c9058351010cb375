"""Photographs from files, as linear light: JPEG, PNG and TIFF of 8 and 16 bits, grey, RGB and CMYK; EXR; camera raw.

Turned as EXIF says, brought from their colour profile to linear Rec. 709; 1 is the sensor's white.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from pipeline.capture.photo.exif import NOTHING, Exif, of_image
from pipeline.errors import AssetError
from pipeline.images.size import check_exr

__all__ = ["LEAST", "MOST_PIXELS", "RAW", "SUFFIXES", "Photo", "read"]

LEAST = 32
"""Pixels of the shorter side; less is refused."""

MOST_PIXELS = 200_000_000
"""Of a photograph; more is refused before it is decoded."""

RAW = frozenset({".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".pef", ".raf", ".rw2", ".srw"})
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".exr"}) | RAW

_TURNS = {  # EXIF orientation → quarter turns anticlockwise, after a mirror image
    1: (0, False), 2: (0, True), 3: (2, False), 4: (2, True), 5: (1, True), 6: (3, False), 7: (3, True), 8: (1, False)
}  # fmt: skip


@dataclass(frozen=True)
class Photo:
    """A photograph.

    Attributes:
        pixels: float32, H×W×3, linear Rec. 709; 1 is the sensor's white.
        exif: what the file says.
        name: of the file.
        notes: what was done to it that its owner should know.
    """

    pixels: NDArray[np.float32]
    exif: Exif
    name: str
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.pixels.shape[0], self.pixels.shape[1]


def read(path: Path) -> Photo:
    """Reads a photograph.

    Raises:
        AssetError: it is missing, no image, too small or too large, or a raw file where `rawpy` is not installed.
    """
    if not path.is_file():
        raise AssetError(f"{path}: there is no such photograph")
    suffix = path.suffix.lower()
    if suffix in RAW:
        photo = _raw(path)
    elif suffix == ".exr":
        photo = _exr(path)
    else:
        photo = _encoded(path)
    if min(photo.size) < LEAST:
        raise AssetError(f"{path}: {photo.size[1]}×{photo.size[0]} pixels are too few; at least {LEAST} a side")
    return photo


def _encoded(path: Path) -> Photo:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(path) as image:
                _check_size(path, *image.size)
                exif = of_image(image)
                deep = _bits(path, image) > 8
                notes: list[str] = []
                pixels = _sixteen(path, exif) if deep else _eight(image, notes)
                if deep and _profile_name(image):
                    notes.append(f"the colour profile {_profile_name(image)} is taken for sRGB in a file of 16 bits")
        except UnidentifiedImageError:
            raise AssetError(f"{path}: not an image{_hint(path)}") from None
        except Image.DecompressionBombError:
            raise AssetError(f"{path}: more than {MOST_PIXELS // 10**6} megapixels") from None
        except (OSError, SyntaxError, ValueError) as error:
            raise AssetError(f"{path}: cannot be read as an image: {error}") from error
    return Photo(pixels, replace(exif, orientation=1), path.name, tuple(notes))


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise AssetError(f"{path}: {width}×{height} is more than {MOST_PIXELS // 10**6} megapixels")


def _hint(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] == b"ftyp":
        return " that can be read here: export HEIC and AVIF as JPEG"
    return ""


def _bits(path: Path, image: Image.Image) -> int:
    """Bits per channel as stored: Pillow itself gives 16-bit colours as 8."""
    if image.mode in ("I", "I;16", "I;16B", "F"):
        return 16
    if image.format == "PNG":
        with path.open("rb") as file:
            return file.read(25)[24]  # of IHDR
    if image.format == "TIFF":
        depths: Any = image.tag_v2.get(258, 8)  # type: ignore[attr-defined]
        return int(max(depths)) if isinstance(depths, tuple) else int(depths)
    return 8


def _eight(image: Image.Image, notes: list[str]) -> NDArray[np.float32]:
    image = ImageOps.exif_transpose(image)
    if image.mode in ("RGBA", "LA", "PA") and np.asarray(image.getchannel("A")).min() < 255:
        notes.append("transparency is left out")
    if image.mode == "CMYK":
        notes.append("CMYK was converted to RGB: its colours are those of a print, not of the light")
    name = _profile_name(image)
    if name and "srgb" not in name.lower() and image.mode in ("RGB", "CMYK"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            image = converted or image
            notes.append(f"converted from the colour profile {name}")
        except ImageCms.PyCMSError:
            notes.append(f"the colour profile {name} cannot be used; taken for sRGB")
    codes = np.asarray(image.convert("RGB"))
    table: NDArray[np.float32] = _linear(np.arange(256, dtype=np.float64) / 255.0).astype(np.float32)
    return table[codes]


def _profile_name(image: Image.Image) -> str:
    data = image.info.get("icc_profile")
    if not data:
        return ""
    try:
        return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(data))).strip()
    except (ImageCms.PyCMSError, OSError):
        return "that it names"


def _sixteen(path: Path, exif: Exif) -> NDArray[np.float32]:
    import cv2

    codes: Any = cv2.imread(str(path), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if codes is None:
        raise AssetError(f"{path}: cannot be read as an image of 16 bits")
    colours = codes[..., None].repeat(3, -1) if codes.ndim == 2 else codes[..., 2::-1]
    if colours.dtype.kind == "f":  # linear already
        linear: NDArray[np.float32] = np.clip(colours, 0.0, None).astype(np.float32)
    else:
        linear = _linear(colours / float(np.iinfo(codes.dtype).max)).astype(np.float32)
    turns, mirrored = _TURNS[exif.orientation]
    return np.ascontiguousarray(np.rot90(linear[:, ::-1] if mirrored else linear, turns))


def _linear(codes: NDArray[Any]) -> NDArray[Any]:
    """IEC 61966-2-1, decoded."""
    decoded: NDArray[Any] = np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)
    return decoded


def _exr(path: Path) -> Photo:
    import OpenEXR

    try:
        check_exr(path)
        with OpenEXR.File(str(path)) as file:
            channels = {name: channel.pixels for name, channel in file.channels().items()}
    except (OSError, RuntimeError, ValueError) as error:
        raise AssetError(f"{path}: cannot be read as an EXR: {error}") from error
    if "RGB" in channels or "RGBA" in channels:
        pixels = channels["RGB" if "RGB" in channels else "RGBA"][..., :3]
    elif "Y" in channels:
        pixels = channels["Y"][..., None].repeat(3, -1)
    else:
        raise AssetError(f"{path}: has neither R G B nor Y, but {', '.join(sorted(channels))}")
    if not np.isfinite(pixels).all():
        raise AssetError(f"{path}: has values that are not finite")
    return Photo(np.clip(pixels, 0.0, None).astype(np.float32), NOTHING, path.name)


def _raw(path: Path) -> Photo:
    try:
        import rawpy
    except ImportError:
        raise AssetError(f"{path}: raw photographs need rawpy (pip install rawpy), or an export as TIFF") from None
    try:
        with rawpy.imread(str(path)) as raw:
            codes = raw.postprocess(gamma=(1, 1), no_auto_bright=True, output_bps=16, use_camera_wb=True)
    except rawpy.LibRawError as error:
        raise AssetError(f"{path}: cannot be read as raw: {error}") from error
    try:
        with Image.open(path) as image:  # most raw formats are TIFFs as far as EXIF goes
            exif = replace(of_image(image), orientation=1)
    except (OSError, SyntaxError, ValueError):
        exif = NOTHING
    return Photo((codes / 65535.0).astype(np.float32), exif, path.name, ("developed linearly, at the camera's white",))
