"""What the error predictor learns from: denoised frames beside their true errors.

Each sequence is denoised several times, by the very denoiser whose errors are to be predicted: at random samples per
pixel, in a third of the cases with uneven maps, and with λ at 1 or above.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.denoise.kpcn import Kpcn
from pipeline.denoise.network.error_predictor import METRICS, error_inputs
from pipeline.denoise.training import patches, sequences
from pipeline.denoise.training.augment import expose
from pipeline.images.metrics import dssim_map, ms_dssim_map, rel_mse_map, smape_map

__all__ = ["Judged", "judge", "listing", "read"]

Array = NDArray[np.float32]

STEERED = 0.3
"""Share of the denoised frames whose λ is not 1."""

STOPS = 2.0
"""Exposure of a sequence is changed by up to so many stops either way."""

MAPS = {"smape": smape_map, "mrse": rel_mse_map, "dssim": dssim_map, "ms_dssim": ms_dssim_map}


class Judged:
    """One denoised frame.

    Attributes:
        inputs: C×H×W float16, of `error_inputs`.
        errors: len(METRICS)×H×W float16.
    """

    def __init__(self, inputs: NDArray[np.float16], errors: NDArray[np.float16]) -> None:
        self.inputs, self.errors = inputs, errors


def judge(
    files: Sequence[Path],
    denoiser: Kpcn,
    out: Path,
    *,
    variants: int = 4,
    seed: int = 0,
    minutes: float | None = None,
    say: Callable[[str], None] = print,
) -> list[Path]:
    """Denoises and judges, skipping what is there; a folder belongs to one denoiser (`denoiser.identity`).

    Args:
        files: sequences.
        denoiser: whose errors are wanted.
        out: folder; its part for this denoiser is returned.
        variants: per sequence.
        seed: of the draws.
        minutes: stop after so long.
        say: told how far it is.
    """
    folder = out / denoiser.identity
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    made: list[Path] = []
    for k in range(len(files) * variants):
        file, variant = files[k % len(files)], k // len(files)
        target = folder / f"{file.stem}-{variant}.npz"
        if not target.exists():
            if minutes is not None and time.monotonic() - began > 60 * minutes:
                break
            _write(target, _judged(file, denoiser, seed, variant))
            if len(made) % 50 == 0:
                say(f"{k + 1} of {len(files) * variants} frames denoised")
        made.append(target)
    return made


def _judged(file: Path, denoiser: Kpcn, seed: int, variant: int) -> Judged:
    sequence = sequences.read(file)
    rng = patches.rng_of(seed, variant, zlib.crc32(file.stem.encode()))
    size = min(sequence.shape)
    sample = patches.assemble(sequence, rng, patches.Crop(0, 0, size), radius=min(denoiser.radius, sequence.radius))
    # SMAPE and MrSE have a smallest brightness, DSSIM a display: how bright a frame is matters to its errors.
    sample = expose(sample, rng.uniform(-STOPS, STOPS))
    lambda_ = float(10 ** rng.random()) if rng.random() < STEERED else 1.0
    denoised = denoiser.denoise(sample.window, 0, lambda_).beauty
    frame = sample.window[0]
    assert frame is not None
    reference: Array = np.sum(list(sample.reference.values()), axis=0, dtype=np.float32)
    errors = np.stack([MAPS[metric](denoised, reference) for metric in METRICS])
    return Judged(error_inputs(frame, denoised).astype(np.float16), np.minimum(errors, 6e4).astype(np.float16))


def _write(file: Path, judged: Judged) -> None:
    temporary = file.with_suffix(".part")
    with temporary.open("wb") as stream:
        np.savez(stream, inputs=judged.inputs, errors=judged.errors)
    os.replace(temporary, file)


def read(file: Path) -> Judged:
    """A judged frame of a file."""
    with np.load(file) as stored:
        return Judged(stored["inputs"], stored["errors"])


def listing(folder: Path) -> list[Path]:
    """Files of judged frames, in order."""
    return sorted(folder.glob("*.npz"))
