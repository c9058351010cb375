"""The body of every task: lease, attempt, recipe, publication, and what can start next.

One `Desk` lives in each child process. It keeps connections, opened jobs and loaded scenes between tasks; Mitsuba and
torch are imported by the recipes, when the first task needs them.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from celery import current_app
from kombu.exceptions import OperationalError
from numpy.typing import NDArray
from redis.exceptions import RedisError

from pipeline.errors import FarmError, PenumbraError, ProductError
from pipeline.farm import attempts, names, plan
from pipeline.farm import job as jobs
from pipeline.farm.attempts import Line, Outcome
from pipeline.farm.context import Cancelled, Context
from pipeline.farm.control import Control, ControlState
from pipeline.farm.dispatch import CONTROL_SECONDS, hold, mark_seconds
from pipeline.farm.job import Job
from pipeline.farm.leases import Lease, Leases
from pipeline.farm.plan import JobPlan
from pipeline.farm.products import Products
from pipeline.farm.queues import Queues, Ticket, connect, device_of, key, queue_name
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
        state: what they ask for.
    """

    def __init__(self, store: Store, job: Job) -> None:
        self.job, self.store, self.products = job, store, Products(store, job)
        self._control = Control(store, job.directory)
        self._due = 0.0
        self.plan = JobPlan.of(job)

    @property
    def state(self) -> ControlState:
        return self._control.state

    def look(self, *, every: float) -> ControlState:
        """The control state, not older than so many seconds."""
        now = time.monotonic()
        if now >= self._due:
            before = self.state
            if self._control.look() != before:
                self.plan = JobPlan.of(self.job, self.state)
            self._due = now + every
        return self.state


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


class Desk:
    """Makes products, one after the other.

    Args:
        settings: of the worker.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings, self._farm = settings, settings.farm
        self._redis = connect(settings.broker_url, timeout=5.0)
        self._queues = Queues(self._redis, current_app._get_current_object())
        self._leases = Leases(
            self._redis,
            seconds=self._farm.lease_seconds,
            heartbeat=self._farm.heartbeat_seconds,
            worker=settings.name,
        )
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
            self._tell(opened, ticket, ticket.task)
            return "it is there already"
        if opened.look(every=self._control_seconds).stops(ticket.task):
            return "the job is held, or does not want the frame any more"
        inputs = plan.inputs(opened.plan, ticket.task, opened.products)
        missing = [] if inputs is None else [name for name in inputs if not opened.products.exists(name)]
        if inputs is None or missing:
            self._tell(opened, ticket, "")
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

    # --- the attempt --------------------------------------------------------------------------------------------------

    def _attempt(self, opened: OpenJob, ticket: Ticket, lease: Lease) -> str:
        store, directory, task = opened.store, opened.job.directory, ticket.task
        try:
            number = attempts.begin(store, directory, task, worker=self._settings.name)
        except StoreFault as error:
            return self._let_go(ticket, error)
        if number >= self._farm.max_raises and attempts.conclude(store, directory, task, self._farm, before=number):
            attempts.end(store, directory, task, number, outcome="cancelled", reason="it is parked")
            self._tell(opened, ticket, names.failure(task))
            return "it is parked"
        story = TaskLog()
        story.add("info", "start", {"attempt": number, "worker": self._settings.name})
        logger = logging.getLogger("pipeline")
        logger.addHandler(story)
        start = time.monotonic()
        try:
            outcome, reason = self._make(opened, ticket, lease, story)
        except Exception as error:
            if isinstance(error, StoreFault) and error.full:
                attempts.forget(store, directory, task, number)
                return self._let_go(ticket, error)
            story.add("error", traceback.format_exc())
            outcome, reason = "raised", f"{type(error).__name__}: {error}"
        finally:
            logger.removeHandler(story)
        try:
            attempts.end(store, directory, task, number, outcome=outcome, reason=reason, log=story.lines)
        except StoreFault as error:
            attempts.forget(store, directory, task, number)
            self._let_go(ticket, error)
        if outcome == "raised":
            if attempts.conclude(store, directory, task, self._farm):
                self._tell(opened, ticket, names.failure(task))
            raise TaskFailed(f"{task}: {reason}")
        if outcome == "cancelled":
            return f"let go: {reason}"
        self._next(opened, ticket)
        return f"{'made' if outcome == 'made' else 'made by another'} in {time.monotonic() - start:.1f} s"

    def _make(self, opened: OpenJob, ticket: Ticket, lease: Lease, story: TaskLog) -> tuple[Outcome, str]:
        context = Context(
            cancelled=self._cancel_asked(opened, ticket),
            progress=lease.progress,
            blobs=opened.store.path(BLOBS),
            cache=self._cache,
            farm=self._farm,
        )
        start = time.monotonic()
        try:
            facts, arrays = recipe_of(opened.job)(ticket.task, opened.job, opened.products, context)
        except Cancelled:
            return "cancelled", "somebody asked for it"
        except ProductError as error:
            inputs = plan.inputs(opened.plan, ticket.task, opened.products)
            if inputs is None or not all(opened.products.exists(name) for name in inputs):
                self._tell(opened, ticket, "")
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
        return ("made", "") if published else ("double", "another worker was first")

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

    def _next(self, opened: OpenJob, ticket: Ticket) -> None:
        """Sends the direct dependants that can start now, and tells the dispatcher."""
        job = opened.job
        ready = [] if opened.state.held else plan.after(opened.plan, ticket.task, opened.products)
        try:
            for task in ready:
                offered = self._queues.offer(
                    Ticket(ticket.store, ticket.job, task),
                    queue=queue_name(names.queue(task), device_of(job.environment), job.environment_key),
                    priority=opened.plan.priority,
                    mark_seconds=mark_seconds(self._farm),
                )
                if offered == "full":
                    break
        except (RedisError, OperationalError) as error:
            log.warning("the broker is away (%s); the dispatcher will find what comes after %s", error, ticket.task)
        self._tell(opened, ticket, ticket.task)

    def _tell(self, opened: OpenJob, ticket: Ticket, name: str) -> None:
        """Reports to the dispatcher; what is not heard, it finds by itself."""
        try:
            self._queues.wake(ticket.store, job=opened.job.id, task=name)
        except RedisError as error:
            log.warning("the broker is away (%s); the dispatcher will find %s by itself", error, name or "this")

    def _let_go(self, ticket: Ticket, error: StoreFault) -> str:
        """The store is at fault: no attempt counts."""
        log.error("%s of %s lets go: %s", ticket.task, ticket.job, error)
        if error.full:
            self._hold(ticket, error, needed=0)
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
