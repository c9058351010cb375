"""Training the cache: rays of some steps in one launch, then a gradient step for each (Algorithm 1).

A training is a pure function of the scene, the plan and the seed: every block of steps draws its rays by a key.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pipeline.errors import DeviceError
from pipeline.optim.fields.fit import PART
from pipeline.optim.preconditioned import Preconditioned
from pipeline.radiosity import losses
from pipeline.radiosity.field import Field
from pipeline.radiosity.guiding import Guide, Lobes
from pipeline.radiosity.optimisers import AUTO, optimiser
from pipeline.radiosity.presets import Preset, Stage
from pipeline.radiosity.rhs import HALVES, Incident, Points, incident, points, right_hand_side
from pipeline.radiosity.sources import Sources

__all__ = ["Check", "Plan", "Trainer"]

log = logging.getLogger(__name__)

HELD_OUT_POINTS, HELD_OUT_INCIDENT, HELD_OUT_SEED = 4096, 16, 0x7FFF0001
IMPROVED = 0.99
"""A held-out residual below this share of the best one so far is an improvement."""

DARKEST = 1e-6
"""A unit of radiance is at least this: a scene without any light on its surfaces has none."""

LEAST_POINTS = 64


@dataclass(frozen=True)
class Plan:
    """What is trained, and how.

    Attributes:
        preset: sizes and schedule.
        method, measure, weight: see `losses.loss`.
        guiding: whether a guide is trained and used (§3.3).
        optimiser: its name, or `auto`.
        seed: of weights and rays.
    """

    preset: Preset
    method: str = "semi"
    measure: str = "l2"
    weight: float = 1.0
    guiding: bool = False
    optimiser: str = AUTO
    seed: int = 0


@dataclass(frozen=True)
class Check:
    """A look at the held-out residual.

    Attributes:
        step: steps made.
        residual: see `losses.relative_residual`.
        seconds: trained until then.
    """

    step: int
    residual: float
    seconds: float


@dataclass(frozen=True)
class Block:
    """Rays of a few steps."""

    first: int  # step
    stage: Stage
    points: Points
    incoming: Incident


@dataclass
class Progress:
    """What a training has come to.

    Attributes:
        step: of the schedule.
        begun: the step that it began with: not 0 where the weights came from another scene.
        seconds: that the steps took.
        halvings: how often the batch was halved because the device's memory did not suffice.
        checks: held-out residuals.
        stopped: why it ended before its time; empty while it goes on.
    """

    step: int = 0
    begun: int = 0
    seconds: float = 0.0
    halvings: int = 0
    checks: list[Check] = field(default_factory=list)
    stopped: str = ""


class Trainer:
    """One cache in training.

    Attributes:
        field: what is trained.
        shown: what pictures are made with: the running mean of its weights.
        progress: how far it is.
        mixtures: first step of the block under way, and the guide's mixtures as they were then.
    """

    def __init__(
        self,
        sources: Sources,
        plan: Plan,
        *,
        device: torch.device | None = None,
        say: Callable[[str], None] = log.warning,
    ) -> None:
        self.sources, self.plan, self._say = sources, plan, say
        self.device = device or torch.device("cpu")
        surfaces = sources.surfaces
        box = surfaces.lower.tolist(), surfaces.upper.tolist()
        self.field = Field(plan.preset.field, *box, seed=plan.seed).to(self.device)
        self.progress = Progress()
        self.optimiser = optimiser(plan.optimiser, self.field.parameters(), plan.preset, seed=plan.seed)
        for group in self.optimiser.param_groups:
            group["initial_lr"] = group["lr"]  # an optimiser that falls back on another changes it
        self.guide = Guide(plan.preset.guide, *box, seed=plan.seed).to(self.device) if plan.guiding else None
        self._block: Block | None = None
        self.mixtures: tuple[int, Tensor] | None = None
        self._held_out: tuple[Points, Incident] | None = None
        self._set_unit()
        self.shown = copy.deepcopy(self.field).requires_grad_(False)

    # --- Steps --------------------------------------------------------------------------------------------------

    def step(self) -> float:
        """One gradient step; returns its loss.

        Raises:
            DeviceError: the device's memory does not suffice even for small batches.
        """
        began = time.perf_counter()
        while True:
            try:
                value = self._step()
                break
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not _is_out_of_memory(error):
                    raise
                self._halve(error)
        self.progress.seconds += time.perf_counter() - began
        return value

    def advance(self, steps: int, *, until: float | None = None, early_stop: bool = False) -> None:
        """Trains up to step `steps` of the schedule, or until the clock (`time.monotonic`) says `until`, or until the
        held-out residual improves no more."""
        while self.progress.step < steps and not (early_stop and self.progress.stopped):
            if until is not None and time.monotonic() >= until:
                return
            self.step()
            if early_stop and self.progress.step % self.plan.preset.check_every == 0:
                self.check()

    def begin_late(self) -> None:
        """Puts a training that was given weights near the end of the schedule, where rates are low."""
        preset = self.plan.preset
        self.progress.step = self.progress.begun = preset.steps - preset.warm_steps
        self.forget_rays()

    def forget_rays(self) -> None:
        """Drops the block of rays that is under way: the step, or what directions are drawn with, was set anew."""
        self._block = None

    def check(self) -> Check:
        """Looks at the held-out residual, and sets `progress.stopped` when it improves no more."""
        if self._held_out is None:
            sampled = points(self.sources, HELD_OUT_POINTS, HELD_OUT_SEED, self.plan.seed)
            self._held_out = (
                sampled,
                incident(self.sources, sampled.si[0], sampled.si[1], HELD_OUT_INCIDENT, HELD_OUT_SEED, self.plan.seed),
            )
        sampled, incoming = self._held_out
        right = right_hand_side(incoming, self.shown.answer)
        left = self.shown.answer(sampled.asked)
        unit, active = self.shown.unit, sampled.active
        residual = losses.relative_residual(left[active] / unit, right[active] / unit)
        made = Check(self.progress.step, residual, round(self.progress.seconds, 3))
        best = [check.residual for check in self.progress.checks]
        self.progress.checks.append(made)
        patience = self.plan.preset.patience
        if len(best) >= patience and min([*best[1 - patience :], residual]) > IMPROVED * min(best[: 1 - patience]):
            self.progress.stopped = f"the held-out residual ({residual:.3f}) improves no more"
        return made

    def _step(self) -> float:
        step, plan = self.progress.step, self.plan
        block = self._rays(step)
        at = step - block.first
        sampled, incoming = _slice(block, at)
        residual_gradient = plan.method != "semi"
        left = self.field(sampled.asked)
        right = right_hand_side(incoming, self.field if residual_gradient else self.field.answer)
        unit, emitted, active = self.field.unit, sampled.emitted, sampled.active
        # E stands on both sides: it goes out of the residual, and stays in the normaliser.
        seen = (left + emitted)[active] / unit
        found = (right + emitted[:, None])[active] / unit
        settled = (self.shown.answer(sampled.asked) + emitted)[active] / unit
        value = losses.loss(
            plan.method,
            plan.measure,
            seen,
            found,
            settled=settled,
            weight=plan.weight,
            by_channel=plan.preset.by_channel,
        )
        for group in self.optimiser.param_groups:
            group["lr"] = group["initial_lr"] * plan.preset.decay_at(step)
        self.optimiser.zero_grad(set_to_none=True)
        value.backward()
        if isinstance(self.optimiser, Preconditioned) and self.optimiser.curvature_due:
            part = slice(0, max(active.numel() // PART, 1))
            count = int(active[part].sum())
            self.optimiser.step(
                curvature=lambda: self._curvature(sampled, part, found.detach()[:count], settled[:count])
            )
        else:
            self.optimiser.step()
        self._average(step)
        if self.guide is not None and incoming.sampled is not None:
            self.guide.learn(step, sampled, incoming, self.field)
        self.progress.step += 1
        if self.progress.step == block.first + plan.preset.block:
            self._block = None
        return float(value.detach())

    def _curvature(self, sampled: Points, part: slice, found: Tensor, settled: Tensor) -> Tensor:
        """The semi-gradient's loss of a part of the points: curvature is that of the left-hand side."""
        active = sampled.active[part]
        seen = (self.field(sampled.asked[:, part]) + sampled.emitted[part])[active] / self.field.unit
        by_channel = self.plan.preset.by_channel
        return losses.loss("semi", self.plan.measure, seen, found, settled=settled, by_channel=by_channel)

    def _rays(self, step: int) -> Block:
        """The block that a step belongs to."""
        size = self.plan.preset.block
        first = step // size * size
        if self._block is None or self._block.first != first:
            stage = self.plan.preset.stage(first)
            count = max(stage.points >> self.progress.halvings, LEAST_POINTS)
            stage = Stage(stage.begin, count, stage.incident)
            sampled = points(self.sources, count * size, self.plan.seed, first)
            lobes = self._lobes(first, sampled)
            found = incident(self.sources, sampled.si[0], sampled.si[1], stage.incident, self.plan.seed, first, lobes)
            self._block = Block(first, stage, sampled, found)
        return self._block

    def _lobes(self, first: int, sampled: Points) -> Lobes | None:
        """What a block's rays are drawn with. The guide may have learnt since: a resumed block takes what was kept."""
        if self.guide is None:
            return None
        if self.mixtures is None or self.mixtures[0] != first:
            made = self.guide.mixtures(first, sampled)
            self.mixtures = None if made is None else (first, made)
        return None if self.mixtures is None else self.guide.lobes(self.mixtures[1])

    def _average(self, step: int) -> None:
        """Follows the weights; slowly once there are many steps behind."""
        decay = min(self.plan.preset.average, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.shown.parameters()), list(self.field.parameters()), 1 - decay)

    def _set_unit(self) -> None:
        """The radiance that counts as 1: the mean direct light of the first block, without its brightest hundredth."""
        block = self._rays(0)
        light = block.incoming.direct.mean(dim=(1, 2))[block.points.active]
        kept = light.sort().values[: max(1, int(0.99 * light.numel()))]
        self.field.unit.fill_(max(float(kept.mean()) if kept.numel() else 0.0, DARKEST))

    def _halve(self, error: Exception) -> None:
        if self.plan.preset.stage(self.progress.step).points >> self.progress.halvings <= LEAST_POINTS:
            raise DeviceError(f"the device's memory does not suffice for {LEAST_POINTS} points a step") from error
        if self.progress.halvings == 0:
            self._say("the device's memory does not suffice for the preset's batches: smaller ones are used")
        self.progress.halvings += 1
        self._block = self.mixtures = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def _slice(block: Block, at: int) -> tuple[Points, Incident]:
    """Points and rays of one step of a block."""
    n = block.stage.points
    part = slice(at * n, (at + 1) * n)
    known, incoming = block.points, block.incoming
    sampled = Points(known.asked[:, part], known.emitted[part], known.active[part], None)
    queries = incoming.queries
    mine = torch.nonzero(queries.slot // (n * HALVES) == at).squeeze(1)
    chosen = type(queries)(queries.asked[:, mine], queries.weight[mine], queries.slot[mine] - at * n * HALVES)
    rays = None
    if incoming.sampled is not None:
        m = incoming.sampled.direction.shape[1] // known.active.shape[0]
        lanes = slice(at * n * m, (at + 1) * n * m)
        whole = incoming.sampled
        rays = type(whole)(
            whole.direction[:, lanes], whole.gathered[lanes], whole.weight[lanes], whole.ray[mine] - at * n * m
        )
    return sampled, Incident(incoming.direct[part], chosen, rays)


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error).lower()
