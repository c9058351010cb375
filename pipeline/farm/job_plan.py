"""The part of a job that planning needs, and what planning sees of its products."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.errors import FarmError
from pipeline.farm import names
from pipeline.farm.names import Frame

if TYPE_CHECKING:
    from pipeline.farm.control import ControlState
    from pipeline.farm.job import Job

__all__ = ["JobPlan", "View"]


class View(Protocol):
    """The products that exist, and the marks `failures/<task>` and `absent/<frame>`."""

    def exists(self, name: str) -> bool:
        """Whether it is there now."""

    def facts(self, name: str) -> Mapping[str, Any]:
        """Facts of a product. Raises ProductError if it is gone, or damaged (and therefore gone now)."""


@dataclass(frozen=True)
class JobPlan:
    """The part of a job that planning needs. What is parked or absent is seen in the view.

    Attributes:
        frames: that are wanted, in the order in which they are to be made; without skipped ones.
        rounds: of a frame, at most.
        radius: frames on either side that a denoise task reads.
        budget: the rounds share the job's samples among its frames: `samples` of later rounds read `budget`.
        every_round: every round is denoised, since the guide looks at the denoised picture; else the last one alone.
        draft_radius: frames on either side that a denoise task for the guide reads, where they are fewer than `radius`:
            then it makes a `draft`, and the last round's `denoised` beside it.
        priority: 0 (last) … 9 (first).
        skipped: frames that were wanted once, or are a replayed version's alone; their neighbours read what there is of
            them.
        held: frames that are wanted later: after an approval, or when another job has made what they wait for. What
            others need of them is made all the same.
        gate: the first round that waits for an approval; None: none does.
        errand: its frames are the parts of an errand, which are made from nothing.
        chained: each part is made from the one before it.
    """

    frames: tuple[Frame, ...]
    rounds: int
    radius: int = 0
    every_round: bool = False
    draft_radius: int | None = None
    budget: bool = False
    priority: int = 5
    skipped: frozenset[Frame] = frozenset()
    held: frozenset[Frame] = frozenset()
    gate: int | None = None
    errand: bool = False
    chained: bool = False

    @classmethod
    def of(cls, job: Job, state: ControlState | None = None, *, blocked: Iterable[Frame] = ()) -> JobPlan:
        """The plan of a job, with what the control records changed.

        Args:
            job: the job.
            state: what was asked of it.
            blocked: frames that wait for other jobs: see `pipeline.farm.waits`.

        Raises:
            FarmError: what is frozen in the job, or was asked of it, makes no sense: its file was written by others.
        """
        try:
            return cls._of(job, state, frozenset(blocked))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise FarmError(f"{job.id} cannot be planned: {type(error).__name__}: {error}") from error

    @classmethod
    def _of(cls, job: Job, state: ControlState | None, held: frozenset[Frame]) -> JobPlan:
        from pipeline.farm.frame_order import arrange, first_pass
        from pipeline.farm.job import wanted_frames
        from pipeline.farm.limits import Limits
        from pipeline.farm.reuse import draft_radius, temporal_radius

        frames = job.frames if state is None else wanted_frames(job, state)
        limits = Limits.of(job)
        skipped = frozenset() if state is None else state.skipped
        terms = job.terms(state)
        renders = job.replay is None and job.errand is None
        gated = renders and terms.approve != "no" and not (state is not None and state.approved)
        shared = limits.budget_spp is not None and job.replay is None
        first = first_pass(frames, terms.order)
        by_frames = gated and terms.approve == "frames" and first is not None and not shared
        if by_frames and first is not None:
            held |= frozenset(frames).difference(first)
        chained = job.errand is not None and job.errand.chained
        if job.replay is not None:
            skipped |= frozenset(job.replay.frames).difference(frames)
        return cls(
            frames=tuple(sorted(frames)) if chained else arrange(frames, terms.order),
            rounds=limits.rounds,
            radius=temporal_radius(job.config) if job.rehearsal is None else job.rehearsal.radius,
            every_round=job.denoises_every_round,
            draft_radius=draft_radius(job),
            budget=shared,
            priority=job.priority if state is None or state.priority is None else state.priority,
            skipped=skipped,
            held=held,
            gate=1 if gated and not by_frames else None,
            errand=job.errand is not None,
            chained=chained,
        )

    def goal(self, frame: Frame) -> str:
        """What is wanted of a frame: its deliverable, or the part of an errand."""
        return names.part(frame) if self.errand else names.frame_product(frame)

    def before(self, part: Frame) -> Frame | None:
        """The part that a part goes on from; None for the first of a chain, and where there is no chain."""
        return part - 1 if self.chained and part > self.frames[0] else None

    def following(self, part: Frame) -> Frame | None:
        """The part that goes on from this one; None for the last of a chain, and where there is no chain."""
        return part + 1 if self.chained and part < self.frames[-1] else None

    @cached_property
    def position(self) -> dict[Frame, int]:
        """Where each frame stands in the order."""
        return {frame: index for index, frame in enumerate(self.frames)}

    def neighbours(self, frame: Frame, *, draft: bool = False) -> Iterator[Frame]:
        """The frames around one, itself among them, that the job has or had, in ascending order."""
        radius = self.draft_radius if draft and self.draft_radius is not None else self.radius
        for near in range(frame - radius, frame + radius + 1):
            if near == frame or near in self.position or near in self.skipped:
                yield near
