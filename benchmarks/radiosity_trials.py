"""Trainings of the cache, each kept as soon as it has ended, and what their pictures are like on the way."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.adaptive_cache import Kept, kept
from benchmarks.radiosity_subjects import Image, Subject, compared
from benchmarks.referee import Reference
from pipeline.images import metrics
from pipeline.radiosity.presets import Preset, preset
from pipeline.radiosity.render import render
from pipeline.radiosity.train import Plan, Trainer
from pipeline.render.buffers import luminance

__all__ = ["FULL", "QUICK", "Sizes", "Trial", "Variant", "trained", "trial"]

SPP = 4  # of the pictures that are judged, as in the paper


@dataclass(frozen=True)
class Sizes:
    """How much is trained and rendered.

    Attributes:
        resolution: of judged pictures.
        reference_spp: of their references.
        steps: of each training.
        looks: pictures on the way.
        seeds: of trainings that are compared with an interval.
        views: unseen viewpoints.
        scenes: how many of the scenes.
        guide: steps in which the guide is trained.
    """

    resolution: tuple[int, int]
    reference_spp: int
    steps: int
    looks: int
    seeds: int
    views: int
    scenes: int
    guide: tuple[int, int]


FULL = Sizes((320, 180), 8192, 3000, 10, 3, 30, 4, (200, 1000))
QUICK = Sizes((96, 54), 256, 60, 3, 1, 3, 1, (16, 48))


@dataclass(frozen=True)
class Variant:
    """How a cache is trained; see `Plan`. `incident` multiplies M."""

    method: str = "semi"
    measure: str = "l2"
    weight: float = 1.0
    guiding: bool = False
    incident: int = 1

    @property
    def key(self) -> str:
        """For names of files and labels."""
        parts = [self.method, self.measure, f"{self.weight:g}" if self.method == "weighted" else ""]
        parts += ["guided" if self.guiding else "", f"m{self.incident}" if self.incident > 1 else ""]
        return "-".join(part for part in parts if part)


@dataclass(frozen=True)
class Trial:
    """What one training came to.

    Attributes:
        steps: at which it was looked at.
        error: relMSE there, 0.1 % of pixels trimmed.
        brightness: luminance over the reference's at the end, of pixels that may be compared.
        step_seconds: median of a step.
        seconds: of the whole training.
        picture: the left-hand side at the end.
    """

    steps: list[int]
    error: list[float]
    brightness: float
    step_seconds: float
    seconds: float
    picture: Image


def plan(variant: Variant, sizes: Sizes, seed: int) -> Plan:
    """The training of a variant: the fast preset's, whose rate falls in as many stages, over the trial's steps."""
    size = _shortened(preset("fast"), sizes, variant.incident)
    return Plan(size, variant.method, variant.measure, variant.weight, variant.guiding, seed=seed)


def trained(subject: Subject, variant: Variant, sizes: Sizes, seed: int, looks: Any = None) -> Trainer:
    """A training, made now; `looks(trainer)` is called on the way."""
    trainer = Trainer(subject.opened.sources, plan(variant, sizes, seed))
    for k in range(1, sizes.looks + 1):
        trainer.advance(round(sizes.steps * k / sizes.looks))
        if looks is not None:
            looks(trainer)
    return trainer


def trial(subject: Subject, variant: Variant, sizes: Sizes, seed: int, truth: Reference, folder: Path) -> Trial:
    """A training and its figures, kept in `folder`."""

    def make() -> Kept:
        steps, errors, times, last = [], [], [], [0, 0.0]
        picture = truth.image

        def look(trainer: Trainer) -> None:
            nonlocal picture, last
            progress = trainer.progress
            hides = subject.opened.hide_emitters
            picture = render(subject.opened.sources, trainer.shown, subject.view, spp=SPP, hide_emitters=hides)
            steps.append(progress.step)
            errors.append(metrics.rel_mse(picture, truth.image))
            times.append((progress.seconds - last[1]) / (progress.step - last[0]))
            last = [progress.step, progress.seconds]

        trainer = trained(subject, variant, sizes, seed, look)
        mask = compared(subject, subject.view, truth)
        share = float(luminance(picture)[mask].mean() / luminance(truth.image)[mask].mean())
        figures = {
            "steps": steps,
            "error": errors,
            "brightness": share,
            "step_seconds": statistics.median(times),
            "seconds": trainer.progress.seconds,
        }
        return Kept(figures, {"picture": picture})

    name = f"{subject.name}-{variant.key}-{sizes.steps}-{sizes.resolution[0]}-s{seed}.npz"
    found = kept(folder / name, make)
    return Trial(**found.figures, picture=found.arrays["picture"].astype(np.float32))


def _shortened(size: Preset, sizes: Sizes, incident: int) -> Preset:
    """A preset whose schedule has the trial's length."""
    size = size.over(sizes.steps)
    stages = tuple(replace(stage, incident=stage.incident * incident) for stage in size.stages)
    begin, end = sizes.guide
    return replace(size, stages=stages, guide=replace(size.guide, begin=begin, end=end))
