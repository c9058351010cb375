"""How far a job is, from its products alone: what `status` and `watch` show.

Work is counted in samples. What a frame will need in all is guessed from its last predicted error e after n samples per
pixel: the noise of a mean falls with the square root of n, so that the target t needs n · (e / t)², and the 99th
percentile q, which may be three times the target, n · (q / 3t)²; the larger of both, rounded up to a round's total,
and at most `max_spp`. Frames without an error map are taken to need what the others need on average. Samples make up
95 % of the whole, deliverables the rest.

The time that is left is the samples that are left, at the rate at which samples were finished while somebody watched
(the last minutes); before two looks have seen any progress it is not known.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pipeline.config.sampling import P99_SLACK
from pipeline.errors import ProductError
from pipeline.farm import names, plan
from pipeline.farm.control import Control, ControlState
from pipeline.farm.job import Job
from pipeline.farm.names import REPORT, Frame
from pipeline.farm.plan import JobPlan
from pipeline.farm.products import Products
from pipeline.farm.store import Store

__all__ = ["FrameSnapshot", "FrameState", "JobSnapshot", "JobState", "Progress", "snapshot"]

FrameState = Literal["waiting", "rendering", "denoising", "parked", "absent", "done"]
JobState = Literal["waiting", "running", "paused", "cancelled", "failed", "done"]

_RENDERING: Final = 0.95
"""Share of a job's work that is rendering; the rest is denoising and writing."""
_RATE_SECONDS: Final = 300.0
"""Time over which the rate of samples is measured."""


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
        reason: why it needed no more rounds (`target`, `max_spp`); None until it stops.
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
        state: `failed`: it ended without some of its frames, or cannot end.
        priority: 0 (last) … 9 (first), as asked last.
        frames: in the order in which they are wanted.
        rounds: of a frame, at most.
        samples: finished.
        expected: samples that the whole job will take: a guess until it ends; None while no frame allows one.
        seconds: of rendering so far, by the clocks of all tasks together.
        fraction: 0 … 1, share of the expected work that is done.
        eta_seconds: until the end; None while unknown, or nothing is being done.
        failures: parked tasks.
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
    eta_seconds: float | None
    failures: tuple[str, ...]

    @property
    def done(self) -> int:
        """Frames whose deliverable is there."""
        return sum(frame.state == "done" for frame in self.frames)

    @property
    def absent(self) -> int:
        """Frames that were given up."""
        return sum(frame.state == "absent" for frame in self.frames)


def snapshot(store: Store, job: Job) -> JobSnapshot:
    """How far a job is. Whoever asks again and again keeps a `Progress`, which also knows the time that is left."""
    return Progress(store, job).snapshot()


