"""From trials to claims: one row per line of what the optimisers must show."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.optim_cost import STEPS
from benchmarks.optim_theory import Condition
from benchmarks.optim_trials import CORRECTED, PUBLIC, Trial
from benchmarks.optim_tuning import Tuned
from benchmarks.referee import Interval, Results, Row, median_ratio, ratio
from pipeline.optim.activations import ACTIVATIONS
from pipeline.optim.fields.fit import PART

__all__ = [
    "CONTENDERS",
    "SMOOTH",
    "Races",
    "bias",
    "condition",
    "cost",
    "density",
    "images",
    "memory",
    "rooms",
    "shapes",
    "speedup",
    "table",
]

SMOOTH = tuple(name for name, activation in ACTIVATIONS.items() if activation.smooth)
ROUGH = tuple(name for name, activation in ACTIVATIONS.items() if not activation.smooth)
CONTENDERS = ("sgd", "adam", "esgd", "esgd_max", "adahessian_e", "adahessian_j", "shampoo")

PAPER_NERF = "the paper: fern 1.67, flower 1.67, trex 0.67, and room lost by 1.08 dB"

Races = Mapping[tuple[str, str], Mapping[tuple[str, int], Trial]]
"""(activation, optimiser) → its trials by (signal, seed)."""


def speedup(
    races: Races,
    activations: Iterable[str],
    what: int,
    *,
    products: Mapping[str, float] | None = None,
    name: str = "esgd",
    peer: str = "adam",
) -> list[tuple[float, float]]:
    """What an optimiser and its peer need to the peer's final quality, one pair per activation, signal and seed.

    Args:
        races: trials.
        activations: which.
        what: 0 steps, 1 gradient-equivalents, 2 seconds.
        products: cost of a Hessian-vector product over a gradient's of the same batch, by activation; for 1.
        name, peer: of the optimisers.
    """
    pairs = []
    for activation in activations:
        theirs = races.get((activation, peer), {})
        for key, ours in races.get((activation, name), {}).items():
            target = theirs[key].final
            if not math.isfinite(target):
                continue
            costs = [trial.cost(target, theirs[key]) for trial in (ours, theirs[key])]
            if what == 1:
                weight = (products or {})[activation] / PART
                pairs.append(tuple(steps + made * weight for steps, made, *_ in costs))
            else:
                pairs.append(tuple(cost[what] for cost in costs))
    return pairs  # type: ignore[return-value]


def reached(races: Races, activation: str, name: str, peer: str = "adam") -> float:
    """Share of an optimiser's trials that get to the peer's final quality."""
    theirs = races[activation, peer]
    return statistics.fmean(
        trial.reached(theirs[key].final) is not None for key, trial in races[activation, name].items()
    )


def images(results: Results, races: Races, products: Mapping[str, float]) -> None:
    """Steps, gradient-equivalents and seconds to Adam's final PSNR."""
    bounds = {0: ("steps", 0.7, 0.5), 1: ("gradients", None, None), 2: ("time", 0.85, 0.6)}
    label = {0: "steps", 1: "gradient-equivalents", 2: "seconds"}
    for what, (key, must, aim) in bounds.items():
        text = f"2D images: {label[what]} to Adam's final PSNR, ESGD / Adam, median"
        found = median_ratio(speedup(races, SMOOTH, what, products=products))
        note = f"{', '.join(SMOOTH)}; {found.pairs} pairs of trials; a miss counts its budget"
        results.add(Row(key, text, found.value, "×", must, aim, interval=(found.low, found.high), note=note))
        for activation in SMOOTH:
            found = median_ratio(speedup(races, [activation], what, products=products))
            hit = f"reached by {reached(races, activation, 'esgd'):.0%} of ESGD's trials"
            row = Row(f"{key}.{activation}", f"{text}: {activation}", found.value, "×", must, aim, note=hit)
            results.add(row)
    found = median_ratio(speedup(races, ["relu_pe"], 0))
    gap = statistics.median(
        trial.final - races["relu_pe", "adam"][key].final for key, trial in races["relu_pe", "esgd"].items()
    )
    what_ = "ReLU(PE): steps to Adam's final PSNR, ESGD / Adam: ESGD is not better"
    note = f"{gap:+.2f} dB at the end"
    results.add(Row("relu_pe", what_, found.value, "×", 1.0, better="higher", note=note))


