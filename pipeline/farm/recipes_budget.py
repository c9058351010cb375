"""A round's samples among the frames of a job with a budget, and what it decides for each of them.

The product of a round says for every frame what it rests on: samples so far, predicted error, the fitted curve, the
cost of a sample, the samples granted and why there are none. So a job can be understood, and replayed: the costs come
from clocks, and are nowhere else in what decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.errors import ProductError
from pipeline.farm import names, plan
from pipeline.farm.context import Context
from pipeline.farm.control import Control
from pipeline.farm.job import Job
from pipeline.farm.job_plan import JobPlan
from pipeline.farm.limits import Limits
from pipeline.farm.names import Frame, Name
from pipeline.farm.products import Products
from pipeline.farm.recipes import Made
from pipeline.render.allocate import round_total
from pipeline.render.budget import Curve, Going, fit, grants, relative_costs

__all__ = ["budget", "granted"]


@dataclass(frozen=True, slots=True)
class _Entrant:
    """A frame whose rounds went on until now; see the facts of `budget`."""

    frame: Frame
    samples: int
    pixels: int
    mean: float
    p99: float
    rate: float
    history: list[list[float]]

    @property
    def curve(self) -> Curve:
        return fit([(samples, error) for samples, error in self.history])


def budget(name: Name, job: Job, products: Products, context: Context) -> Made:
    """How many samples each frame gets in a round. The total of all doubles from round to round, up to the budget.

    Facts: `going` (frames that get samples), `frames` (by number: `samples`, `pixels`, `mean`, `p99`, `history` of
    samples and means, `exponent` with its `spread`, `need`, `rate`, `cost`, `granted`, `reason`), `pixels` (of all
    frames that take part), `spent` (samples of frames that do not go on), `reserved` (kept for frames that were given
    up), `samples` (granted), `left` (of the budget, after this round).
    """
    assert name.round is not None
    r, limits = name.round, Limits.of(job)
    assert limits.budget_spp is not None, "the planner asks for no budget where there is none"
    wanted = JobPlan.of(job, Control(products.store, job.directory).look())
    inputs = plan.inputs(wanted, names.budget(r), products)
    if inputs is None:
        raise ProductError(f"{names.budget(r)} was started before the one of the round before")
    before = products.facts(names.budget(r - 1)) if r > 1 else {"frames": {}, "going": []}
    told = [frame for each in inputs if (frame := names.parse(each).frame) is not None]
    entrants = [_entrant(products, frame, r, before["frames"].get(str(frame))) for frame in dict.fromkeys(told)]

    pixels = before.get("pixels", sum(each.pixels for each in entrants))
    spent, reserved = _of_others(before, {each.frame for each in entrants}, limits.budget_spp)
    used = spent + sum(each.samples for each in entrants)
    left = max(0, limits.budget_spp * pixels - used - reserved)
    available = max(0, min(round_total(pixels, limits.first_spp, limits.budget_spp, r) - used, left))

    costs = relative_costs([each.rate for each in entrants])
    going = [
        (each, Going(each.samples, limits.max_spp * each.pixels, _need(each, limits), each.curve, cost))
        for each, cost in zip(entrants, costs, strict=True)
        if not limits.reached(each.mean, each.p99)
    ]
    shares = grants([one for _, one in going], available, last=available == left)
    given = {each.frame: (one, share) for (each, one), share in zip(going, shares, strict=True)}
    frames = {
        str(each.frame): {
            "samples": each.samples,
            "pixels": each.pixels,
            "mean": each.mean,
            "p99": each.p99,
            "history": each.history,
            "exponent": each.curve.exponent,
            "spread": each.curve.spread,
            "need": _need(each, limits),
            "rate": each.rate,
            "cost": cost,
            **_decision(given.get(each.frame), limits),
        }
        for each, cost in zip(entrants, costs, strict=True)
    }
    facts = {
        "going": [each.frame for each in entrants if frames[str(each.frame)]["granted"]],
        "pixels": pixels,
        "spent": spent,
        "reserved": reserved,
        "samples": sum(shares),
        "left": left - sum(shares),
        "frames": frames,
    }
    return facts, {}


def granted(products: Products, limits: Limits, frame: Frame, r: int, *, pixels: int, spent: int) -> tuple[int, str]:
    """Samples of a frame's round r > 0 that has not reached its target, and why there are none.

    Without a budget a round doubles the frame's total. So it does for a frame that the budget did not count in, because
    it was given up then: it may come to the budget's mean on its own, which was kept for it.
    """
    if limits.budget_spp is not None:
        known = products.facts(names.budget(r))["frames"].get(str(frame))
        if known is not None:
            return int(known["granted"]), str(known["reason"])
    total = round_total(pixels, limits.first_spp, limits.own_spp, r) - spent
    if total > 0:
        return total, ""
    return 0, "max_spp" if spent >= limits.max_spp * pixels else "budget"


def _entrant(products: Products, frame: Frame, r: int, known: Any) -> _Entrant:
    taken = products.facts(names.samples(frame, r - 1))
    judged = products.facts(names.error(frame, r - 1))
    samples = int(taken["spent"]) + int(taken["samples"])
    return _Entrant(
        frame,
        samples,
        pixels=int(taken["bounds"][-1]),
        mean=float(judged["mean"]),
        p99=float(judged["p99"]),
        rate=float(judged.get("samples_per_second", 0.0)),
        history=[*([] if known is None else known["history"]), [samples, float(judged["mean"])]],
    )


def _need(each: _Entrant, limits: Limits) -> float:
    """Samples in all at which the mean and the 99th percentile come to the target, as the curve has it."""
    excess = limits.excess(each.mean, each.p99)
    if excess == float("inf"):
        return float(limits.max_spp * each.pixels)
    judged = each.curve.scaled(excess / max(each.mean, 1e-9))
    return min(max(judged.samples_for(1.0), float(each.samples)), float(limits.max_spp * each.pixels))


def _of_others(before: Any, here: set[Frame], budget_spp: int) -> tuple[int, int]:
    """Samples of the frames that do not go on, and those that are kept for the ones among them that were given up."""
    spent, reserved = before.get("spent", 0), before.get("reserved", 0)
    for text, each in before["frames"].items():
        if int(text) in here:
            continue
        total = each["samples"] + each["granted"]
        spent += total
        if each["granted"]:
            reserved += max(0, budget_spp * each["pixels"] - total)
    return spent, reserved


def _decision(given: tuple[Going, int] | None, limits: Limits) -> dict[str, Any]:
    if given is None:
        return {"granted": 0, "reason": "target"}
    one, share = given
    return {"granted": share, "reason": "" if share else "max_spp" if one.samples >= one.most else "budget"}
