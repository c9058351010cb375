"""From figures to claims: one row per line of what the denoiser must show."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.denoise_cost import Recall
from benchmarks.denoise_measures import monotone
from benchmarks.denoise_peers import PEERS
from benchmarks.denoise_trials import OURS, Findings, Sizes
from benchmarks.referee import Interval, Results, Row, ratio
from pipeline.render.buffers import COMPONENTS

__all__ = ["ablations", "cost", "energy", "flicker", "ghosting", "many_samples", "quality", "steering"]

Pairs = dict[tuple[str, int], tuple[float, float]]

JUDGED_SPP = (16, 64)
METRICS = {"smape": "SMAPE", "dssim": "DSSIM", "flip": "FLIP"}
GIB = 2**30

STILL = "frames in which nothing moves, DSSIM of neighbours (Figure 12)"


# --- Error --------------------------------------------------------------------------------------------------------


def quality(results: Results, found: Sequence[Findings]) -> None:
    """Error over that of each yardstick, at 16 and 64 samples; and over OIDN balanced at 4."""
    bounds = {
        ("smape", "balanced"): (1.0, None),
        ("smape", "clean_aux"): (None, 0.85),
        ("dssim", "balanced"): (1.1, None),
        ("dssim", "clean_aux"): (None, 0.9),
        ("flip", "balanced"): (1.1, None),
        ("flip", "clean_aux"): (None, 0.9),
    }
    labels = {peer.key: peer.label for peer in PEERS}
    for metric, name in METRICS.items():
        for peer in ("balanced", "clean_aux"):
            must, aim = bounds[metric, peer]
            key = f"{metric}.16-64" if peer == "balanced" else f"{metric}.{peer.replace('_', '-')}"
            _mean(results, key, f"{name} / {labels[peer]}, 16 and 64 spp", _errors(found, metric, peer), must, aim)
        worst, where = _worst(_errors(found, metric, "balanced"))
        bound = 1.15 if metric == "smape" else None
        what = f"{name} / OIDN balanced, worst sequence"
        results.add(Row(f"{metric}.worst", what, worst, must=bound, note=where))
    _mean(results, "smape.4", "SMAPE / OIDN balanced, 4 spp", _errors(found, "smape", "balanced", spps=(4,)))
    for peer in ("noisy", "high", "averaged"):
        _mean(results, f"smape.{peer}", f"SMAPE / {labels[peer]}, 16 and 64 spp", _errors(found, "smape", peer))
    worst, where = _worst(_errors(found, "smape", "nlm"))
    what = "SMAPE / joint non-local means (in the place of NFOR), worst sequence"
    results.add(Row("nlm", what, worst, must=1.0, note=where))


def _errors(found: Sequence[Findings], metric: str, peer: str, spps: Sequence[int] = JUDGED_SPP) -> Pairs:
    """(sequence, number of the pair) → (ours, the yardstick's)."""
    pairs: Pairs = {}
    for each in found:
        inputs = [(spp, seed) for key, spp, seed in each.scores if key == peer and spp in spps]
        for number, (spp, seed) in enumerate(inputs):
            values = [getattr(each.scores[key, spp, seed], metric) for key in (OURS, peer)]
            pairs[each.clip.name, number] = values[0], values[1]
    return pairs


# --- Time ---------------------------------------------------------------------------------------------------------


def flicker(results: Results, found: Sequence[Findings], sizes: Sizes) -> None:
    """Flicker over that of OIDN, frame by frame, with the SMAPE beside it that it must not be bought with."""
    still = [each for each in found if each.still]
    told = f"16 spp, {sizes.still_seeds} seeds"
    for peer, must, aim in (("balanced", 0.6, 0.3), ("clean_aux", None, None)):
        pairs = [{(e.clip.name, 0): (e.still[OURS][k], e.still[peer][k]) for e in still} for k in (0, 1)]
        key = "flicker.static" + ("" if peer == "balanced" else ".clean-aux")
        name = "OIDN balanced" if peer == "balanced" else "OIDN high, prefiltered features"
        _mean(results, key, f"flicker / {name}, {STILL}", pairs[0], must, aim, note=told)
        bound = 1.0 if peer == "balanced" else None
        _mean(results, f"{key}.smape", f"SMAPE / {name}, of the same frames", pairs[1], bound, note=told)
    for peer, must, aim in (("balanced", 0.9, 0.7), ("clean_aux", None, None)):
        key = "flicker.moving" + ("" if peer == "balanced" else ".clean-aux")
        name = "OIDN balanced" if peer == "balanced" else "OIDN high, prefiltered features"
        what = f"mean |Δd − Δr| / {name}, moving, 16 and 64 spp"
        _mean(results, key, what, _changes(found, peer), must, aim)


def _changes(found: Sequence[Findings], peer: str) -> Pairs:
    pairs: Pairs = {}
    for each in found:
        inputs = [(spp, seed) for key, spp, seed in each.change if key == OURS and spp in JUDGED_SPP]
        for number, (spp, seed) in enumerate(inputs):
            pairs[each.clip.name, number] = each.change[OURS, spp, seed], each.change[peer, spp, seed]
    return pairs


def ghosting(results: Results, found: Sequence[Findings]) -> None:
    """SMAPE where temporal filters go wrong, over that of our single frame."""
    regions = {
        "moving": "objects moving by more than 0.5 pixel",
        "reprojection": "failed reprojection",
        "shading": "moving shadows and reflections",
    }
    for region, what in regions.items():
        pairs: Pairs = {}
        for each in found:
            seen = [value for (name, spp, _), value in each.ghosting.items() if name == region and spp in JUDGED_SPP]
            pairs |= {(each.clip.name, number): value for number, value in enumerate(seen)}
        worst, where = _worst(pairs)
        note = f"worst {worst:.3f}, {where}" if worst is not None else "no such pixels"
        _mean(results, f"ghosting.{region}", f"SMAPE / our single frame, {what}", pairs, 1.05, 1.0, note=note)


# --- Energy, many samples, λ --------------------------------------------------------------------------------------


def many_samples(results: Results, found: Sequence[Findings], sizes: Sizes) -> None:
    """Squared error against the input's where the input hardly needs denoising."""
    for number, (key, what) in enumerate((("halves", "squared error"), ("halves.relative", "relative squared error"))):
        values = {each.clip.name: each.halves[number] for each in found}
        where = max(values, key=lambda name: values[name])
        what = f"{what} / input's at {sizes.high_spp} spp: (d − A)(d − B), worst sequence"
        results.add(Row(key, what, values[where], must=1.0 if number == 0 else None, note=where))


def energy(results: Results, found: Sequence[Findings]) -> None:
    """Mean of each denoised component over the input's."""
    for component in COMPONENTS:
        ratios = {
            f"{each.clip.name}, {spp} spp": share
            for each in found
            for (name, spp), share in each.energy.items()
            if name == component
        }
        what = f"|mean of the denoised {component} / input − 1|, worst sequence and spp"
        if not ratios:
            results.add(Row(f"energy.{component}", what, None, must=0.01, note="no sequence has any"))
            continue
        where = max(ratios, key=lambda name: abs(ratios[name] - 1))
        note = f"{where}: {ratios[where]:.4f}"
        results.add(Row(f"energy.{component}", what, abs(ratios[where] - 1), must=0.01, note=note))


def steering(results: Results, found: Sequence[Findings]) -> None:
    """Whether λ does what it says, on every sequence."""
    sweeps = {each.clip.name: each.sweep for each in found if each.sweep is not None}
    claims: tuple[tuple[str, str, Callable[[Any], bool]], ...] = (
        ("distance", "distance to the input does not fall monotonically", lambda s: not monotone(s.to_noisy[::-1])),
        ("noise", "residual noise does not rise monotonically", lambda s: not monotone(s.noise)),
        (
            "fireflies",
            "fireflies are no fewer than in a blend that looks alike (Figure 18)",
            lambda s: s.fireflies >= s.blend_fireflies and s.fireflies + s.blend_fireflies > 0,
        ),
    )
    for key, what, fails in claims:
        failing = [name for name, sweep in sweeps.items() if fails(sweep)]
        note = ", ".join(failing) or f"none of {len(sweeps)}"
        what = f"λ = 1 … 10: sequences in which {what}"
        results.add(Row(f"lambda.{key}", what, len(failing), "sequences", must=0, note=note))


# --- Cost ---------------------------------------------------------------------------------------------------------


def cost(results: Results, times: dict[str, Interval], recall: Recall | None, memory: dict[str, float]) -> None:
    """Time and memory."""
    frame = "time of a frame, 1280×720, 2 threads, all components"
    peers = {
        "clean_aux": ("OIDN high with clean_aux, its one filter of the beauty", 2.0, None),
        "balanced": ("OIDN balanced, its one filter of the beauty", None, 1.0),
        "recipe": ("OIDN high with clean_aux, both features prefiltered", None, None),
    }
    for key, (peer, must, aim) in peers.items():
        found = times[key]
        results.add(
            Row(
                f"time.{key.replace('_', '-')}",
                f"{frame} / {peer}",
                found.value,
                must=must,
                aim=aim,
                interval=(found.low, found.high),
                note=f"median of {found.pairs} alternating pairs",
            )
        )
    what = "another λ from cached features / whole frame"
    if recall is None:
        results.add(Row("time.lambda", what, None, must=0.35, aim=0.2, note="this denoiser keeps nothing"))
    else:
        share = recall.share
        note = f"{recall.bytes / GIB:.2f} GiB kept of a frame"
        edges = share.low, share.high
        results.add(Row("time.lambda", what, share.value, must=0.35, aim=0.2, interval=edges, note=note))
    note = f"{memory['before']:.2f} GiB before the first frame; one frame's layers take {memory['frame']:.2f} GiB"
    results.add(Row("memory.4k", "peak memory at 3840×2160, resident", memory["peak"], "GiB", must=4.0, note=note))


# --- Ablations ----------------------------------------------------------------------------------------------------

STUDIES = {
    "kernel": "kernel against direct prediction, with curves (Figures 5, 10)",
    "convex": "Proposition 8.1's convex problem: kernel prediction converges faster",
    "windows": "windows 1, 3, 5, 7 and past-only against R-DP (Figures 13–15)",
    "depth": "6, 12, 24 blocks against 6 multi-scale, and naive α = 1 (Figures 5, 16)",
    "encoders": "encoders of another source (Table 2, Figure 11)",
    "parts": "cost by part (§7.6)",
}


def ablations(results: Results, document: dict[str, Any] | None) -> None:
    """Rows of the last full run of the ablations: trained by a small recipe, in a script of their own.

    Args:
        document: what `docs/results/ablations.json` holds; None: not run.
    """
    rows = {} if document is None else {row["key"]: row for row in document["rows"]}
    commit = "" if document is None else f"measured at {document['commit']}"
    for key, what in STUDIES.items():
        row = rows.get(key)
        if row is None:
            results.add(Row(f"ablation.{key}", what, None, note="not run"))
            continue
        note = "; ".join(part for part in (row.get("note"), commit) if part)
        interval = tuple(row["interval"]) if "interval" in row else None
        told = {name: row[name] for name in ("value", "unit", "must", "aim", "better")}
        results.add(Row(f"ablation.{key}", row["what"], **told, interval=interval, note=note))


# --- Means --------------------------------------------------------------------------------------------------------


def _mean(
    results: Results,
    key: str,
    what: str,
    pairs: Pairs,
    must: float | None = None,
    aim: float | None = None,
    *,
    note: str = "",
) -> None:
    """A geometric mean of ratios, with its interval where there are pairs enough for one."""
    if len(pairs) < 2:
        alone = [ours / peer for ours, peer in pairs.values()]
        note = "; ".join(part for part in (note, "one pair: no interval" if alone else "") if part)
        results.add(Row(key, what, alone[0] if alone else None, must=must, aim=aim, note=note))
        return
    found = ratio(pairs)
    results.add(Row(key, what, found.value, must=must, aim=aim, interval=(found.low, found.high), note=note))


def _worst(pairs: Pairs) -> tuple[float | None, str]:
    """The largest geometric mean of a sequence, and which."""
    by_clip: dict[str, list[float]] = {}
    for (name, _), (ours, peer) in pairs.items():
        by_clip.setdefault(name, []).append(math.log(ours / peer))
    if not by_clip:
        return None, ""
    means = {name: math.exp(sum(logs) / len(logs)) for name, logs in by_clip.items()}
    where = max(means, key=lambda name: means[name])
    return means[where], where
