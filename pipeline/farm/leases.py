"""Leases: who is at work on which task, by Redis' own clock.

A lease is a Redis hash that expires. Its holder renews it from a thread, a few times in its life, and writes it anew
when it has vanished (a flushed or restarted Redis). It is a courtesy, not a lock: who loses it to another goes on,
because two workers that make the same product publish the same bytes, and the second finds the first one's. While
Redis is away, work goes on without leases.

A lease names the attempt that it belongs to, and its permits are renewed with it. A task that makes no progress for too
long is told to whoever made the `Leases`, and its lease is not renewed any more.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from pipeline.farm.queues import WAKES_KEPT, Report, Ticket, key

if TYPE_CHECKING:
    from redis import Redis

    from pipeline.farm.permits import Permits

__all__ = ["Held", "Leadership", "Lease", "Leases", "remaining", "running"]

log = logging.getLogger(__name__)

LEADER_RENEWALS = 3
"""How often the leadership is renewed in the life of a lease."""
STUCK_LEASES = 10
"""Lives of a lease after which a dispatcher that has not asked whether it leads is stuck."""
PROGRESS_SECONDS = 1.0
"""How often a change of a task's progress is written, at most."""
STAND_BY_SECONDS = 1.0
"""How often the others look whether there is a dispatcher."""

TAKE = """
local token = redis.call('HGET', KEYS[1], 'token')
if token and token ~= ARGV[1] then return 0 end
for i = 3, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('HSET', KEYS[1], 'token', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return token and 1 or 2
"""
"""Takes or renews KEYS[1] for ARGV[2] ms, with fields from ARGV[3] on. 0: another holds it; 1: renewed; 2: written."""

RELEASE = """
if KEYS[2] then
  redis.call('RPUSH', KEYS[2], ARGV[2])
  redis.call('LTRIM', KEYS[2], ARGV[3], -1)
end
if redis.call('HGET', KEYS[1], 'token') == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
"""Gives KEYS[1] back, and tells ARGV[2] to who listens at KEYS[2], where there is something to tell."""


class Lease:
    """The lease of one task, while it is held. Made by `Leases.hold`.

    Attributes:
        ticket: the task.
        taken: False when another worker holds it. True also while Redis does not answer.
        token: unique to this hold.
        permits: names that are held with it.
        report: what the dispatcher is told when the lease is given back, in the same question to Redis; None: nothing.
        moved: when the task last made progress, by this process' clock that only goes forward.
    """

    def __init__(self, ticket: Ticket, fields: dict[str, str]) -> None:
        self.ticket, self.taken = ticket, True
        self.token = secrets.token_hex(8)
        self.permits: tuple[str, ...] = ()
        self.report: Report | None = None
        self.fields = fields
        self.due = 0.0
        self.moved = time.monotonic()

    def begun(self, attempt: int) -> None:
        """Notes the number of the attempt."""
        self.fields["attempt"] = str(attempt)
        self.due = 0.0

    def progress(self, done: int, total: int) -> None:
        """Notes how far the task is; others see it within about a second."""
        if (self.fields["done"], self.fields["total"]) != (str(done), str(total)):
            self.fields["done"], self.fields["total"] = str(done), str(total)
            self.due = 0.0
            self.moved = time.monotonic()


class Leases:
    """Takes leases for the tasks of this process, and renews them from a thread.

    Args:
        redis: the broker.
        seconds: how long a lease lives without a renewal.
        heartbeat: seconds between renewals, at most.
        worker: name of the worker, for those who look.
        permits: of the farm.
        stuck_seconds: without progress, after which `on_stuck` is called, once.
        on_stuck: from the thread that renews.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        seconds: float,
        heartbeat: float,
        worker: str,
        permits: Permits | None = None,
        stuck_seconds: float = math.inf,
        on_stuck: Callable[[Lease], object] = lambda lease: None,
    ) -> None:
        self._permits, self._stuck_seconds, self._on_stuck = permits, stuck_seconds, on_stuck
        self._seconds, self._heartbeat, self._worker = seconds, heartbeat, worker
        self._take = redis.register_script(TAKE)
        self._release = redis.register_script(RELEASE)
        self._held: list[Lease] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._keep, name="leases", daemon=True).start()

    @contextlib.contextmanager
    def hold(self, ticket: Ticket) -> Iterator[Lease]:
        """The lease of a task; given back on exit."""
        fields = {
            "worker": self._worker,
            "host": socket.gethostname(),
            "pid": str(os.getpid()),
            "since": f"{time.time():.3f}",
            "attempt": "-1",
            "done": "0",
            "total": "0",
        }
        lease = Lease(ticket, fields)
        self._renew(lease, first=True)
        with self._lock:
            self._held.append(lease)
        try:
            yield lease
        finally:
            with self._lock:
                self._held.remove(lease)
                try:
                    if self._permits is not None and lease.permits:
                        self._permits.give_back(lease.token, lease.permits)
                    self._give_back(lease)
                except RedisError as error:
                    log.warning("lease of %s cannot be given back, it will expire: %s", ticket.task, error)

    def _give_back(self, lease: Lease) -> None:
        keys, args = [key("lease", lease.ticket)], [lease.token]
        if lease.report is not None:
            keys.append(key("wake", lease.ticket.store))
            args += [lease.report.to_json(), str(-WAKES_KEPT)]
        self._release(keys=keys, args=args)

    def _keep(self) -> None:
        pause = min(PROGRESS_SECONDS, self._heartbeat / 2)
        before = time.monotonic()
        while True:
            time.sleep(pause)
            with self._lock:
                now = time.monotonic()
                if (asleep := now - before - pause) > self._heartbeat:
                    # The process was stopped, or the machine slept: that is not the task's time.
                    for lease in self._held:
                        lease.moved += asleep
                before = now
                stuck = [lease for lease in self._held if now - lease.moved > self._stuck_seconds]
                for lease in self._held:
                    if lease not in stuck and now >= lease.due and lease.moved < math.inf:
                        self._renew(lease)
            for lease in stuck:
                lease.moved = math.inf
                self._on_stuck(lease)

    def _renew(self, lease: Lease, *, first: bool = False) -> None:
        lease.due = time.monotonic() + self._heartbeat - PROGRESS_SECONDS / 2
        args: list[str | int] = [lease.token, int(self._seconds * 1000)]
        args += [word for pair in lease.fields.items() for word in pair]
        try:
            answer = self._take(keys=[key("lease", lease.ticket)], args=args)
            if self._permits is not None and lease.permits:
                self._permits.renew(lease.token, lease.permits)
        except RedisError as error:
            log.warning("lease of %s: no answer from the broker, work goes on without: %s", lease.ticket.task, error)
            return
        if not first and answer == 2 and lease.taken:
            log.warning("lease of %s had vanished and is written anew", lease.ticket.task)
        if not first and answer == 0 and lease.taken:
            log.warning("%s is also being made by another worker; the first to publish wins", lease.ticket.task)
        lease.taken = answer != 0