class Progress:
    """Looks at a job again and again. Frames that are done cost one question to the store."""

    def __init__(self, store: Store, job: Job) -> None:
        self._job, self._products = job, Products(store, job)
        self._control = Control(store, job.directory)
        self._done: dict[Frame, FrameSnapshot] = {}
        self._seen: deque[tuple[float, int]] = deque()
        self._sampling: Mapping[str, Any] = job.config.get("sampling") or {}

    def snapshot(self, *, now: float | None = None) -> JobSnapshot:
        """How far the job is.

        Args:
            now: seconds on a clock that only goes forward; by default `time.monotonic()`.
        """
        state = self._control.look()
        wanted = JobPlan.of(self._job, state)
        parked = self._products.failures()
        frames = [self._frame(frame, parked) for frame in wanted.frames]
        expected = _expected_total(frames)
        samples = sum(frame.samples for frame in frames)
        finished = plan.is_done(wanted, self._products)
        told = _state(state, frames, finished=finished, stuck=names.failure(REPORT) in parked, samples=samples)
        left = None if expected is None else max(0.0, expected - samples)
        rate = self._rate(time.monotonic() if now is None else now, samples)
        running = told in ("waiting", "running")
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
            eta_seconds=None if not running or left is None or rate is None else left / rate,
            failures=tuple(name.removeprefix("failures/") for name in parked),
        )

    def _frame(self, frame: Frame, parked: Sequence[str]) -> FrameSnapshot:
        known = self._done.get(frame)
        if self._products.exists(names.frame_product(frame)):
            try:
                found = known or self._finished(frame)
            except ProductError:  # just lost, or damaged and moved aside: it is being made anew
                return FrameSnapshot(frame, "waiting")
            self._done[frame] = found
            return found
        self._done.pop(frame, None)
        mine = tuple(task for mark in parked if names.parse(task := mark.removeprefix("failures/")).frame == frame)
        return self._unfinished(frame, mine)

    def _finished(self, frame: Frame) -> FrameSnapshot:
        facts = self._products.facts(names.frame_product(frame))
        stopped = self._products.facts(names.stop(frame))
        sums = self._products.facts(names.buffers(frame, stopped["round"]))
        samples = int(sums.get("samples", 0))
        return FrameSnapshot(
            frame,
            "done",
            round=stopped["round"],
            spp=stopped.get("spp"),
            error=stopped.get("mean"),
            error_p99=stopped.get("p99"),
            samples=samples,
            expected=samples,
            seconds=float(sums.get("seconds", 0.0)),
            path=facts.get("exr"),
            degraded=bool(facts.get("degraded")),
            reason=stopped.get("reason"),
        )

    def _unfinished(self, frame: Frame, parked: tuple[str, ...]) -> FrameSnapshot:
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
        state: FrameState = "waiting" if not listed else "rendering" if stopped is None else "denoising"
        if names.absent(frame) in listed:
            state = "absent"
        elif parked:
            state = "parked"
        planned = self._facts(names.samples(frame, 0)).get("samples") if names.samples(frame, 0) in listed else None
        return FrameSnapshot(
            frame,
            state,
            round=sums,
            spp=error.get("spp"),
            error=error.get("mean"),
            error_p99=error.get("p99"),
            samples=samples,
            expected=float(samples)
            if stopped is not None or state == "absent"
            else self._guess(samples, planned, error),
            seconds=float(total.get("seconds", 0.0)) + sum(float(each.get("seconds", 0.0)) for each in slices),
            failures=parked,
            reason=None if stopped is None else stopped.get("reason"),
        )

    def _facts(self, name: str) -> Mapping[str, Any]:
        """Facts, or none where the product has just gone."""
        try:
            return self._products.facts(name)
        except ProductError:
            return {}

    def _guess(self, samples: int, planned: int | None, error: Mapping[str, Any]) -> float | None:
        """Samples that a frame will have taken at its end; None while there is nothing to go by.

        Args:
            samples: so far.
            planned: of the first round.
            error: facts of the last error map.
        """
        first, most = self._sampling.get("first_spp"), self._sampling.get("max_spp")
        if not planned:
            return None
        if first is None or most is None:  # a rehearsal: rounds of equal size
            rehearsal = self._job.rehearsal
            return float(planned * (rehearsal.rounds if rehearsal is not None else 1))
        if not error:
            return None
        target, spp = float(self._sampling["target_error"]), float(error["spp"])
        excess = max(float(error["mean"]) / target, float(error["p99"]) / (P99_SLACK * target))
        needed = min(float(most), max(spp, spp * excess**2))
        if needed > spp:  # a round's total: first_spp · 2^r
            doublings = math.ceil(math.log2(max(needed / first, 1.0)) - 1e-9)
            needed = min(float(most), float(first * 2**doublings))
        return max(float(samples), float(needed * planned / first))

    def _rate(self, now: float, samples: int) -> float | None:
        """Samples a second over the last minutes; None before any were finished under our eyes."""
        if self._seen and samples < self._seen[-1][1]:
            self._seen.clear()  # a frame was made anew
        self._seen.append((now, samples))
        while len(self._seen) > 2 and now - self._seen[1][0] >= _RATE_SECONDS:
            self._seen.popleft()
        then, before = self._seen[0]
        return (samples - before) / (now - then) if now > then and samples > before else None


def _expected_total(frames: Sequence[FrameSnapshot]) -> float | None:
    known = [frame.expected for frame in frames if frame.expected is not None]
    typical = [frame.expected for frame in frames if frame.expected is not None and frame.state != "absent"]
    unknown = len(frames) - len(known)
    if unknown and not typical:
        return None
    return sum(known) + (unknown * sum(typical) / len(typical) if unknown else 0.0)


def _fraction(frames: Sequence[FrameSnapshot], samples: int, expected: float | None, *, finished: bool) -> float:
    """Share of the work that is done; below 1 until the report is there."""
    if finished:
        return 1.0
    if expected is None or expected <= 0.0:
        return 0.0
    ended = sum(frame.state in ("done", "absent") for frame in frames) / max(len(frames), 1)
    rendered = _RENDERING * min(1.0, samples / expected)
    return min(0.999, rendered + (1.0 - _RENDERING) * ended)


def _state(
    state: ControlState, frames: Sequence[FrameSnapshot], *, finished: bool, stuck: bool, samples: int
) -> JobState:
    if finished:
        return "failed" if any(frame.state == "absent" for frame in frames) else "done"
    if stuck:
        return "failed"
    if state.cancelled:
        return "cancelled"
    if state.paused:
        return "paused"
    return "running" if samples or any(frame.state != "waiting" for frame in frames) else "waiting"
