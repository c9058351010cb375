"""The printed card: a frame of 148 mm with a square window of 100 mm, an ArUco marker at each corner of it.

Laid on a surface, it says which part is meant, how large it is, where the camera stood, and, its paper being white,
how bright the flash was. Markers 0 … 3 of 4×4 bits, clockwise from the top left.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import StoreError

__all__ = ["PAPER", "WINDOW", "Card", "find", "write"]

FRAME, WINDOW, MARGIN = 148.0, 100.0, 4.0
"""Millimetres: the frame, its window, and from the frame's edge to the markers."""

MARKER = (FRAME - WINDOW) / 2 - MARGIN
"""Of a marker's side; its inner corner is the window's."""

PAPER = 0.85
"""Albedo of printing paper."""

_DOTS = 300 / 25.4  # per millimetre
_EDGE = (FRAME - WINDOW) / 2


@dataclass(frozen=True)
class Card:
    """A card that was found.

    Attributes:
        corners: 4×2 pixels, of the window, clockwise from the top left.
        paper: K×2 places of white paper in half widths of the window, y up.
        white: K×3, linear, what the photograph shows there.
    """

    corners: NDArray[np.float64]
    paper: NDArray[np.float64]
    white: NDArray[np.float64]


def find(pixels: NDArray[np.float32]) -> Card | None:
    """The card in a linear H×W×3 photograph; None unless at least three of its markers are seen."""
    import cv2

    shown = (np.clip(pixels, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)
    detector = cv2.aruco.ArucoDetector(_dictionary())
    found, numbers, _ = detector.detectMarkers(cv2.cvtColor(shown, cv2.COLOR_RGB2GRAY))
    if numbers is None:
        return None
    seen = {int(n): quad.reshape(4, 2) for n, quad in zip(numbers.ravel(), found, strict=True) if int(n) < 4}
    if len(seen) < 3:
        return None
    plane = np.concatenate([_marker(number) for number in seen])
    image = np.concatenate([seen[number] for number in seen]).astype(np.float64)
    across, _ = cv2.findHomography(plane, image)
    if across is None:
        return None
    window = np.array([[_EDGE, _EDGE], [FRAME - _EDGE, _EDGE], [FRAME - _EDGE, FRAME - _EDGE], [_EDGE, FRAME - _EDGE]])
    places = _paper()
    at = np.round(_projected(across, places) - 0.5).astype(int)
    inside = (at >= 1).all(1) & (at[:, 0] < pixels.shape[1] - 1) & (at[:, 1] < pixels.shape[0] - 1)
    values = [np.median(pixels[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3), axis=0) for x, y in at[inside]]
    middle = (places[inside] - FRAME / 2) / (WINDOW / 2) * np.array([1.0, -1.0])
    return Card(_projected(across, window), middle, np.array(values, dtype=np.float64).reshape(-1, 3))


def write(path: Path) -> Path:
    """The card to print at its true size: PDF or PNG, 300 dots per inch, with 10 mm of paper around it.

    Raises:
        StoreError: it cannot be written.
    """
    import cv2
    from PIL import Image

    side, border = round(FRAME * _DOTS), round(10 * _DOTS)
    page = np.full((side + 2 * border, side + 2 * border), 255, np.uint8)
    dots = round(MARKER * _DOTS)
    for number in range(4):
        x, y = (round(value * _DOTS) + border for value in _marker(number)[0])
        page[y : y + dots, x : x + dots] = cv2.aruco.generateImageMarker(_dictionary(), number, dots)
    low, high = round(_EDGE * _DOTS) + border, round((FRAME - _EDGE) * _DOTS) + border
    for a, b in ((low, high), (high, low)):
        page[[a, b], low:high:8] = 128  # dotted: cut here
        page[low:high:8, [a, b]] = 128
    page[[border, border + side - 1], border : border + side] = 200
    page[border : border + side, [border, border + side - 1]] = 200
    try:
        Image.fromarray(page).save(path, dpi=(300, 300), resolution=300)  # the first for PNG, the second for PDF
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: the card cannot be written: {error}") from error
    return path


def _dictionary() -> Any:
    import cv2

    return cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)


def _marker(number: int) -> NDArray[np.float64]:
    """Corners of a marker on the card: millimetres from the frame's top left, y down, clockwise from its own."""
    far = FRAME - MARGIN - MARKER
    x, y = ((MARGIN, MARGIN), (far, MARGIN), (far, far), (MARGIN, far))[number]
    return np.array([[x, y], [x + MARKER, y], [x + MARKER, y + MARKER], [x, y + MARKER]])


def _paper() -> NDArray[np.float64]:
    """Places between the markers, in the middle of the frame's four sides."""
    along = np.linspace(_EDGE + 8, FRAME - _EDGE - 8, 9)
    low, high = np.full(9, _EDGE / 2), np.full(9, FRAME - _EDGE / 2)
    return np.concatenate([np.stack(pair, 1) for pair in ((along, low), (along, high), (low, along), (high, along))])


def _projected(across: NDArray[Any], points: NDArray[np.float64]) -> NDArray[np.float64]:
    flat = np.concatenate([points, np.ones((len(points), 1))], 1) @ np.asarray(across, dtype=np.float64).T
    return flat[:, :2] / flat[:, 2:]