class Leadership:
    """The lease that makes one worker the dispatcher of a store.

    Who leads may be busy for longer than a lease lives: a store that answers slowly, a machine that has much to do. So
    the lease is renewed from a thread, as those of tasks are, for as long as the dispatcher asks now and then whether
    it still leads. One that has not asked for `STUCK_LEASES` lives of a lease is stuck, and another takes over.

    Args:
        redis: the broker.
        store: URL of the store.
        seconds: how long the lease lives without a renewal.
        worker: name of the worker, for those who look.
    """

    def __init__(self, redis: Redis, store: str, *, seconds: float, worker: str) -> None:
        self._key, self._seconds, self._worker = key("leader", store), seconds, worker
        self._token = secrets.token_hex(8)
        self._take = redis.register_script(TAKE)
        self._release = redis.register_script(RELEASE)
        self._lock = threading.Lock()
        self._asked = self._due = 0.0
        self._leads = False
        self._keeper: threading.Thread | None = None

    def hold(self) -> bool:
        """Whether this worker leads; takes the lease if nobody has it. Raises `RedisError` while the broker is away."""
        self._asked = time.monotonic()
        with self._lock:
            if self._renewed() and self._keeper is None:
                self._keeper = threading.Thread(target=self._keep, name="leadership", daemon=True)
                self._keeper.start()
            return self._leads

    def give_back(self) -> None:
        """Lets another worker lead at once. Raises `RedisError` while the broker is away."""
        with self._lock:
            self._leads, self._due = False, 0.0
            self._release(keys=[self._key], args=[self._token])

    def _renewed(self) -> bool:
        """Takes or renews the lease when it is time to."""
        now = time.monotonic()
        if now >= self._due:
            args: list[str | int] = [self._token, int(self._seconds * 1000), "worker", self._worker]
            self._leads = self._take(keys=[self._key], args=args) != 0
            wait = self._seconds / LEADER_RENEWALS
            self._due = now + (wait if self._leads else min(wait, STAND_BY_SECONDS))
        return self._leads

    def _keep(self) -> None:
        """Renews the lease, from a thread that ends with the leadership."""
        pause = threading.Event()
        while not pause.wait(self._seconds / LEADER_RENEWALS / 2):
            with self._lock:
                if self._leads and time.monotonic() - self._asked <= STUCK_LEASES * self._seconds:
                    try:
                        self._renewed()
                    except RedisError:
                        self._due = 0.0  # the dispatcher hears of it when it asks
                if not self._leads:
                    self._keeper = None
                    return


@dataclass(frozen=True, slots=True)
class Held:
    """A lease as others see it.

    Attributes:
        ticket: the task.
        worker, host, pid: who works on it.
        since: start, seconds since the epoch by the worker's clock.
        attempt: its number; −1 where it is just beginning.
        done, total: progress in the task's own units; total is 0 while nothing is known.
    """

    ticket: Ticket
    worker: str
    host: str
    pid: int
    since: float
    attempt: int
    done: int
    total: int


def remaining(redis: Redis, tickets: Iterable[Ticket]) -> dict[Ticket, float]:
    """Seconds for which the leases on these tasks still live; tasks on which nobody is at work are left out."""
    asked = list(tickets)
    pipe = redis.pipeline(transaction=False)
    for ticket in asked:
        pipe.pttl(key("lease", ticket))
    answers = zip(asked, pipe.execute(), strict=True)
    return {ticket: milliseconds / 1000 for ticket, milliseconds in answers if milliseconds >= 0}


def running(redis: Redis, *, store: str = "", job: str = "") -> list[Held]:
    """Every task at work, or those of one store or job. Walks all of Redis' keys: for people, not for the hot path."""
    found: list[Held] = []
    for name in redis.scan_iter(match=key("lease", "*"), count=512):
        ticket = Ticket(*str(name).split(":", 2)[2].rsplit("|", 2))
        if (store and ticket.store != store) or (job and ticket.job != job):
            continue
        fields = {str(field): str(value) for field, value in redis.hgetall(name).items()}
        if fields:
            found.append(
                Held(
                    ticket,
                    fields["worker"],
                    fields["host"],
                    int(fields["pid"]),
                    float(fields["since"]),
                    int(fields["attempt"]),
                    int(fields["done"]),
                    int(fields["total"]),
                )
            )
    return sorted(found, key=lambda one: one.ticket)
