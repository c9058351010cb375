"""The body of every task: lease, permits, attempt, recipe, publication, and what can start next.

What goes wrong is told by its class (`recovery.classified`): what is the task's own, and uses up a retry; what is a
matter of memory, and leads to smaller waves or a larger device; what is nobody's fault, and leaves no attempt behind.

One `Desk` lives in each child process. It keeps connections, opened jobs and loaded scenes between tasks; Mitsuba and
torch are imported by the recipes, when the first task needs them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from celery import current_app
from kombu.exceptions import OperationalError
from numpy.typing import NDArray
from redis.exceptions import RedisError

from pipeline.errors import FarmError, PenumbraError, ProductError
from pipeline.farm import attempts, names, plan
from pipeline.farm import job as jobs
from pipeline.farm.attempts import FAILED, Line, Outcome, Trouble
from pipeline.farm.context import Cancelled, Context
from pipeline.farm.control import Control, ControlState
from pipeline.farm.dispatch import CONTROL_SECONDS, hold, mark_seconds
from pipeline.farm.job import Job
from pipeline.farm.leases import Lease, Leases
from pipeline.farm.permits import Permits, permits_of
from pipeline.farm.plan import JobPlan
from pipeline.farm.products import Products
from pipeline.farm.queues import Queues, Report, Ticket, connect, device_of, key, queue_name
from pipeline.farm.rates import note_rate, rate_of
from pipeline.farm.recovery import LONGEST_DELAY, Remedy, classified, remedy
from pipeline.farm.requirements import requirement
from pipeline.farm.store import BLOBS, Store, StoreFault, open_store
from workers.app import SETTINGS_KEY
from workers.settings import WorkerSettings

__all__ = ["Desk", "TaskFailed", "desk"]

log = logging.getLogger(__name__)

Make = Callable[[str, Job, Products, Context], tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]]]

JOBS_KEPT = 16
HOLD_SECONDS = 1.0
"""Time between two looks at whether the store is full."""
LOG_LINES = 2000
"""Lines of a task's log that are kept, the newest."""


class TaskFailed(Exception):
    """What a monitor shows of a task that raised; the whole story is in the task's log."""


@lru_cache(maxsize=1)
def desk() -> Desk:
    """The desk of this process."""
    return Desk(WorkerSettings.from_json(current_app.conf[SETTINGS_KEY]))


class OpenJob:
    """A job as a child keeps it between tasks.

    Attributes:
        plan: what planning needs, as of the last look at the control records.
        terms: of the job, as of then.
        state: what they ask for.
    """

    def __init__(self, store: Store, job: Job) -> None:
        self.job, self.store, self.products = job, store, Products(store, job)
        self._control = Control(store, job.directory)
        self._due = 0.0
        self.plan, self.terms = JobPlan.of(job), job.terms()

    @property
    def state(self) -> ControlState:
        return self._control.state

    def look(self, *, every: float) -> ControlState:
        """The control state, not older than so many seconds."""
        now = time.monotonic()
        if now >= self._due:
            before = self.state
            if self._control.look() != before:
                self.plan, self.terms = JobPlan.of(self.job, self.state), self.job.terms(self.state)
            self._due = now + every
        return self.state

    def queue(self, task: str) -> str:
        """The queue of a task that has not failed yet."""
        kind = names.queue(task)
        wanted = requirement(self.terms, self.state.barred, kind)
        return queue_name(kind, device_of(self.job.environment), self.job.environment_key, wanted.key)


