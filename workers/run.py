"""The body of every task: may it be made now, lease, permits, one attempt, and what can start next.

One `Desk` lives in each child process. It keeps connections, opened jobs and loaded scenes between tasks; Mitsuba and
torch are imported by the recipes, when the first task needs them.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from celery import current_app
from redis.exceptions import RedisError

from pipeline.errors import PenumbraError
from pipeline.farm import attempts, blob_mirror, names, plan
from pipeline.farm.attempts import FAILED
from pipeline.farm.context import Context
from pipeline.farm.full_store import HOLD_SECONDS
from pipeline.farm.leases import Lease, Leases
from pipeline.farm.permits import Permits, permits_of
from pipeline.farm.queues import Queues, Report, Ticket, connect, key
from pipeline.farm.recovery import Remedy, remedy
from pipeline.farm.store import Store, StoreFault, open_store
from pipeline.farm.store_desk import CONTROL_SECONDS
from workers.app import SETTINGS_KEY
from workers.attempt import Attempt, Away, Surroundings
from workers.open_jobs import OpenJob, OpenJobs
from workers.reports import Reports
from workers.settings import WorkerSettings

__all__ = ["Desk", "TaskFailed", "desk"]

log = logging.getLogger(__name__)


class TaskFailed(Exception):
    """What a monitor shows of a task that raised; the whole story is in the task's log."""


@lru_cache(maxsize=1)
def desk() -> Desk:
    """The desk of this process."""
    return Desk(WorkerSettings.from_json(current_app.conf[SETTINGS_KEY]))


class Desk:
    """Makes products, one after the other.

    Args:
        settings: of the worker.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings, self._farm = settings, settings.farm
        self._redis = connect(settings.broker_url, timeout=5.0)
        queues = Queues(self._redis)
        self._reports = Reports(self._redis, queues, self._farm)
        self._shared = Surroundings(settings, self._redis, self._reports)
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
        stores: dict[str, Store] = {url: open_store(url) for url in settings.stores}
        self._jobs = OpenJobs(settings, stores)
        self._at: Attempt | None = None
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
            opened = self._jobs.open(ticket)
            reason = self._why_not(opened, ticket)
            if reason is not None:
                log.info("%s of %s is not made: %s", task, job, reason)
                return reason
            with self._leases.hold(ticket) as lease:
                if not lease.taken:
                    return "another worker is at it"
                reason = self._without_permits(opened, lease)
                if reason is not None:
                    self._reports.tell(ticket, Report(job, task, "deferred"))
                    return f"not now: {reason}"
                return self._attempt(opened, ticket, lease)
        except StoreFault as error:
            return self._reports.away(ticket, error)
        except Away as away:
            return self._reports.away(ticket, away.cause)
        except PenumbraError as error:
            log.error("refused %s of %s: %s", task, job, error)
            return f"refused: {error}"

    # --- before -----------------------------------------------------------------------------------------------------

    def _why_not(self, opened: OpenJob, ticket: Ticket) -> str | None:
        """Why a task is not to be made now; None when it is."""
        if opened.products.exists(ticket.task):
            self._reports.tell(ticket, Report(ticket.job, ticket.task))
            return "it is there already"
        state = opened.look(every=self._control_seconds)
        if state.holds(ticket.task):
            return "the job is held, or does not want the frame any more"
        if self._settings.name in state.barred:
            self._reports.tell(ticket, Report(ticket.job, ticket.task, "deferred"))
            return "this worker is kept off the job"
        inputs = plan.inputs(opened.plan, ticket.task, opened.products)
        missing = [] if inputs is None else [name for name in inputs if not opened.products.exists(name)]
        if inputs is None or missing:
            self._reports.tell(ticket, Report(ticket.job))
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
        """Makes the product under a number of its own.

        Raises:
            TaskFailed: the recipe raised.
            Away, StoreFault: the store or a licence is away.
        """
        store, directory, task, name = opened.store, opened.job.directory, ticket.task, self._settings.name
        number = attempts.begin(store, directory, task, worker=name, memory=self._settings.memory)
        lease.begun(number)
        attempt = Attempt(self._shared, opened, ticket, lease, number)
        try:
            found = self._learnt(opened, task, number)
            if found.park is not None:
                attempts.end(store, directory, task, number, outcome="cancelled", reason="it failed too often")
                self._reports.tell(ticket, Report(ticket.job, task, "cancelled", number, name))
                return "it failed too often"
            context = self._context(opened, attempt, shrink=found.waves)
        except StoreFault:
            attempt.take_back()
            raise
        self._at = attempt
        start = time.monotonic()
        try:
            outcome, reason = attempt.run(context)
        finally:
            self._at = None
        if outcome in FAILED or outcome == "memory":
            raise TaskFailed(f"{task}: {reason}")
        if outcome not in ("made", "double"):
            return f"let go: {reason}"
        self._reports.made(opened, lease, Report(ticket.job, task, outcome, number, name))
        return f"{'made' if outcome == 'made' else 'made by another'} in {time.monotonic() - start:.1f} s"

    def _learnt(self, opened: OpenJob, task: str, number: int) -> Remedy:
        """What the attempts before this one teach."""
        if number == 0:
            return Remedy()
        tried = attempts.history(opened.store, opened.job.directory, task)
        return remedy([each for each in tried if each.n < number], self._farm, barred=opened.state.barred)

    def _context(self, opened: OpenJob, attempt: Attempt, *, shrink: int) -> Context:
        """The surroundings of the recipe."""
        return Context(
            cancelled=self._cancel_asked(opened, attempt.ticket),
            progress=attempt.lease.progress,
            blobs=blob_mirror.directory(opened.store),
            cache=self._cache,
            farm=self._farm,
            shrink=shrink,
            rate=attempt.rate(),
        )

    def _on_stuck(self, lease: Lease) -> None:
        """A task makes no progress. From the thread of the leases: ends this process, after it has told why."""
        attempt = self._at
        if attempt is None or attempt.lease is not lease:
            return
        try:
            attempt.stuck()
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
