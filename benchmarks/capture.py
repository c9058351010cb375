"""Materials from flash photographs: against ablations and rivals, on unseen families, others' maps, a real set.

python -m benchmarks.capture [--work DIR] [--train] [--minutes M] [--quick] [--json FILE]

What is judged is the network that `pipeline capture` uses. The ablations are trained by --train, one after the other,
for M minutes at most; run it again to go on. Trainings and figures are kept in --work.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks import capture_page as page
from benchmarks import capture_rows as rows
from benchmarks.capture_contenders import Contender, begun, constant, fine_tuned, network, plain, rates
from benchmarks.capture_judge import Judge, Score
from benchmarks.capture_mitsuba import agreement
from benchmarks.capture_models import TIMES, Recipe, shipped, train_all, trained
from benchmarks.capture_subjects import Subject, generated, others, real
from benchmarks.referee import Results, Row, main
from pipeline.capture.network.model import STEPS, Capturer
from pipeline.device import cache_directory

TITLE = "Materials from flash photographs"
ABOUT = (
    "RMSE of sRGB-encoded, clipped re-renders under 20 pairs of light and view that keep the highlight in view (Luo et "
    "al. 2024, §5.1). Generated materials are of six families that training never draws; others' maps were made by "
    "people who made none of this. Ablations are trained by one short recipe, and compared among themselves."
)
LONGEST = 24
"""Steps of one model (Figure 3)."""

UNTRAINED = "its ablation is not trained: --train"


@dataclass(frozen=True)
class Settings:
    """What a run does.

    Attributes:
        work: folder of trainings and figures.
        training: whether ablations are trained first.
        minutes: of that, at most.
        quick: fewer materials, of smaller maps.
        preset: of the networks.
    """

    work: Path
    training: bool = False
    minutes: float | None = None
    quick: bool = False
    preset: str = "small"

    @property
    def size(self) -> int:
        """Texels of a side."""
        return 128 if self.quick else 256

    def subjects(self) -> list[Subject]:
        """Generated ones."""
        return list(generated(6 if self.quick else 60, self.size))

    def foreign(self) -> list[Subject]:
        """Others'."""
        return list(others(2 if self.quick else 12, self.size))


def measure(results: Results, settings: Settings) -> None:
    """All rows."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if settings.training:
        train_all(Recipe(settings.preset), settings.work / "models", minutes=settings.minutes, device=device, say=_say)
    judge = Judge(settings.work / "judged")
    subjects, foreign = settings.subjects(), settings.foreign()
    model = shipped(settings.preset)
    _method(results, judge, model, subjects, foreign)
    _ablations(results, judge, settings, subjects)
    _several(results, judge, settings, subjects)
    _descent(results, judge, settings, model, foreign or subjects)
    _photographs(results, judge, settings, model)
    _speed(results, model)
    found = agreement(2 if settings.quick else 12, settings.size)
    results.add(Row("mitsuba.mean", "Mitsuba / torch, one texel a pixel: mean difference", 100 * found.mean, "%", 0.5))
    results.add(Row("mitsuba.p99", "the same: 99th percentile", 100 * found.percentile_99, "%", 2.0))
    shown = [constant(), *([begun("R_0", model), network("full method", model)] if model else [])]
    page.sheets(results, subjects[:: max(1, len(subjects) // 6)], shown)


def _scores(judge: Judge, contender: Contender | None, subjects: Sequence[Subject]) -> dict[str, Score] | None:
    if contender is None:
        return None
    return {subject.name: judge.score(contender, subject) for subject in subjects}


def _method(
    results: Results, judge: Judge, model: Capturer | None, subjects: Sequence[Subject], foreign: Sequence[Subject]
) -> None:
    """The shipped network on generated materials and others' maps."""
    full = None if model is None else network("full method", model)
    first = None if model is None else begun("its R_0", model)
    ways = [constant(), *(each for each in (first, full) if each is not None)]
    for title, where in (("Generated materials of unseen families", subjects), ("Others' maps", foreign)):
        if not where:
            continue
        scores = {way.name: _scores(judge, way, where) or {} for way in ways}
        page.table(results, title, scores)
        word = "generated" if where is subjects else "others"
        ours, even = scores.get("full method"), scores["constant maps"]
        results.add(
            rows.between(f"constant.{word}", f"full method / constant maps, {word}", ours, even, must=0.7, aim=0.5)
        )
        what = f"R_6 / R_0 of the same network, {word}"
        results.add(rows.between(f"steps.{word}", what, ours, scores.get("its R_0")))
        if where is subjects:
            results.add(rows.mean_of("unseen", "RMSE of re-renders, unseen families", ours, aim=0.057))
            what = "residue of the highlight: correlation with the flash lobe"
            results.add(rows.residue_of("residue", what, ours, must=0.15, aim=0.05))
            page.residue(results, scores)


