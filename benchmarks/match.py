"""Matching: Table 2 of the paper made anew, what its estimators are worth, and a shot of two unknowns.

python -m benchmarks.match [--quick] [--json FILE]

Trials are kept in `build/match`, one file each: a run that was stopped goes on where it was.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
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
    "counts from where the error stays below it; a trial that never gets there counts its whole budget."
)

KEPT = ROOT / "build" / "match"
SEEDS, QUICK_SEEDS = 20, 5
QUICK_RENDERED = ("MUG", "SHADOW")
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
            chosen = [m for m in METHODS if not quick or m.key in ("FR22", "FR22+Adam", "AD", "HVP", "HVPA")]
            for trial in trials(task, chosen, range(QUICK_SEEDS if quick else SEEDS), KEPT):
                found.setdefault((task.key, trial.method), []).append(trial)
        rows.speed(results, found)
        rows.product(results, product(folder, quick=quick))
    rows.convergence(results, found, labels)
    plots(results, found, labels)


def tasks(folder: Path, *, quick: bool) -> Iterator[Task]:
    """The tasks, one after another: a rendered one is made when its turn comes."""
    yield quad()
    yield boxes(1)
    yield boxes(5)
    from benchmarks.match_scenes import SUBJECTS, Size, rendered

    for key, subject in SUBJECTS.items():
        if not quick or key in QUICK_RENDERED:
            yield rendered(subject, Size(), folder / key)


def product(folder: Path, *, quick: bool) -> dict[str, object]:
    """A shot of two unknowns, and launches."""
    from benchmarks.match_product import launches, two_unknowns

    sizes = ((64, 4),) if quick else ((64, 4), (256, 32))
    found = two_unknowns(folder / "two", pixels=1728 if quick else 6912, spp=32, plate_spp=64)
    return {**found, "launches": launches(folder / "launches", sizes, pairs=3 if quick else 9)}


if __name__ == "__main__":
    sys.exit(main("match", TITLE, ABOUT, measure))
