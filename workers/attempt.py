"""One attempt at a task: the recipe, its publication, and how it ended.

What goes wrong is told by its class (`recovery.classified`): what is the task's own, and uses up a retry; what is a
matter of memory, and leads to smaller waves or a larger device; what is nobody's fault, and leaves no attempt behind.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from redis.exceptions import RedisError

from pipeline.errors import ProductError
from pipeline.farm import attempts, blob_mirror, names, plan
from pipeline.farm.attempts import FAILED, Outcome, Trouble
from pipeline.farm.context import Cancelled, Context
from pipeline.farm.job import Job
from pipeline.farm.leases import Lease
from pipeline.farm.products import Products
from pipeline.farm.queues import Report, Ticket
from pipeline.farm.rates import note_rate, rate_of
from pipeline.farm.recovery import classified
from pipeline.farm.store import StoreFault
from workers.open_jobs import OpenJob
from workers.reports import Reports
from workers.settings import WorkerSettings
from workers.task_log import TaskLog

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["Attempt", "Away", "Surroundings", "recipe_of"]

log = logging.getLogger(__name__)

Make = Callable[[str, Job, Products, Context], tuple[Mapping[str, Any], Mapping[str, NDArray[Any]]]]


class Away(Exception):
    """The store or a licence is away: the attempt is taken back. The cause is its argument."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


@dataclass(frozen=True)
class Surroundings:
    """What all attempts of a child share."""

    settings: WorkerSettings
    redis: Redis
    reports: Reports


class Attempt:
    """One attempt, from its number to its end.

    Args:
        shared: with the other attempts of this child.
        opened: the job.
        ticket: the task.
        lease: on it.
        number: of the attempt.
    """

    def __init__(self, shared: Surroundings, opened: OpenJob, ticket: Ticket, lease: Lease, number: int) -> None:
        self._shared, self._opened, self.ticket, self.lease, self._number = shared, opened, ticket, lease, number
        self._farm = shared.settings.farm
        self._story = TaskLog()

    def run(self, context: Context) -> tuple[Outcome, str]:
        """Makes the product and publishes it; how that ended, and why.

        Raises:
            Away: the store or a licence is; nothing of the attempt is left.
        """
        self._story.add("info", "start", {"attempt": self._number, "worker": self._shared.settings.name})
        logger = logging.getLogger("pipeline")
        logger.addHandler(self._story)
        try:
            outcome, reason = self._make(context)
        except Exception as error:
            outcome, reason = classified(error, self._farm), f"{type(error).__name__}: {error}"
            if outcome == "away":
                self.take_back()
                raise Away(error) from error
            self._story.add("error", traceback.format_exc())
        finally:
            logger.removeHandler(self._story)
        return self._end(outcome, reason), reason

    def take_back(self) -> None:
        """As if the attempt had never begun. Where the store does not answer to that either, it counts as lost."""
        with contextlib.suppress(StoreFault):
            attempts.forget(self._opened.store, self._opened.job.directory, self.ticket.task, self._number)

    def stuck(self) -> None:
        """No progress for too long. From another thread: notes where the task is, and that it failed."""
        main = sys._current_frames().get(threading.main_thread().ident or 0)
        if main is not None:
            self._story.add("error", "stuck at\n" + "".join(traceback.format_stack(main)))
        with contextlib.suppress(Away):
            self._end("stuck", f"no progress for {self._farm.stuck_seconds:.0f} s")

    def _make(self, context: Context) -> tuple[Outcome, str]:
        opened, task = self._opened, self.ticket.task
        start = time.monotonic()
        blob_mirror.fetch_frame(opened.store, opened.job, names.parse(task).frame)
        try:
            facts, arrays = recipe_of(opened.job)(task, opened.job, opened.products, context)
        except Cancelled:
            return "cancelled", "somebody asked for it"
        except ProductError as error:
            inputs = plan.inputs(opened.plan, task, opened.products)
            if inputs is None or not all(opened.products.exists(name) for name in inputs):
                self._shared.reports.tell(self.ticket, Report(self.ticket.job))
                return "cancelled", f"an input is gone: {error}"
            raise
        self._story.add("info", "computed", {"took": round(time.monotonic() - start, 3), **_plain(facts)})
        start = time.monotonic()
        try:
            published = opened.products.publish(task, facts, arrays)
        except StoreFault as error:
            if error.full:
                self._shared.reports.full(self.ticket, error, needed=sum(array.nbytes for array in arrays.values()))
            raise
        self._story.add("info", "published", {"took": round(time.monotonic() - start, 3)})
        self._note_rate(facts)
        return ("made", "") if published else ("double", "another worker was first")

    def rate(self) -> float | None:
        """What the job's slices reached so far, for a slice plan."""
        if names.parse(self.ticket.task).kind != "samples":
            return None
        try:
            return rate_of(self._shared.redis, self.ticket.store, self.ticket.job)
        except RedisError:
            return None  # the profile's rate will do

    def _note_rate(self, facts: Mapping[str, Any]) -> None:
        if names.parse(self.ticket.task).kind == "passes":
            samples, seconds = int(facts["samples"]), float(facts["seconds"])
            with contextlib.suppress(RedisError):  # the next slice tells it again
                note_rate(self._shared.redis, self.ticket.store, self.ticket.job, samples, seconds)

    def _end(self, outcome: Outcome, reason: str) -> Outcome:
        """Writes down how the attempt ended, and reports it if it failed; what became of it.

        Raises:
            Away: the store is, so that nobody can be told why a task failed: it is tried again.
        """
        store, directory, ticket = self._opened.store, self._opened.job.directory, self.ticket
        task, number, worker = ticket.task, self._number, self._shared.settings.name
        failed = outcome in FAILED or outcome == "memory"
        try:
            if failed and attempts.superseded(store, directory, task, number):
                outcome, failed = "superseded", False
            attempts.end(store, directory, task, number, outcome=outcome, reason=reason, log=self._story.lines)
            if failed:
                said = [str(line) for line in self._story.lines]
                host, at = socket.gethostname(), round(time.time(), 3)
                trouble = Trouble(task, number, worker, host, outcome, reason, said, at)
                attempts.note_trouble(store, directory, trouble)
        except StoreFault as error:
            if outcome not in ("made", "double"):
                self.take_back()
                raise Away(error) from error
            log.warning("the log of %s cannot be kept: %s", task, error)
        if failed:
            self._shared.reports.tell(ticket, Report(ticket.job, task, outcome, number, worker))
        return outcome


def recipe_of(job: Job) -> Make:
    """The recipes of a job's engine, imported when they are needed."""
    if job.engine == "rehearsal":
        from pipeline.farm import recipes_rehearsal

        return recipes_rehearsal.make
    if job.engine == "errand":
        from pipeline.farm import recipes_errand

        return recipes_errand.make
    from pipeline.farm import recipes

    return recipes.make


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts that fit into a log's line."""
    return {name: value for name, value in facts.items() if isinstance(value, (str, int, float, bool))}
