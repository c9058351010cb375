"""Matching: Table 2 of the paper made anew, what its estimators are worth, and a shot of two unknowns.

python -m benchmarks.match [--quick] [--json FILE]

Trials are kept in `build/match`, one file each: a run that was stopped goes on where it was.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks import match_rows as rows
from benchmarks.machine import ROOT
from benchmarks.match_methods import METHODS
from benchmarks.match_page import plots
from benchmarks.match_tasks import Task, boxes, quad
from benchmarks.match_trials import Trial, trials
from benchmarks.referee import Results, main

TITLE = "Matching a plate"
ABOUT = (
    "Inverse problems with known answers, solved by sampled derivatives of a black box: gradients, Hessians and "
    "Hessian-vector products of a Gaussian smoothing, against Mitsuba's own gradients, finite differences, SPSA and "
    "the smoothed gradient of Fischer and Ritschel (FR22). Tasks follow the paper; meshes are made here. A reduction "
    "counts from where the error stays below it; a trial that never gets there counts its whole budget. Each method's "
    "free number (a rate, or pairs per step) was chosen by `benchmarks.match_tuning` from other starts."
)

KEPT = ROOT / "build" / "match"
SEEDS = 20
QUICK_SEEDS = 5
QUICK_RENDERED_SEEDS = 2
QUICK_METHODS = ("AD", "FR22", "FR22+Adam", "HVP", "HVPA")
QUICK_RENDERED = ("AD", "FR22", "FR22+Adam", "HVPA")
QUICK_SHARE = 0.5
"""Of the budget of a rendered task in a quick run."""

LARGE = (2, 8, 32, 128, 512, 1024)


def measure(results: Results) -> None:
    """All rows."""
    from pipeline.device import set_variant

    quick = results.quick
    rows.estimators(
        results,
        samples=100_000 if quick else 1_000_000,
        repeats=100 if quick else 1000,
        sizes=LARGE[:4] if quick else LARGE,
        seeds=2 if quick else 5,
    )
    labels = {method.key: method.label for method in METHODS}
    found: dict[tuple[str, str], list[Trial]] = {}
    set_variant()
    with tempfile.TemporaryDirectory(prefix="penumbra-match-") as name:
        folder = Path(name)
        for task in tasks(folder, quick=quick):
            plain = task.size == "-"
            chosen = QUICK_METHODS if plain else QUICK_RENDERED
            seeds = SEEDS if not quick else QUICK_SEEDS if plain else QUICK_RENDERED_SEEDS
            methods = [method for method in METHODS if not quick or method.key in chosen]
            for trial in trials(task, methods, range(seeds), KEPT):
                found.setdefault((task.key, trial.method), []).append(trial)
        rows.speed(results, found)
        rows.scenes(results, scenes(folder, quick=quick))
        rows.product(results, product(folder, quick=quick))
    rows.convergence(results, found, labels)
    plots(results, found, labels)


def tasks(folder: Path, *, quick: bool = False, only: Collection[str] = ()) -> Iterator[Task]:
    """The tasks, one after another: a rendered one is made when its turn comes.

    Args:
        folder: of their scenes.
        quick: smaller pictures and budgets.
        only: keys; all by default.
    """
    for plain in (quad(), boxes(1), boxes(5)):
        if not only or plain.key in only:
            yield plain
    from benchmarks.match_networks import LEARN, NETWORKS, learned
    from benchmarks.match_scenes import SUBJECTS, Size, rendered

    size = Size(width=48, height=36) if quick else Size()
    for key, subject in SUBJECTS.items():
        if not only or key in only:
            task = rendered(subject, size, folder / key)
            yield replace(task, evaluations=int(QUICK_SHARE * task.evaluations)) if quick else task
    for key in NETWORKS:
        if not only or key in only:
            made = learned(key, folder / key, replace(LEARN, spp=4) if quick else LEARN)
            yield replace(made, evaluations=int(QUICK_SHARE * made.evaluations)) if quick else made


def scenes(folder: Path, *, quick: bool) -> dict[str, float]:
    """What Mitsuba's own gradient is on a plateau, and what a full Hessian of TEXTURE would take."""
    from benchmarks.match_scenes import SUBJECTS, Size, full_hessian_seconds, plateau

    size = Size(width=48, height=36) if quick else Size()
    return {
        **plateau(SUBJECTS["MUG"], size, folder / "plateau", starts=3 if quick else 10),
        "hessian": full_hessian_seconds(SUBJECTS["TEXTURE"], size, folder / "hessian", elements=5 if quick else 25),
    }


def product(folder: Path, *, quick: bool) -> dict[str, object]:
    """A shot of two unknowns, and launches."""
    from benchmarks.match_product import launches, two_unknowns

    sizes = ((64, 4),) if quick else ((64, 4), (256, 32))
    found = two_unknowns(folder / "two", pixels=1728 if quick else 6912, spp=32, plate_spp=64)
    return {**found, "launches": launches(folder / "launches", sizes, pairs=3 if quick else 9)}


if __name__ == "__main__":
    sys.exit(main("match", TITLE, ABOUT, measure))