def table(results: Results, races: Races) -> None:
    """The paper's orderings, of those that its table has."""
    median = {
        key: statistics.median(trial.final for trial in trials.values()) for key, trials in races.items() if trials
    }

    def quicker(activation: str, name: str, peer: str) -> bool:
        """To Adam's final PSNR, in steps."""
        return median_ratio(_between(races, activation, name, peer)).value < 1

    claims: dict[str, bool] = {}
    for activation in ("gaussian", "sine", "wavelet"):
        claims[f"{activation}: ESGD before Adam"] = quicker(activation, "esgd", "adam")
    for name in ("adahessian_e", "shampoo"):
        claims[f"gaussian: {name} before Adam"] = quicker("gaussian", name, "adam")
    claims["gaussian: AdaHessian (E) before (J)"] = quicker("gaussian", "adahessian_e", "adahessian_j")
    claims["relu_pe: Adam not behind ESGD"] = not quicker("relu_pe", "esgd", "adam")
    for activation in ACTIVATIONS:
        others = [median[activation, name] for name in CONTENDERS if name != "sgd"]
        claims[f"{activation}: SGD last"] = median[activation, "sgd"] <= min(others)
    cost = _step_seconds(races, "gaussian")
    claims["gaussian: Shampoo's steps cost more than ESGD's"] = cost["shampoo"] > cost["esgd"]
    failed = [claim for claim, holds in claims.items() if not holds]
    note = f"{len(claims)} orderings" + (f"; not: {'; '.join(failed)}" if failed else "")
    what = "2D images: share of the paper's orderings that are found again"
    share = 1 - len(failed) / len(claims)
    results.add(Row("table", what, share, "", 1.0, better="higher", note=note))


def _between(races: Races, activation: str, name: str, peer: str) -> list[tuple[float, float]]:
    """Steps of both to Adam's final quality."""
    pairs = []
    for key, theirs in races[activation, "adam"].items():
        ours, other = races[activation, name].get(key), races[activation, peer].get(key)
        if ours is not None and other is not None and math.isfinite(theirs.final):
            pairs.append((ours.cost(theirs.final, theirs)[0], other.cost(theirs.final, theirs)[0]))
    return pairs


def _step_seconds(races: Races, activation: str) -> dict[str, float]:
    """Median seconds of a step."""
    return {
        name: statistics.median(trial.looks[-1][2] / max(trial.looks[-1][0], 1) for trial in trials.values())
        for (which, name), trials in races.items()
        if which == activation
    }


def bias(results: Results, races: Races, found: Mapping[str, Tuned]) -> None:
    """Bias by steps, as the public code corrects it, against by updates of D."""
    tuned, wrong = found[CORRECTED], found[PUBLIC]
    what = "D's bias by steps / by updates: best rates"
    results.add(Row("bias.rate", what, wrong.rate / tuned.rate, "×", note="half a decade is the search's step"))
    for key, name in (("steps", PUBLIC), ("updates", CORRECTED)):
        pairs = median_ratio(speedup(races, ["gaussian"], 0, name=name))
        text = f"Gaussian, β₂ = 0.999, bias by {key}: steps to Adam's final PSNR / Adam's"
        results.add(Row(f"bias.{key}", text, pairs.value, "×", note=f"rate {found[name].rate:.2g}"))


def shapes(results: Results, races: Races) -> None:
    """3D occupancy."""
    found = median_ratio(speedup(races, ["gaussian"], 2))
    steps = median_ratio(speedup(races, ["gaussian"], 0))
    text = "3D occupancy, Gaussian: seconds to Adam's final IoU, ESGD / Adam"
    note = f"steps {steps.value:.2f}"
    results.add(Row("occupancy", text, found.value, "×", 1.0, 0.7, interval=(found.low, found.high), note=note))
    final = {name: statistics.median(t.final for t in races["gaussian", name].values()) for _, name in races}
    degraded = {name: final[name] for name in ("adahessian_e", "adahessian_j", "shampoo")}
    told = ", ".join(f"{name} {value:.3f}" for name, value in final.items())
    text = "3D occupancy: best final IoU of AdaHessian and Shampoo − ESGD's: they degrade"
    results.add(Row("occupancy.degrade", text, max(degraded.values()) - final["esgd"], "", 0.0, note=told))


