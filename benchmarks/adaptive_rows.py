"""From trials to claims: one row per line of what adaptive sampling must show."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise

from benchmarks.adaptive_eta import ASKED_AT, Forecasted
from benchmarks.adaptive_kit import DEFAULT, Case, Kit
from benchmarks.adaptive_races import PLAIN_SPP, RACE_SPP, Race
from benchmarks.adaptive_trials import MATRIX, ORACLE, UNIFORM, VARIANCE, Sizes, Trial
from benchmarks.adaptive_unbiased import Scatter
from benchmarks.referee import Interval, Results, Row, ratio
from pipeline.denoise.calibration import Deciles

__all__ = [
    "MATRIX_METRICS",
    "Trials",
    "by_clip",
    "calibration",
    "eta",
    "figure9",
    "overhead",
    "pairs",
    "quality",
    "races",
    "samples_to_reach",
    "stops",
    "targets",
    "unbiased",
]

Trials = Mapping[tuple[str, Case, int], Trial]
Pairs = dict[tuple[str, int], tuple[float, float]]

MATRIX_METRICS = {"mrse": "rel_mse", "smape": "smape", "dssim": "dssim", "ms_dssim": "ms_dssim"}
"""Guiding metrics, and what the referee calls them; relMSE leaves out the worst 0.1 % of pixels."""

TARGET_SPP = 64


def pairs(trials: Trials, ours: Case, peer: Case, metric: str, spp: int) -> Pairs:
    """(sequence, seed) → errors of two guides at a level; those that have both."""
    found: Pairs = {}
    for (name, case, seed), trial in trials.items():
        other = trials.get((name, peer, seed))
        if case != ours or other is None or spp > max(trial.levels) or spp > max(other.levels):
            continue
        values = trial.error(metric, spp), other.error(metric, spp)
        if values[0] is not None and values[1] is not None:
            found[name, seed] = values[0], values[1]
    return found


def by_clip(found: Pairs) -> dict[str, float]:
    """Geometric mean of each sequence's ratios."""
    logs: dict[str, list[float]] = {}
    for (name, _), (ours, peer) in found.items():
        logs.setdefault(name, []).append(math.log(ours / peer))
    return {name: math.exp(statistics.fmean(values)) for name, values in logs.items()}


# --- Guides -------------------------------------------------------------------------------------------------------


def quality(results: Results, trials: Trials, sizes: Sizes, kit: Kit) -> None:
    """Error-guided against uniform, variance-guided and oracle-guided sampling, at equal samples."""
    for spp in sizes.levels:
        told = f"{spp} spp"
        found = pairs(trials, DEFAULT, UNIFORM, "smape", spp)
        _mean(results, f"uniform.{spp}", f"SMAPE, error-guided / uniform, {told}", found, kit, 0.94, 0.8)
        _worst(results, f"uniform.{spp}.worst", f"the same, worst sequence, {told}", found, kit, 1.03)
        spent = {
            (name, seed): samples_to_reach(trial, trials[name, UNIFORM, seed], spp)
            for (name, case, seed), trial in trials.items()
            if case == DEFAULT
        }
        reach = {key: (value, float(spp)) for key, value in spent.items() if value is not None}
        what = f"samples to reach the SMAPE that uniform sampling has at {told}, share"
        lost = f"{len(spent) - len(reach)} of {len(spent)} do not fall towards it" if len(reach) < len(spent) else ""
        _mean(results, f"samples.{spp}", what, reach, kit, 0.75, 0.5, note=lost)
        for metric in ("smape", "dssim"):
            found = pairs(trials, DEFAULT, VARIANCE, metric, spp)
            above = [f"{name} {value:.3f}" for name, value in by_clip(found).items() if value > 1.0]
            note = f"above 1 on {', '.join(above)}" if above else "below 1 on every sequence" if found else ""
            what = f"{metric.upper()}, error-guided / variance-guided, {told}"
            _mean(results, f"variance.{metric}.{spp}", what, found, kit, 1.0, note=note)
        found = pairs(trials, DEFAULT, ORACLE, "smape", spp)
        _mean(results, f"oracle.{spp}", f"SMAPE, error-guided / oracle-guided, {told}", found, kit, None, 1.1)


def samples_to_reach(ours: Trial, uniform: Trial, spp: int) -> float | None:
    """Samples per pixel at which one trial has the SMAPE of another at `spp`, between rounds as a power law.

    What lies before the first round counts as the first, what lies beyond the last goes on as the last two rounds do.
    None where the errors do not fall at all.
    """
    target = uniform.error("smape", spp)
    curve = [(level, error) for level in ours.levels if (error := ours.error("smape", level)) is not None]
    if target is None or not curve:
        return None
    if curve[0][1] <= target:
        return curve[0][0]
    if len(curve) < 2:
        return None
    steps = list(pairwise(curve))
    (n, above), (more, below) = next((step for step in steps if step[1][1] <= target), steps[-1])
    if below >= above:
        return None
    return float(n * (more / n) ** (math.log(above / target) / math.log(above / below)))