class TaskLog(logging.Handler):
    """Collects what is said during a task."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[Line] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.add(record.levelname.lower(), record.getMessage())

    def add(self, level: str, text: str, facts: Mapping[str, Any] | None = None) -> None:
        """One more line."""
        self.lines.append(Line(round(time.time(), 3), level, text, facts or {}))
        del self.lines[:-LOG_LINES]


@dataclass(frozen=True)
class Work:
    """What a child is at."""

    opened: OpenJob
    ticket: Ticket
    lease: Lease
    attempt: int
    story: TaskLog


class Desk:
    """Makes products, one after the other.

    Args:
        settings: of the worker.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings, self._farm = settings, settings.farm
        self._redis = connect(settings.broker_url, timeout=5.0)
        self._queues = Queues(self._redis, current_app._get_current_object())
        self._permits = Permits.of(self._redis, self._farm)
        self._leases = Leases(
            self._redis,
            seconds=self._farm.lease_seconds,
            heartbeat=self._farm.heartbeat_seconds,
            worker=settings.name,
            permits=self._permits,
            stuck_seconds=self._farm.stuck_seconds,
            on_stuck=self._on_stuck,
        )
        self._work: Work | None = None
        self._stores: dict[str, Store] = {url: open_store(url) for url in settings.stores}
        self._jobs: OrderedDict[tuple[str, str], OpenJob] = OrderedDict()
        self._cache: dict[str, Any] = {}
        self._full: dict[str, bool] = {}
        self._full_due: dict[str, float] = {}
        self._control_seconds = min(CONTROL_SECONDS, self._farm.control_seconds / 2)

    def perform(self, store: str, job: str, task: str) -> str:
        """Makes one product, unless it is there, or is not to be made now. Returns what became of it, in one line.

        Raises:
            TaskFailed: the recipe raised.
        """
        ticket = Ticket(store, job, task)
        try:
            opened = self._open(ticket)
        except PenumbraError as error:
            log.error("refused %s of %s: %s", task, job, error)
            return f"refused: {error}"
        reason = self._why_not(opened, ticket)
        if reason is not None:
            log.info("%s of %s is not made: %s", task, job, reason)
            return reason
        with self._leases.hold(ticket) as lease:
            if not lease.taken:
                return "another worker is at it"
            reason = self._without_permits(opened, lease)
            if reason is not None:
                self._tell(ticket, Report(job, task, "deferred"))
                return f"not now: {reason}"
            return self._attempt(opened, ticket, lease)

    # --- before -----------------------------------------------------------------------------------------------------

    def _open(self, ticket: Ticket) -> OpenJob:
        """The job of a ticket, from memory if it was there lately.

        Raises:
            FarmError: this worker does not serve the store, or the job's environment, or has other weights, or the name
                is no task's.
        """
        names.queue(ticket.task)
        opened = self._jobs.get((ticket.store, ticket.job))
        if opened is None:
            store = self._stores.get(ticket.store)
            if store is None:
                raise FarmError(f"this worker serves {', '.join(self._stores)}, not {ticket.store}")
            job = jobs.load(store, ticket.job)
            if job.rendering_key not in self._settings.environments:
                raise FarmError(
                    f"its environment is {job.rendering_key}, this worker's {', '.join(self._settings.environments)}"
                )
            for preset, wanted in job.weights.items():
                if (own := self._settings.weights.get(preset)) != wanted:
                    raise FarmError(f"its weights of {preset} are {wanted}, this worker's {own}")
            opened = OpenJob(store, job)
            self._jobs[ticket.store, ticket.job] = opened
            if len(self._jobs) > JOBS_KEPT:
                self._jobs.popitem(last=False)
        self._jobs.move_to_end((ticket.store, ticket.job))
        return opened

    def _why_not(self, opened: OpenJob, ticket: Ticket) -> str | None:
        """Why a task is not to be made now; None when it is."""
        if opened.products.exists(ticket.task):
            self._tell(ticket, Report(ticket.job, ticket.task))
            return "it is there already"
        state = opened.look(every=self._control_seconds)
        if state.holds(ticket.task):
            return "the job is held, or does not want the frame any more"
        if self._settings.name in state.barred:
            self._tell(ticket, Report(ticket.job, ticket.task, "deferred"))
            return "this worker is kept off the job"
        inputs = plan.inputs(opened.plan, ticket.task, opened.products)
        missing = [] if inputs is None else [name for name in inputs if not opened.products.exists(name)]
        if inputs is None or missing:
            self._tell(ticket, Report(ticket.job))
            return f"its inputs are not there ({', '.join(missing) or 'nor known'})"
        if opened.store.exists(opened.products.name(names.failure(ticket.task))):
            return "it is parked"
        if self._is_full(ticket.store):
            return "the store is full"
        return None

    def _is_full(self, store: str) -> bool:
        """The store was full a second ago: a task would be made in vain."""
        now = time.monotonic()
        if now >= self._full_due.get(store, 0.0):
            self._full[store] = self._flag(key("hold", store))
            self._full_due[store] = now + HOLD_SECONDS
        return self._full[store]

    def _flag(self, name: str) -> bool:
        try:
            return bool(self._redis.exists(name))
        except RedisError:
            return False  # the broker is away: its word is missed, and work goes on

    def _without_permits(self, opened: OpenJob, lease: Lease) -> str | None:
        """Takes the task's permits; why not, where they are not to be had."""
        wanted = permits_of(lease.ticket, opened.terms, self._farm)
        try:
            reason = self._permits.take(lease.token, wanted)
        except RedisError as error:
            return f"the broker is away, which counts permits: {error}"
        if reason is None:
            lease.permits = tuple(wanted)
        return reason

    # --- the attempt --------------------------------------------------------------------------------------------------

    def _attempt(self, opened: OpenJob, ticket: Ticket, lease: Lease) -> str:
        store, directory, task = opened.store, opened.job.directory, ticket.task
        try:
            number = attempts.begin(store, directory, task, worker=self._settings.name, memory=self._settings.memory)
        except StoreFault as error:
            return self._away(ticket, error)
        lease.begun(number)
        story = TaskLog()
        found = Remedy()
        if number:  # it was tried before: with what we learn from that, or not at all
            tried = [each for each in attempts.history(store, directory, task) if each.n < number]
            found = remedy(tried, self._farm, barred=opened.state.barred)
            if found.park is not None:
                attempts.end(store, directory, task, number, outcome="cancelled", reason="it failed too often")
                self._tell(ticket, Report(ticket.job, task, "cancelled", number, self._settings.name))
                return "it failed too often"
        story.add("info", "start", {"attempt": number, "worker": self._settings.name})
        logger = logging.getLogger("pipeline")
        logger.addHandler(story)
        self._work = work = Work(opened, ticket, lease, number, story)
        start = time.monotonic()
        try:
            outcome, reason = self._make(work, shrink=found.waves)
        except Exception as error:
            outcome, reason = classified(error, self._farm), f"{type(error).__name__}: {error}"
            if outcome == "away":
                attempts.forget(store, directory, task, number)
                return self._away(ticket, error)
            story.add("error", traceback.format_exc())
        finally:
            self._work = None
            logger.removeHandler(story)
        outcome = self._end(work, outcome, reason)
        if outcome in FAILED or outcome == "memory":
            raise TaskFailed(f"{task}: {reason}")
        if outcome not in ("made", "double"):
            return f"let go: {reason}"
        self._next(opened, ticket, Report(ticket.job, task, outcome, number, self._settings.name))
        return f"{'made' if outcome == 'made' else 'made by another'} in {time.monotonic() - start:.1f} s"

    def _end(self, work: Work, outcome: Outcome, reason: str) -> Outcome:
        """Writes down how an attempt ended, and reports it if it failed; what became of it."""
        store, directory, ticket = work.opened.store, work.opened.job.directory, work.ticket
        task, number, worker = ticket.task, work.attempt, self._settings.name
        failed = outcome in FAILED or outcome == "memory"
        if failed and attempts.superseded(store, directory, task, number):
            outcome, failed = "superseded", False
        try:
            attempts.end(store, directory, task, number, outcome=outcome, reason=reason, log=work.story.lines)
            if failed:
                said = [str(line) for line in work.story.lines]
                host, at = socket.gethostname(), round(time.time(), 3)
                trouble = Trouble(task, number, worker, host, outcome, reason, said, at)
                attempts.note_trouble(store, directory, trouble)
        except StoreFault as error:
            attempts.forget(store, directory, task, number)
            self._away(ticket, error)
        if failed:
            self._tell(ticket, Report(ticket.job, task, outcome, number, worker))
        return outcome

    def _make(self, work: Work, *, shrink: int) -> tuple[Outcome, str]:
        opened, ticket, story = work.opened, work.ticket, work.story
        context = Context(
            cancelled=self._cancel_asked(opened, ticket),
            progress=work.lease.progress,
            blobs=opened.store.path(BLOBS),
            cache=self._cache,
            farm=self._farm,
            shrink=shrink,
            rate=self._rate(ticket),
        )
        start = time.monotonic()
        try:
            facts, arrays = recipe_of(opened.job)(ticket.task, opened.job, opened.products, context)
        except Cancelled:
            return "cancelled", "somebody asked for it"
        except ProductError as error:
            inputs = plan.inputs(opened.plan, ticket.task, opened.products)
            if inputs is None or not all(opened.products.exists(name) for name in inputs):
                self._tell(ticket, Report(ticket.job))
                return "cancelled", f"an input is gone: {error}"
            raise
        story.add("info", "computed", {"took": round(time.monotonic() - start, 3), **_plain(facts)})
        start = time.monotonic()
        try:
            published = opened.products.publish(ticket.task, facts, arrays)
        except StoreFault as error:
            if error.full:
                self._hold(ticket, error, needed=sum(array.nbytes for array in arrays.values()))
            raise
        story.add("info", "published", {"took": round(time.monotonic() - start, 3)})
        self._note_rate(ticket, facts)
        return ("made", "") if published else ("double", "another worker was first")

    def _rate(self, ticket: Ticket) -> float | None:
        """What the job's slices reached so far, for a slice plan."""
        if names.parse(ticket.task).kind != "samples":
            return None
        try:
            return rate_of(self._redis, ticket.store, ticket.job)
        except RedisError:
            return None  # the profile's rate will do

    def _note_rate(self, ticket: Ticket, facts: Mapping[str, Any]) -> None:
        if names.parse(ticket.task).kind == "passes":
            with contextlib.suppress(RedisError):  # the next slice tells it again
                note_rate(self._redis, ticket.store, ticket.job, int(facts["samples"]), float(facts["seconds"]))

    def _on_stuck(self, lease: Lease) -> None:
        """A task makes no progress. From the thread of the leases: ends this process, after it has told why."""
        work = self._work
        if work is None or work.lease is not lease:
            return
        main = sys._current_frames().get(threading.main_thread().ident or 0)
        if main is not None:
            work.story.add("error", "stuck at\n" + "".join(traceback.format_stack(main)))
        try:
            self._end(work, "stuck", f"no progress for {self._farm.stuck_seconds:.0f} s")
        finally:
            os.kill(os.getpid(), signal.SIGKILL)  # the parent gives the lease back, and starts another child

    def _cancel_asked(self, opened: OpenJob, ticket: Ticket) -> Callable[[], bool]:
        stopping = key("stopping", self._settings.name)
        due = time.monotonic() + self._control_seconds

        def asked() -> bool:
            nonlocal due
            now = time.monotonic()
            if now < due:
                return False
            due = now + self._control_seconds
            return opened.look(every=0.0).stops(ticket.task) or self._flag(stopping)

        return asked

    # --- after ------------------------------------------------------------------------------------------------------

    def _next(self, opened: OpenJob, ticket: Ticket, report: Report) -> None:
        """Sends the direct dependants that can start now, and reports to the dispatcher.

        What waits for other jobs, or for permits, is left to the dispatcher.
        """
        ready: list[str] = []
        if not opened.state.held and not opened.terms.after:
            ready = plan.after(opened.plan, ticket.task, opened.products)
        try:
            for task in ready:
                next_ticket = Ticket(ticket.store, ticket.job, task)
                if permits_of(next_ticket, opened.terms, self._farm):
                    continue
                offered = self._queues.offer(
                    next_ticket,
                    queue=opened.queue(task),
                    priority=opened.plan.priority,
                    mark_seconds=mark_seconds(self._farm),
                    direct=True,
                )
                if offered == "full":
                    break
        except (RedisError, OperationalError) as error:
            log.warning("the broker is away (%s); the dispatcher will find what comes after %s", error, ticket.task)
        self._tell(ticket, report)

    def _tell(self, ticket: Ticket, report: Report) -> None:
        """Reports to the dispatcher; what is not heard, it finds by itself."""
        try:
            self._queues.wake(ticket.store, report)
        except RedisError as error:
            log.warning("the broker is away (%s); the dispatcher will find %s by itself", error, report.task or "this")

    def _away(self, ticket: Ticket, error: Exception) -> str:
        """The store or a licence is away: no attempt counts, and the task is tried again after a while."""
        log.error("%s of %s lets go: %s", ticket.task, ticket.job, error)
        if isinstance(error, StoreFault) and error.full:
            self._hold(ticket, error, needed=0)
        with contextlib.suppress(RedisError):
            why = f"{type(error).__name__}: {error}"
            self._redis.set(key("away", f"{ticket.store}|{ticket.job}"), why, px=int(1000 * LONGEST_DELAY))
        self._tell(ticket, Report(ticket.job, ticket.task, "away"))
        return f"let go: {error}"

    def _hold(self, ticket: Ticket, error: StoreFault, *, needed: int) -> None:
        """Stops all work on a full store until there is room."""
        try:
            hold(self._redis, ticket.store, needed=needed, reason=str(error))
        except RedisError as away:
            log.warning("the broker is away (%s), so nobody is told that the store is full", away)


def recipe_of(job: Job) -> Make:
    """The recipes of a job's engine, imported when they are needed."""
    if job.engine == "rehearsal":
        from pipeline.farm import recipes_rehearsal

        return recipes_rehearsal.make
    from pipeline.farm import recipes

    return recipes.make


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts that fit into a log's line."""
    return {name: value for name, value in facts.items() if isinstance(value, (str, int, float, bool))}