def rooms(results: Results, races: Races) -> None:
    """NeRF."""
    pairs = [(theirs, ours) for ours, theirs in speedup(races, ["gaussian"], 0)]
    found = median_ratio(pairs)
    text = "NeRF, Gaussian: steps to Adam's final PSNR of held-out views, Adam / ESGD"
    gap = statistics.median(
        trial.final - races["gaussian", "adam"][key].final for key, trial in races["gaussian", "esgd"].items()
    )
    note = f"{gap:+.2f} dB at the end; {PAPER_NERF}"
    edges = (found.low, found.high)
    results.add(Row("nerf", text, found.value, "×", aim=1.5, better="higher", interval=edges, note=note))


def density(results: Results, found: Mapping[str, Mapping[int, Sequence[float]]]) -> None:
    """Hv's density, activation → step → of each seed."""
    medians = {name: {step: statistics.median(s) for step, s in steps.items()} for name, steps in found.items()}
    lowest, where = min((share, f"{name} at {step}") for name in SMOOTH for step, share in medians[name].items())
    text = "share of |Hv| above a thousandth of its largest, smooth activations at 0, 100 and 1,000 steps, lowest"
    results.add(Row("density", text, lowest, "", 0.8, better="higher", note=where))
    gaps = {
        f"{name} at {step}": medians[name][step] - min(medians[smooth][step] for smooth in SMOOTH)
        for name in ROUGH
        for step in medians[name]
    }
    worst = max(gaps, key=lambda key: gaps[key])
    text = "the same: ReLU and ReLU(PE) − the lowest of smooth ones, at the same step, highest"
    results.add(Row("density.relu", text, gaps[worst], "", 0.0, note=worst))


def condition(results: Results, found: Mapping[tuple[str, int], Mapping[int, Condition]]) -> None:
    """Condition numbers, (activation, seed) → step → numbers."""
    for key, label in (("equilibrated", "equilibrated"), ("jacobi", "Jacobi")):
        pairs = {
            (f"{activation}-{step}", seed): (getattr(numbers, key), numbers.plain)
            for (activation, seed), steps in found.items()
            for step, numbers in steps.items()
        }
        gain: Interval = ratio(pairs)
        text = f"condition number (λmax over the lower quartile of |λ|), {label} / none"
        must = 1.0 if key == "equilibrated" else None
        edges = (gain.low, gain.high)
        results.add(Row(f"condition.{key}", text, gain.value, "×", must, interval=edges, note=f"{gain.pairs} Hessians"))


def cost(results: Results, step: tuple[float, Interval], products: Mapping[str, tuple[float, float]]) -> None:
    """A step's and a product's time."""
    text = f"time of a step, ESGD / torch's Adam, N = 100, warm-up included, {STEPS:,} steps"
    edges = (step[1].low, step[1].high)
    note = f"interval of the steps after the warm-up, median {step[1].value:.3f}"
    results.add(Row("step", text, step[0], "×", 1.05, interval=edges, note=note))
    for number, label in enumerate(("double backward", "forward over reverse")):
        middle = statistics.median(both[number] for both in products.values())
        told = ", ".join(f"{name} {both[number]:.2f}" for name, both in products.items())
        text = f"time of a Hessian-vector product / a gradient of the same batch, {label}"
        results.add(Row(f"product.{'double' if number == 0 else 'forward'}", text, middle, "×", note=told))


def memory(results: Results, grown: Mapping[str, float]) -> None:
    """Peak memory."""
    whole = grown["esgd:whole"] / grown["adam"]
    text = "peak memory, ESGD / Adam, curvature of an eighth of the batch"
    note = f"growth of the process; {whole:.2f} × with curvature of the whole batch"
    results.add(Row("memory", text, grown["esgd"] / grown["adam"], "×", 1.25, note=note))
