"""What runs in a worker's parent process beside Celery: presence, the queues that it serves, the dispatcher, and
reports of crashed children.

Every other second the parent asks what the worker is to do (the roster, workstation hours) and which queues there are,
and has Celery consume from those that the worker may serve now.

No Mitsuba, no torch, and nothing long on Celery's own thread.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import socket
import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from billiard.exceptions import WorkerLostError
from redis.exceptions import RedisError

from pipeline.errors import PenumbraError
from pipeline.farm import attempts
from pipeline.farm.attempts import Trouble
from pipeline.farm.dispatch import Dispatcher
from pipeline.farm.hours import Hours
from pipeline.farm.job import directory_of
from pipeline.farm.leases import running
from pipeline.farm.queues import Queues, Report, Ticket, connect, key
from pipeline.farm.requirements import Offer
from pipeline.farm.roster import Standing, standing
from pipeline.farm.store import open_store
from workers.settings import WorkerSettings

if TYPE_CHECKING:
    pass

__all__ = ["BEATS_MISSED", "BEAT_SECONDS", "Parent"]

log = logging.getLogger(__name__)

State = Literal["working", "resting", "out", "draining"]

BEAT_SECONDS = 2.0
BEATS_MISSED = 4
"""A worker that was not heard of for so many beats is not counted any more."""

OWN_FAULT = frozenset(
    {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGSYS}
)
"""Signals by which a process ends through its own doing. SIGKILL is the operator's, or the kernel's short of memory."""


class Parent:
    """The threads of a worker's parent process, started when Celery is ready for tasks.

    Args:
        settings: of the worker.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._redis = connect(settings.broker_url)
        self._sender = Queues(connect(settings.broker_url))
        self._stores = {url: open_store(url) for url in settings.stores}
        self._ended = threading.Event()
        self._started = time.time()
        self._hours = Hours.parse(settings.hours)
        self._offer = Offer(settings.name, frozenset(settings.pools), frozenset(settings.tags), settings.memory)
        self._standings: dict[str, Standing] = {}
        # A drain that was asked of the process before this one is over.
        self._outlived = {url: {standing(store, settings.name).number} for url, store in self._stores.items()}
        self._serving: list[str] = []
        self._rested = False
        self._consumer: Any = None
        self._dispatcher = Dispatcher(
            connect(settings.broker_url), self._stores, farm=settings.farm, worker=settings.name
        )
        self._threads = [
            threading.Thread(target=self._beat, name="presence", daemon=True),
            threading.Thread(target=self._dispatcher.run, name="dispatcher", daemon=True),
        ]

    def start(self, consumer: Any) -> None:
        """Starts the threads; called again after each reconnection to the broker.

        Args:
            consumer: Celery's, whose queues are changed as it goes.
        """
        self._consumer = consumer
        for thread in self._threads:
            if thread.ident is None:
                thread.start()

    def stop(self) -> None:
        """The worker takes no more tasks: it is not counted any more, and another one may dispatch."""
        self._ended.set()
        self._dispatcher.stop()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=5.0)

    def _beat(self) -> None:
        settings = self._settings
        described = {
            "name": settings.name,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "device": settings.device,
            "slots": settings.slots,
            "queues": list(settings.queues),
            "stores": list(settings.stores),
            "environments": list(settings.environments),
            "weights": settings.weights,
            "pools": list(settings.pools),
            "tags": list(settings.tags),
            "memory": settings.memory,
            "hours": settings.hours,
            "started": round(self._started, 3),
        }
        name, away = key("worker", settings.name), True
        while True:
            try:
                state, reason = self._state()
                changed = self._serve(self._served(state))
                self._ask_children_to_stop(state)
                record = {**described, "state": state, "reason": reason, "serving": self._serving}
                self._redis.set(name, json.dumps(record), px=int(1000 * BEAT_SECONDS * BEATS_MISSED))
                if away or changed:  # the dispatchers count the slots anew
                    for url in settings.stores:
                        self._sender.wake(url)
                away = False
                if state == "draining":
                    log.info("drained: running tasks come to their end, then this worker ends")
                    os.kill(os.getpid(), signal.SIGTERM)
                    break
            except PenumbraError as error:
                log.warning("the worker goes on as it is: %s", error)
            except RedisError as error:
                log.warning("the broker is away (%s); trying again", error)
                away = True
            if self._ended.wait(BEAT_SECONDS):
                break
        try:
            self._redis.delete(name)
        except RedisError as error:
            log.warning("the broker is away (%s); this worker will be counted a few seconds longer", error)

    # --- what it is to do -----------------------------------------------------------------------------------------

    def _state(self) -> tuple[State, str]:
        """What the worker is to do now, and why.

        Raises:
            PenumbraError: the roster cannot be read.
        """
        for url, store in self._stores.items():
            found = self._standings[url] = standing(store, self._settings.name, self._standings.get(url))
            if found.order == "out":
                return "out", found.reason
            if found.order == "drain" and found.number not in self._outlived[url]:
                return "draining", found.reason
        if not self._hours.hold(datetime.now()):
            return "resting", f"hours are {self._settings.hours}"
        return "working", ""

    def _served(self, state: State) -> list[str]:
        """The queues that the worker may serve now. Raises `RedisError` while the broker is away."""
        if state != "working":
            return []
        plain = self._settings.queues
        classes = self._sender.classes(self._settings.stores)
        met = [
            queue
            for queue, wanted in sorted(classes.items())
            if queue.rpartition(".")[0] in plain and wanted.met_by(self._offer)
        ]
        return [*(plain if "" in self._settings.pools else ()), *met]

    def _serve(self, queues: list[str]) -> bool:
        """Has Celery consume from these queues and no others; whether that is news."""
        if queues == self._serving:
            return False
        gone = [queue for queue in self._serving if queue not in queues]
        new = [queue for queue in queues if queue not in self._serving]
        consumer = self._consumer

        def change() -> None:  # on Celery's own thread
            for queue in gone:
                consumer.cancel_task_queue(queue)
            for queue in new:
                consumer.add_task_queue(queue)

        consumer.call_soon(change)
        self._serving = queues
        return True

    def _ask_children_to_stop(self, state: State) -> None:
        """Whose workstation it is wants it back: what runs lets go between waves."""
        name = key("stopping", self._settings.name)
        if state == "resting":
            self._redis.set(name, "1", px=int(1000 * BEAT_SECONDS * BEATS_MISSED))
        elif self._rested:
            self._redis.delete(name)
        self._rested = state == "resting"

    # --- crashed children -----------------------------------------------------------------------------------------

    def on_task_failure(self, sender: Any = None, exception: object = None, args: Any = (), **_: object) -> None:
        """A child died over a task (what a task raised is told by the child itself)."""
        if not isinstance(exception, WorkerLostError):
            return
        ticket = Ticket(*args)
        threading.Thread(target=self._tell_of_crash, args=(ticket, str(exception)), daemon=True).start()

    def _tell_of_crash(self, ticket: Ticket, how: str) -> None:
        """Frees the task of a child that died, and notes the attempt's end if the task itself was at fault."""
        log.warning("%s of %s: %s", ticket.task, ticket.job, how)
        try:
            if was_own_fault(how):
                self._note_crash(ticket, how)
            for held in running(self._redis, store=ticket.store, job=ticket.job):  # another attempt's lease stays
                if held.ticket == ticket and held.worker == self._settings.name and not _alive(held.pid):
                    self._redis.delete(key("lease", ticket), key("sent", ticket))
        except (RedisError, PenumbraError) as error:
            log.warning("the dispatcher will find %s by itself: %s", ticket.task, error)

    def _note_crash(self, ticket: Ticket, how: str) -> None:
        store, directory = self._stores[ticket.store], directory_of(ticket.job)
        last = attempts.history(store, directory, ticket.task)[-1:]
        for attempt in last:
            ours = attempt.host == socket.gethostname() and attempt.worker == self._settings.name
            if ours and attempt.outcome is None and not _alive(attempt.pid):
                attempts.end(store, directory, ticket.task, attempt.n, outcome="crashed", reason=how)
                at = round(time.time(), 3)
                trouble = Trouble(ticket.task, attempt.n, attempt.worker, attempt.host, "crashed", how, [], at)
                attempts.note_trouble(store, directory, trouble)
                self._sender.wake(
                    ticket.store, Report(ticket.job, ticket.task, "crashed", attempt.n, self._settings.name)
                )


def was_own_fault(how: str) -> bool:
    """Whether a child's end, as Celery's pool tells it, was its own doing.

    >>> was_own_fault("Worker exited prematurely: signal 11 (SIGSEGV) Job: 3.")
    True
    >>> was_own_fault("Worker exited prematurely: signal 9 (SIGKILL) Job: 3.")
    False
    """
    if match := re.search(r"signal (\d+)", how):
        return int(match[1]) in OWN_FAULT
    return re.search(r"exitcode \d+", how) is not None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
