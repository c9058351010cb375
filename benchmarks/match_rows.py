"""The rows of the matching benchmark: what was asked for, one by one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import t

from benchmarks import match_statistics as statistics
from benchmarks.match_methods import AGGREGATE, FIRST_ORDER
from benchmarks.match_trials import REDUCTIONS, Trial
from benchmarks.referee import Results, Row, ratio

__all__ = ["convergence", "estimators", "product", "scenes", "speed"]

ALL_TASKS = ("QUAD", "BOX2", "BOX10", "MUG", "SHADOW", "BUNNY", "TEXTURE", "CNN", "CNN5")
NEEDED = tuple(key for key in ALL_TASKS if key != "CNN5")

Found = Mapping[tuple[str, str], Sequence[Trial]]
"""(task, method) → its trials, in the order of their seeds."""


def median(trials: Sequence[Trial], reduction: float, space: str, what: int = 2) -> tuple[float, float]:
    """Median cost, and the share of trials that got there."""
    costs = [trial.cost(reduction, space, what) for trial in trials]
    return float(np.median([cost for cost, _ in costs])), float(np.mean([ok for _, ok in costs]))


def speed(results: Results, found: Found) -> None:
    """Aggregates against first order, and how many tasks converged."""
    tasks = [key for key in ALL_TASKS if (key, AGGREGATE) in found]
    pairs: dict[tuple[str, int], tuple[float, float]] = {}
    everyone: list[float] = []
    for task in tasks:
        rivals = [name for name in FIRST_ORDER if (task, name) in found]
        if not rivals:
            continue
        best = min(rivals, key=lambda name: median(found[task, name], 0.99, "parameter")[0])
        for ours, theirs in zip(found[task, AGGREGATE], found[task, best], strict=True):
            pairs[task, ours.seed] = theirs.cost(0.99, "parameter")[0], ours.cost(0.99, "parameter")[0]
        mine = median(found[task, AGGREGATE], 0.99, "parameter")[0]
        others = [name for key, name in found if key == task and name != AGGREGATE]
        everyone += [median(found[task, name], 0.99, "parameter")[0] / mine for name in others]
    if len(pairs) > 1:
        gain = ratio(pairs)
        what = "seconds to 99 % parameter-error reduction, better of FR22 + descent and FR22 + Adam over aggregate HVP"
        note = f"geometric mean over {', '.join(tasks)}; failures count their budget"
        interval = (gain.low, gain.high)
        results.add(Row("speed", what, gain.value, "×", 1.9, 2.71, "higher", interval=interval, note=note))
        overall = math.exp(np.mean(np.log(everyone)))
        results.add(Row("speed_all", "the same over all methods, of medians", overall, "×", better="higher"))
    converged = [key for key in tasks if median(found[key, AGGREGATE], 0.99, "parameter")[1] >= 0.5]
    missing = [key for key in ALL_TASKS if key not in tasks]
    note = f"of {len(ALL_TASKS)}" + (f"; not in this run: {', '.join(missing)}" if missing else "")
    failed = [key for key in tasks if key not in converged]
    note += f"; not {', '.join(failed)}" if failed else ""
    what = "tasks on which most aggregate trials converge to 99 % in parameters; must: all but CNN5"
    row = Row("converged", what, float(len(converged)), "", 8.0, 9.0, "higher", note=note)
    results.add(row)
    results.add(Row("failed", "tasks other than CNN5 that do not", float(len({*failed} & {*NEEDED})), "", 0.0))
    if ("BUNNY", "AD") in found:
        share = median(found["BUNNY", "AD"], 0.9, "parameter")[1]
        results.add(Row("ad_bunny", "AD on BUNNY: share of trials to 90 %", share, "", 0.5, better="higher"))
        first = min(median(found["BUNNY", name], 0.99, "parameter")[0] for name in FIRST_ORDER)
        gain_ = first / median(found["BUNNY", AGGREGATE], 0.99, "parameter")[0]
        results.add(Row("bunny", "BUNNY: first order's seconds to 99 % over the aggregate's", gain_, "×", 1.0))
    for task in tasks:
        end = float(np.median([trial.error for trial in found[task, AGGREGATE]]))
        what = f"{task}: final error of the unsmoothed loss, fresh seeds, over the start's"
        results.add(Row(f"final_{task.lower()}", what, end))


def scenes(results: Results, measured: Mapping[str, float]) -> None:
    """Mitsuba's own gradient on a plateau; the full Hessian of a texture."""
    what = "MUG's plateau: Mitsuba's own gradient, over that where the handle is seen"
    results.add(Row("ad_plateau", what, measured["autodiff"], "", 0.05))
    results.add(Row("sampled_plateau", "the same of the smoothed gradient", measured["sampled"], better="higher"))
    what = "TEXTURE: one full Hessian by elements, extrapolated from some of them"
    results.add(Row("texture_hessian", what, measured["hessian"] / 3600, "h"))


