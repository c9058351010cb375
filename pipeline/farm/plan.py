"""What to do next: a pure function of a job and of the products that exist.

The full plan walks backwards from the goals (`frames/f` of every frame, then `report`) through what is missing, and
stops at tasks whose inputs are all there. What nobody needs any more is not made again. `after` looks only at the
direct dependants of one finished task, and agrees with the full plan. What depends on what is in
`pipeline.farm.dependencies`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.farm import names
from pipeline.farm.dependencies import Dependencies
from pipeline.farm.job_plan import JobPlan, View
from pipeline.farm.names import REPORT, Frame

__all__ = [
    "JobPlan",
    "View",
    "after",
    "blocked_by",
    "inputs",
    "is_at_gate",
    "is_done",
    "open_tasks",
    "order",
    "removable",
    "runnable",
    "stale",
    "unmakeable",
    "wanted",
    "window",
]


def runnable(job: JobPlan, view: View) -> list[str]:
    """All tasks that are wanted, not parked, not done, and whose inputs exist; in the order in which to start them."""
    walk = _Walk(job, Dependencies(job, view))
    for frame in job.frames:
        walk.want_frame(frame)
    walk.want_report()
    return sorted(walk.ready, key=lambda task: order(job, task))


def after(job: JobPlan, done: str, view: View) -> list[str]:
    """The direct dependants of a finished task that can be started now. A few products are looked at, none listed.

    Args:
        job: the plan.
        done: name of the product that was made, or of a mark (`absent/1003`) that was set.
        view: what exists; `done` is among it.
    """
    sight = Dependencies(job, view)
    found = [
        task for task in dict.fromkeys(sight.dependants(done)) if not sight.has(task) and sight.missing(task) == []
    ]
    found = [task for task in found if not sight.has(names.failure(task))]
    if not found:
        return []
    return sorted(_wanted(job, sight, found), key=lambda task: order(job, task))


def inputs(job: JobPlan, task: str, view: View) -> list[str] | None:
    """The products that a task reads, in a fixed order; None while they cannot be known.

    They need not exist, except those that say which ones are needed (slice plans, `stop`).
    """
    return Dependencies(job, view).inputs(task)


def window(job: JobPlan, frame: Frame, r: int, view: View, *, draft: bool = False) -> dict[Frame, str] | None:
    """The buffers that `denoised(frame, r)` or `draft(frame, r)` reads, by frame; None while they cannot be known.

    Frames of the window that are missing in it are beyond the job's range, or were never made.
    """
    return Dependencies(job, view).window(frame, r, draft=draft)


def is_at_gate(job: JobPlan, view: View) -> bool:
    """Whether all is made that may be made before an approval, and something is left."""
    if job.gate is None and not job.held:
        return False
    walk = _Walk(job, Dependencies(job, view))
    for frame in job.frames:
        walk.want_frame(frame)
    left = any(not walk.sight.is_accounted(frame) for frame in job.frames)
    return left and not walk.ready and not walk.parked


def open_tasks(job: JobPlan, view: View) -> dict[str, list[str]]:
    """Every task that a goal lacks, as far as one knows by now, with those of its inputs that are missing."""
    walk = _Walk(job, Dependencies(job, view))
    for frame in job.frames:
        walk.want_frame(frame)
    walk.want_report()
    return {task: walk.sight.missing(task) for task in sorted(walk.seen, key=lambda task: order(job, task))}


def is_done(job: JobPlan, view: View) -> bool:
    """Whether the report of all frames is there."""
    return Dependencies(job, view).report_is_current()


def stale(job: JobPlan, view: View) -> list[str]:
    """Products that speak of another set of frames (the report, once frames are added or retried): to be deleted."""
    sight = Dependencies(job, view)
    return [REPORT] if sight.has(REPORT) and not sight.report_is_current() else []


def wanted(job: JobPlan, task: str, view: View) -> bool:
    """Whether a goal still needs a task, even if inputs of it are missing. For tasks that come out of a queue."""
    sight = Dependencies(job, view)
    if sight.has(task):
        return False
    if list(_wanted(job, sight, [task])):
        return True
    if not job.budget:
        return False
    walk = _Walk(job, sight)  # what was lost of one frame, and a lost budget asks for on behalf of another
    for frame in job.frames:
        walk.want_frame(frame)
    return task in walk.seen


def blocked_by(job: JobPlan, frame: Frame, view: View) -> tuple[list[str], list[str]]:
    """What a frame waits for: tasks that can run (or do), and tasks that are parked. Both empty: it is done."""
    walk = _Walk(job, Dependencies(job, view))
    walk.want_frame(frame)
    return sorted(walk.ready, key=lambda task: order(job, task)), sorted(walk.parked)


def unmakeable(job: JobPlan, view: View) -> dict[Frame, str]:
    """Frames that cannot be made, to be marked `absent`: a task of theirs that is wanted is parked. And that task."""
    walk = _Walk(job, Dependencies(job, view))
    for frame in job.frames:
        walk.want_frame(frame)
    found: dict[Frame, str] = {}
    for task in sorted(walk.parked):
        own = names.parse(task).frame
        if own is None:  # a budget: nobody who waits for it can go on
            for frame in job.frames:
                waiting = _Walk(job, walk.sight)
                waiting.want_frame(frame)
                if task in waiting.parked:
                    found.setdefault(frame, task)
            continue
        for frame in (own, *_after(job, own)):
            if not walk.sight.has(names.absent(frame)):
                found.setdefault(frame, task)
    return found


def _after(job: JobPlan, part: Frame) -> tuple[Frame, ...]:
    """The parts of a chain that come after one."""
    return job.frames[job.position[part] + 1 :] if job.chained and part in job.position else ()


def removable(job: JobPlan, view: View, *, superseded_buffers: bool = False) -> list[str]:
    """Products that a finished job no longer needs: slices whose sums exist. Empty while the job is not done.

    Args:
        job: the plan.
        view: what exists.
        superseded_buffers: also the sums that no last round's denoiser reads: the first to go under a size budget.
    """
    sight = Dependencies(job, view)
    if not sight.report_is_current():
        return []
    found: list[str] = []
    kept: set[str] = set()
    for frame in job.frames:
        last = sight.stop(frame)
        if last is not None:
            kept.update((sight.window(frame, last) or {}).values())
    for frame in job.frames:
        for r in range(job.rounds):
            slices = sight.slices(frame, r)
            if slices is None or slices == 0:
                break
            if not sight.has(names.buffers(frame, r)):
                continue
            found.extend(name for s in range(slices) if sight.has(name := names.passes(frame, r, s)))
            if superseded_buffers and sight.stop(frame) is not None and names.buffers(frame, r) not in kept:
                found.append(names.buffers(frame, r))
    return found


_RANK = {
    kind: rank
    for rank, kind in enumerate(("stop", "frames", "error", "samples", "denoised", "draft", "buffers", "passes"))
}


def order(job: JobPlan, task: str) -> tuple[int, int, int, int, int]:
    """Sort key of tasks, first to start first: priority, frames in their order, rounds, what ends a round, slices."""
    name = names.parse(task)
    if name.frame is None:  # many wait for a budget, and nobody for the report
        return (-job.priority, -1 if name.kind == "budget" else len(job.frames), name.round or 0, 0, 0)
    position = job.position.get(name.frame, len(job.frames))
    return (-job.priority, position, name.round or 0, _RANK.get(name.kind, 0), name.slice or 0)


class _Walk:
    """A walk backwards from goals to tasks that can be started.

    Args:
        job: the plan.
        sight: what exists.
        beyond_budgets: goes on from a missing budget to what it lacks of all frames. Without, a walk stays small.
    """

    def __init__(self, job: JobPlan, sight: Dependencies, *, beyond_budgets: bool = True) -> None:
        self.job, self.sight, self.beyond_budgets = job, sight, beyond_budgets
        self.seen: set[str] = set()
        self.gated: set[str] = set()
        self.ready: list[str] = []
        self.parked: list[str] = []

    def want_frame(self, frame: Frame) -> None:
        if frame not in self.job.held and not self.sight.is_accounted(frame):
            self._want(self.job.goal(frame))

    def want_report(self) -> None:
        if not self.sight.has(REPORT) and all(self.sight.is_accounted(frame) for frame in self.job.frames):
            self._want(REPORT)

    def _want(self, goal: str) -> None:
        """Follows what a goal lacks down to tasks that can be started, or that are parked."""
        sight, pending = self.sight, [goal]
        while pending:
            task = pending.pop()
            if task in self.seen or task in self.gated or sight.has(task):
                continue
            if self._is_gated(task):  # what it reads is made all the same: that is what is to be approved
                self.gated.add(task)
                if self.beyond_budgets or names.parse(task).kind != "budget":
                    pending.extend(sight.missing(task))
                continue
            self.seen.add(task)
            if sight.has(names.failure(task)):
                self.parked.append(task)
                continue
            if not self.beyond_budgets and names.parse(task).kind == "budget":
                continue
            missing = sight.missing(task)
            if missing:
                pending.extend(missing)
            else:
                self.ready.append(task)

    def _is_gated(self, task: str) -> bool:
        """What decides on a round that waits for an approval, and so all that comes after it."""
        gate, name = self.job.gate, names.parse(task)
        if gate is None or name.kind not in ("samples", "budget") or name.round is None:
            return False
        return name.round >= gate


def _wanted(job: JobPlan, sight: Dependencies, tasks: Iterable[str]) -> Iterator[str]:
    """Those of the tasks that a goal needs. Their own frames are asked first, then ever farther neighbours."""
    walk = _Walk(job, sight, beyond_budgets=False)
    left = list(tasks)
    if REPORT in left:
        left.remove(REPORT)
        yield REPORT
    for shared in [task for task in left if names.parse(task).kind == "budget"]:
        left.remove(shared)
        entrants = iter(sight.entrants(names.parse(shared).round or 0) or ())
        while shared not in walk.seen and (frame := next(entrants, None)) is not None:
            if frame in job.position:
                walk.want_frame(frame)
        if shared in walk.seen:
            yield shared
    frames = {frame for task in left if (frame := names.parse(task).frame) is not None}
    asked: set[Frame] = set()
    for _ in range(job.rounds + 2):
        for frame in sorted(frames - asked):
            if frame in job.position:
                walk.want_frame(frame)
        asked |= frames
        yield from (task for task in left if task in walk.seen)
        left = [task for task in left if task not in walk.seen]
        if not left or job.radius == 0:
            return
        frames = {near for frame in frames for near in job.neighbours(frame)}
