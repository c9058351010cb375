"""How the products of a job hang together: what each task reads, and which tasks a product may set going.

    samples(f, r) ← error(f, r−1), samples(f, 0 … r−1), and budget(r) in a job with a budget
    budget(r) ← budget(r−1), samples(f, r−1) and error(f, r−1) of the frames f that budget(r−1) let go on
    passes(f, r, s) ← samples(f, r)
    buffers(f, r) ← passes(f, r, ·), buffers(f, r−1)
    denoised(f, r), draft(f, r) ← buffers(g, min(r, stop(g))) of the frames g around f; fewer of them for a draft
    error(f, r) ← buffers(f, r), and draft(f, r) or denoised(f, r) when the guide looks at the denoised picture
    stop(f) ← the samples(f, r) without slices, error(f, r−1)
    frames(f) ← stop(f) = R, buffers(f, R), denoised(f, R), error(f, R)
    report ← frames(f) or absent(f) of every frame
    parts(n) ← nothing, or parts(n−1) in a chain; and report ← parts(n) in place of frames: in an errand

A frame that cannot be made has the mark `absent/f`. Its neighbours read the buffers of it that they name if those were
made, and go on without it if not; so with frames that were skipped. A budget leaves both out.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pipeline.errors import FarmError, ProductError
from pipeline.farm import names
from pipeline.farm.job_plan import JobPlan, View
from pipeline.farm.names import REPORT, Frame

__all__ = ["Dependencies"]


class Dependencies:
    """Inputs and dependants of tasks, for one question to the planner: each product is looked at once.

    Args:
        job: the plan.
        view: what exists.
    """

    def __init__(self, job: JobPlan, view: View) -> None:
        self.job, self._view = job, view
        self._there: dict[str, bool] = {}
        self._slices: dict[tuple[Frame, int], int | None] = {}
        self._stops: dict[Frame, int | None] = {}
        self._complete: set[int] = set()  # rounds whose budget lacks nothing: an answer that took a look at all frames

    def has(self, name: str) -> bool:
        there = self._there.get(name)
        if there is None:
            there = self._there[name] = self._view.exists(name)
        return there

    def facts(self, name: str) -> Mapping[str, Any] | None:
        if not self.has(name):
            return None
        try:
            return self._view.facts(name)
        except ProductError:  # gone since, or damaged and moved aside: it will be made anew
            self._there[name] = False
            return None

    def slices(self, frame: Frame, r: int) -> int | None:
        """Slices of a round; 0 where it is not rendered; None while that is not decided."""
        if (frame, r) not in self._slices:
            facts = self.facts(names.samples(frame, r))
            self._slices[frame, r] = None if facts is None else int(facts["slices"])
        return self._slices[frame, r]

    def stop(self, frame: Frame) -> int | None:
        """The last round of a frame; None while `stop` is missing."""
        if frame not in self._stops:
            facts = self.facts(names.stop(frame))
            self._stops[frame] = None if facts is None else int(facts["round"])
        return self._stops[frame]

    def frontier(self, frame: Frame, r: int) -> str | None:
        """The missing product that decides whether round r of a frame is rendered; None once it is sure to be."""
        for q in range(r + 1):
            slices = self.slices(frame, q)
            if slices is None:
                return names.samples(frame, q)
            if slices == 0:
                return names.stop(frame)
        return None

    def read_round(self, frame: Frame, r: int) -> tuple[int | None, str | None]:
        """The round of a frame that a denoiser of round r reads, or what is missing to know it."""
        last = self.stop(frame)
        if last is not None:
            return min(r, last), None
        if self.has(names.buffers(frame, r)):
            return r, None
        undecided = self.frontier(frame, r)
        return (r, None) if undecided is None else (None, undecided)

    def is_left_out(self, frame: Frame) -> bool:
        return frame in self.job.skipped or self.has(names.absent(frame))

    def window(self, frame: Frame, r: int, *, draft: bool = False) -> dict[Frame, str] | None:
        found: dict[Frame, str] = {}
        for near in self.job.neighbours(frame, draft=draft):
            q = r if near == frame else self.read_round(near, r)[0]
            if q is not None and self.has(names.buffers(near, q)):
                found[near] = names.buffers(near, q)
            elif near == frame or not self.is_left_out(near):
                if q is None:
                    return None
                found[near] = names.buffers(near, q)
        return found

    def window_missing(self, frame: Frame, r: int, *, draft: bool = False) -> list[str]:
        missing = []
        for near in self.job.neighbours(frame, draft=draft):
            q, undecided = (r, None) if near == frame else self.read_round(near, r)
            if q is not None and self.has(names.buffers(near, q)):
                continue
            if near == frame or not self.is_left_out(near):
                missing.append(names.buffers(near, q) if q is not None else str(undecided))
        return missing

    def stopping_round(self, frame: Frame) -> int | None:
        """The first round that is not rendered; None while that is not decided."""
        for r in range(self.job.rounds + 1):
            slices = self.slices(frame, r)
            if slices is None:
                return None
            if slices == 0:
                return r
        return None

    def entrants(self, r: int) -> list[Frame] | None:
        """The frames that a budget shares round r among, if they are not left out; None while that is not decided."""
        if r <= 1:
            return sorted(self.job.frames)
        facts = self.facts(names.budget(r - 1))
        return None if facts is None else list(facts["going"])

    def budget_missing(self, r: int, frames: Iterable[Frame]) -> Iterator[str]:
        """What a budget lacks of some of its entrants, one after the other: who asks for the first looks at few."""
        for frame in frames:
            lacks = [name for name in (names.error(frame, r - 1), names.samples(frame, r - 1)) if not self.has(name)]
            # Without slices it stopped: the version that this one is based on had another budget.
            if lacks and not self.is_left_out(frame) and self.slices(frame, r - 1) != 0:
                yield from lacks

    def _budget_inputs(self, r: int) -> list[str] | None:
        entrants = self.entrants(r)
        if entrants is None:
            return None
        found = [names.budget(r - 1)] if r > 1 else []
        for frame in entrants:
            if not self.is_left_out(frame) and self.slices(frame, r - 1) != 0:
                found += [names.samples(frame, r - 1), names.error(frame, r - 1)]
        return found

    def inputs(self, task: str) -> list[str] | None:
        name = names.parse(task)
        f, r = name.frame, name.round
        if name.kind == "report":
            return self._report_inputs()
        if name.kind == "budget" and r is not None:
            return self._budget_inputs(r)
        if f is None or name.kind not in names.TASK_KINDS:
            raise ProductError(f"{task}: this is a mark of the farm, not a task")
        if name.kind == "parts":
            before = self.job.before(f)
            return [] if before is None else [names.part(before)]
        if name.kind == "stop":
            after = self.stopping_round(f)
            return None if after is None else [names.samples(f, after), *([names.error(f, after - 1)] if after else [])]
        if name.kind == "frames":
            last = self.stop(f)
            if last is None:
                return None
            return [names.stop(f), names.buffers(f, last), names.denoised(f, last), names.error(f, last)]
        assert r is not None, "every other task has a round"
        if name.kind == "samples":
            if r == 0:
                return []
            shared = [names.budget(r)] if self.job.budget else []
            return [names.error(f, r - 1), *(names.samples(f, q) for q in range(r)), *shared]
        if name.kind == "passes":
            return [names.samples(f, r)]
        if name.kind == "buffers":
            slices = self.slices(f, r)
            if slices is None:
                return None
            return [*(names.passes(f, r, s) for s in range(slices)), *([names.buffers(f, r - 1)] if r else [])]
        if name.kind in ("denoised", "draft"):
            found = self.window(f, r, draft=name.kind == "draft")
            return None if found is None else list(found.values())
        return [names.buffers(f, r), *([self.judged_picture(f, r)] if self.job.every_round else [])]

    def judged_picture(self, frame: Frame, r: int) -> str:
        """The denoised picture that the guide looks at."""
        return names.denoised(frame, r) if self.job.draft_radius is None else names.draft(frame, r)

    def _report_inputs(self) -> list[str] | None:
        found = []
        for frame in self.job.frames:
            name = self.job.goal(frame)
            if not self.has(name):
                name = names.absent(frame)
                if not self.has(name):
                    return None
            found.append(name)
        return found

    def missing(self, task: str) -> list[str]:
        """The inputs of a task that are missing, or what must be there to know them; empty: it can be started."""
        name = names.parse(task)
        if name.kind in ("denoised", "draft"):
            assert name.frame is not None and name.round is not None
            return self.window_missing(name.frame, name.round, draft=name.kind == "draft")
        if name.kind == "budget":
            assert name.round is not None
            if name.round in self._complete:
                return []
            entrants = self.entrants(name.round)
            if entrants is None:
                return [names.budget(name.round - 1)]
            return list(self.budget_missing(name.round, entrants))
        found = self.inputs(task)
        if found is not None:
            return [product for product in found if not self.has(product)]
        f = name.frame
        if name.kind == "buffers" and f is not None and name.round is not None:
            before = names.buffers(f, name.round - 1) if name.round else None
            return [names.samples(f, name.round), *([before] if before and not self.has(before) else [])]
        if name.kind == "frames" and f is not None:
            return [names.stop(f)]
        if name.kind == "stop" and f is not None:
            undecided = self.frontier(f, self.job.rounds)
            if undecided is None:
                raise FarmError(
                    f"frame {f}: {names.samples(f, self.job.rounds)} goes beyond the job's {self.job.rounds} rounds"
                )
            return [undecided]
        return [self.job.goal(frame) for frame in self.job.frames if not self.is_accounted(frame)]

    def is_accounted(self, frame: Frame) -> bool:
        return self.has(self.job.goal(frame)) or self.has(names.absent(frame))

    def report_is_current(self) -> bool:
        """The report is there, and speaks of the frames that exist."""
        facts = self.facts(REPORT)
        if facts is None:
            return False
        told = facts.get("frames")
        if told is None:
            return True
        there = [frame for frame in self.job.frames if self.has(self.job.goal(frame))]
        return sorted(told) == sorted(there) and all(self.is_accounted(frame) for frame in self.job.frames)

    def dependants(self, done: str) -> Iterator[str]:
        """Tasks that may become possible or wanted by a product. More than there are does no harm."""
        name = names.parse(done)
        f, r = name.frame, name.round
        if name.kind == "budget" and r is not None:
            yield from (names.samples(g, r) for g in self.job.frames if self.has(names.error(g, r - 1)))
            yield from self._budget_if_last(r + 1)
        if f is None:
            return
        if name.kind == "samples" and r is not None:
            slices = self.slices(f, r)
            if slices == 0:
                yield names.stop(f)
            elif slices is not None:
                yield from (names.passes(f, r, s) for s in range(slices))
                yield names.buffers(f, r)
            yield from (names.samples(f, q) for q in range(r + 1, self.job.rounds + 1))
            if self.job.budget and self.has(names.error(f, r)):
                yield from self._budget_if_last(r + 1, f)
        elif name.kind == "passes" and r is not None:
            yield names.buffers(f, r)
        elif name.kind == "buffers" and r is not None:
            yield names.buffers(f, r + 1)
            yield names.error(f, r)
            yield names.frame_product(f)
            yield from self._denoised_around(f, r, beyond=self.stop(f) == r)
        elif name.kind == "draft" and r is not None:
            yield names.error(f, r)
        elif name.kind == "denoised" and r is not None:
            yield names.error(f, r)
            yield names.frame_product(f)
        elif name.kind == "error" and r is not None:
            yield names.samples(f, r + 1)
            yield names.stop(f)
            yield names.frame_product(f)
            yield from self._budget_if_last(r + 1, f)
        elif name.kind == "stop":
            last = self.stop(f)
            yield names.frame_product(f)
            if last is not None:
                yield names.error(f, last)
                yield from self._denoised_around(f, last, beyond=True)
        elif name.kind == "absent":
            yield from self._denoised_around(f, 0, beyond=True)
            undecided = (q for q in range(1, self.job.rounds + 1) if self.job.budget and not self.has(names.budget(q)))
            if (q := next(undecided, None)) is not None:
                yield from self._budget_if_last(q, f)
            yield from self._report_if_last(f)
        elif name.kind in ("frames", "parts"):
            if (following := self.job.following(f)) is not None:
                yield names.part(following)
            yield from self._report_if_last(f)

    def _denoised_around(self, frame: Frame, r: int, *, beyond: bool) -> Iterator[str]:
        """Denoise tasks of a frame and its neighbours that may read round r of the frame.

        Args:
            frame: whose round.
            r: the round.
            beyond: later rounds of the neighbours are concerned as well, since the frame has none.
        """
        if self.job.every_round:
            for near in self.job.neighbours(frame, draft=True):
                last = self.stop(near)
                end = self.job.rounds if last is None else last + 1
                yield from (self.judged_picture(near, q) for q in range(r, end if beyond else min(r + 1, end)))
        if not self.job.every_round or self.job.draft_radius is not None:
            for near in self.job.neighbours(frame):
                if (last := self.stop(near)) is not None:
                    yield names.denoised(near, last)

    def _budget_if_last(self, r: int, frame: Frame | None = None) -> Iterator[str]:
        """`budget(r)`, if no entrant lacks anything. Those after the frame are asked first: they are likely to."""
        if not self.job.budget or r > self.job.rounds or self.has(names.budget(r)):
            return
        entrants = self.entrants(r)
        if entrants is None:
            return
        at = 0 if frame is None else bisect_right(entrants, frame)
        if next(self.budget_missing(r, (*entrants[at:], *entrants[:at])), None) is None:
            self._complete.add(r)
            yield names.budget(r)

    def _report_if_last(self, frame: Frame) -> Iterator[str]:
        """`report`, if every frame is accounted for. The frames after this one are asked first: they are likely not."""
        at = self.job.position.get(frame, 0)
        if all(self.is_accounted(other) for other in (*self.job.frames[at + 1 :], *self.job.frames[: at + 1])):
            yield REPORT
