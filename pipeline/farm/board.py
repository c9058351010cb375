"""What the dispatcher knows about one job: which products exist, which tasks can start, and which are at work.

The store is listed frame by frame, once when the board is made and then a few frames at a time; in between, finished
tasks are entered as they are reported. Nothing here talks to Redis.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any

from pipeline.config.farm import Farm
from pipeline.errors import ProductError
from pipeline.farm import attempts, names
from pipeline.farm.control import Control, ControlState
from pipeline.farm.job import Job, wanted_frames
from pipeline.farm.names import REPORT, Frame, Queue
from pipeline.farm.plan import JobPlan, after, is_done, order, removable, runnable, stale, unmakeable
from pipeline.farm.products import Products
from pipeline.farm.queues import device_of, queue_name
from pipeline.farm.recovery import Remedy, delay, remedy
from pipeline.farm.requirements import Offer, Requirement, requirement
from pipeline.farm.store import Store
from pipeline.farm.waits import Waits

__all__ = ["Board"]

log = logging.getLogger(__name__)


class Board:
    """One job, as its dispatcher sees it.

    Args:
        store: where the job lives.
        job: the job.

    Attributes:
        plan: the part of the job that planning needs, with what was asked since.
        terms: what the job asks of the farm, as asked last.
        blocked: frames that wait for other jobs, and for which.
        ready: tasks that can start or are at work.
        at_work: those that were sent to a worker, and when they were last known to be in good hands (caller's clock).
        queues: that its tasks were sent to, and what each requires.
    """

    def __init__(self, store: Store, job: Job) -> None:
        self.store, self.job = store, job
        self.products = Products(store, job)
        self._control = Control(store, job.directory)
        self._known: set[str] = set()
        self._listed: set[Frame] = set()
        self._relist_at = 0
        self._waiting: dict[Queue, list[tuple[tuple[int, ...], str]]] = {}
        self.ready: set[str] = set()
        self.at_work: dict[str, float] = {}
        self.queues: dict[str, Requirement] = {}
        self._remedies: dict[str, Remedy] = {}
        self._deferrals: dict[str, int] = {}
        self._delayed: dict[str, float] = {}
        self._waits = Waits(store, ())
        self._plain_queues: dict[Queue, str] = {}
        self._adopt(self._control.look())

    # --- the planner's view -----------------------------------------------------------------------------------

    def exists(self, name: str) -> bool:
        """Whether a product or a mark is there: from what is known, else from the store."""
        if name in self._known:
            return True
        if self.products.exists(name):
            self._known.add(name)
            return True
        return False

    def facts(self, name: str) -> Mapping[str, Any]:
        """Facts of a product. Raises ProductError if it is gone or damaged."""
        try:
            return self.products.facts(name)
        except ProductError:
            self._known.discard(name)
            raise

    @property
    def state(self) -> ControlState:
        """What the control records ask for, as of the last `look`."""
        return self._control.state

    # --- what changes it ----------------------------------------------------------------------------------------

    def look(self) -> bool:
        """Reads new control records; True when there were any. The plan follows them."""
        before = self.state
        state = self._control.look()
        if state == before:
            return False
        self._adopt(state)
        if state.retries != before.retries:
            for forgotten in (self._remedies, self._deferrals, self._delayed):
                forgotten.clear()
            self.refresh()
        else:
            self._replan()
        return True

    def look_at_others(self) -> None:
        """Asks whether what the job waits for has been made."""
        if self.blocked and self._blocked_now() != self.blocked:
            self._adopt(self.state)
            self._replan()

    def _adopt(self, state: ControlState) -> None:
        """The plan as the control records have it now, and as far as other jobs have come."""
        self.terms = self.job.terms(state)
        if self._waits.after != self.terms.after:
            self._waits = Waits(self.store, self.terms.after)
        self._plain_queues.clear()
        self.blocked = self._blocked_now()
        self.plan = JobPlan.of(self.job, state, blocked=self.blocked)

    def _blocked_now(self) -> dict[Frame, str]:
        return self._waits.blocked(wanted_frames(self.job, self.state))

    def refresh(self, keep: Callable[[], object] = lambda: None) -> None:
        """Forgets what is known, lists the store frame by frame, and plans anew.

        Args:
            keep: called between frames, to renew the dispatcher's lease in a long listing.
        """
        self._known.clear()
        self._listed.clear()
        for frame in self.plan.frames:
            # A finished frame is not listed: where neighbours need it, single products are asked for.
            if not self.exists(self.plan.goal(frame)):
                self._known |= self.products.listed(frame)
                self._listed.add(frame)
            keep()
        for name in stale(self.plan, self):
            self.store.delete(self.products.name(name))
            self._known.discard(name)
        self._mark_absent()
        self._replan()

    def relist(self, frames: int) -> None:
        """Lists a few frames more, those whose turn it is, and enters what nobody has reported."""
        wanted = [frame for frame in self.plan.frames if self.plan.goal(frame) not in self._known]
        for _ in range(min(frames, len(wanted))):
            self._relist_at = (self._relist_at + 1) % len(wanted)
            frame = wanted[self._relist_at]
            found = self.products.listed(frame)
            known = {name for name in self._known if _frame_of(name) == frame}
            self._listed.add(frame)
            if known - found:  # somebody removed marks, or moved a damaged product aside
                self._known -= known - found
                self._known |= found
                self._replan()
            for name in sorted(found - known):
                self.enter(name)
        if self.plan.held:  # what others need of frames that are held is nobody's direct dependant
            self._replan()

    def enter(self, name: str) -> bool:
        """Notes that a product (or a mark) is there, and what can start because of it. False: it is not there."""
        if not self.exists(name):
            return False
        self.ready.discard(name)
        self.at_work.pop(name, None)
        for forgotten in (self._remedies, self._deferrals, self._delayed):
            forgotten.pop(name, None)
        if names.parse(name).kind == "failures":
            self._mark_absent()
            self._replan()
            return True
        for task in after(self.plan, name, self):
            self._add(task)
        return True

    def sent(self, task: str, now: float) -> None:
        """A task is in a queue, or somebody is at work on it."""
        self.at_work[task] = max(now, self.at_work.get(task, now))

    def let_go(self, task: str) -> None:
        """A task is in nobody's hands any more."""
        if self.at_work.pop(task, None) is not None and task in self.ready:
            self._push(task)

    def failed(
        self, task: str, limits: Farm, now: float, *, attempt: int | None = None, strongest: int | None = None
    ) -> bool:
        """A task failed, or vanished: it is tried again, in a while and as its attempts suggest, or parked.

        Args:
            task: name of the product.
            limits: how many attempts are too many.
            now: the caller's clock.
            attempt: number of the one that is reported; None where the task vanished. The report of an attempt that
                is not the newest is stale.
            strongest: memory of the largest device that could take it, MiB, as far as one knows.

        Returns:
            Whether the report was news.
        """
        tried = attempts.history(self.store, self.job.directory, task)
        if attempt is not None and (not tried or attempt != tried[-1].n):
            return False
        found = remedy(tried, limits, barred=self.state.barred, strongest=strongest)
        if found.park is not None:
            kind, reason = found.park
            attempts.park(self.store, self.job.directory, task, tried, kind=kind, reason=reason)
            self.enter(names.failure(task))
            return True
        self._remedies[task] = found
        self._delay(task, now + found.delay)
        return True

    def defer(self, task: str, now: float, first: float) -> None:
        """A task could not start for no fault of its own: again after `first` seconds, then ever later."""
        times = self._deferrals[task] = self._deferrals.get(task, 0) + 1
        self._delay(task, now + delay(times, first))

    def set_aside(self, task: str, until: float) -> None:
        """Nobody can take a task now; others of the job may start before it."""
        self._delayed[task] = until

    def wake(self, now: float) -> None:
        """Takes up again what was delayed until now."""
        for task in [task for task, due in self._delayed.items() if due <= now]:
            del self._delayed[task]
            if task in self.ready and task not in self.at_work:
                self._push(task)

    def pardon(self, limits: Farm) -> list[str]:
        """Tries again what is parked through the failures of workers that are kept off the job by now."""
        pardoned = []
        for name in self.products.failures():
            task = name.removeprefix("failures/")
            tried = attempts.history(self.store, self.job.directory, task)
            if remedy(tried, limits, barred=self.state.barred).park is None:
                attempts.unpark(self.store, self.job.directory, task)
                pardoned.append(task)
        if pardoned:
            self.refresh()
        return pardoned

    def queue(self, task: str, offers: Collection[Offer]) -> str:
        """The queue in which a task is to stand: that of what it requires.

        Args:
            task: name of the product.
            offers: of the live workers; who failed a task gets it back only where nobody else could take it.
        """
        kind = names.queue(task)
        wanted = requirement(self.terms, self.state.barred, kind)
        if (found := self._remedies.get(task)) is not None:
            memory = 0 if kind == "light" else found.memory
            wanted = wanted.raised(memory=memory, avoid=found.avoid, offers=offers)
        name = queue_name(kind, device_of(self.job.environment), self.job.environment_key, wanted.key)
        self.queues[name] = wanted
        return name

    def plain_queue(self, kind: Queue) -> str:
        """The queue of the job's tasks that have not failed."""
        name = self._plain_queues.get(kind)
        if name is None:
            key = requirement(self.terms, self.state.barred, kind).key
            name = queue_name(kind, device_of(self.job.environment), self.job.environment_key, key)
            self._plain_queues[kind] = name
        return name

    def next(self, kind: Queue) -> str | None:
        """The task of a kind of queue that is to start next; None when nothing can."""
        heap = self._waiting.get(kind, [])
        while heap:
            task = heap[0][1]
            startable = task in self.ready and task not in self.at_work and task not in self._delayed
            if startable and not self.state.holds(task):
                return task
            heapq.heappop(heap)
        return None

    # --- the end ------------------------------------------------------------------------------------------------

    @property
    def can_start(self) -> bool:
        """Something of the job is at work, or can be sent now."""
        return bool(self.ready) and not self.state.held

    @property
    def is_done(self) -> bool:
        """The report is there, and speaks of every frame."""
        return is_done(self.plan, self)

    @property
    def has_failed(self) -> bool:
        """The report itself is parked: nothing more can be made."""
        return self.exists(names.failure(REPORT))

    def remove_what_is_not_needed(self) -> int:
        """Planned deletion, once the job is done; returns how many products went."""
        gone = removable(self.plan, self)
        for name in gone:
            self.store.delete(self.products.name(name))
            self._known.discard(name)
        return len(gone)

    # --- inside -------------------------------------------------------------------------------------------------

    def _mark_absent(self) -> None:
        for frame, task in unmakeable(self.plan, _Listing(self)).items():
            log.warning("%s: frame %d cannot be made, %s is parked", self.job.id, frame, task)
            self.products.record(names.absent(frame), {"frame": frame, "task": task})
            self._known.add(names.absent(frame))

    def _replan(self) -> None:
        self.ready = set(runnable(self.plan, _Listing(self)))
        self.at_work = {task: seen for task, seen in self.at_work.items() if task in self.ready}
        self._waiting = {}
        for task in self.ready:
            if task not in self.at_work and task not in self._delayed:
                self._push(task)

    def _add(self, task: str) -> None:
        if task not in self.ready:
            self.ready.add(task)
            self._push(task)

    def _delay(self, task: str, due: float) -> None:
        self._delayed[task] = due
        self.at_work.pop(task, None)

    def _push(self, task: str) -> None:
        heapq.heappush(self._waiting.setdefault(names.queue(task), []), (order(self.plan, task), task))


class _Listing:
    """A board's view where what a frame's listing lacks is not there: the full plan asks about thousands."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def exists(self, name: str) -> bool:
        if name in self._board._known:
            return True
        return _frame_of(name) not in self._board._listed and self._board.exists(name)

    def facts(self, name: str) -> Mapping[str, Any]:
        return self._board.facts(name)


def _frame_of(name: str) -> Frame | None:
    return names.parse(name).frame