def figure9(results: Results, trials: Trials, sizes: Sizes, kit: Kit) -> None:
    """What the paper's Figure 9 says, as claims on the matrix of guides and metrics."""
    guided = [case for case in MATRIX if case.guide == "error"]
    if not all(kit.can(case) for case in guided):
        results.add(Row("figure9", "Figure 9: guides × metrics", None, note=_why(kit)))
        return
    for place, spp in (("low", min(sizes.levels)), ("high", sizes.deep)):
        cells = {
            (case, metric): _geometric(pairs(trials, case, UNIFORM, MATRIX_METRICS[metric], spp))
            for case in MATRIX
            for metric in MATRIX_METRICS
        }
        failing = [case.metric for case in guided if (own := cells[case, case.metric]) is not None and own >= 1.0]
        what = f"Figure 9, {spp} spp: metrics that sampling by their own prediction does not lower below uniform's"
        results.add(Row(f"figure9.own.{place}", what, len(failing), "of 4", must=0, note=", ".join(failing)))
        for metric in ("dssim", "ms_dssim"):
            found = pairs(trials, DEFAULT, VARIANCE, MATRIX_METRICS[metric], spp)
            name = metric.upper().replace("_", "-")
            what = f"Figure 9, {spp} spp: {name}, guided by predicted SMAPE / by relative variance"
            note = "" if found else "the images are too small for it"
            _mean(results, f"figure9.{metric}.{place}", what, found, kit, 1.0, note=note)
        means = {}
        for case in MATRIX:
            known = [math.log(value) for metric in MATRIX_METRICS if (value := cells[case, metric]) is not None]
            means[case] = math.exp(statistics.fmean(known)) if known else math.inf
        better = [case.name for case in MATRIX if means[case] < means[DEFAULT]]
        what = f"Figure 9, {spp} spp: guides that are better than predicted SMAPE in the mean of all metrics"
        results.add(
            Row(f"figure9.compromise.{place}", what, len(better), "of 4", must=1, aim=0, note=", ".join(better))
        )


# --- Stopping -----------------------------------------------------------------------------------------------------


def targets(trials: Trials) -> dict[str, float]:
    """Of each sequence: the SMAPE that uniform sampling has at 64 samples, mean over seeds."""
    found: dict[str, list[float]] = {}
    for (name, case, _), trial in trials.items():
        error = trial.error("smape", TARGET_SPP) if case == UNIFORM else None
        if error is not None:
            found.setdefault(name, []).append(error)
    return {name: statistics.fmean(values) for name, values in found.items()}


def stops(results: Results, stopped: Mapping[tuple[str, int], Trial], wanted: Mapping[str, float], kit: Kit) -> None:
    """True error over the target where frames stopped at it; those that ran out of samples apart."""
    what = f"true SMAPE / target where frames stop; target: uniform's SMAPE at {TARGET_SPP} spp"
    at_target: Pairs = {}
    count = given_up = 0
    for (name, _), trial in stopped.items():
        for one in trial.stops:
            count += 1
            if one.reason == "target":
                at_target[name, count] = one.true, wanted[name]
            else:
                given_up += 1
    told = f"{len(at_target)} of {count} frames; {given_up} ended at max_spp" if count else _why(kit)
    means = by_clip(at_target)
    mean = _geometric(at_target)
    results.add(Row("stop.low", f"{what}, geometric mean", mean, must=0.8, aim=0.9, better="higher", note=told))
    results.add(Row("stop.high", "the same, its other bound", mean, must=1.15, aim=1.05, note=told))
    for key, pick in (("lowest", min), ("highest", max)):
        name = pick(means, key=lambda each: means[each]) if means else ""
        results.add(Row(f"stop.{key}", f"the same, {key} of a sequence", means.get(name), note=name or told))


def calibration(trials: Trials, clip: str | None = None) -> Deciles | None:
    """Predicted against true SMAPE by decile, mean over frames, rounds and seeds; of one sequence or of all."""
    groups = [
        one.deciles
        for (name, case, _), trial in trials.items()
        for one in trial.shown
        if case == DEFAULT and clip in (None, name) and one.deciles is not None
    ]
    return Deciles.mean(groups) if groups else None


# --- Time ---------------------------------------------------------------------------------------------------------


def overhead(results: Results, found: Mapping[tuple[str, int], Race], kit: Kit) -> None:
    """What looking at pictures between rounds costs, of rendering."""
    what = f"(denoising before the last round + prediction + allocation) / rendering, {RACE_SPP} spp"
    if not kit.can(DEFAULT):
        results.add(Row("overhead", what, None, must=0.1, aim=0.04, note=_why(kit)))
        return
    shares = {key: (one.overhead_seconds, one.render_seconds) for key, one in found.items()}
    _mean(results, "overhead", what, shares, kit, 0.1, 0.04)


