"""The whole course of training the error predictor of the installed denoiser: frames, then one network or several.

Every part goes on where it was stopped, so that the same call can be made again and again until all is there.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.sampling import METRICS
from pipeline.denoise import weights
from pipeline.denoise.kpcn import Kpcn
from pipeline.denoise.training.judged import judge
from pipeline.denoise.training.train import files_of
from pipeline.denoise.training.train_error import ErrorPlan, train_error

__all__ = ["Course", "install_predictors", "run"]

CHECKS = 2
"""Held-out sequences are denoised so many times as often as those that are learnt from: there are few of them."""


@dataclass(frozen=True)
class Course:
    """What is trained.

    Attributes:
        preset: of the denoiser.
        metrics: to be predicted.
        apart: by a network each; else by one trunk.
        variants: denoised frames per sequence.
        steps, batch: of each network.
        every: steps between two lines.
        seed: of draws and weights.
    """

    preset: str = "fast"
    metrics: tuple[str, ...] = METRICS
    apart: bool = False
    variants: int = 4
    steps: int = 6000
    batch: int = 8
    every: int = 500
    seed: int = 0


def run(
    course: Course,
    data: Path,
    out: Path,
    *,
    denoiser: Kpcn | None = None,
    threads: int | None = None,
    minutes: float | None = None,
    say: Callable[[str], None] = print,
) -> list[Path]:
    """Goes through the course, or on with it.

    Args:
        course: what.
        data: folder of sequences, validation ones among them.
        out: folder of the training.
        denoiser: in place of the installed one.
        threads: of the CPU.
        minutes: stop after so long.
        say: told how far it is.

    Returns:
        the weights of all networks; none while the course has not ended.

    Raises:
        ConfigError: no data, or the folder holds another course of this denoiser.
    """
    until = math.inf if minutes is None else time.monotonic() + 60 * minutes

    def left() -> float | None:
        return None if minutes is None else max(0.0, (until - time.monotonic()) / 60)

    denoiser = denoiser or Kpcn(preset=course.preset, threads=threads)
    out = out / denoiser.identity
    learning, held_out = files_of(data)
    checks = judge(
        held_out, denoiser, out.parent / "frames", variants=CHECKS * course.variants, seed=course.seed, minutes=left(),
        say=say,
    )  # fmt: skip
    frames = judge(
        learning, denoiser, out.parent / "frames", variants=course.variants, seed=course.seed, minutes=left(), say=say
    )
    if not (checks.complete and frames.complete):
        return []
    made = []
    for metrics in [(metric,) for metric in course.metrics] if course.apart else [course.metrics]:
        plan = ErrorPlan(
            course.preset, denoiser.identity, metrics, steps=course.steps, batch=course.batch, seed=course.seed
        )
        file = train_error(plan, frames.files, checks.files, out, every=course.every, minutes=left(), say=say)
        if file is None:
            return []
        made.append(file)
    return made


def install_predictors(preset: str, files: Sequence[Path]) -> list[Path]:
    """Copies weights with their cards to where they are looked for; those of other denoiser weights are removed."""
    current = weights.fingerprint(preset)
    for name in weights.shipped():
        if (name == weights.predictor(preset) or name.startswith(f"{weights.predictor(preset)}-")) and (
            weights.card(name).get("denoiser") != current
        ):
            weights.path(name).unlink()
            weights.path(name).with_suffix(".json").unlink()
    installed = []
    for file in files:
        target = weights.path(file.stem)
        shutil.copyfile(file, target)
        shutil.copyfile(file.with_suffix(".json"), target.with_suffix(".json"))
        installed.append(target)
    return installed
