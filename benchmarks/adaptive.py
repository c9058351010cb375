"""Adaptive sampling by the denoiser's predicted error, against other guides, other pipelines, and the clock.

python -m benchmarks.adaptive [--quick] [--json FILE]

Every trial is kept in the user's cache directory as soon as it is made: run again, it goes on where it was stopped.
Trials belong to the weights that they were made with, and to the code that shares out samples.
"""

from __future__ import annotations

import sys

from benchmarks import adaptive_rows as rows
from benchmarks.adaptive_eta import forecasts
from benchmarks.adaptive_kit import KITS
from benchmarks.adaptive_page import pages
from benchmarks.adaptive_races import Race, race
from benchmarks.adaptive_trials import FULL, QUICK, Sizes, Stage, everything, release, stopped
from benchmarks.adaptive_unbiased import COMBINATIONS, Scatter, scatter
from benchmarks.denoise_renders import Renders
from benchmarks.denoise_sequences import Clip, clips
from benchmarks.referee import Results, main

TITLE = "Adaptive sampling"
ABOUT = (
    "Rounds of samples that double, on sequences that no network was trained on: the same rounds, denoiser and "
    "allocator for all guides, and equal total samples. References are never denoised. Rows are geometric means of "
    "ratios over sequences and seeds, with paired bootstrap intervals; each figure is the mean of two frames that go "
    "through the rounds together."
)

CALM = ("cornell-box", "shot_010")
"""Sequences without rare bright samples, which 64 renders cannot average out, for the scatter of means."""


def measure(
    results: Results, kit: str = "shipped", sizes: Sizes | None = None, found: list[Clip] | None = None
) -> None:
    """All rows.

    Args:
        kit: a key of `KITS`; another than the shipped one tries the benchmark itself.
        sizes, found: in place of the usual ones.
    """
    sizes = sizes or (QUICK if results.quick else FULL)
    sequences = found or clips(quick=results.quick)
    renders, made = Renders(sizes.resolution), KITS[kit]()
    stages = [Stage(renders, clip, made, sizes) for clip in sequences]

    trials = everything(stages, sizes)
    wanted = rows.targets(trials)
    ended = stopped(stages, sizes, wanted)
    run: dict[tuple[str, int], Race] = {}
    for stage in stages:
        run |= {(stage.clip.name, number): race(stage, number) for number in range(sizes.races)}
        release(stage)
    spread: dict[str, dict[str, Scatter]] = {}
    for stage in [stage for stage in stages if stage.clip.name in CALM][: sizes.unbiased_clips]:
        spread[stage.clip.name] = {each: scatter(stage, each, sizes.unbiased) for each in COMBINATIONS}
        release(stage)
    jobs = forecasts(renders.folder, made, count=sizes.jobs, quick=results.quick)

    rows.quality(results, trials, sizes, made)
    rows.figure9(results, trials, sizes, made)
    rows.stops(results, ended, wanted, made)
    rows.overhead(results, run, made)
    rows.races(results, run, made)
    rows.eta(results, jobs)
    rows.unbiased(results, spread, sizes.unbiased)
    pages(results, sequences, trials, ended, run, jobs, sizes)


if __name__ == "__main__":
    sys.exit(main("adaptive", TITLE, ABOUT, measure))
