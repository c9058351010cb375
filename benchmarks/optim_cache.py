"""The radiance cache: smooth activations trained by curvature, against a hash grid, ReLU and Adam, in equal time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.adaptive_cache import Kept, kept
from benchmarks.optim_sizes import CacheSizes
from benchmarks.optim_trials import code
from benchmarks.optim_tuning import Tuned, search
from benchmarks.radiosity_subjects import CALM, OURS, SHARED, Image, Subject, reference, subject
from benchmarks.radiosity_trials import SPP
from benchmarks.referee import Results, Row, ratio
from pipeline.config.preview import Preview
from pipeline.device import set_variant
from pipeline.images import metrics
from pipeline.radiosity.presets import Preset, preset
from pipeline.radiosity.render import render
from pipeline.radiosity.train import Plan, Trainer

__all__ = ["CONTENDERS", "Contender", "Trained", "rows", "trainings"]

PRODUCT = "fast"
"""The contender that the others are compared with: hash grid, ReLU, Adam."""

PILOT = 48
"""Steps by which a step's time is estimated."""

TUNED_ON = CALM
JUDGED = ("veach-bidir", OURS)


@dataclass(frozen=True)
class Contender:
    """A field and its optimiser.

    Attributes:
        key: for tables and names of files.
        preset: the field, and its schedule.
        optimiser: a name.
        smooth: whether it stands for smooth activations.
    """

    key: str
    preset: Preset
    optimiser: str
    smooth: bool

    def at(self, rate: float) -> Contender:
        """With another learning rate."""
        changed = {"rate": rate} if self.optimiser == "adam" else {"curvature_rate": rate}
        return replace(self, preset=replace(self.preset, **changed))

    @property
    def rate(self) -> float:
        """Its learning rate."""
        return self.preset.rate if self.optimiser == "adam" else self.preset.curvature_rate


def _smooth(**field: object) -> Preset:
    size = preset("smooth")
    return replace(size, field=replace(size.field, **field))  # type: ignore[arg-type]


CONTENDERS = (
    Contender(PRODUCT, preset("fast"), "adam", False),
    Contender("relu", _smooth(activation="relu"), "adam", False),
    Contender("sine-adam", preset("smooth"), "adam", True),
    Contender("sine-esgd", preset("smooth"), "esgd", True),
    Contender("gaussian-adam", _smooth(activation="gaussian", scale=0.3), "adam", True),
    Contender("gaussian-esgd", _smooth(activation="gaussian", scale=0.3), "esgd", True),
)


@dataclass(frozen=True)
class Trained:
    """What a training came to.

    Attributes:
        steps, seconds: made.
        error: relMSE of the shot's view, 0.1 % of pixels trimmed; infinite for one that diverged.
        picture: the left-hand side at the end.
    """

    steps: int
    seconds: float
    error: float
    picture: Image


def trainings(sizes: CacheSizes, folder: Path) -> tuple[dict[str, dict[tuple[str, int], Trained]], dict[str, Tuned]]:
    """All trainings by contender, then scene and seed; and the rates that they were made with."""
    bench = _Bench(sizes, folder)
    names = [name for name in JUDGED if name == OURS or (SHARED / name / "scene.xml").exists()]
    tuned: dict[str, Tuned] = {}
    for contender in CONTENDERS:
        tuned[contender.key] = bench.tuned(contender)
    found: dict[str, dict[tuple[str, int], Trained]] = {contender.key: {} for contender in CONTENDERS}
    for name in names[-sizes.scenes :]:
        for seed in range(sizes.seeds):
            for contender in CONTENDERS:
                ready = contender.at(tuned[contender.key].rate)
                found[contender.key][name, seed] = bench.trained(ready, name, sizes.seconds, seed)
    return found, tuned


