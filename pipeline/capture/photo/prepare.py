"""Photographs of one material, made ready: patches of one size, in linear light, with places of camera and flash."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.capture.likelihood import Photographs
from pipeline.capture.photo import card, checks, highlight, rectify
from pipeline.capture.photo.checks import Remark
from pipeline.capture.photo.exif import Exif
from pipeline.capture.photo.highlight import Highlight
from pipeline.capture.photo.read import Photo, read
from pipeline.capture.setups import EXPOSURE
from pipeline.capture.shading import Shot, grid, irradiance
from pipeline.errors import AssetError

__all__ = ["Prepared", "Region", "prepare"]

FIELD_OF_VIEW = 67.3
"""Degrees along the longer side: a 26 mm equivalent on a 4:3 sensor, the main camera of most phones."""


@dataclass(frozen=True)
class Region:
    """Which part of a photograph is the surface, and how it was seen; None leaves it to the photograph.

    Attributes:
        corners: four points (x, y) in pixels: top left, top right, bottom right, bottom left of a rectangle.
        crop: left, top, width, height in pixels.
        aspect: height over width of the rectangle that the corners show.
        field_of_view: degrees along the longer side of the whole photograph, in place of EXIF's.
        exposure: radiance of a white surface below the flash, 1 saturating the sensor.
    """

    corners: tuple[tuple[float, float], ...] | None = None
    crop: tuple[int, int, int, int] | None = None
    aspect: float | None = None
    field_of_view: float | None = None
    exposure: float | None = None


@dataclass(frozen=True)
class Prepared:
    """What is fitted.

    Attributes:
        photographs: batch of one; `where` is None.
        highlights: fitted to each photograph.
        remarks: warnings, with their confidence.
        facts: of each photograph, plain values for `asset.yaml`.
        width: of the patch in metres, where a card told it.
    """

    photographs: Photographs
    highlights: tuple[Highlight, ...]
    remarks: tuple[Remark, ...]
    facts: tuple[dict[str, object], ...]
    width: float | None = None


def prepare(paths: Sequence[Path], region: Region, *, resolution: int) -> Prepared:
    """Reads photographs of one material.

    Args:
        paths: at least one; patches of several must have one shape.
        region: which part of them.
        resolution: texels of the patch's longer side, at most.

    Raises:
        AssetError: what a photograph cannot be used for, in one line.
    """
    patches = [_patch(read(path), region, resolution) for path in paths]
    shape = patches[0].pixels.shape
    for path, patch in zip(paths, patches, strict=True):
        if patch.pixels.shape != shape:
            was, first = (f"{each[1]}×{each[0]}" for each in (patch.pixels.shape, shape))
            raise AssetError(
                f"{path}: {was} texels where {paths[0].name} has {first}; photographs of one material must show the "
                "same patch (use --corners or the card), or be captured --each"
            )
    _with_one_flash(patches)
    pixels = torch.from_numpy(np.stack([patch.pixels for patch in patches])).permute(0, 3, 1, 2)[None].contiguous()
    shots = [patch.shot() for patch in patches]
    shot = Shot(*(torch.tensor([[each[k] for each in shots]], dtype=torch.float32) for k in range(3)))
    return Prepared(
        Photographs(pixels.clamp(max=1.0), shot),
        tuple(patch.highlight for patch in patches),
        tuple(remark for patch in patches for remark in patch.remarks),
        tuple(patch.facts for patch in patches),
        next((patch.width for patch in patches if patch.width), None),
    )


@dataclass
class _Patch:
    """One photograph's patch."""

    pixels: NDArray[np.float32]
    camera: tuple[float, float, float]
    light: tuple[float, float, float]
    exposure: tuple[float, float, float]
    highlight: Highlight
    remarks: list[Remark]
    width: float | None
    facts: dict[str, object] = field(default_factory=dict)

    def shot(self) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
        """Light, camera, power."""
        return self.light, self.camera, tuple(math.pi * self.light[2] ** 2 * each for each in self.exposure)


def _with_one_flash(patches: list[_Patch]) -> None:
    """Where brightness was assumed, it is that of one flash."""
    assumed = [patch for patch in patches if patch.facts["exposure_from"] == "assumed"]
    level = max((patch.exposure[0] for patch in assumed), default=0.0)
    for patch in assumed:
        patch.exposure = (level,) * 3
        patch.facts["exposure"] = [round(level, 3)] * 3


