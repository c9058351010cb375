"""The paper's ablations by one small recipe: kernels, depth, windows, encoders, the convex problem, cost by part.

python -m benchmarks.ablations --data DIR [--long DIR] [--out DIR] [--only NAME,…] [--seeds N] [--steps N]
    [--minutes M] [--cost] [--quick] [--json FILE]

Trainings take hours: run it as often as you like with --minutes. What has ended is kept in --out and judged; the rest
is "not run". --quick quotes the last full run.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks import ablation_page as page
from benchmarks import ablation_rows as rows
from benchmarks.ablation_cost import SETTINGS, Parts, parts
from benchmarks.ablation_mirror_descent import DATA, converge
from benchmarks.ablation_networks import Design
from benchmarks.ablation_recipe import Corpus, Recipe, Training, pinned, run, trained
from benchmarks.ablation_studies import REACH, STUDIES, trials
from benchmarks.ablation_trials import SPP, Scores, judge
from benchmarks.referee import Results, main, published
from pipeline.device import cache_directory
from pipeline.errors import PenumbraError

TITLE = "Ablations of the denoiser"
ABOUT = (
    "The orderings that Vogels et al. 2018 found, tried again by one small recipe: 32 channels, kernels of 9×9, "
    "patches of 96², two samples a step, Adam from 10⁻³ down a cosine; modules on locked features (windows, "
    "composition, new encoders) have half of the steps. Kernels are 9×9, not 21×21: a fifth of the taps, which a CPU "
    "can train, and they can still leave only a ninth of white noise. A comparison of two frames has one residual "
    "block, not three. Figures are geometric means over 4, 16 and 64 samples per pixel of sequences that were held "
    "out; each ratio has a paired bootstrap interval over scenes and seeds. `4p` are the centre and three past frames."
)
LONG = (
    "not run: needs sequences of 7 frames, --long DIR: `pipeline train data --out DIR --radius 3 --count 100`, "
    "and the same with `--validation --count 40`"
)
CONVEX = (
    "Equation 9 with the absolute error and targets that one pixel explains, T = 1024 steps of Proposition A.3's size. "
    "The proposition holds L fixed. Unit vectors do so for gradient descent, whose bound is then √d; with entries of "
    "±1, L is √d in its norm but 1 in that of the exponentiated gradient, and its bound grows as d."
)


@dataclass(frozen=True)
class Settings:
    """What a run does.

    Attributes:
        data: folder of sequences.
        long: of sequences of 7 frames or more, or None.
        out: of trainings.
        only: studies that are trained; all are judged as far as they have ended.
        seeds, steps: of every network.
        minutes: of training, at most.
        cost: time the parts now.
        recipe, design, spps: smaller in tests.
    """

    data: Path
    long: Path | None
    out: Path
    only: tuple[str, ...] = tuple(STUDIES)
    seeds: int = 3
    steps: int = 6000
    minutes: float | None = None
    cost: bool = False
    recipe: Recipe = field(default_factory=Recipe)
    design: Design = field(default_factory=Design)
    spps: tuple[int, ...] = SPP


def measure(results: Results, settings: Settings) -> None:
    """All rows."""
    short = pinned(settings.data, settings.out, "short", radius=0)
    long = None if settings.long is None else pinned(settings.long, settings.out, "long", radius=REACH)
    train(settings, short, long)
    for key in STUDIES:
        _study(results, settings, key, short, long)
    found = {kind: converge(kind) for kind in DATA}
    rows.convex(results, found)
    results.text("## Proposition 8.1")
    results.text(CONVEX)
    page.convex_figure(results, found)
    timed = cost(settings)
    rows.cost(results, timed)
    if timed is not None:
        page.cost_table(results, timed)


def train(settings: Settings, short: Corpus, long: Corpus | None) -> None:
    """Trains what the studies need, one seed after the other, until the time is up."""
    until = math.inf if settings.minutes is None else time.monotonic() + 60 * settings.minutes
    for seed in range(settings.seeds):
        for key in settings.only:
            for trial in trials(key, seed, settings.recipe, steps=settings.steps, design=settings.design).values():
                for training in _with_starts(trial.training):
                    corpus = long if training.long else short
                    if corpus is None or (training.sequences or 0) > len(corpus.learning):
                        break
                    if not run(training, corpus, settings.out, until=until, say=_say):
                        return


def _with_starts(training: Training) -> list[Training]:
    """A training behind those that it builds on."""
    return ([] if training.start is None else _with_starts(training.start)) + [training]


def _study(results: Results, settings: Settings, key: str, short: Corpus, long: Corpus | None) -> None:
    """Rows, table and curves of a study, of what has ended."""
    study = STUDIES[key]
    judged: dict[int, dict[str, Scores]] = {}
    curves: dict[int, dict[str, list[tuple[int, float]]]] = {}
    facts: dict[str, str] = {}
    labels: list[str] = []
    for seed in range(settings.seeds):
        judged[seed], curves[seed] = {}, {}
        named = trials(key, seed, settings.recipe, steps=settings.steps, design=settings.design)
        labels = list(named)
        for label, trial in named.items():
            corpus = long if trial.long else short
            found = None if corpus is None else judge(trial, corpus, settings.out, spps=settings.spps)
            ended = trained(trial.training, settings.out)
            if found is None or ended is None:
                continue
            judged[seed][label] = found
            _, curves[seed][label], seconds = ended
            facts[label] = f"{trial.training.steps} steps, {seconds / 60:.0f} min"
    extra = (rows.kernel_speed(curves, settings.seeds),) if key == "kernel" else ()
    missing = LONG if study.long and long is None else ""
    rows.study_rows(results, study, judged, settings.seeds, missing=missing, extra=extra)
    if not any(judged.values()):
        return
    page.study_table(results, study, labels, judged, facts)
    if key == "kernel":
        page.curves_figure(results, key, curves, "Kernel and direct prediction: mean and range over seeds")
    if key == "encoders":
        page.adaptation_figure(results, judged)


def cost(settings: Settings) -> dict[str, Parts] | None:
    """Times by preset: measured now, or those that were; None if they never were."""
    file = settings.out / "parts.json"
    if settings.cost:
        timed = {name: parts(setting) for name, setting in SETTINGS.items()}
        temporary = file.with_suffix(".part")
        temporary.write_text(json.dumps({name: asdict(each) for name, each in timed.items()}))
        os.replace(temporary, file)
    if not file.exists():
        return None
    return {name: Parts(**each) for name, each in json.loads(file.read_text()).items()}


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def parsed(argv: Sequence[str] | None) -> tuple[Settings | None, list[str]]:
    """The settings, None for a quick run, and the arguments that all benchmarks share."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablations", description=ABOUT)
    parser.add_argument("--data", type=Path, metavar="DIR", help="sequences of 3 frames or more")
    parser.add_argument("--long", type=Path, metavar="DIR", help="sequences of 7 frames, for the windows")
    parser.add_argument("--out", type=Path, metavar="DIR", help="of trainings [default: in the user's cache]")
    parser.add_argument("--only", metavar="NAME,…", help=f"train these alone: {', '.join(STUDIES)}")
    parser.add_argument("--seeds", type=int, default=3, metavar="N")
    parser.add_argument("--steps", type=int, default=6000, metavar="N", help="of a network [default: 6000]")
    parser.add_argument("--minutes", type=float, metavar="M", help="stop training after so long, with a checkpoint")
    parser.add_argument("--cost", action="store_true", help="time the parts: only while nothing else runs")
    parser.add_argument("--quick", action="store_true", help="quote the last full run")
    parser.add_argument("--json", metavar="FILE", help="write the results to FILE as well")
    given = parser.parse_args(argv)
    shared = (["--quick"] if given.quick else []) + (["--json", given.json] if given.json else [])
    if given.quick:
        return None, shared
    if given.data is None:
        parser.error("--data is needed, unless --quick")
    only = tuple(STUDIES) if given.only is None else tuple(given.only.split(","))
    if unknown := [name for name in only if name not in STUDIES]:
        parser.error(f"no study {', '.join(unknown)}: there are {', '.join(STUDIES)}")
    out = given.out or cache_directory() / "benchmarks" / "ablations"
    settings = Settings(given.data, given.long, out, only, given.seeds, given.steps, given.minutes, given.cost)
    return settings, shared


def run_benchmark(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    settings, shared = parsed(argv)

    def measured(results: Results) -> None:
        if settings is None:
            rows.quoted(results, published("ablations"))
        else:
            measure(results, settings)

    try:
        return main("ablations", TITLE, ABOUT, measured, shared)
    except PenumbraError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(run_benchmark())
