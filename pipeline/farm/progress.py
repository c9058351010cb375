"""How far a job is, from its products alone: what `status` and `watch` show.

What is still to come is forecast from the rounds that each frame has had: `pipeline.farm.forecast`. Samples make up
95 % of the whole, deliverables the rest. The time that is left assumes that the live slots are at work; who watches
learns how many are, on average over the last minutes: waiting, loading scenes and other jobs take their part.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pipeline.errors import ProductError
from pipeline.farm import names, plan
from pipeline.farm.attempts import Trouble, first_trouble
from pipeline.farm.control import Control
from pipeline.farm.forecast import Forecast, Work, expected_samples, forecast
from pipeline.farm.job import Job, wanted_frames
from pipeline.farm.limits import Limits
from pipeline.farm.names import REPORT, Frame
from pipeline.farm.plan import JobPlan
from pipeline.farm.products import Products
from pipeline.farm.states import FrameSigns, FrameState, JobSigns, JobState, frame_state, job_state
from pipeline.farm.store import Store
from pipeline.farm.waits import Waits

__all__ = ["FrameSnapshot", "FrameState", "JobSnapshot", "JobState", "Progress", "snapshot"]

_RENDERING: Final = 0.95
"""Share of a job's work that is rendering; the rest is denoising and writing."""
_WATCHED_SECONDS: Final = 300.0
"""Time over which it is measured how many slots work."""
_TRUSTED_SECONDS: Final = 60.0
"""So much of that time the live slots are taken to have worked without a pause: tasks report when they end."""


@dataclass(frozen=True, slots=True)
class FrameSnapshot:
    """One frame.

    Attributes:
        frame: its number.
        state: `parked` has a failed task that keeps it from being made; `absent` was given up.
        round: the last one whose sums exist; None before the first.
        spp: samples per pixel so far, by the last error map; None before the first.
        error, error_p99: predicted, of the last round; None before the first.
        samples: finished so far, slices of the running round among them.
        expected: samples that it will have taken at its end: a guess until it stops.
        seconds: of rendering so far, by the clocks of all tasks together.
        failures: parked tasks.
        path: of the deliverable, relative to the job's directory; None until it is there.
        degraded: made without a neighbour that is absent.
        reason: why it got no more rounds (`target`, `max_spp`, `budget`); None until it stops.
    """

    frame: Frame
    state: FrameState
    round: int | None = None
    spp: float | None = None
    error: float | None = None
    error_p99: float | None = None
    samples: int = 0
    expected: float | None = None
    seconds: float = 0.0
    failures: tuple[str, ...] = ()
    path: str | None = None
    degraded: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """A job.

    Attributes:
        job: its id.
        shot, version, directory: what `job.json` says; the directory is relative to the store.
        state: see `pipeline.farm.states`.
        priority: 0 (last) … 9 (first), as asked last.
        frames: in the order in which they are wanted.
        rounds: of a frame, at most.
        samples: finished.
        expected: samples that the whole job will take: a guess until it ends; None while no frame allows one.
        seconds: of rendering so far, by the clocks of all tasks together.
        fraction: 0 … 1, share of the expected work that is done.
        forecast: of what is left; None while unknown, or nothing is being done.
        failures: parked tasks.
        show, owner: whose it is.
        terms: what it asks of the farm, as asked last: `pipeline.config.terms.Terms` as JSON values.
        skipped: frames that somebody skipped.
        blocked: frames that wait for other jobs, and for which.
        barred: workers that are kept off it.
        first_failure: the first attempt that failed, whether it worked later or not; None while there was none.
        errand: its kind, where the frames are parts of an errand, and samples the parts that are made; else empty.
    """

    job: str
    shot: str
    version: int
    directory: str
    state: JobState
    priority: int
    frames: tuple[FrameSnapshot, ...]
    rounds: int
    samples: int
    expected: float | None
    seconds: float
    fraction: float
    forecast: Forecast | None
    failures: tuple[str, ...]
    show: str = ""
    owner: str = ""
    terms: Mapping[str, Any] = field(default_factory=dict)
    skipped: tuple[Frame, ...] = ()
    blocked: Mapping[Frame, str] = field(default_factory=dict)
    barred: tuple[str, ...] = ()
    first_failure: Trouble | None = None
    errand: str = ""

    @property
    def done(self) -> int:
        """Frames whose deliverable is there."""
        return sum(frame.state == "done" for frame in self.frames)

    @property
    def absent(self) -> int:
        """Frames that were given up."""
        return sum(frame.state == "absent" for frame in self.frames)


