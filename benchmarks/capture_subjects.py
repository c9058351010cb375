"""What captures are judged on: generated materials that training never saw, others' maps, real photographs.

Others' maps are strips of five squares, left to right: a rendering, normal, diffuse albedo, roughness, specular albedo.
Their colours are linear, as those of the data set that they come from; normals have y up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from benchmarks.machine import ROOT
from pipeline.capture.flash import linear, studio
from pipeline.capture.likelihood import Photographs
from pipeline.capture.maps import ROUGHNESS_MIN, Maps
from pipeline.capture.materials.generate import HELD_OUT, material
from pipeline.capture.setups import EXPOSURE, collocated
from pipeline.capture.shading import Shot

__all__ = ["FEET", "GIVEN", "RealSet", "Subject", "generated", "others", "real"]

GIVEN = ROOT.parent / "shared" / "svbrdf"
"""The test data of others, where it is there."""

FIRST = 1 << 61
"""Seeds of the test set: beyond those of training and of validation."""

FEET = ((0.0, 0.0), (0.7, 0.7), (-0.7, 0.7), (-0.7, -0.7), (0.7, -0.7))
"""Where the camera is for five photographs."""


@dataclass(frozen=True)
class Subject:
    """A material whose maps are known.

    Attributes:
        name: unique.
        maps: the truth, batch of one.
    """

    name: str
    maps: Maps

    @property
    def photograph(self) -> Photographs:
        """One, frontal, without faults but those of 8 bits."""
        return studio(self.maps)

    @property
    def five(self) -> Photographs:
        """Five, with camera and flash together at `FEET`."""
        camera = torch.tensor([[*foot, 2.0] for foot in FEET])[None]
        return studio(self.maps, collocated(camera, camera))


@dataclass(frozen=True)
class RealSet:
    """Photographs with known places of camera and light.

    Attributes:
        name: of the folder.
        photographs: batch of one; the first is nearly frontal and is the input.
    """

    name: str
    photographs: Photographs

    @property
    def given(self) -> Photographs:
        """The input."""
        return Photographs(self.photographs.pixels[:, :1], self.photographs.shot.view(0))


def generated(count: int, size: int) -> Iterator[Subject]:
    """Materials of the families that training never draws."""
    for k in range(count):
        yield Subject(f"generated-{k:02}-{size}", material(FIRST + k, size, families=HELD_OUT))


def others(count: int, size: int) -> Iterator[Subject]:
    """The first so many of others' maps; none where the test data is not there."""
    for file in sorted((GIVEN / "synthetic_maps").glob("*.png"))[:count]:
        yield Subject(f"{file.stem}-{size}", _strip(file, size))


def real(size: int) -> RealSet | None:
    """The playing cards, on a grid of `size`²; None where they are not there."""
    folder = GIVEN / "real_cards-blue"
    if not folder.is_dir():
        return None
    files = sorted(folder.glob("[0-9][0-9].png"))
    half = float((folder / "image_size.txt").read_text().split(",")[0]) / 2
    light, camera = (
        torch.from_numpy(np.loadtxt(folder / f"{name}_pos.txt", delimiter=",") / half).float()[None]
        for name in ("light", "camera")
    )
    pixels = torch.stack([_smaller(linear(_codes(file)), size) for file in files])[None]
    # The flash's power is not calibrated to the sensor: as bright as is assumed of any photograph.
    power = EXPOSURE * torch.pi * light[:, :1, 2:] ** 2
    return RealSet(folder.name, Photographs(pixels, Shot(light, camera, power.expand(-1, len(files), 3).clone())))


def _strip(file: Path, size: int) -> Maps:
    _, normal, diffuse, rough, specular = _codes(file).chunk(5, -1)
    maps = Maps(diffuse, specular, normal * 2 - 1, rough.mean(0, keepdim=True))
    maps = maps.map(lambda each: _smaller(each, size)[None])
    normal = F.normalize(torch.cat([maps.normal[:, :2], maps.normal[:, 2:].clamp(min=0.05)], 1), dim=1)
    return Maps(maps.diffuse, maps.specular, normal, maps.roughness.clamp(min=ROUGHNESS_MIN))


def _codes(file: Path) -> Tensor:
    """3×H×W in [0, 1], as stored."""
    with Image.open(file) as image:
        return torch.from_numpy(np.asarray(image.convert("RGB")).copy()).permute(2, 0, 1) / 255.0


def _smaller(values: Tensor, size: int) -> Tensor:
    return F.interpolate(values[None], (size, size), mode="area")[0]
