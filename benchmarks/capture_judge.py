"""How captures are judged (§5.1): re-renders under 20 light/view pairs that keep the highlight in view, and the maps.

Figures of a contender and a subject are kept on disk under both names, so that a run that was stopped goes on.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.capture_contenders import Contender
from benchmarks.capture_subjects import RealSet, Subject
from pipeline.capture.flash import srgb
from pipeline.capture.likelihood import Photographs
from pipeline.capture.maps import Maps, decode, encode
from pipeline.capture.setups import judging_pairs
from pipeline.capture.shading import Shot, render
from pipeline.images import metrics

__all__ = ["MAPS", "Judge", "RealScore", "Score", "lobe_correlations", "rerenders"]

PAIRS = 20
LOOKED_AT = 4
"""Pairs of each subject that DSSIM and FLIP judge."""

MAPS = ("diffuse", "specular", "roughness", "normal")
EXPOSURES = 41
"""Tried, a sixteenth of a stop apart, for the one exposure of a real set."""


@dataclass(frozen=True)
class Score:
    """Of one contender on one subject.

    Attributes:
        rmse: of sRGB-encoded, clipped re-renders.
        dssim, flip: of the first four of them.
        maps: RMSE of each map; of albedos sRGB-encoded, of normals as stored in [0, 1] (Table 2).
        residue: |correlation| of each map's error with the flash lobe.
        seconds: that it took.
    """

    rmse: float
    dssim: float
    flip: float
    maps: dict[str, float]
    residue: dict[str, float]
    seconds: float


@dataclass(frozen=True)
class RealScore:
    """Of one contender on a real set: RMSE of the views that it did not see, after one exposure for all."""

    rmse: float
    exposure: float
    seconds: float


class Judge:
    """Judges, and remembers."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def score(self, contender: Contender, subject: Subject, *, five: bool = False) -> Score:
        """Figures of a contender, given one photograph of a subject or five."""
        file = self.out / contender.key / f"{subject.name}{'-five' if five else ''}.json"
        if file.exists():
            return Score(**json.loads(file.read_text()))
        photographs = subject.five if five else subject.photograph
        began = time.perf_counter()
        found = contender.make(photographs)
        score = _score(decode(found), found, subject, photographs, time.perf_counter() - began)
        _keep(file, asdict(score))
        return score

    def real(self, contender: Contender, taken: RealSet) -> RealScore:
        """Figures of a contender on a real set."""
        size = taken.photographs.pixels.shape[-1]
        file = self.out / contender.key / f"{taken.name}-{size}.json"
        if file.exists():
            return RealScore(**json.loads(file.read_text()))
        began = time.perf_counter()
        found = contender.make(taken.given)
        seconds = time.perf_counter() - began
        score = _real(decode(found), taken, seconds)
        _keep(file, asdict(score))
        return score


def rerenders(maps: Maps, subject: str) -> Tensor:
    """20×3×H×W, linear; the pairs are a function of the subject's name."""
    generator = torch.Generator().manual_seed(zlib.crc32(subject.encode()))
    with torch.no_grad():
        return render(maps, judging_pairs(PAIRS, generator))[0]


def lobe_correlations(found: Tensor, truth: Tensor, shot: Shot) -> dict[str, float]:
    """|Pearson| between the flash's lobe on a flat glossy plate and each map's error, in unknowns."""
    flat = torch.zeros_like(truth)
    flat[:, 3:6], flat[:, 0:3] = 0.0, -6.0
    lobe = render(decode(flat), shot.view(0))[0, 0].mean(0).sqrt()
    error = found - truth
    parts = {"diffuse": error[:, 0:3], "specular": error[:, 3:6], "roughness": error[:, 8:9]}
    parts["normal"] = error[:, 6:8].norm(dim=1, keepdim=True)
    return {name: _correlation(part.mean((0, 1)), lobe) for name, part in parts.items()}


@torch.no_grad()
def _score(maps: Maps, found: Tensor, subject: Subject, photographs: Photographs, seconds: float) -> Score:
    ours, truth = (rerenders(each, subject.name) for each in (maps, subject.maps))
    encoded = [srgb(each.clamp(0, 1)) for each in (ours, truth)]
    pairs = [tuple(each[k].clamp(0, 1).permute(1, 2, 0).numpy() for each in (ours, truth)) for k in range(LOOKED_AT)]
    return Score(
        rmse=float(((encoded[0] - encoded[1]) ** 2).mean().sqrt()),
        dssim=float(np.mean([metrics.dssim(a, b) for a, b in pairs])),
        flip=float(np.mean([metrics.flip(a, b) for a, b in pairs])),
        maps={name: _map_error(name, getattr(maps, name), getattr(subject.maps, name)) for name in MAPS},
        residue=lobe_correlations(found, encode(subject.maps), photographs.shot),
        seconds=seconds,
    )


@torch.no_grad()
def _real(maps: Maps, taken: RealSet, seconds: float) -> RealScore:
    seen = srgb(taken.photographs.pixels[0, 1:].clamp(0, 1))
    again = render(maps, taken.photographs.shot)[0, 1:]
    stops = np.linspace(-1.25, 1.25, EXPOSURES)
    errors = [float(((srgb((again * 2**stop).clamp(0, 1)) - seen) ** 2).mean().sqrt()) for stop in stops]
    best = int(np.argmin(errors))
    return RealScore(errors[best], float(2 ** stops[best]), seconds)


def _map_error(name: str, found: Tensor, truth: Tensor) -> float:
    if name in ("diffuse", "specular"):
        found, truth = srgb(found), srgb(truth)
    scale = 0.5 if name == "normal" else 1.0
    return scale * float(((found - truth) ** 2).mean().sqrt())


def _correlation(a: Tensor, b: Tensor) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float(((a * b).mean() / (a.std() * b.std()).clamp(min=1e-9)).abs())


def _keep(file: Path, figures: dict[str, object]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".part")
    temporary.write_text(json.dumps(figures))
    os.replace(temporary, file)