def races(results: Results, found: Mapping[tuple[str, int], Race], kit: Kit) -> None:
    """Against the clock."""
    guide = "" if kit.can(DEFAULT) else f"guide variance, since {_why(kit)}"
    off = [abs(one.peer_seconds / one.ours_seconds - 1.0) for one in found.values()]
    note = "; ".join(filter(None, (guide, f"times differ by {100 * max(off):.0f} % at most" if off else "")))
    what = "SMAPE, whole pipeline / (`mi.render` + OIDN with albedo and normal), equal wall time"
    errors = {key: (one.ours_smape, one.peer_smape) for key, one in found.items()}
    _mean(results, "race", what, errors, kit, 1.0, 0.7, note=note, needs_weights=False)
    what = f"times faster to the SMAPE of plain path tracing at {PLAIN_SPP} spp"
    reached = {key: (one.plain_seconds, one.reached_seconds) for key, one in found.items() if one.reached_seconds > 0}
    missed = len(found) - len(reached)
    note = "; ".join(filter(None, (guide, f"{missed} of {len(found)} never came to it" if missed else "")))
    mean = _interval(reached)
    interval = None if mean is None or isinstance(mean, float) else (mean.low, mean.high)
    value = mean.value if isinstance(mean, Interval) else mean
    results.add(Row("faster", what, value, "×", must=8, aim=20, better="higher", interval=interval, note=note))


def eta(results: Results, found: Sequence[Forecasted]) -> None:
    """Forecasts against what became of them."""
    errors = [100 * one.error for one in found]
    silent = [one.name for one in found if one.left is None]
    note = f"{len(found)} jobs; worst {max(errors):.0f} %" + (
        f"; nothing said yet: {'; '.join(silent)}" if silent else ""
    )
    what = f"ETA at {100 * ASKED_AT:.0f} % of a job: absolute error over its whole time, median"
    results.add(Row("eta", what, statistics.median(errors), "%", must=25, aim=10, note=note))
    held = sum(one.held for one in found)
    results.add(
        Row("eta.held", "jobs whose 80 % interval held what was left", held, f"of {len(found)}", better="higher")
    )


def unbiased(results: Results, found: Mapping[str, Mapping[str, Scatter]], renders: int) -> None:
    """Whether the mean of many renders is the reference's."""
    for name, by_combination in found.items():
        one, pooled = by_combination["unbiased"], by_combination["pooled"]
        told = f"{one.blocks} blocks, {renders} renders; bias {100 * one.bias:+.2f} %"
        other = f"pooled: {pooled.spread:.3f}, largest {pooled.largest:.2f}, bias {100 * pooled.bias:+.2f} %"
        what = f"`unbiased`, {name}: standard deviation of the z-scores of 16×16 blocks"
        results.add(Row(f"z.low.{name}", what, one.spread, must=0.9, better="higher", note=f"{told}; {other}"))
        results.add(Row(f"z.high.{name}", "the same, its other bound", one.spread, must=1.1))
        what = f"`unbiased`, {name}: largest |z|, against Bonferroni's bound"
        results.add(Row(f"z.largest.{name}", what, one.largest, must=round(one.bound, 3)))


# --- Means --------------------------------------------------------------------------------------------------------


def _why(kit: Kit) -> str:
    return kit.missing or "there are no weights that predict errors"


def _geometric(found: Pairs) -> float | None:
    logs = [math.log(ours / peer) for ours, peer in found.values()]
    return math.exp(statistics.fmean(logs)) if logs else None


def _interval(found: Pairs) -> Interval | float | None:
    return ratio(found) if len(found) > 1 else _geometric(found)


def _mean(
    results: Results,
    key: str,
    what: str,
    found: Pairs,
    kit: Kit,
    must: float | None = None,
    aim: float | None = None,
    *,
    note: str = "",
    needs_weights: bool = True,
) -> None:
    """A geometric mean of ratios, with its interval where there are pairs enough for one."""
    if not found:
        note = _why(kit) if needs_weights and not kit.can(DEFAULT) else note or "nothing to compare"
    mean = _interval(found)
    if isinstance(mean, Interval):
        results.add(Row(key, what, mean.value, must=must, aim=aim, interval=(mean.low, mean.high), note=note))
    else:
        results.add(Row(key, what, mean, must=must, aim=aim, note=note))


def _worst(results: Results, key: str, what: str, found: Pairs, kit: Kit, must: float) -> None:
    means = by_clip(found)
    where = max(means, key=lambda name: means[name]) if means else ""
    results.add(Row(key, what, means.get(where), must=must, note=where or _why(kit)))
