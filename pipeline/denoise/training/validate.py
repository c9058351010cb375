"""Validation: whole frames of sequences that training never sees, at fixed samples per pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pipeline.denoise.network.model import KernelPredictor
from pipeline.denoise.network.sources import ALBEDO
from pipeline.denoise.training import patches, sequences
from pipeline.denoise.training.batches import Batch, batch_of
from pipeline.denoise.training.recast import components_of, recast
from pipeline.denoise.training.stages import forward, losses

__all__ = ["SPP", "Score", "validate", "validation_batches"]

SPP = (4, 16, 64)


@dataclass(frozen=True)
class Score:
    """Geometric means over the frames.

    Attributes:
        smape: of the denoised beauty, by samples per pixel (equation 2, exposed units).
        noisy: of the noisy beauty.
    """

    smape: dict[int, float]
    noisy: dict[int, float]

    @property
    def value(self) -> float:
        """One number to choose weights by: the geometric mean over the sample counts."""
        return float(np.exp(np.mean([np.log(value) for value in self.smape.values()])))


def validation_batches(files: Sequence[Path], *, radius: int, source_name: str) -> list[tuple[int, Batch]]:
    """One batch per file and sample count, always the same."""
    made = []
    for k, file in enumerate(files):
        sequence = sequences.read(file)
        size = min(sequence.shape)
        for spp in SPP:
            crop = patches.Crop(0, 0, size)
            sample = patches.assemble(sequence, patches.rng_of(0, 0, k), crop, radius=radius, spp=spp)
            components = [c for c in components_of(source_name) if c != ALBEDO]
            made.append((spp, batch_of([recast(sample, source_name)], components)))
    return made


@torch.no_grad()
def validate(network: KernelPredictor, batches: Sequence[tuple[int, Batch]], *, temporal: bool) -> Score:
    """Scores a network at λ = 1."""
    logs: dict[int, list[float]] = {spp: [] for spp, _ in batches}
    noisy: dict[int, list[float]] = {spp: [] for spp, _ in batches}
    for spp, batch in batches:
        denoised = forward(network, batch, temporal=temporal, lambda_=1.0)
        logs[spp].append(float(losses(batch, denoised, 1.0)["beauty"].log()))
        noisy[spp].append(float(losses(batch, batch.colour[:, 0], 1.0)["beauty"].log()))
    means = [{spp: float(np.exp(np.mean(values))) for spp, values in of.items()} for of in (logs, noisy)]
    return Score(means[0], means[1])
