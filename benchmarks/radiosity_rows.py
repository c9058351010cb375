"""From trials to claims: one row per line of what the previews must show."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise

from benchmarks.radiosity_cost import Race
from benchmarks.radiosity_subjects import CALM
from benchmarks.radiosity_trials import Trial
from benchmarks.referee import Interval, Results, Row, ratio

__all__ = ["brightness", "calm_scene", "costs", "gain", "guiding", "measures", "plates", "races", "views", "weights"]

Runs = Mapping[tuple[str, int], Trial]
"""Trials by scene and seed."""


def gain(results: Results, semi: Runs, full: Runs) -> None:
    """Full gradient over semi-gradient at equal steps."""
    pairs = {key: (full[key].error[-1], semi[key].error[-1]) for key in semi if key[0] != CALM}
    what = "relMSE, full gradient / semi-gradient, equal steps, no guiding"
    _ratio(results, Row("gain", what, None, must=4.0, aim=8.8, better="higher"), pairs)


def calm_scene(results: Results, semi: Runs, full: Runs) -> None:
    """The scene in which no gain is to be expected."""
    shares = [full[key].error[-1] / semi[key].error[-1] for key in semi if key[0] == CALM]
    what = f"{CALM}: relMSE, full / semi, or its inverse where that is larger"
    if not shares:
        results.add(Row("gain.calm", what, None, must=1.25, note="not in this run"))
        return
    share = statistics.geometric_mean(shares)
    results.add(Row("gain.calm", what, max(share, 1 / share), must=1.25, note=f"full / semi {share:.3f}"))


def brightness(results: Results, runs: Mapping[str, Runs]) -> None:
    """Luminance over the reference's, without delta surfaces and unsettled caustics."""
    for method in ("semi", "dual"):
        found = {scene: trial.brightness for (scene, _), trial in runs[method].items()}
        where = max(found, key=lambda scene: abs(found[scene] - 1))
        what = f"|luminance / reference − 1|, {method}, worst scene"
        results.add(
            Row(f"brightness.{method}", what, abs(found[where] - 1), must=0.02, note=f"{where}: {found[where]:.3f}")
        )
    found = {scene: trial.brightness for (scene, _), trial in runs["full"].items()}
    told = ", ".join(f"{scene} {share:.3f}" for scene, share in found.items())
    what = "luminance / reference, full gradient, brightest scene: darker"
    results.add(Row("brightness.full", what, max(found.values()), must=1.0, note=told))


def weights(results: Results, by_weight: Mapping[float, Trial], many: Trial, few: Trial, semi: Trial) -> None:
    """The weighted dual buffer (Figure 6), and the dual buffer with eight times the samples (Figures 2, 5)."""
    errors = [by_weight[weight].error[-1] for weight in sorted(by_weight, reverse=True)]
    rising = sum(after >= before for before, after in pairwise(errors))
    falling = sorted(by_weight.items(), reverse=True)
    told = ", ".join(f"w = {weight:g}: {trial.error[-1]:.3g}" for weight, trial in falling)
    what = "weighted dual buffer: steps of w = 1, 0.5, 0 at which the error does not fall"
    results.add(Row("weights", what, rising, must=0, note=told))
    what = "dual buffer with 8 × M: relMSE / semi-gradient's"
    note = f"{few.error[-1] / semi.error[-1]:.3g} with M; {many.step_seconds / semi.step_seconds:.2g} × the time a step"
    results.add(Row("dual.many", what, many.error[-1] / semi.error[-1], must=1.25, note=note))


def plates(results: Results, semi: Trial | None, dual: Trial | None) -> None:
    """Smooth plates, where all fail (Figure 7)."""
    what = "smooth plates (veach-mis): relMSE, dual buffer / semi, or its inverse where that is larger"
    if semi is None or dual is None:
        results.add(Row("plates", what, None, must=1.25, note="not in this run"))
        return
    share = dual.error[-1] / semi.error[-1]
    note = f"dual / semi {share:.3f}; semi {semi.error[-1]:.3g}"
    results.add(Row("plates", what, max(share, 1 / share), must=1.25, note=note))


def measures(results: Results, found: Mapping[str, tuple[Trial, Trial]]) -> None:
    """Losses that are not L2 (Figure 8): (full, semi) by measure."""
    for measure, (full, semi) in found.items():
        what = f"{measure}: relMSE, full / semi"
        results.add(
            Row(f"measure.{measure}", what, full.error[-1] / semi.error[-1], must=1.0, aim=2.0, better="higher")
        )


def guiding(results: Results, on: Trial, off: Trial) -> None:
    """Guiding (Figure 10): earlier, not better."""
    middle = len(on.error) // 2
    what = "guiding on / off, relMSE"
    results.add(Row("guiding.early", f"{what}, half-way", on.error[middle] / off.error[middle], must=1.0))
    results.add(Row("guiding.final", f"{what}, at the end", on.error[-1] / off.error[-1], must=1.1))


def views(results: Results, semi: Sequence[float], full: Sequence[float], own: float) -> None:
    """Unseen viewpoints (Figure 4)."""
    losing = sum(a >= b for a, b in zip(semi, full, strict=True))
    what = f"{len(semi)} unseen viewpoints: frames in which semi is not below full"
    results.add(Row("views.frames", what, losing, "frames", must=0))
    what = "unseen viewpoints: relMSE / that of the shot's camera"
    results.add(Row("views.error", what, statistics.fmean(semi) / own, must=1.3, aim=1.1))


def costs(results: Results, step: Interval, picture: float, first: float) -> None:
    """Times."""
    edges = step.low, step.high
    results.add(Row("step", "time of a step, semi / full", step.value, must=0.75, aim=0.7, interval=edges))
    results.add(Row("picture", "320×180 left-hand side, 1 spp", picture, "s", must=0.5, aim=0.15))
    what = "command to first browser picture, 50 steps trained"
    results.add(Row("first", what, first, "s", must=20.0, aim=8.0))


def races(results: Results, found: Mapping[str, Race]) -> None:
    """A hundred free viewpoints in the same time."""
    for name, each in found.items():
        what = f"{name}: 100 free viewpoints in the same time, relMSE, path tracing + OIDN / cache"
        even = "never" if each.even is None else f"from {each.even} views on"
        note = f"{each.seconds:.0f} s, {each.spp} spp; the cache is better {even}"
        results.add(Row(f"race.{name}", what, each.tracer / each.cache, must=1.0, aim=4.0, better="higher", note=note))


def _ratio(results: Results, row: Row, pairs: Mapping[tuple[str, int], tuple[float, float]]) -> None:
    """A geometric mean, with its interval where there are pairs enough for one."""
    values = {"key": row.key, "what": row.what, "must": row.must, "aim": row.aim, "better": row.better}
    if len(pairs) < 2:
        alone = [ours / peer for ours, peer in pairs.values()]
        results.add(Row(**values, value=alone[0] if alone else None, note="one pair: no interval"))  # type: ignore[arg-type]
        return
    found = ratio(pairs)
    results.add(Row(**values, value=found.value, interval=(found.low, found.high)))  # type: ignore[arg-type]
