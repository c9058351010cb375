"""What runs in a worker's parent process beside Celery: presence, the dispatcher, and reports of crashed children.

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
from typing import TYPE_CHECKING, Any

from billiard.exceptions import WorkerLostError
from redis.exceptions import RedisError

from pipeline.errors import PenumbraError
from pipeline.farm import attempts
from pipeline.farm.dispatch import Dispatcher
from pipeline.farm.job import directory_of
from pipeline.farm.leases import running
from pipeline.farm.queues import Queues, Ticket, connect, key
from pipeline.farm.store import open_store
from workers.settings import WorkerSettings

if TYPE_CHECKING:
    from celery import Celery

__all__ = ["BEATS_MISSED", "BEAT_SECONDS", "Parent"]

log = logging.getLogger(__name__)

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
        app: Celery application, to send tasks with.
    """

    def __init__(self, settings: WorkerSettings, app: Celery) -> None:
        self._settings = settings
        self._redis = connect(settings.broker_url)
        self._sender = Queues(connect(settings.broker_url), app)
        self._stores = {url: open_store(url) for url in settings.stores}
        self._ended = threading.Event()
        self._dispatcher = Dispatcher(
            connect(settings.broker_url), app, self._stores, farm=settings.farm, worker=settings.name
        )
        self._threads = [
            threading.Thread(target=self._beat, name="presence", daemon=True),
            threading.Thread(target=self._dispatcher.run, name="dispatcher", daemon=True),
        ]

    def start(self) -> None:
        """Starts the threads; called again after each reconnection to the broker."""
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
        record = {
            "name": settings.name,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "device": settings.device,
            "slots": settings.slots,
            "queues": list(settings.queues),
            "stores": list(settings.stores),
            "environments": list(settings.environments),
            "weights": settings.weights,
            "started": round(time.time(), 3),
        }
        name, text = key("worker", settings.name), json.dumps(record)
        away = True
        while True:
            try:
                self._redis.set(name, text, px=int(1000 * BEAT_SECONDS * BEATS_MISSED))
                if away:  # the dispatchers count the slots anew
                    for url in settings.stores:
                        self._sender.wake(url)
                away = False
            except RedisError as error:
                log.warning("the broker is away (%s); trying again", error)
                away = True
            if self._ended.wait(BEAT_SECONDS):
                break
        try:
            self._redis.delete(name)
        except RedisError as error:
            log.warning("the broker is away (%s); this worker will be counted a few seconds longer", error)

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
            for held in running(self._redis, store=ticket.store, job=ticket.job):
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
