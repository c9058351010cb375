"""What a photograph's EXIF says of how it was taken."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

__all__ = ["NOTHING", "Exif", "of_image"]

DIAGONAL = 43.267
"""Millimetres, of the 24×36 frame that 35 mm equivalents are told for."""

_EXIF_IFD = 0x8769
_ORIENTATION, _MAKE, _MODEL = 0x0112, 0x010F, 0x0110
_FLASH, _FOCAL, _FOCAL_35 = 0x9209, 0x920A, 0xA405
_PLANE_X, _PLANE_Y, _PLANE_UNIT = 0xA20E, 0xA20F, 0xA210
_MILLIMETRES = {2: 25.4, 3: 10.0, 4: 1.0}


@dataclass(frozen=True)
class Exif:
    """Facts; None where the file does not say.

    Attributes:
        field_of_view: degrees, along the longer side of the whole picture.
        flash: whether it fired.
        camera: make and model.
        orientation: 1 … 8, of the pixels as stored.
    """

    field_of_view: float | None = None
    flash: bool | None = None
    camera: str = ""
    orientation: int = 1


NOTHING = Exif()


def of_image(image: Any) -> Exif:
    """The facts of an image opened by Pillow; those that make no sense are left out."""
    tags = image.getexif()
    shot = tags.get_ifd(_EXIF_IFD)
    width, height = image.size
    flash = shot.get(_FLASH)
    names = [str(tags.get(tag, "")).strip("\0 ") for tag in (_MAKE, _MODEL)]
    camera = names[1] if names[1].startswith(names[0]) else " ".join(names)
    orientation = tags.get(_ORIENTATION, 1)
    return Exif(
        field_of_view=_field_of_view(shot, max(width, height), min(width, height)),
        flash=None if not isinstance(flash, int) else bool(flash & 1),
        camera=camera.strip(),
        orientation=orientation if orientation in range(1, 9) else 1,
    )


def _field_of_view(shot: Any, longer: int, shorter: int) -> float | None:
    """By the 35 mm equivalent, which is told for the diagonal; else by the sensor's resolution."""
    diagonal = math.hypot(longer, shorter)
    equivalent, focal = _number(shot.get(_FOCAL_35)), _number(shot.get(_FOCAL))
    if equivalent:
        half = DIAGONAL / 2 / equivalent * longer / diagonal
    else:
        along = max(_number(shot.get(_PLANE_X)) or 0.0, _number(shot.get(_PLANE_Y)) or 0.0)
        unit = _MILLIMETRES.get(shot.get(_PLANE_UNIT, 2))
        if not (focal and along and unit):
            return None
        half = longer / along * unit / 2 / focal
    degrees = 2 * math.degrees(math.atan(half))
    return degrees if 2.0 < degrees < 150.0 else None


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) and number > 0 else None