class _Bench:
    """Scenes, one loaded at a time."""

    def __init__(self, sizes: CacheSizes, folder: Path) -> None:
        self._sizes, self._folder = sizes, folder
        self._kept = folder / code("optim", "radiosity")
        self._loaded: Subject | None = None

    def tuned(self, contender: Contender) -> Tuned:
        """The best rate on a scene that judges nothing; the product's own where only one is to be tried."""
        if self._sizes.rates == 1 or not (SHARED / TUNED_ON / "scene.xml").exists():
            return Tuned(contender.rate, {})

        def score(rate: float) -> float:
            return -self.trained(contender.at(rate), TUNED_ON, self._sizes.tuning, 0).error

        return search(score, contender.rate, self._sizes.rates)

    def trained(self, contender: Contender, name: str, seconds: float, seed: int) -> Trained:
        """A training of so many seconds, made now or kept."""
        width, height = self._sizes.resolution
        key = f"cache-{name}-{contender.key}-{contender.rate:.4g}-{seconds:g}-{width}x{height}-s{seed}"
        found = kept(self._kept / f"{key}.npz", lambda: self._train(contender, name, seconds, seed))
        return Trained(**found.figures, picture=found.arrays["picture"])

    def _train(self, contender: Contender, name: str, seconds: float, seed: int) -> Kept:
        scene = self._subject(name)
        truth = reference(scene, scene.view, "own", self._sizes.spp, self._folder)
        plan = Plan(
            contender.preset.over(max(round(seconds / _step_seconds(scene, contender)), PILOT)),
            optimiser=contender.optimiser,
            seed=seed,
        )
        trainer = Trainer(scene.opened.sources, plan)
        while trainer.progress.seconds < seconds:
            trainer.advance(trainer.progress.step + plan.preset.block)
        picture = render(
            scene.opened.sources, trainer.shown, scene.view, spp=SPP, hide_emitters=scene.opened.hide_emitters
        )
        good = bool(np.isfinite(picture).all())
        figures = {
            "steps": trainer.progress.step,
            "seconds": trainer.progress.seconds,
            "error": metrics.rel_mse(picture, truth.image) if good else float("inf"),
        }
        return Kept(figures, {"picture": picture})

    def _subject(self, name: str) -> Subject:
        set_variant()
        if self._loaded is None or self._loaded.name != name:
            self._loaded = None
            self._loaded = subject(name, self._sizes.resolution, self._folder / "blobs")
        return self._loaded


def _step_seconds(scene: Subject, contender: Contender) -> float:
    """Mean time of a step over the schedule in small, once the compiler has run: the schedule's length follows it, so
    that rates have fallen at the end."""
    for _ in range(2):
        trainer = Trainer(scene.opened.sources, Plan(contender.preset.over(PILOT), optimiser="adam"))
        trainer.advance(PILOT)
    return trainer.progress.seconds / PILOT


def rows(results: Results, found: dict[str, dict[tuple[str, int], Trained]], tuned: dict[str, Tuned]) -> None:
    """The cache's row, its table, and pictures."""
    theirs = found[PRODUCT]
    gains: dict[str, float] = {}
    for contender in CONTENDERS:
        logs = [np.log(theirs[key].error / ours.error) for key, ours in found[contender.key].items()]
        gains[contender.key] = float(np.exp(np.mean(logs)))
    best = max((each.key for each in CONTENDERS if each.smooth), key=lambda key: gains[key])
    pairs = {key: (theirs[key].error, ours.error) for key, ours in found[best].items()}
    gain = ratio(pairs) if len(pairs) > 1 and gains[best] > 0 else None
    winner = best if gains[best] > 1 else PRODUCT
    default = Preview().preset
    text = "radiance cache, equal time: relMSE of hash grid, ReLU and Adam / best smooth activation"
    note = f"{best}; winner {winner}, the product's default is the preset {default}"
    edges = None if gain is None else (gain.low, gain.high)
    results.add(Row("cache", text, gains[best], "×", aim=1.3, better="higher", interval=edges, note=note))
    lines = [
        [name, key, tuned[key].rate, seed, each.steps, each.seconds, each.error, theirs[name, seed].error / each.error]
        for key, trials in found.items()
        for (name, seed), each in trials.items()
    ]
    results.text("## Radiance cache\n\nEqual seconds of training, one scene after another; `relu` has no grid either.")
    results.table(["scene", "field", "rate", "seed", "steps", "s", "relMSE", "× lower than fast"], sorted(lines))
