"""Pictures by which a material is judged: the preview sheet, and the movie of a turning light.

All are sRGB-encoded and clipped, as the photograph is, with no tone mapping: what is compared must be encoded alike.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F

from pipeline.capture.flash import srgb
from pipeline.capture.likelihood import Photographs
from pipeline.capture.maps import Maps
from pipeline.capture.setups import moving_light
from pipeline.capture.shading import reflected, render
from pipeline.errors import StoreError
from pipeline.images import movie
from pipeline.images.viewing import png_bytes

__all__ = ["labelled", "sheet", "shown", "sphere", "write_movie", "write_sheet"]

Pixels = NDArray[np.uint8]

CELL = 320
GAP = 12
LABEL = 26
LIGHTS = 5
MOVIE_SIDE, MOVIE_FRAMES = 384, 48

_BACKGROUND = (18, 19, 22)
_QUIET = (170, 175, 184)


def shown(light: Tensor) -> Pixels:
    """3×H×W linear → H×W×3 as a display shows it."""
    codes = srgb(light.clamp(0, 1)).permute(1, 2, 0).cpu().numpy()
    return np.asarray((codes * 255 + 0.5).astype(np.uint8))


def sphere(maps: Maps, size: int, *, light: tuple[float, float, float] = (-0.5, 0.6, 0.65)) -> Pixels:
    """A ball that wears the material once around its front, under one distant light: size×size×3."""
    axis = (torch.arange(size) + 0.5) * (2.2 / size) - 1.1
    x, y = axis[None, :].expand(size, size), -axis[:, None].expand(size, size)
    inside = x * x + y * y < 1
    z = (1 - x * x - y * y).clamp(min=1e-4).sqrt()
    across, up = torch.atan2(x, z) / (math.pi / 2), torch.asin(y.clamp(-1, 1)) / (math.pi / 2)
    places = torch.stack([across, -up], -1)[None]

    def worn(values: Tensor) -> Tensor:
        return F.grid_sample(values.cpu(), places, mode="bilinear", padding_mode="border", align_corners=False)

    wearing = maps.map(worn)
    wearing = Maps(wearing.diffuse, wearing.specular, F.normalize(wearing.normal, dim=1), wearing.roughness)
    normal = torch.stack([x, y, z])
    right = F.normalize(torch.stack([z, torch.zeros_like(x), -x]), dim=0)
    top = torch.linalg.cross(normal, right, dim=0)
    towards = F.normalize(torch.tensor(light), dim=0)

    def local(direction: Tensor) -> list[Tensor]:
        return [(direction[:, None, None] * axis_of).sum(0)[None, None] for axis_of in (right, top, normal)]

    seen = reflected(wearing, local(towards), local(torch.tensor([0.0, 0.0, 1.0])))[0, 0] * math.pi
    lit = (towards[:, None, None] * normal).sum(0) > 0
    return shown(torch.where(inside & lit, seen, torch.where(inside, 0.0, 0.012)))


def sheet(maps: Maps, photographs: Photographs, *, title: str, lines: Sequence[str] = ()) -> Image.Image:
    """Maps; photographs beside their re-renders; the material under other lights, and on a ball."""
    first = Photographs(photographs.pixels[:, :1], photographs.shot.view(0))
    again = render(maps, first.shot)[0, 0]
    difference = (srgb(again.clamp(0, 1)) - srgb(first.pixels[0, 0].clamp(0, 1))).abs()
    moved = moving_light(LIGHTS)
    small = _smaller(maps, CELL)
    relit = [(f"light {k + 1}", shown(render(small, moved.view(k))[0, 0])) for k in range(LIGHTS)]
    rows = [
        [
            ("albedo", shown(maps.diffuse[0])),
            ("specular", shown(maps.specular[0])),
            ("roughness", _codes(maps.roughness[0].expand(3, -1, -1))),
            ("normal", _codes(maps.normal[0] * 0.5 + 0.5)),
        ],
        [
            ("photograph", shown(first.pixels[0, 0])),
            ("re-rendered", shown(again)),
            ("difference ×4", _codes(4 * difference)),
            ("ball", sphere(maps, CELL)),
        ],
        relit,
    ]
    return labelled(rows, title=title, lines=lines)


def labelled(
    rows: Sequence[Sequence[tuple[str, Pixels]]], *, title: str = "", lines: Sequence[str] = (), cell: int = CELL
) -> Image.Image:
    """Pictures in rows, each with its name; a row is as wide as the first, however many it has."""
    wide = max(1, len(rows[0]))
    width = wide * cell + (wide + 1) * GAP
    heights = [round(_edge(row, width) * row[0][1].shape[0] / row[0][1].shape[1]) for row in rows]
    header = (48 if title else 0) + 22 * len(lines) + GAP
    page = Image.new("RGB", (width, header + sum(heights) + len(rows) * (LABEL + GAP)), _BACKGROUND)
    draw = ImageDraw.Draw(page)
    if title:
        draw.text((GAP, GAP), title, font=ImageFont.load_default(26), fill=(236, 238, 241))
    for k, line in enumerate(lines):
        draw.text((GAP, 48 + 22 * k), line.translate(_SPELLED), font=ImageFont.load_default(15), fill=_QUIET)
    y = header
    for row, high in zip(rows, heights, strict=True):
        edge = _edge(row, width)
        for k, (name, pixels) in enumerate(row):
            x = GAP + k * (edge + GAP)
            page.paste(Image.fromarray(pixels).resize((edge, high), Image.Resampling.LANCZOS), (x, y))
            draw.text((x, y + high + 4), name.translate(_SPELLED), font=ImageFont.load_default(15), fill=_QUIET)
        y += high + LABEL + GAP
    return page


def write_sheet(path: Path, maps: Maps, photographs: Photographs, *, title: str, lines: Sequence[str] = ()) -> None:
    """Raises StoreError: it cannot be written."""
    try:
        path.write_bytes(png_bytes(np.asarray(sheet(maps, photographs, title=title, lines=lines))))
    except OSError as error:
        raise StoreError(f"{path}: cannot write the sheet: {error.strerror or error}") from error


def write_movie(path: Path, maps: Maps, *, frames: int = MOVIE_FRAMES) -> str | None:
    """A light that goes once around above the material; a note where there is no ffmpeg, else None."""
    small, moved = _smaller(maps, MOVIE_SIDE), moving_light(frames)
    with tempfile.TemporaryDirectory(prefix="penumbra-capture-") as folder:
        pictures: list[Path | None] = []
        for k in range(frames):
            picture = Path(folder) / f"{k:03}.png"
            picture.write_bytes(png_bytes(shown(render(small, moved.view(k))[0, 0])))
            pictures.append(picture)
        return movie.write(path, pictures, fps=Fraction(24)).note


def _smaller(maps: Maps, side: int) -> Maps:
    """At most `side` texels a side: averaged, normals as vectors."""
    scale = side / max(maps.size)
    if scale >= 1:
        return maps
    size = (max(1, round(maps.size[0] * scale)), max(1, round(maps.size[1] * scale)))
    small = maps.map(lambda values: F.interpolate(values, size, mode="area"))
    return Maps(small.diffuse, small.specular, F.normalize(small.normal, dim=1), small.roughness)


def _codes(values: Tensor) -> Pixels:
    """3×H×W in [0, 1], shown as it is."""
    codes = values.clamp(0, 1).permute(1, 2, 0).cpu().numpy()
    return np.asarray((codes * 255 + 0.5).astype(np.uint8))


def _edge(row: Sequence[object], width: int) -> int:
    return (width - (len(row) + 1) * GAP) // len(row)


# Pillow's built-in face has no glyphs for these.
_SPELLED = str.maketrans({"×": "x", "–": "-", "−": "-", "→": "to", "≤": "<=", "≥": ">=", "°": " degrees"})
