"""The contact sheet of a shot: every frame's picture with what it cost and how good it is predicted to be.

Frames that could not be made stay in their place, so that a gap is seen at a glance.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.errors import ProductError, StoreError
from pipeline.images.viewing import png_bytes

__all__ = ["Cell", "compose", "write"]

Colour = tuple[int, int, int]

WIDTH = 1920  # pixels
MOST_CELLS = 80  # a longer shot shows every n-th frame
_MARGIN, _GAP = 40, 20
_MOST_COLUMNS = 8
_SHEET_ASPECT = 0.62  # height over width that the number of columns aims at: fits a screen

_BACKGROUND: Colour = (18, 19, 22)
_PANEL: Colour = (30, 32, 37)
_HATCH: Colour = (39, 42, 48)
_BRIGHT: Colour = (236, 238, 241)
_QUIET: Colour = (150, 155, 164)
_GOOD: Colour = (94, 190, 132)
_WARNING: Colour = (235, 172, 70)
_BAD: Colour = (232, 96, 88)

# Pillow's built-in face has no glyphs for these.
_SPELLED = str.maketrans({"λ": "lambda", "×": "x", "–": "-", "—": "-", "→": "to", "≤": "<=", "≥": ">="})


@dataclass(frozen=True)
class Cell:
    """One frame on the sheet.

    Attributes:
        image: its viewing PNG, a path or the file's bytes; None when there is none.
        spp: mean samples per pixel; None when unknown.
        error: predicted mean SMAPE of the frame; None when unknown.
        state: `degraded` frames were denoised without all of their neighbours; `absent` ones could not be made.
        note: why, in a few words.
    """

    frame: int
    image: Path | bytes | None
    spp: float | None = None
    error: float | None = None
    state: Literal["done", "degraded", "absent"] = "done"
    note: str = ""


def write(
    path: Path, cells: Sequence[Cell], *, title: str, subtitle: str = "", target_error: float | None = None
) -> None:
    """Writes the sheet as PNG, the same bytes for the same input.

    Raises:
        ProductError: a cell's image cannot be read as a picture.
        StoreError: `path` cannot be written.
    """
    sheet = compose(cells, title=title, subtitle=subtitle, target_error=target_error)
    try:
        path.write_bytes(png_bytes(np.asarray(sheet)))
    except OSError as error:
        raise StoreError(f"{path}: cannot write the contact sheet: {error.strerror or error}") from error


def compose(cells: Sequence[Cell], *, title: str, subtitle: str = "", target_error: float | None = None) -> Image.Image:
    """Lays the sheet out.

    Args:
        cells: in the order to show; at least one.
        title, subtitle: above the frames.
        target_error: predicted errors above it are shown in amber; None colours none.

    Returns:
        RGB, `WIDTH` pixels wide.

    Raises:
        ProductError: a cell's image cannot be read as a picture.
    """
    if not cells:
        raise ValueError("a contact sheet needs at least one frame")
    step = math.ceil(len(cells) / MOST_CELLS)
    shown = cells[::step]
    aspect = _aspect(shown)
    columns = _columns(len(shown), aspect)
    rows = math.ceil(len(shown) / columns)
    cell_width = (WIDTH - 2 * _MARGIN - (columns - 1) * _GAP) // columns
    picture_height = round(cell_width * aspect)
    label = _label_height(cell_width)
    header = 118
    height = header + rows * (picture_height + label) + (rows - 1) * _GAP + _MARGIN
    sheet = Image.new("RGB", (WIDTH, height), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    _draw_header(draw, cells, step, title, subtitle)
    for index, cell in enumerate(shown):
        row, column = divmod(index, columns)
        left = _MARGIN + column * (cell_width + _GAP)
        top = header + row * (picture_height + label + _GAP)
        _draw_picture(sheet, cell, (left, top), (cell_width, picture_height))
        _draw_label(draw, cell, (left, top + picture_height), cell_width, target_error)
    return sheet


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def _aspect(cells: Sequence[Cell]) -> float:
    """Height over width of the first picture; 16:9 if there is none."""
    for cell in cells:
        if cell.image is not None:
            width, height = _open(cell.frame, cell.image).size
            return height / width
    return 9 / 16


def _columns(count: int, aspect: float) -> int:
    def off(columns: int) -> float:
        width = (WIDTH - 2 * _MARGIN - (columns - 1) * _GAP) / columns
        rows = math.ceil(count / columns)
        height = rows * (width * aspect + _label_height(width) + _GAP)
        empty = rows * columns - count
        return abs(height / WIDTH - _SHEET_ASPECT) + 0.5 * empty / columns

    return min(range(1, min(count, _MOST_COLUMNS) + 1), key=off)


def _label_height(cell_width: float) -> int:
    return round(_label_size(cell_width) * 2.1)


def _label_size(cell_width: float) -> float:
    return min(24.0, max(13.0, cell_width / 18))


def _open(frame: int, image: Path | bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(image) if isinstance(image, bytes) else image) as opened:
            return opened.convert("RGB")
    except OSError as error:
        raise ProductError(f"frame {frame}: its viewing image cannot be read: {error}") from error


def _draw_header(draw: ImageDraw.ImageDraw, cells: Sequence[Cell], step: int, title: str, subtitle: str) -> None:
    draw.text((_MARGIN, 30), title.translate(_SPELLED), font=_font(36), fill=_BRIGHT)
    draw.text((_MARGIN, 76), subtitle.translate(_SPELLED), font=_font(20), fill=_QUIET)
    degraded = sum(cell.state == "degraded" for cell in cells)
    absent = sum(cell.state == "absent" for cell in cells)
    counts: list[tuple[str, Colour]] = [(f"{len(cells)} frame{'s' if len(cells) != 1 else ''}", _QUIET)]
    if step > 1:
        counts.append((f"1 in {step} shown", _QUIET))
    if degraded:
        counts.append((f"{degraded} degraded", _WARNING))
    if absent:
        counts.append((f"{absent} absent", _BAD))
    right = float(WIDTH - _MARGIN)
    font = _font(20)
    for text, colour in reversed(counts):
        right -= draw.textlength(text, font=font)
        draw.text((right, 76), text, font=font, fill=colour)
        right -= 28


def _draw_picture(sheet: Image.Image, cell: Cell, at: tuple[int, int], size: tuple[int, int]) -> None:
    draw = ImageDraw.Draw(sheet)
    left, top = at
    if cell.image is None:
        _draw_absence(sheet, cell, at, size)
    else:
        picture = _open(cell.frame, cell.image)
        picture.thumbnail(size, Image.Resampling.LANCZOS)
        if picture.size != size and picture.width < size[0] and picture.height < size[1]:
            scale = min(size[0] / picture.width, size[1] / picture.height)
            grown = (round(picture.width * scale), round(picture.height * scale))
            picture = picture.resize(grown, Image.Resampling.BICUBIC)
        draw.rectangle((left, top, left + size[0] - 1, top + size[1] - 1), fill=_PANEL)
        sheet.paste(picture, (left + (size[0] - picture.width) // 2, top + (size[1] - picture.height) // 2))
    if cell.state != "done":
        colour = _WARNING if cell.state == "degraded" else _BAD
        font = _font(_label_size(size[0]) * 0.8)
        text = cell.state.upper()
        _, _, right, bottom = (round(edge) for edge in font.getbbox(text))
        chip = (left + 10, top + 10, left + 10 + right + 16, top + 10 + bottom + 12)
        draw.rounded_rectangle(chip, radius=4, fill=colour)
        draw.text((left + 18, top + 15), text, font=font, fill=_BACKGROUND)
        draw.rectangle((left, top, left + size[0] - 1, top + size[1] - 1), outline=colour, width=2)


def _draw_absence(sheet: Image.Image, cell: Cell, at: tuple[int, int], size: tuple[int, int]) -> None:
    panel = Image.new("RGB", size, _PANEL)
    draw = ImageDraw.Draw(panel)
    for x in range(-size[1], size[0], 22):
        draw.line((x, size[1], x + size[1], 0), fill=_HATCH, width=4)
    font = _font(_label_size(size[0]) * 0.85)
    lines = _wrapped(cell.note.translate(_SPELLED), font, size[0] * 0.84)
    spacing = round(_label_size(size[0]) * 1.25)
    y = size[1] / 2 - spacing * (len(lines) - 1) / 2
    for line in lines:
        draw.text((size[0] / 2, y), line, font=font, fill=_QUIET, anchor="mm", stroke_width=3, stroke_fill=_PANEL)
        y += spacing
    sheet.paste(panel, at)


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> list[str]:
    """At most three lines; a word that is longer than a line stands alone."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return [*lines[:2], lines[2] + " …"] if len(lines) > 3 else lines


def _draw_label(
    draw: ImageDraw.ImageDraw, cell: Cell, at: tuple[int, int], width: int, target_error: float | None
) -> None:
    size = _label_size(width)
    left, top = at
    middle = top + _label_height(width) / 2
    draw.text((left + 2, middle), f"{cell.frame}", font=_font(size), fill=_BRIGHT, anchor="lm")
    right = float(left + width - 2)
    font = _font(size * 0.85)
    if cell.error is not None:
        if target_error is None:
            colour = _QUIET
        else:
            colour = _GOOD if cell.error <= target_error else _WARNING
        text = f"error {cell.error:.3f}"
        draw.text((right, middle), text, font=font, fill=colour, anchor="rm")
        right -= draw.textlength(text, font=font) + size * 0.9
    if cell.spp is not None:
        draw.text((right, middle), f"{cell.spp:.4g} spp", font=font, fill=_QUIET, anchor="rm")