def _ablations(results: Results, judge: Judge, settings: Settings, subjects: Sequence[Subject]) -> None:
    """Table 1, Figure 3, equation 6: networks of one recipe."""
    models = {name: trained(name, settings.work / "models") for name in ("full", "initialiser", "no-gradient")}
    whole, alone, blind = models["full"], models["initialiser"], models["no-gradient"]
    ways: dict[str, Contender | None] = {
        "full": None if whole is None else network("full", whole),
        "alone": None if alone is None else begun("g_ω alone", alone),
        "blind": None if blind is None else network("no gradient", blind),
        "tuned": None if alone is None else fine_tuned(alone),
    }
    scores = {key: _scores(judge, way, subjects) for key, way in ways.items()}
    for key, what, ours, peer, must, aim in (
        ("alone", "full method / g_ω trained alone", "full", "alone", 0.8, 0.69),
        ("gradient", "full method / no gradient (Table 1)", "full", "blind", 1.0, None),
        ("recurrence", "no gradient / g_ω alone (Table 1)", "blind", "alone", 1.0, None),
        ("tuned", "full method / g_ω fine-tuned at test time (equation 6)", "full", "tuned", 1.0, None),
    ):
        row = rows.between(key, what, scores[ours], scores[peer], must=must, aim=aim, missing=UNTRAINED)
        results.add(row)
    there = {way.name: scores[key] or {} for key, way in ways.items() if way is not None}
    if there:
        page.table(results, "Ablations, by one recipe", there)
    _iterations(results, judge, settings, whole, subjects)


def _iterations(
    results: Results, judge: Judge, settings: Settings, whole: Capturer | None, subjects: Sequence[Subject]
) -> None:
    model = whole or shipped(settings.preset)
    several: list[tuple[int, float]] = []
    for count in TIMES:
        other = trained(f"T{count}", settings.work / "models")
        if other is not None:
            several.append((count, _mean(judge, network(f"T = {count}", other, steps=count), subjects)))
    what = "one model, 24 steps / 6 steps (Figure 3: stable)"
    if model is None:
        results.add(rows.unmeasured("iterations.24", what, note=rows.NO_WEIGHTS))
        return
    fewer = subjects[: 3 if settings.quick else 20]
    steps = (0, 1, 2, 4, STEPS, 9, 12, 18, LONGEST)
    one = [(count, _mean(judge, network(f"{count} steps", model, steps=count), fewer)) for count in steps]
    if whole is not None and several:
        several = sorted([*several, (STEPS, _mean(judge, network("full", whole), subjects))])
        worst = several[0][1]
        results.add(Row("iterations.models", "models of T = 6 / T = 2", dict(several)[STEPS] / worst, "", 1.0))
    else:
        what_models = "models of T = 6 / T = 2"
        results.add(rows.unmeasured("iterations.models", what_models, must=1.0, note=UNTRAINED))
    results.add(Row("iterations.24", what, dict(one)[LONGEST] / dict(one)[STEPS], note=f"{len(fewer)} materials"))
    page.iterations(results, one, several)


def _mean(judge: Judge, contender: Contender, subjects: Sequence[Subject]) -> float:
    return statistics.fmean(judge.score(contender, subject).rmse for subject in subjects)


def _several(results: Results, judge: Judge, settings: Settings, subjects: Sequence[Subject]) -> None:
    """Five photographs against one."""
    five = trained("five", settings.work / "models") or shipped(settings.preset, 5)
    one = trained("full", settings.work / "models") if five is not None else None
    one = one or shipped(settings.preset)
    ours = peer = None
    if five is not None and one is not None:
        way = network("five photographs", five)
        ours = {subject.name: judge.score(way, subject, five=True) for subject in subjects}
        peer = _scores(judge, network("one photograph", one), subjects)
    results.add(rows.between("five", "five photographs / one", ours, peer, must=0.8, aim=0.74, missing=UNTRAINED))


