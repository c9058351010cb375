"""From figures to claims: a row for each study, which is that of its worst ordering, and one for each ordering.

An ordering holds when the geometric mean of winner / loser, over scenes and seeds, is at most 1. A study's row has a
value once all of its orderings were measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.ablation_cost import Parts
from benchmarks.ablation_mirror_descent import DATA, Convergence, slope
from benchmarks.ablation_studies import Ordering, Study
from benchmarks.ablation_trials import Scores
from benchmarks.referee import Interval, Results, Row, ratio

__all__ = ["Curves", "Judged", "convex", "cost", "kernel_speed", "quoted", "study_rows"]

Judged = Mapping[int, Mapping[str, Scores]]
"""Seed → label of a trial that has ended → its figures."""

Curves = Mapping[int, Mapping[str, Sequence[tuple[int, float]]]]
"""Seed → label → (step, SMAPE on the sequences for checking)."""

PROPOSED = -0.36
"""Slope of √(log d / d) over d = 4 … 1024: what Proposition 8.1 says of E kernel / E direct."""

KEYS = ("kernel", "convex", "windows", "depth", "encoders", "parts")


def measured(ordering: Ordering, judged: Judged) -> tuple[Interval | None, int]:
    """The ratio of an ordering with its interval, and the number of seeds behind it."""
    pairs: dict[tuple[str, int], tuple[float, float]] = {}
    for seed, of in judged.items():
        for number, (winner, loser) in enumerate(ordering.pairs):
            if winner not in of or loser not in of:
                continue
            for scene, figures in of[winner].items():
                other = of[loser].get(scene, {})
                if ordering.metric in figures and ordering.metric in other:
                    pairs[f"{scene}/{number}", seed] = figures[ordering.metric], other[ordering.metric]
    seeds = len({seed for _, seed in pairs})
    return (ratio(pairs) if len(pairs) > 1 else None), seeds


def study_rows(
    results: Results, study: Study, judged: Judged, seeds: int, *, missing: str = "", extra: Sequence[Row] = ()
) -> None:
    """The study's row, and its orderings'.

    Args:
        results: where they are added.
        study: which.
        judged: what has ended.
        seeds: that are asked for.
        missing: why nothing could be trained; empty: it can.
        extra: further rows that the study is judged by.
    """
    asked: list[Row] = [row for row in extra if row.must is not None]
    rows: list[Row] = []
    for ordering in study.orderings:
        found, behind = measured(ordering, judged)
        must = 1.0 if ordering.asked else None
        key = f"{study.key}.{ordering.key}"
        if found is None:
            row = Row(key, ordering.what, None, must=must, note="not run")
        else:
            note = f"{found.pairs} pairs, {behind} of {seeds} seeds"
            row = Row(key, ordering.what, found.value, must=must, interval=(found.low, found.high), note=note)
        rows.append(row)
        if ordering.asked:
            asked.append(row)
    results.add(_headline(study.key, study.what, asked, missing))
    for row in (*rows, *extra):
        results.add(row)


def _headline(key: str, what: str, asked: Sequence[Row], missing: str) -> Row:
    """The worst of the orderings, once all are measured."""
    done = [row for row in asked if row.value is not None]
    what = f"{what}: worst ratio of {len(asked)} orderings"
    if len(done) < len(asked):
        note = missing or (f"not run: {len(asked) - len(done)} of {len(asked)} orderings" if done else "not run")
        return Row(key, what, None, must=1.0, note=note)
    worst = max(done, key=lambda row: row.value or 0.0)
    holding = sum(row.holds is True for row in done)
    note = f"{holding} of {len(done)} hold; worst: {worst.what}, {worst.note}"
    return Row(key, what, worst.value, must=1.0, interval=worst.interval, note=note)


def kernel_speed(curves: Curves, seeds: int) -> Row:
    """Steps after which kernel prediction is as good as direct prediction ever gets, over the latter's steps."""
    pairs = {}
    for seed, of in curves.items():
        if "kernel" in of and "direct" in of:
            steps, best = min(of["direct"], key=lambda point: point[1])
            reached = [step for step, value in of["kernel"] if value <= best]
            # Never: later than its last step; that much is certain.
            pairs["checks", seed] = float(min(reached, default=of["kernel"][-1][0] + 1)), float(steps)
    what = "steps of kernel prediction to direct prediction's best SMAPE / the latter's steps to it"
    if not pairs:
        return Row("kernel.speed", what, None, must=1.0, note="not run")
    if len(pairs) == 1:
        [(ours, peer)] = pairs.values()
        return Row("kernel.speed", what, ours / peer, must=1.0, note="one seed: no interval")
    found = ratio(pairs)
    note = f"{len(pairs)} of {seeds} seeds"
    return Row("kernel.speed", what, found.value, must=1.0, interval=(found.low, found.high), note=note)


def convex(results: Results, found: Mapping[str, Convergence]) -> None:
    """Slopes of Proposition 8.1's problem."""
    signs = found["signs"]
    gain = slope(signs.sizes, signs.kernel / signs.direct)
    what = "Proposition 8.1: slope of log(E kernel / E direct) over log d, d = 4 … 1024"
    note = f"{gain.pairs} seeds, {DATA['signs']}"
    results.add(Row("convex", what, gain.value, must=0.0, aim=PROPOSED, interval=(gain.low, gain.high), note=note))
    for kind, of in found.items():
        for name, values in (("kernel", of.kernel), ("direct", of.direct)):
            each = slope(of.sizes, values)
            what = f"slope of log E over log d, {name}, {DATA[kind]}"
            results.add(Row(f"convex.{kind}.{name}", what, each.value, interval=(each.low, each.high)))


def cost(results: Results, found: Mapping[str, Parts] | None) -> None:
    """Which part costs most; None: not timed."""
    what = "cost by part (§7.6): kernels predicted and applied / the larger of extractor and temporal module"
    for preset in ("paper", "fast"):
        key, must = ("parts", 1.0) if preset == "paper" else ("parts.fast", None)
        told = f"{what}, preset `{preset}`"
        if found is None:
            results.add(Row(key, told, None, must=must, better="higher", note="not run: --cost"))
            continue
        of = found[preset]
        note = f"extractor {of.extractor:.3f} s, temporal {of.temporal:.3f} s, kernels {of.kernels:.3f} s"
        results.add(Row(key, told, of.kernels_lead, must=must, better="higher", note=note))


def quoted(results: Results, document: dict[str, Any] | None) -> None:
    """The rows of the last full run; without one, those of the studies, not run."""
    if document is None:
        for key in KEYS:
            results.add(Row(key, f"study `{key}`", None, note="not run"))
        return
    for row in document["rows"]:
        note = "; ".join(part for part in (row.get("note"), f"measured at {document['commit']}") if part)
        interval = tuple(row["interval"]) if "interval" in row else None
        told = {name: row[name] for name in ("key", "what", "value", "unit", "must", "aim", "better")}
        results.add(Row(**told, interval=interval, note=note))
