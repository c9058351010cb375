"""What the error predictor learns from: denoised frames beside their true errors.

Each sequence is denoised several times, by the very denoiser whose errors are to be predicted: at random samples per
pixel, from a few up to all that were rendered, often with uneven maps, and with λ at 1 or above.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.config.sampling import METRICS
from pipeline.denoise.kpcn import Kpcn
from pipeline.denoise.network.error_predictor import error_inputs
from pipeline.denoise.training import patches, sequences
from pipeline.denoise.training.augment import expose
from pipeline.denoise.training.more_samples import random_counts, with_more
from pipeline.denoise.training.patches import Sample
from pipeline.denoise.training.take import RENDERS
from pipeline.errors import ProductError
from pipeline.images.metrics import ERROR_MAPS

__all__ = ["Judged", "Made", "judge", "read"]

Array = NDArray[np.float32]

STEERED = 0.3
"""Share of the denoised frames whose λ is not 1."""

STOPS = 2.0
"""Exposure of a sequence is changed by up to so many stops either way."""

MORE = 0.3
"""Share of the denoised frames whose centre has more samples than its sub-buffers."""

SAY_EVERY = 50


@dataclass(frozen=True)
class Judged:
    """One denoised frame.

    Attributes:
        inputs: C×H×W float16, of `error_inputs`.
        errors: len(METRICS)×H×W float16.
    """

    inputs: NDArray[np.float16]
    errors: NDArray[np.float16]


@dataclass(frozen=True)
class Made:
    """What `judge` has.

    Attributes:
        files: in order.
        complete: it has them all.
        seconds: for each that was made now; None if none was.
    """

    files: list[Path]
    complete: bool
    seconds: float | None


def judge(
    files: Sequence[Path],
    denoiser: Kpcn,
    out: Path,
    *,
    variants: int = 4,
    seed: int = 0,
    minutes: float | None = None,
    say: Callable[[str], None] = print,
) -> Made:
    """Denoises and judges, skipping what is there; a folder belongs to one denoiser (`denoiser.identity`).

    Args:
        files: sequences.
        denoiser: whose errors are wanted.
        out: folder; its part for this denoiser takes the frames.
        variants: per sequence.
        seed: of the draws.
        minutes: stop after so long.
        say: told how far it is.
    """
    folder = out / denoiser.identity
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    found: list[Path] = []
    new, total = 0, len(files) * variants
    for k in range(total):
        file, variant = files[k % len(files)], k // len(files)
        target = folder / f"{file.stem}-{variant}.npz"
        if not target.exists():
            if minutes is not None and time.monotonic() - began > 60 * minutes:
                break
            _write(target, _judged(file, denoiser, seed, variant))
            new += 1
            if new % SAY_EVERY == 0:
                say(f"{k + 1} of {total} frames denoised, {(time.monotonic() - began) / new:.2f} s each")
        found.append(target)
    return Made(found, len(found) == total, (time.monotonic() - began) / new if new else None)


def _judged(file: Path, denoiser: Kpcn, seed: int, variant: int) -> Judged:
    sequence = sequences.read(file)
    rng = patches.rng_of(seed, variant, zlib.crc32(file.stem.encode()))
    crop = patches.Crop(0, 0, min(sequence.shape))
    sample = patches.assemble(sequence, rng, crop, radius=min(denoiser.radius, sequence.radius))
    if rng.random() < MORE:
        sample = _with_more(sample, sequence, crop, rng)
    # SMAPE and MrSE have a smallest brightness, DSSIM a display: how bright a frame is matters to its errors.
    sample = expose(sample, rng.uniform(-STOPS, STOPS))
    lambda_ = float(10 ** rng.random()) if rng.random() < STEERED else 1.0
    denoised = denoiser.denoise(sample.window, 0, lambda_).beauty
    frame = sample.window[0]
    assert frame is not None
    reference: Array = np.sum(list(sample.reference.values()), axis=0, dtype=np.float32)
    errors = np.stack([ERROR_MAPS[metric](denoised, reference) for metric in METRICS])
    return Judged(error_inputs(frame, denoised).astype(np.float16), np.clip(errors, 0.0, 6e4).astype(np.float16))


def _with_more(sample: Sample, sequence: sequences.Sequence, crop: patches.Crop, rng: np.random.Generator) -> Sample:
    """The sample, its centre with more samples; as it is where it has them all."""
    frame, more = sample.window[0], float(RENDERS * sequence.meta["reference_spp"])
    assert frame is not None and frame.count is not None
    if frame.count.max() > sequence.spp.sum():
        return sample
    many = sequence.raw[crop.slices].astype(np.float32)
    richer = with_more(frame, many, more, random_counts(rng, frame.count, more))
    return replace(sample, window={**sample.window, 0: richer})


def _write(file: Path, judged: Judged) -> None:
    temporary = file.with_suffix(".part")
    with temporary.open("wb") as stream:
        np.savez(stream, inputs=judged.inputs, errors=judged.errors)
    os.replace(temporary, file)


def read(file: Path) -> Judged:
    """A judged frame of a file.

    Raises:
        ProductError: the file is damaged; delete it to have it made anew.
    """
    try:
        with np.load(file) as stored:
            return Judged(stored["inputs"], stored["errors"])
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ProductError(f"{file} is damaged ({error}): delete it to have it made anew") from error
