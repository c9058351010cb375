"""One look at a farm for all who watch it: metrics, event streams, notifications, scaling.

A `Watch` keeps a `Progress` for each unfinished job, and for each that ended while it looked, so that whoever asks
again and again costs the store little: looking takes at most a twentieth of the time, however many jobs there are.
Nothing here is remembered for anybody else: it is all read from products, leases and queues.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pipeline.errors import FarmError, PenumbraError
from pipeline.farm import job as jobs
from pipeline.farm import names, plan
from pipeline.farm.client import Farm
from pipeline.farm.control import Control
from pipeline.farm.job import Job
from pipeline.farm.job_plan import JobPlan
from pipeline.farm.leases import Held
from pipeline.farm.products import Products
from pipeline.farm.progress import JobSnapshot, Progress
from pipeline.farm.queues import Ticket, device_of

__all__ = ["FarmSight", "JobSight", "Running", "Watch", "WorkKind", "slots_by_device", "work_kind"]

log = logging.getLogger(__name__)

LOOK_SHARE: Final = 20
"""Looking at jobs takes at most one part in so many of the time."""
KEPT_SECONDS: Final = 3600.0
"""For so long a job that ended is still told of, so that graphs have its end."""

WorkKind = tuple[str, str]
"""Kind of queue (`light`, `denoise`, `render`) and of device (`cpu`, `cuda`, `any`)."""


@dataclass(frozen=True, slots=True)
class JobSight:
    """A job as it was seen.

    Attributes:
        job: the frozen job.
        snapshot: how far it is.
        device: that its environment asks for: `cpu`, `cuda` or `any`.
        ready: tasks that could be at work now, queued and running ones among them, by kind of queue; none of a job that
            is held or has ended.
        ended: it was active before, and is not any more.
    """

    job: Job
    snapshot: JobSnapshot
    device: str
    ready: Mapping[str, int]
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Running:
    """A task at work, and what kind of work that is."""

    held: Held
    kind: str
    device: str


@dataclass(frozen=True)
class FarmSight:
    """A farm as it was seen.

    Attributes:
        at: seconds since the epoch.
        broker: it answers. If not, workers, queues and running tasks are unknown, and empty.
        held: why nothing runs on the store; None when it is not full.
        jobs: unfinished ones, and those that ended lately.
        workers: as they describe themselves.
        queued: tasks in queues.
        oldest: seconds for which the task that waits longest has been seen in a queue.
        running: tasks at work.
    """

    at: float
    broker: bool
    held: str | None
    jobs: tuple[JobSight, ...] = ()
    workers: tuple[Mapping[str, Any], ...] = ()
    queued: Mapping[WorkKind, int] = field(default_factory=dict)
    oldest: Mapping[WorkKind, float] = field(default_factory=dict)
    running: tuple[Running, ...] = ()

    def ready(self) -> Counter[WorkKind]:
        """Tasks that could be at work now, by kind of queue and device: what a pool of machines is scaled by."""
        found: Counter[WorkKind] = Counter()
        for sight in self.jobs:
            for kind, count in sight.ready.items():
                found[kind, sight.device] += count
        return found


class Watch:
    """Looks at a farm again and again. Safe to use from several threads: they share the last look.

    Args:
        farm: to look at.
        every: seconds for which a look is good enough.
        clock: that only goes forward, seconds.
    """

    def __init__(self, farm: Farm, *, every: float = 2.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._farm, self._every, self._clock = farm, every, clock
        self._lock = threading.Lock()
        self._progress: dict[str, Progress] = {}
        self._jobs: dict[str, JobSight] = {}
        self._ended: dict[str, float] = {}
        self._unreadable: set[str] = set()
        self._known: set[str] | None = None  # all jobs of the store at the last look
        self._first_seen: dict[Ticket, float] = {}
        self._last: FarmSight | None = None
        self._due = 0.0

    @property
    def price_per_hour(self) -> float | None:
        """Of one slot, in the farm's money."""
        return self._farm.config.cost_per_hour

    def look(self) -> FarmSight:
        """The farm as it is, or was a moment ago.

        Raises:
            StoreError: the store cannot be read.
        """
        with self._lock:
            start = self._clock()
            if self._last is None or start >= self._due:
                self._last = self._look()
                now = self._clock()
                self._due = now + max(self._every, LOOK_SHARE * (now - start))
            return self._last

    def _look(self) -> FarmSight:
        farm = self._farm
        try:
            workers, running, held = farm.workers(), farm.running(), farm.on_hold()
            queued, oldest = self._queues()
            broker = True
        except FarmError as error:
            log.warning("%s", error)
            workers, running, held, queued, oldest, broker = [], [], None, {}, {}, False
        slots = sum(int(worker["slots"]) for worker in workers if farm.store.url in worker["stores"])
        found = self._look_at_jobs(slots)
        devices = {sight.job.id: sight.device for sight in found}
        return FarmSight(
            at=time.time(),
            broker=broker,
            held=held,
            jobs=found,
            workers=tuple(workers),
            queued=queued,
            oldest=oldest,
            running=tuple(_running(each, devices.get(each.ticket.job, "any")) for each in running),
        )

    # --- jobs -----------------------------------------------------------------------------------------------------

    def _look_at_jobs(self, slots: int) -> tuple[JobSight, ...]:
        store, now = self._farm.store, self._clock()
        active = jobs.active(store)
        for job_id in active:
            self._ended.pop(job_id, None)
            self._see(job_id, slots)
        for job_id in [job_id for job_id in self._jobs if job_id not in active]:
            if job_id not in self._ended:
                self._ended[job_id] = now
                self._see(job_id, slots, ended=True)
            elif now - self._ended[job_id] > KEPT_SECONDS:
                del self._jobs[job_id], self._ended[job_id], self._progress[job_id]
        self._see_quick_ones(slots)
        return tuple(self._jobs[job_id] for job_id in sorted(self._jobs))

    def _see_quick_ones(self, slots: int) -> None:
        """Jobs that began and ended between two looks: they never were among the active ones."""
        there = set(jobs.jobs(self._farm.store))
        if self._known is not None:
            for job_id in sorted(there - self._known - self._jobs.keys()):
                self._see(job_id, slots, ended=True)
                seen = self._jobs.get(job_id)
                if seen is None or seen.snapshot.state in ("waiting", "running"):  # claimed, and not yet active
                    there.discard(job_id)
                    self._jobs.pop(job_id, None)
                    self._progress.pop(job_id, None)
                else:
                    self._ended[job_id] = self._clock()
        self._known = there

    def _see(self, job_id: str, slots: int, *, ended: bool = False) -> None:
        store = self._farm.store
        try:
            before = self._jobs.get(job_id)
            job = jobs.load(store, job_id) if before is None else before.job
            if job_id not in self._progress:
                self._progress[job_id] = Progress(store, job, cost_per_hour=self._farm.config.cost_per_hour)
            snapshot = self._progress[job_id].snapshot(slots=slots)
            ready = {} if ended or snapshot.state not in ("waiting", "running") else self._ready(job)
            self._jobs[job_id] = JobSight(job, snapshot, device_of(job.environment), ready, ended)
        except PenumbraError as error:
            if job_id not in self._unreadable:
                log.warning("%s cannot be watched: %s", job_id, error)
            self._unreadable.add(job_id)

    def _ready(self, job: Job) -> Mapping[str, int]:
        store = self._farm.store
        tasks = plan.runnable(JobPlan.of(job, Control(store, job.directory).look()), Products(store, job))
        return Counter(names.queue(task) for task in tasks)

    # --- queues ---------------------------------------------------------------------------------------------------

    def _queues(self) -> tuple[dict[WorkKind, int], dict[WorkKind, float]]:
        """Tasks in queues, and for how long the oldest of each kind has been seen there."""
        now = self._clock()
        waiting = self._farm.waiting()
        seen = {ticket: self._first_seen.get(ticket, now) for tickets in waiting.values() for ticket in tickets}
        self._first_seen = seen
        counts: Counter[WorkKind] = Counter()
        oldest: dict[WorkKind, float] = {}
        for queue, tickets in waiting.items():
            kind = work_kind(queue)
            counts[kind] += len(tickets)
            oldest[kind] = max([oldest.get(kind, 0.0), *(now - seen[ticket] for ticket in tickets)])
        return dict(counts), oldest


def work_kind(queue: str) -> WorkKind:
    """Kind and device in the name of a queue.

    >>> work_kind("render.cuda.01234567"), work_kind("light.any.01234567.beef")
    (('render', 'cuda'), ('light', 'any'))
    """
    kind, _, rest = queue.partition(".")
    return kind, rest.partition(".")[0]


def _running(held: Held, device: str) -> Running:
    return Running(held, names.queue(held.ticket.task), device)


def slots_by_device(workers: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Slots of live workers by the kind of device that they are bound to: `cpu`, `cuda`, or `auto`."""
    slots: Counter[str] = Counter()
    for worker in workers:
        slots[str(worker["device"]).partition(":")[0]] += int(worker["slots"])
    return slots
