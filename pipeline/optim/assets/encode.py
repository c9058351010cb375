"""Fitting a neural map: training its tiles, rounding them to integers, and keeping what is too bright to be learnt."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.errors import AssetError
from pipeline.images.neural_map import NeuralMap, decode
from pipeline.optim.assets.source import Source
from pipeline.optim.assets.tiled import TiledField, tiles_of
from pipeline.optim.choose import AUTO, build, choose
from pipeline.optim.fields.fit import PART

__all__ = ["Fit", "Kind", "Settings", "encode"]

log = logging.getLogger(__name__)

Kind = Literal["texture", "environment"]

BATCH = 256
"""Texels of each tile in a step."""

PEAKS = 1e-3
"""Share of an environment map's texels that may be kept as they are."""

ACTIVATION = "sine"


@dataclass(frozen=True)
class Settings:
    """How a map is fitted.

    Attributes:
        kind: an environment map goes round in its columns and keeps its brightest errors exactly.
        steps: of training.
        width: of the tiles' hidden layers; bytes grow with its square.
        depth: of hidden layers.
        tile: texels of a tile's side.
        margin: texels on each side that are blended with the neighbours.
        optimizer: a name, or `auto`.
        rate: learning rate; None takes the optimiser's own.
        seed: of weights, batches and random signs.
    """

    kind: Kind = "texture"
    steps: int = 1500
    width: int = 32
    depth: int = 3
    tile: int = 64
    margin: int = 4
    optimizer: str = AUTO
    rate: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """AssetError for sizes that make no network."""
        if self.steps < 1 or not 4 <= self.width <= 256 or not 1 <= self.depth <= 8:
            raise AssetError("steps ≥ 1, width 4 … 256 and depth 1 … 8 are wanted")
        if not 16 <= self.tile <= 1024 or not 0 <= self.margin <= self.tile // 4:
            raise AssetError("tile 16 … 1024 and margin 0 … tile / 4 are wanted")


@dataclass(frozen=True)
class Fit:
    """How well a map fits.

    Attributes:
        psnr: dB of the decoded codes over their range: of display values, or of the bits of halves.
        energy: mean of the decoded values / of the source's, weighted by solid angle for environments.
        seconds: of training.
        optimizer, reason: which, and why.
    """

    psnr: float
    energy: float
    seconds: float
    optimizer: str
    reason: str


def encode(
    source: Source, settings: Settings, *, progress: Callable[[int, int, float], None] | None = None
) -> tuple[NeuralMap, Fit]:
    """Trains a neural map.

    Args:
        source: what to learn.
        settings: how.
        progress: called every 50 steps with (steps done, steps in all, loss).

    Returns:
        The map, and how well it fits after rounding: as it will be decoded.
    """
    wraps = settings.kind == "environment"
    if wraps and source.codes.shape[1] != 2 * source.codes.shape[0]:
        shape = f"{source.codes.shape[1]}×{source.codes.shape[0]}"
        raise AssetError(f"{source.name}: an environment map is twice as wide as it is high, this one is {shape}")
    began = time.perf_counter()
    values = (source.codes.astype(np.float32) / np.float32(source.top)) * 2 - 1
    places, targets = tiles_of(values, tile=settings.tile, margin=settings.margin, wraps=wraps)
    field = TiledField(len(targets), targets.shape[2], width=settings.width, depth=settings.depth, seed=settings.seed)
    choice = choose(ACTIVATION, settings.optimizer)
    log.info("optimizer %s: %s", choice.optimizer, choice.reason)
    optimizer = build(field.parameters(), choice, ACTIVATION, rate=settings.rate, seed=settings.seed)
    _train(field, optimizer, torch.from_numpy(places), torch.from_numpy(targets), settings, progress)
    height, width, channels = source.codes.shape
    none = np.zeros(0, dtype=np.int64)
    stored = NeuralMap(
        height=height,
        width=width,
        channels=channels,
        coding=source.coding,
        wraps=wraps,
        tile=settings.tile,
        margin=settings.margin,
        layers=field.quantised(),
        peaks=none,
        peak_codes=np.zeros((0, channels), dtype=np.uint16),
    )
    codes = decode(stored)
    if wraps and source.coding == "half":
        peaks = _peaks(source.codes, codes)
        codes.reshape(-1, channels)[peaks] = source.codes.reshape(-1, channels)[peaks]
        exact = source.codes.reshape(-1, channels)[peaks]
        stored = NeuralMap(**{**vars(stored), "peaks": peaks, "peak_codes": exact})
    error = (codes.astype(np.float64) - source.codes) / source.top
    fit = Fit(
        psnr=float(-10 * math.log10(max(float(np.mean(error**2)), 1e-12))),
        energy=float(_power(source, codes, wraps).sum() / max(_power(source, source.codes, wraps).sum(), 1e-30)),
        seconds=time.perf_counter() - began,
        optimizer=choice.optimizer,
        reason=choice.reason,
    )
    told = {"source": source.name, "settings": asdict(settings), "psnr": round(fit.psnr, 2)}
    return NeuralMap(**{**vars(stored), "provenance": told | {"energy": round(fit.energy, 4)}}), fit


def _train(
    field: TiledField,
    optimizer: Any,
    places: torch.Tensor,
    targets: torch.Tensor,
    settings: Settings,
    progress: Callable[[int, int, float], None] | None,
) -> None:
    """All steps; each draws the same places in every tile. The rate falls as a cosine over the last half."""
    generator = torch.Generator().manual_seed(settings.seed)
    later = settings.steps // 2
    schedule = torch.optim.lr_scheduler.SequentialLR(
        optimizer,
        [
            torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0, total_iters=1),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(settings.steps - later, 1)),
        ],
        milestones=[later],
    )

    def loss_on(chosen: torch.Tensor) -> torch.Tensor:
        return (field(places[chosen]) - targets[:, chosen]).square().mean()

    for step in range(settings.steps):
        chosen = torch.randint(len(places), (BATCH,), generator=generator)
        optimizer.zero_grad(set_to_none=True)
        loss = loss_on(chosen)
        loss.backward()
        optimizer.step(curvature=lambda chosen=chosen: loss_on(chosen[: BATCH // PART]))
        schedule.step()
        if progress is not None and (step + 1) % 50 == 0:
            progress(step + 1, settings.steps, float(loss.detach()))


def _power(source: Source, codes: NDArray[np.uint16], wraps: bool) -> NDArray[np.float64]:
    """Linear value of each texel, H×W: mean of the colours, over the solid angle of an environment's texels."""
    if source.coding == "half":
        linear = codes.view(np.float16).astype(np.float64)
    else:
        encoded = codes / 65535.0
        linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    mean = linear[..., :3].mean(axis=-1)
    return mean * _solid_angle(len(mean))[:, None] if wraps else mean


def _solid_angle(height: int) -> NDArray[np.float64]:
    """sin θ of each row of an equirectangular map."""
    angles: NDArray[np.float64] = np.sin(np.pi * (np.arange(height) + 0.5) / height)
    return angles


def _peaks(truth: NDArray[np.uint16], codes: NDArray[np.uint16]) -> NDArray[np.int64]:
    """The texels whose error would light the scene most: error in radiance times solid angle."""
    linear = [half.view(np.float16).astype(np.float64)[..., :3] for half in (truth, codes)]
    error = np.abs(linear[0] - linear[1]).mean(axis=-1) * _solid_angle(len(truth))[:, None]
    count = max(1, int(PEAKS * error.size))
    found: NDArray[np.int64] = np.sort(np.argpartition(error.reshape(-1), -count)[-count:]).astype(np.int64)
    return found