def convergence(results: Results, found: Found, labels: Mapping[str, str]) -> None:
    """Tables: renders, gradient evaluations, idle seconds and seconds to each reduction, in both spaces."""
    for space in ("parameter", "picture"):
        results.text(
            f"## Until the {space} error has fallen\n\nMedians; a failure counts its budget; in brackets the "
            "share of trials that got there."
        )
        lines: list[list[object]] = []
        for (task, method), trials in found.items():
            cells: list[object] = [task, labels[method]]
            for reduction in REDUCTIONS:
                renders, share = median(trials, reduction, space, 0)
                seconds, _ = median(trials, reduction, space, 2)
                cells.append(f"{renders:.0f}, {seconds:.2g} s ({share:.0%})")
            gradients, _ = median(trials, 0.99, space, 1)
            idle, _ = median(trials, 0.99, space, 3)
            lines.append([*cells, f"{gradients:.0f}", f"{idle:.2g} s"])
        columns = [*(f"{100 * r:g} %: renders, seconds" for r in REDUCTIONS), "gradients to 99 %", "idle to 99 %"]
        results.table(["task", "method", *columns], lines)


def estimators(results: Results, *, samples: int, repeats: int, sizes: tuple[int, ...], seeds: int) -> None:
    """Unbiasedness, variance, costs."""
    scores = statistics.biases(samples)
    bound = float(t.isf(0.005 / len(scores), statistics.CHUNKS - 1))
    what = f"estimators unbiased: largest distance from the truth, {len(scores)} elements, {samples:,} samples"
    results.add(Row("bias", what, float(scores.max()), "σ", bound, note="Bonferroni 1 %"))
    error = statistics.quotient_error(samples)
    results.add(Row("hvp", "HVP against the smoothed gradient's difference quotient", 100 * error, "%", 1.0))
    counts = (4, 16, 64, 256)
    lines = statistics.variances(counts, repeats)
    importance = {name: {k: v for k, v in each.items() if k != "uniform"} for name, each in lines.items()}
    found = statistics.slopes(counts, importance)
    worst = float(np.abs(found + 1.0).max())
    what = "variance against samples (Figure 5): largest distance of a slope from −1"
    results.add(Row("slope", what, worst, "", 0.15, note="importance sampled; uniform samples have heavier tails"))
    between = all(
        (each["element"] <= each["aggregate"] * 1.05).all() and (each["aggregate"] <= each["uniform"]).all()
        for each in lines.values()
    )
    what = "aggregate sampling lies between uniform and optimal (Figure 5)"
    results.add(Row("between", what, float(between), "", 1.0, better="higher"))
    results.text("## Variance of one estimate (Figure 5)\n\nA Gaussian in five dimensions; mean over the elements.")
    rows = [[name, kind, *line] for name, each in lines.items() for kind, line in each.items()]
    results.table(["differential", "sampling", *(f"{count} samples" for count in counts)], rows)
    results.text("## Evaluations of one estimate with one antithetic pair (Table 1)")
    table = {n: statistics.costs(n) for n in (2, 10)}
    results.table(["estimator", *(f"n = {n}" for n in table)], [[k, *(c[k] for c in table.values())] for k in table[2]])
    results.text("## Evaluations to 99 %\n\nAggregate Newton–CG on a quadratic whose curvatures lie between 1 and 10.")
    needed = statistics.evaluations_by_size(sizes, seeds)
    results.table(["n", "evaluations"], [[n, value] for n, value in needed.items()])


def product(results: Results, measured: Mapping[str, Any]) -> None:
    """A shot of two unknowns, and launches."""
    what = "a shot of two unknowns from a noisy plate: light's place, off by so much of the scene's diagonal"
    results.add(Row("place", what, measured["place"], "%", 0.5))
    results.add(Row("intensity", "the same: intensity, off by", measured["intensity"], "%", 2.0))
    for (side, spp), (together, apart) in measured["launches"].items():
        what = f"32 versions in one launch against 32 launches, one shape moved, {side}² at {spp} spp"
        must = 3.0 if side == 64 else None
        results.add(Row(f"launch_{side}", what, apart / together, "×", must, better="higher"))
