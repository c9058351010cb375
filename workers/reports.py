"""What a child tells others: the dispatcher of what became of a task, and the workers of what can start next.

All of it is said once, to a Redis that may be away: what is not heard, the dispatcher finds by itself.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from pipeline.config.farm import Farm
from pipeline.farm import plan
from pipeline.farm.filling import mark_seconds
from pipeline.farm.full_store import hold
from pipeline.farm.leases import Lease
from pipeline.farm.permits import permits_of
from pipeline.farm.queues import Queues, Report, Ticket, key
from pipeline.farm.recovery import LONGEST_DELAY
from pipeline.farm.store import StoreFault
from workers.open_jobs import OpenJob

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["Reports"]

log = logging.getLogger(__name__)


class Reports:
    """Tells the dispatcher.

    Args:
        redis: the broker.
        queues: of the farm.
        farm: limits and times.
    """

    def __init__(self, redis: Redis, queues: Queues, farm: Farm) -> None:
        self._redis, self._queues, self._farm = redis, queues, farm

    def tell(self, ticket: Ticket, report: Report) -> None:
        """What became of a task."""
        try:
            self._queues.wake(ticket.store, report)
        except RedisError as error:
            log.warning("the broker is away (%s); the dispatcher will find %s by itself", error, report.task or "this")

    def made(self, opened: OpenJob, lease: Lease, report: Report) -> None:
        """A product is there: sends the direct dependants that can start now; the dispatcher is told with the lease.

        What waits for other jobs, or for permits, is left to the dispatcher.
        """
        ticket = lease.ticket
        try:
            self._send_next(opened, ticket)
        except RedisError as error:
            log.warning("the broker is away (%s); the dispatcher will find what comes after %s", error, ticket.task)
        except StoreFault as error:
            log.warning("%s; the dispatcher will find what comes after %s", error, ticket.task)
        lease.report = report

    def _send_next(self, opened: OpenJob, ticket: Ticket) -> None:
        if opened.state.held or opened.terms.after:
            return
        for task in plan.after(opened.plan, ticket.task, opened.products):
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

    def away(self, ticket: Ticket, error: Exception) -> str:
        """The store or a licence is away: no attempt counts, and the task is tried again after a while."""
        log.error("%s of %s lets go: %s", ticket.task, ticket.job, error)
        if isinstance(error, StoreFault) and error.full:
            self.full(ticket, error, needed=0)
        with contextlib.suppress(RedisError):
            why = f"{type(error).__name__}: {error}"
            self._redis.set(key("away", f"{ticket.store}|{ticket.job}"), why, px=int(1000 * LONGEST_DELAY))
        self.tell(ticket, Report(ticket.job, ticket.task, "away"))
        return f"let go: {error}"

    def full(self, ticket: Ticket, error: StoreFault, *, needed: int) -> None:
        """Stops all work on a full store until there is room for so many bytes."""
        try:
            hold(self._redis, ticket.store, needed=needed, reason=str(error))
        except RedisError as away:
            log.warning("the broker is away (%s), so nobody is told that the store is full", away)