def _descent(
    results: Results, judge: Judge, settings: Settings, model: Capturer | None, subjects: Sequence[Subject]
) -> None:
    """Plain gradient descent on the maps, its rate tuned on the subjects themselves: as well as it can do."""
    few = subjects[: 1 if settings.quick else 6]
    tried = rates(100 if settings.quick else 1000)
    tuned = {rate: _mean(judge, way, few[:3]) for rate, way in tried.items()}
    rate = min(tuned, key=lambda each: tuned[each])
    chosen = plain(rate=rate)
    results.text(
        "## Plain descent\n\n" + "; ".join(f"rate {each:g}: RMSE {value:.4f}" for each, value in tuned.items())
    )
    where = few if settings.quick else subjects
    theirs = _scores(judge, chosen, where)
    ours = None if model is None else _scores(judge, network("full method", model), where)
    what = "full method / plain descent (1,000 steps, tuned)"
    if ours and theirs and len(where) > 1:
        results.add(rows.between("descent.rmse", f"{what}: RMSE", ours, theirs, must=1.0))
    elif ours and theirs:
        name = where[0].name
        value = ours[name].rmse / theirs[name].rmse
        results.add(Row("descent.rmse", f"{what}: RMSE", value, "", 1.0, note="1 material"))
    else:
        results.add(rows.unmeasured("descent.rmse", f"{what}: RMSE", must=1.0, note=rows.NO_WEIGHTS))
    faster = "plain descent / full method: time"
    if model is None:
        results.add(Row("descent.time", faster, None, "×", 4.0, 10.0, better="higher", note=rows.NO_WEIGHTS))
        return
    photograph, quick = where[0].photograph, network("full method", model)
    quick.make(photograph)
    times = [_seconds(quick, photograph), _seconds(plain(steps=100, rate=rate), photograph) * 10]
    note = "100 steps timed, as tenth of 1,000"
    results.add(Row("descent.time", faster, times[1] / times[0], "×", 4.0, 10.0, better="higher", note=note))


def _photographs(results: Results, judge: Judge, settings: Settings, model: Capturer | None) -> None:
    """One real photograph in, eight views that it did not see."""
    taken = None if model is None else real(settings.size)
    what = "real photographs, eight unseen views"
    if taken is None or model is None:
        note = rows.NO_WEIGHTS if model is None else "the photographs are not there"
        results.add(rows.unmeasured("real.constant", f"{what}: / constant maps", must=0.9, note=note))
        results.add(rows.unmeasured("real.rmse", f"{what}: RMSE", aim=0.122, note=note))
        return
    ways = [constant(), begun("its R_0", model), network("full method", model), plain()]
    found = {way.name: judge.real(way, taken) for way in (ways[:3] if settings.quick else ways)}
    ours, even = found["full method"], found["constant maps"]
    results.add(Row("real.constant", f"{what}: / constant maps", ours.rmse / even.rmse, "", 0.9))
    results.add(Row("real.rmse", f"{what}: RMSE", ours.rmse, "", None, 0.122, note=f"exposure × {ours.exposure:.2f}"))
    results.text(f"## {taken.name}\n\nRMSE of eight unseen views; one exposure fitted to all of them.")
    results.table(["", "RMSE", "exposure", "seconds"], [[k, s.rmse, s.exposure, s.seconds] for k, s in found.items()])


def _speed(results: Results, model: Capturer | None) -> None:
    """A warm capture of 256²."""
    what = f"256², {torch.get_num_threads()} threads, warm process"
    if model is None:
        results.add(Row("time", what, None, "s", 3.0, 1.0, note=rows.NO_WEIGHTS))
        return
    way, photograph = network("full method", model), next(generated(1, 256)).photograph
    way.make(photograph)
    seconds = statistics.median(_seconds(way, photograph) for _ in range(5))
    results.add(Row("time", what, seconds, "s", 3.0, 1.0))


def _seconds(contender: Contender, photographs: object) -> float:
    began = time.perf_counter()
    contender.make(photographs)  # type: ignore[arg-type]
    return time.perf_counter() - began


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def run(argv: Sequence[str] | None = None) -> int:
    """Parses what this benchmark takes beside what all take, and measures."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--work", type=Path, default=cache_directory() / "benchmarks" / "capture")
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--preset", default="small")
    own, rest = parser.parse_known_args(argv)

    def settled(results: Results) -> None:
        measure(results, Settings(own.work, own.train, own.minutes, results.quick, own.preset))

    return main("capture", TITLE, ABOUT, settled, rest)


if __name__ == "__main__":
    sys.exit(run())
