"""Previews from a radiance cache: semi against full gradient, brightness, ablations, viewpoints, times.

python -m benchmarks.radiosity [--quick] [--json FILE]

Every training and reference is kept in the user's cache directory as soon as it is made: run again, it goes on where
it was stopped.
"""

from __future__ import annotations

import sys

import numpy as np

from benchmarks import radiosity_cost as cost
from benchmarks import radiosity_rows as rows
from benchmarks.radiosity_subjects import GLOSSY, SHARED, Subject, free_views, reference, subject, trained_on
from benchmarks.radiosity_trials import FULL, QUICK, SPP, Sizes, Trial, Variant, trained, trial
from benchmarks.referee import Results, Row, commit, main
from pipeline.device import cache_directory, set_variant
from pipeline.images import metrics
from pipeline.images.viewing import to_display
from pipeline.radiosity.render import render

__all__ = ["measure"]

TITLE = "Previews"
ABOUT = (
    "The radiance cache, preset `fast`, trained from nothing by each of the losses at equal steps with the same rays, "
    "against path-traced references that are never denoised. relMSE leaves out the worst 0.1 % of pixels; its "
    "pictures are left-hand sides at four samples per pixel."
)

METHODS = ("semi", "full", "dual")
MEASURES = ("rmse", "huber", "mae")
STUDIED = "veach-bidir"
RACED = ("veach-bidir", "shot_010")


class _Bench:
    """Scenes, references and trials, each made once."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        # Weights depend on the code: trials of another commit are not these.
        self.folder = cache_directory() / "benchmarks" / "radiosity" / str(commit())
        self._loaded: Subject | None = None

    def subject(self, name: str) -> Subject:
        """One scene is loaded at a time."""
        if self._loaded is None or self._loaded.name != name:
            self._loaded = None
            self._loaded = subject(name, self.sizes.resolution, self.folder / "blobs")
        return self._loaded

    def trial(self, name: str, variant: Variant, seed: int = 0) -> Trial:
        """A training of a scene."""
        scene = self.subject(name)
        truth = reference(scene, scene.view, "own", self.sizes.reference_spp, self.folder)
        return trial(scene, variant, self.sizes, seed, truth, self.folder)


def measure(results: Results) -> None:
    """All rows."""
    set_variant()
    sizes = QUICK if results.quick else FULL
    bench = _Bench(sizes)
    scenes = trained_on() if not results.quick else trained_on()[-sizes.scenes :]
    studied = STUDIED if STUDIED in scenes else scenes[-1]

    timed = bench.subject(studied)
    step = cost.step_ratio(timed, sizes, pairs=3 if results.quick else 9)
    picture = cost.picture_seconds(timed, sizes, count=3 if results.quick else 9)
    rows.costs(results, step, picture, cost.first_picture("shot_010"))

    runs: dict[str, dict[tuple[str, int], Trial]] = {method: {} for method in METHODS}
    for name in scenes:
        for method in METHODS:
            for seed in range(1 if method == "dual" else sizes.seeds):
                runs[method][name, seed] = bench.trial(name, Variant(method), seed)
    rows.gain(results, runs["semi"], runs["full"])
    rows.calm_scene(results, runs["semi"], runs["full"])
    rows.brightness(results, runs)

    semi, dual = runs["semi"][studied, 0], runs["dual"][studied, 0]
    half = bench.trial(studied, Variant("weighted", weight=0.5))
    rows.weights(
        results, {1.0: dual, 0.5: half, 0.0: semi}, bench.trial(studied, Variant("dual", incident=8)), dual, semi
    )
    others = {m: (bench.trial(studied, Variant("full", m)), bench.trial(studied, Variant("semi", m))) for m in MEASURES}
    rows.measures(results, others)
    rows.guiding(results, bench.trial(studied, Variant(guiding=True)), semi)
    glossy = not results.quick and (SHARED / GLOSSY / "scene.xml").exists()
    rows.plates(results, *((bench.trial(GLOSSY, Variant(method)) if glossy else None) for method in ("semi", "dual")))

    _views(results, bench, studied)
    raced = [name for name in RACED if name in scenes]
    found = {name: cost.race(bench.subject(name), sizes, bench.folder) for name in raced}
    rows.races(results, found)
    results.add(
        Row("gpu.picture", "a GPU: 1280×720 left-hand side", None, "frames/s", 10.0, 30.0, "higher", note="no GPU")
    )
    results.add(Row("gpu.training", "a GPU: the paper's schedule", None, "min", aim=10.0, note="no GPU"))
    _page(results, bench, runs, found)


def _views(results: Results, bench: _Bench, name: str) -> None:
    """Unseen viewpoints of one scene, by the caches of both gradients."""
    scene, sizes = bench.subject(name), bench.sizes
    hides = scene.opened.hide_emitters
    views = free_views(scene, sizes.views, seed=1)
    truths = [reference(scene, view, f"view{k}", sizes.reference_spp, bench.folder) for k, view in enumerate(views)]
    own = reference(scene, scene.view, "own", sizes.reference_spp, bench.folder)
    errors: dict[str, list[float]] = {}
    home = 0.0
    for method in ("semi", "full"):
        field = trained(scene, Variant(method), sizes, 0).shown
        pictures = [render(scene.opened.sources, field, view, spp=SPP, hide_emitters=hides) for view in views]
        errors[method] = [metrics.rel_mse(a, b.image) for a, b in zip(pictures, truths, strict=True)]
        if method == "semi":
            mine = render(scene.opened.sources, field, scene.view, spp=SPP, hide_emitters=hides)
            home = metrics.rel_mse(mine, own.image)
    rows.views(results, errors["semi"], errors["full"], home)


def _page(
    results: Results,
    bench: _Bench,
    runs: dict[str, dict[tuple[str, int], Trial]],
    races: dict[str, cost.Race],
) -> None:
    """Tables and pictures."""
    lines: list[list[object]] = []
    for method, found in runs.items():
        for (name, seed), each in found.items():
            lines.append([name, method, seed, each.error[-1], each.brightness, each.step_seconds, each.seconds])
    results.text("## Trainings")
    results.table(["scene", "gradient", "seed", "relMSE", "luminance", "s a step", "s"], lines)
    results.text("## References\n\nNoise: half of the SMAPE between two halves.")
    noise: list[list[object]] = []
    for name, seed in runs["semi"]:
        if seed == 0:
            scene = bench.subject(name)
            truth = reference(scene, scene.view, "own", bench.sizes.reference_spp, bench.folder)
            least = min(metrics.smape(found[name, 0].picture, truth.image) for found in runs.values())
            noise.append([name, truth.noise, least, "yes" if truth.may_judge(least) else "no"])
            pictures = [*(found[name, 0].picture for found in runs.values()), truth.image]
            exposure = float(np.log2(0.18 / np.exp(np.mean(np.log(truth.image.mean(axis=-1) + 1e-4)))))
            shown = np.concatenate([to_display(image, exposure=exposure) for image in pictures], axis=1)
            results.picture(name, shown, f"{name}: {', '.join(runs)}, reference")
    results.table(["scene", "noise", "smallest SMAPE", "at most a quarter"], noise)
    for name, race in races.items():
        shown = np.concatenate([to_display(image) for image in race.pictures], axis=1)
        results.picture(f"race-{name}", shown, f"{name}, a free viewpoint: cache, path tracing + OIDN, reference")


if __name__ == "__main__":
    sys.exit(main("radiosity", TITLE, ABOUT, measure))