def snapshot(store: Store, job: Job, *, slots: int = 0, cost_per_hour: float | None = None) -> JobSnapshot:
    """How far a job is. Whoever asks again and again keeps a `Progress`, which learns how fast it goes."""
    return Progress(store, job, cost_per_hour=cost_per_hour).snapshot(slots=slots)


class Progress:
    """Looks at a job again and again. Frames that are done cost one question to the store.

    Args:
        store: where the job lives.
        job: the job.
        cost_per_hour: of one slot, in any money.
    """

    def __init__(self, store: Store, job: Job, *, cost_per_hour: float | None = None) -> None:
        self._job, self._products = job, Products(store, job)
        self._store, self._control = store, Control(store, job.directory)
        self._waits = Waits(store, ())
        self._done: dict[Frame, tuple[FrameSnapshot, Work]] = {}
        self._seen: deque[tuple[float, float]] = deque()
        self._limits, self._cost_per_hour = Limits.of(job), cost_per_hour

    def snapshot(self, *, slots: int = 0, now: float | None = None) -> JobSnapshot:
        """How far the job is.

        Args:
            slots: that live on the farm; where none is known of, the forecast is for one.
            now: seconds on a clock that only goes forward; by default `time.monotonic()`.
        """
        state = self._control.look()
        terms = self._job.terms(state)
        if self._waits.after != terms.after:
            self._waits = Waits(self._store, terms.after)
        blocked = self._waits.blocked(wanted_frames(self._job, state))
        wanted = JobPlan.of(self._job, state, blocked=blocked)
        parked = self._products.failures()
        looks = [self._frame(frame, parked, wanted) for frame in wanted.frames]
        frames, works = [frame for frame, _ in looks], [work for _, work in looks]
        spent = sum(work.seconds + (work.denoise_seconds or 0.0) * work.delivered for work in works)
        parallel = self._parallel(time.monotonic() if now is None else now, spent, float(max(slots, 1)))
        left = forecast(
            works,
            self._limits,
            slots=parallel,
            every_round=wanted.every_round,
            cost_per_hour=self._cost_per_hour,
        )
        expected = _expected_total(works, left)
        samples = sum(frame.samples for frame in frames)
        finished = plan.is_done(wanted, self._products)
        unfinished = [frame for frame in frames if frame.state not in (FrameState.DONE, FrameState.ABSENT)]
        told = job_state(
            JobSigns(
                reported=finished,
                absent=any(frame.state is FrameState.ABSENT for frame in frames),
                stuck=names.failure(REPORT) in parked,
                cancelled=state.cancelled,
                paused=state.paused,
                gated=not finished and self._is_at_gate(wanted, blocked),
                blocked=bool(unfinished) and all(frame.frame in blocked for frame in unfinished),
                begun=bool(samples) or any(frame.state is not FrameState.WAITING for frame in frames),
            )
        )
        running = told in (JobState.WAITING, JobState.RUNNING)
        return JobSnapshot(
            job=self._job.id,
            shot=self._job.shot,
            version=self._job.version,
            directory=self._job.directory,
            state=told,
            priority=wanted.priority,
            frames=tuple(frames),
            rounds=wanted.rounds,
            samples=samples,
            expected=expected,
            seconds=sum(frame.seconds for frame in frames),
            fraction=_fraction(frames, samples, expected, finished=finished),
            forecast=left if running else None,
            failures=tuple(name.removeprefix("failures/") for name in parked),
            show=self._job.show,
            owner=self._job.owner,
            terms=terms.model_dump(mode="json"),
            skipped=tuple(sorted(state.skipped)),
            blocked=blocked,
            barred=tuple(sorted(state.barred)),
            first_failure=first_trouble(self._store, self._job.directory),
            errand="" if self._job.errand is None else self._job.errand.kind,
        )

    def _is_at_gate(self, wanted: JobPlan, blocked: Mapping[Frame, str]) -> bool:
        """All that may be made before the approval is made; what waits for other jobs is not."""
        return plan.is_at_gate(replace(wanted, held=wanted.held.difference(blocked)), self._products)

    def _frame(self, frame: Frame, parked: Sequence[str], wanted: JobPlan) -> tuple[FrameSnapshot, Work]:
        known = self._done.get(frame)
        if self._products.exists(wanted.goal(frame)):
            try:
                found = known or (self._made(frame) if wanted.errand else self._finished(frame))
            except ProductError:  # just lost, or damaged and moved aside: it is being made anew
                return FrameSnapshot(frame, FrameState.WAITING), Work()
            self._done[frame] = found
            return found
        self._done.pop(frame, None)
        mine = tuple(task for mark in parked if names.parse(task := mark.removeprefix("failures/")).frame == frame)
        return self._unfinished(frame, mine, wanted)

    def _made(self, part: Frame) -> tuple[FrameSnapshot, Work]:
        """A part of an errand that is there. Each counts as one sample: how far an errand is, is told in parts."""
        seconds = float(self._products.facts(names.part(part)).get("seconds", 0.0))
        told = FrameSnapshot(part, FrameState.DONE, samples=1, expected=1, seconds=seconds)
        return told, Work(1, seconds, fixed=1, delivered=True)

    def _finished(self, frame: Frame) -> tuple[FrameSnapshot, Work]:
        facts = self._products.facts(names.frame_product(frame))
        stopped = self._products.facts(names.stop(frame))
        sums = self._products.facts(names.buffers(frame, stopped["round"]))
        samples, seconds = int(sums.get("samples", 0)), float(sums.get("seconds", 0.0))
        told = FrameSnapshot(
            frame,
            FrameState.DONE,
            round=stopped["round"],
            spp=stopped.get("spp"),
            error=facts.get("mean", stopped.get("mean")),
            error_p99=facts.get("p99", stopped.get("p99")),
            samples=samples,
            expected=samples,
            seconds=seconds,
            path=facts.get("exr"),
            degraded=bool(facts.get("degraded")),
            reason=stopped.get("reason"),
        )
        denoise = facts.get("denoise_seconds")
        return told, Work(samples, seconds, fixed=samples, delivered=True, denoise_seconds=denoise)

    def _unfinished(self, frame: Frame, parked: tuple[str, ...], wanted: JobPlan) -> tuple[FrameSnapshot, Work]:
        listed = self._products.listed(frame)
        parsed = [names.parse(name) for name in listed]
        sums = max((name.round for name in parsed if name.kind == "buffers" and name.round is not None), default=None)
        judged = max((name.round for name in parsed if name.kind == "error" and name.round is not None), default=None)
        running = [
            names.passes(frame, name.round, name.slice or 0)
            for name in parsed
            if name.kind == "passes" and name.round is not None and name.round > (-1 if sums is None else sums)
        ]
        error = {} if judged is None else self._facts(names.error(frame, judged))
        total = {} if sums is None else self._facts(names.buffers(frame, sums))
        slices = [self._facts(name) for name in running]
        samples = int(total.get("samples", 0)) + sum(int(each.get("samples", 0)) for each in slices)
        stopped = self._facts(names.stop(frame)) if names.stop(frame) in listed else None
        at_gate = wanted.gate is not None and names.error(frame, wanted.gate - 1) in listed
        state = frame_state(
            FrameSigns(
                absent=names.absent(frame) in listed,
                parked=bool(parked),
                stopped=stopped is not None,
                held=frame in wanted.held or at_gate,
                begun=bool(listed) or self._is_tried(frame),
            )
        )
        first = self._facts(names.samples(frame, 0)) if names.samples(frame, 0) in listed else {}
        judged_rounds = sorted(name.round for name in parsed if name.kind == "error" and name.round is not None)
        work = Work(
            samples,
            float(total.get("seconds", 0.0)) + sum(float(each.get("seconds", 0.0)) for each in slices),
            pixels=int(first["bounds"][-1]) if first.get("bounds") else 0,
            history=tuple(point for r in judged_rounds if (point := self._point(frame, r)) is not None),
            p99=float(error.get("p99", 0.0)),
            fixed=float(samples) if stopped is not None or state is FrameState.ABSENT else self._fixed(first),
            delivered=state is FrameState.ABSENT,
            denoise_seconds=self._denoise_seconds(frame, judged, listed),
        )
        told = FrameSnapshot(
            frame,
            state,
            round=sums,
            spp=error.get("spp"),
            error=error.get("mean"),
            error_p99=error.get("p99"),
            samples=samples,
            expected=expected_samples(work, self._limits),
            seconds=work.seconds,
            failures=parked,
            reason=None if stopped is None else stopped.get("reason"),
        )
        return told, work

    def _point(self, frame: Frame, r: int) -> tuple[float, float] | None:
        """Samples and mean error after a round."""
        samples = self._facts(names.buffers(frame, r)).get("samples")
        mean = self._facts(names.error(frame, r)).get("mean")
        return None if not samples or mean is None else (float(samples), float(mean))

    def _is_tried(self, frame: Frame) -> bool:
        """Somebody has begun with a part of an errand, which has no products on the way."""
        if self._job.errand is None:
            return False
        return self._store.exists(self._products.name(names.attempt(names.part(frame), 0)))

    def _fixed(self, first: Mapping[str, Any]) -> float | None:
        """Samples of a frame where they are known beforehand: of a rehearsal without a budget, whose rounds have equal
        size, and of a part of an errand, which counts as one. None for all other jobs."""
        if self._job.errand is not None:
            return 1.0
        rehearsal = self._job.rehearsal
        if rehearsal is None or rehearsal.budget_spp is not None or not first:
            return None
        return float(first["samples"] * rehearsal.rounds)

    def _denoise_seconds(self, frame: Frame, judged: int | None, listed: set[str]) -> float | None:
        """Time of the last round that was denoised before it was judged."""
        pictures = [] if judged is None else [names.denoised(frame, judged), names.draft(frame, judged)]
        there = next((name for name in pictures if name in listed), None)
        if there is None:
            return None
        seconds = self._facts(there).get("seconds")
        return None if seconds is None else float(seconds)

    def _facts(self, name: str) -> Mapping[str, Any]:
        """Facts, or none where the product has just gone."""
        try:
            return self._products.facts(name)
        except ProductError:
            return {}

    def _parallel(self, now: float, work: float, slots: float) -> float:
        """Slots that worked on the job on average over the last minutes: those that live, until more is seen."""
        if self._seen and work < self._seen[-1][1]:
            self._seen.clear()  # a frame was made anew
        self._seen.append((now, work))
        while len(self._seen) > 2 and now - self._seen[1][0] >= _WATCHED_SECONDS:
            self._seen.popleft()
        then, before = self._seen[0]
        return (work - before + _TRUSTED_SECONDS * slots) / (now - then + _TRUSTED_SECONDS)


def _expected_total(works: Sequence[Work], told: Forecast | None) -> float | None:
    return None if told is None else sum(work.samples for work in works) + told.samples.middle


def _fraction(frames: Sequence[FrameSnapshot], samples: int, expected: float | None, *, finished: bool) -> float:
    """Share of the work that is done; below 1 until the report is there."""
    if finished:
        return 1.0
    if expected is None or expected <= 0.0:
        return 0.0
    ended = sum(frame.state in ("done", "absent") for frame in frames) / max(len(frames), 1)
    rendered = _RENDERING * min(1.0, samples / expected)
    return min(0.999, rendered + (1.0 - _RENDERING) * ended)