def _patch(photo: Photo, region: Region, resolution: int) -> _Patch:
    name, height, width = photo.name, *photo.size
    angle = region.field_of_view or photo.exif.field_of_view or FIELD_OF_VIEW
    laid = card.find(photo.pixels) if region.corners is None and region.crop is None else None
    corners = np.array(region.corners, dtype=np.float64) if region.corners else None if laid is None else laid.corners
    if corners is not None:
        _check_corners(name, corners, width, height)
        seen = rectify.view_of_corners(corners, photo.size, angle, aspect=1.0 if laid else region.aspect)
        pixels = rectify.rectified(photo.pixels, corners, _texels(corners, seen.aspect, resolution))
    else:
        crop = region.crop or (0, 0, width, height)
        _check_crop(name, crop, width, height)
        seen = rectify.view_of_crop(photo.size, crop, angle)
        pixels = rectify.reduced(rectify.cropped(photo.pixels, crop), resolution)
    remarks = [*checks.view(name, seen.tilt), *checks.exposure(name, pixels), *checks.size(name, pixels)]
    exposure = region.exposure or _plausible(pixels, seen.camera)
    found = highlight.find(pixels, seen.camera, exposure)
    remarks += checks.flash(name, photo.exif, found)
    believed = found.confidence >= highlight.BELIEVED
    light = (*found.foot, seen.camera[2]) if believed else seen.camera
    flash = (exposure,) * 3 if laid is None or region.exposure else _of_paper(laid, light) or (exposure,) * 3
    told = "given" if region.exposure else "the card's paper" if laid is not None else "assumed"
    return _Patch(
        pixels=pixels,
        camera=seen.camera,
        light=light,
        exposure=(flash[0], flash[1], flash[2]),
        highlight=found,
        remarks=remarks,
        width=None if laid is None else card.WINDOW / 1000,
        facts={
            "file": name,
            "pixels": [width, height],
            **_facts(photo.exif),
            "field_of_view": round(angle, 2),
            "field_of_view_from": _told(region.field_of_view, "given", photo.exif.field_of_view, "EXIF", "assumed"),
            "region": "card" if laid is not None else _told(region.corners, "corners", region.crop, "crop", "whole"),
            "tilt": round(seen.tilt, 1),
            "flash_confidence": round(found.confidence, 3),
            "gloss_confidence": round(found.gloss, 3),
            "exposure": [round(each, 3) for each in flash],
            "exposure_from": told,
            **({"notes": list(photo.notes)} if photo.notes else {}),
        },
    )


def _told(first: object, name: str, second: object, other: str, neither: str) -> str:
    """The name of the first that is there."""
    return name if first else other if second else neither


def _facts(exif: Exif) -> dict[str, object]:
    facts: dict[str, object] = {"camera": exif.camera} if exif.camera else {}
    return facts if exif.flash is None else {**facts, "flash_fired": exif.flash}


def _plausible(pixels: NDArray[np.float32], camera: tuple[float, float, float]) -> float:
    """`EXPOSURE`, or more where it would make more than half of the texels whiter than snow."""
    return max(EXPOSURE, float(np.median(pixels)) / 0.7)


def _of_paper(laid: card.Card, light: tuple[float, float, float]) -> tuple[float, float, float] | None:
    """Exposure of each colour, by what white paper shows; None where too little of it is seen, or all is saturated."""
    unit = Shot(*(torch.tensor([[place]], dtype=torch.float32) for place in (light, light, (1.0, 1.0, 1.0))))
    near = grid(1, 1)
    falls = []
    for x, y in laid.paper:
        at = type(near)(torch.tensor([[x]], dtype=torch.float32), torch.tensor([[y]], dtype=torch.float32))
        falls.append(float(irradiance(unit, at)[0, 0, 0, 0, 0]))
    usable = (laid.white < 0.95).all(1) & (laid.white > 0.02).all(1)
    if usable.sum() < 6:
        return None
    power = np.median(laid.white[usable] / (np.array(falls)[usable, None] * card.PAPER), axis=0)
    r, g, b = (float(value) / (math.pi * light[2] ** 2) for value in power)
    return r, g, b


def _texels(corners: NDArray[np.float64], aspect: float, resolution: int) -> tuple[int, int]:
    """As many as the longest side has pixels, up to `resolution`."""
    sides = np.linalg.norm(corners - np.roll(corners, -1, 0), axis=1)
    across, along = max(sides[0], sides[2]), max(sides[1], sides[3])
    width = min(max(across, along / aspect), resolution / max(1.0, aspect))
    return max(1, round(width * aspect)), max(1, round(width))


def _check_corners(name: str, corners: NDArray[np.float64], width: int, height: int) -> None:
    if (corners < 0).any() or (corners[:, 0] > width).any() or (corners[:, 1] > height).any():
        raise AssetError(f"{name}: corners lie outside of its {width}×{height} pixels")
    edges = np.roll(corners, -1, 0) - corners
    following = np.roll(edges, -1, 0)
    turns = edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0]
    if not (turns > 1.0).all():
        raise AssetError(f"{name}: corners must go clockwise from the top left, around a quadrilateral without dents")


def _check_crop(name: str, crop: tuple[int, int, int, int], width: int, height: int) -> None:
    left, top, wide, high = crop
    if left < 0 or top < 0 or wide < 2 or high < 2 or left + wide > width or top + high > height:
        raise AssetError(f"{name}: the crop {left},{top},{wide},{high} does not lie in its {width}×{height} pixels")
