"""The dispatcher: keeps the queues filled, and brings back what was lost.

Each worker's parent process runs one in a thread. For each store one of them leads, under a lease in Redis, and the
others stand by. The leader starts from the store's marks of active jobs and keeps a board for each; finished tasks are
reported to it through a list in Redis, and whatever was not reported it finds by itself: a task that was sent, whose
product is not there, that is in no queue and on which nobody holds a lease, was lost and is sent again. So everything
in Redis may vanish at any time.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from pipeline.config.farm import Farm
from pipeline.errors import PenumbraError
from pipeline.farm import job as jobs
from pipeline.farm import names
from pipeline.farm.board import Board
from pipeline.farm.leases import Leadership, remaining
from pipeline.farm.queues import KINDS, Queues, Ticket, device_of, key, queue_name
from pipeline.farm.store import BLOBS, Store, StoreFault

if TYPE_CHECKING:
    from celery import Celery
    from redis import Redis

__all__ = ["CONTROL_SECONDS", "Dispatcher", "held_because", "hold", "mark_seconds"]

log = logging.getLogger(__name__)

CONTROL_SECONDS = 2.0
"""Longest time between two looks at control records, unless the profile says less."""
HOLD_SECONDS = 1.0
"""Time between two looks at whether the store is full."""
LEASES_TO_WRITE = 10
"""Lives of a lease after which a file that was not finished is a dead worker's."""
RELISTED_PER_SWEEP = 50
"""Frames that a sweep lists anew: some ten milliseconds on a local disk, a second on a slow network file system."""
STOP_SECONDS = 0.5
"""How long the dispatcher listens without looking whether it is to stop."""
LEAST_PATIENCE = 0.01
"""Redis takes a shorter time-out for none at all."""
PROBE_BYTES = 1 << 16
"""Least room that a full store must have again before work goes on."""


def mark_seconds(farm: Farm) -> float:
    """For how long a task may be without a lease: its holder writes one that vanished anew within a heartbeat."""
    return farm.heartbeat_seconds + 0.5


def hold(redis: Redis, store: str, *, needed: int, reason: str) -> None:
    """Stops all work on a store that is full, until the dispatcher finds room for so many bytes."""
    record = {"needed": needed, "reason": reason, "at": round(time.time(), 3)}
    redis.set(key("hold", store), json.dumps(record), nx=True)


def held_because(redis: Redis, store: str) -> str | None:
    """Why all work on a store is stopped; None when it is not."""
    text: Any = redis.get(key("hold", store))
    return None if text is None else str(json.loads(text)["reason"])


class Dispatcher:
    """Dispatches the jobs of some stores, as far as this process leads them.

    Args:
        redis: a connection of its own.
        app: Celery application, to send tasks with.
        stores: by their URLs.
        farm: leases, limits and times.
        worker: name of the worker in whose parent process this runs.
    """

    def __init__(self, redis: Redis, app: Celery, stores: Mapping[str, Store], *, farm: Farm, worker: str) -> None:
        self._redis, self._queues, self._farm = redis, Queues(redis, app), farm
        self._desks = {
            url: StoreDesk(self._redis, self._queues, store, farm, worker=worker) for url, store in stores.items()
        }
        self._ended = threading.Event()

    def stop(self) -> None:
        """Ends `run` soon: see `STOP_SECONDS`."""
        self._ended.set()

    def run(self) -> None:
        """Dispatches until `stop`; outlives every absence of Redis or of a store."""
        away = False
        while not self._ended.is_set():
            try:
                self._turn()
                away = False
            except (RedisError, OperationalError) as error:
                if not away:
                    log.warning("the broker is away (%s); trying again", error)
                away = True
                self._ended.wait(0.5)
        for desk in self._desks.values():
            try:
                desk.leadership.give_back()
            except RedisError as error:
                log.warning("the broker is away (%s); another dispatcher takes over when the lease ends", error)

    def _turn(self) -> None:
        leading = [desk for desk in self._desks.values() if desk.leads()]
        if not leading:
            self._ended.wait(min(1.0, self._farm.lease_seconds / 10))
            return
        for desk, reports in self._listen(leading):
            try:
                desk.turn(reports)
            except PenumbraError as error:
                log.error("%s", error)
                if isinstance(error, StoreFault) and error.full:
                    hold(self._redis, desk.store.url, needed=PROBE_BYTES, reason=str(error))
                desk.forget()
                self._ended.wait(1.0)

    def _listen(self, leading: list[StoreDesk]) -> list[tuple[StoreDesk, list[tuple[str, str]]]]:
        """Waits for a report, no longer than until something is due; then takes all that are there."""
        patience = min(STOP_SECONDS, *(desk.patience() for desk in leading))
        by_key = {key("wake", desk.store.url): desk for desk in leading}
        first: Any = self._redis.blpop(list(by_key), timeout=patience) if patience > LEAST_PATIENCE else None
        found: dict[str, list[str]] = {name: [] for name in by_key}
        if first is not None:
            found[str(first[0])].append(str(first[1]))
        for name, texts in found.items():
            more: Any = self._redis.lpop(name, 1000)
            texts.extend(more or [])
        return [(desk, [(job, task) for job, task in map(json.loads, found[name])]) for name, desk in by_key.items()]


class StoreDesk:
    """The dispatching of one store's jobs. Raises `RedisError` from anywhere while the broker is away."""

    def __init__(self, redis: Redis, queues: Queues, store: Store, farm: Farm, *, worker: str) -> None:
        self.store = store
        self.leadership = Leadership(redis, store.url, seconds=farm.lease_seconds, worker=worker)
        self._redis, self._queues, self._farm = redis, queues, farm
        self._boards: dict[str, Board] = {}
        self._unreadable: set[str] = set()
        self._leading = False
        self._sweep_due = self._control_due = self._hold_due = self._probe_due = 0.0
        self._full = False
        self._control_seconds = min(CONTROL_SECONDS, farm.control_seconds / 2)
        self._slots: dict[str, int] = {}

    def leads(self) -> bool:
        """Takes or renews the leadership; forgets everything when it was lost."""
        leads = self.leadership.hold()
        if leads and not self._leading:
            log.info("dispatching %s", self.store.url)
            self._sweep_due = 0.0
        if not leads:
            self.forget()
        self._leading = leads
        return leads

    def forget(self) -> None:
        """Drops all boards: they are made anew from the store."""
        self._boards.clear()
        self._sweep_due = 0.0

    def patience(self) -> float:
        """Seconds until something is due without a report."""
        return max(0.0, min(self._sweep_due, self._control_due, self._hold_due) - time.monotonic())

    def turn(self, reports: list[tuple[str, str]]) -> None:
        """Enters what was reported, does what is due, and fills the queues."""
        for job_id, task in reports:
            self._enter(job_id, task)
        if any(not task for _, task in reports):
            self._control_due = 0.0
        now = time.monotonic()
        if now >= self._sweep_due:
            self._sweep()
            self._sweep_due = time.monotonic() + self._farm.sweep_seconds
        if now >= self._control_due:
            self._look()
            self._control_due = time.monotonic() + self._control_seconds
        for board in list(self._boards.values()):
            self._finish(board)
        if now >= self._hold_due:
            self._full = self._is_full()
            self._hold_due = time.monotonic() + HOLD_SECONDS
        if not self._full:
            self._fill()

    # --- what is reported -----------------------------------------------------------------------------------------

    def _enter(self, job_id: str, task: str) -> None:
        board = self._boards.get(job_id)
        if board is None:
            self._sweep_due = 0.0
        elif task:
            board.enter(task)
        else:
            board.refresh(self.leadership.hold)

    # --- sweeps ---------------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        active = jobs.active(self.store)
        for gone in set(self._boards) - set(active):
            del self._boards[gone]
        for job_id in active:
            if job_id not in self._boards:
                self._open(job_id)
            self.leadership.hold()
        self._count_slots()
        for board in self._boards.values():
            board.relist(RELISTED_PER_SWEEP)
            self._bring_back(board)

    def _open(self, job_id: str) -> None:
        try:
            board = Board(self.store, jobs.load(self.store, job_id))
        except PenumbraError as error:
            if job_id not in self._unreadable:
                log.error("job %s is left alone: %s", job_id, error)
            self._unreadable.add(job_id)
            return
        if board.state.cancelled:
            jobs.deactivate(self.store, board.job)
            return
        board.refresh(self.leadership.hold)
        self._boards[job_id] = board

    def _count_slots(self) -> None:
        slots = {self._queue(board, kind): 0 for board in self._boards.values() for kind in KINDS}
        for worker in self._queues.workers():
            if self.store.url in worker["stores"]:
                for queue in worker["queues"]:
                    slots[queue] = slots.get(queue, 0) + int(worker["slots"])
        self._slots = slots
        depth, seconds = self._farm.queue_depth_per_slot, 10 * max(self._farm.sweep_seconds, 1.0)
        self._queues.set_room(slots, depth, seconds=seconds)

    def _bring_back(self, board: Board) -> None:
        """Finds the tasks that were sent and are in nobody's hands."""
        if not board.at_work:
            return
        waiting = {
            ticket.task
            for tickets in self._queues.waiting(self._queue(board, kind) for kind in KINDS).values()
            for ticket in tickets
            if ticket.store == self.store.url and ticket.job == board.job.id
        }
        now = time.monotonic()
        leases = remaining(self._redis, [self._ticket(board, task) for task in board.at_work])
        for ticket, seconds in leases.items():
            board.sent(ticket.task, now - self._farm.lease_seconds + seconds)
        patience = mark_seconds(self._farm)
        for task, seen in list(board.at_work.items()):
            if task in waiting:
                board.sent(task, now)
            elif self._ticket(board, task) not in leases and now - seen > patience:
                self._save(board, task)

    def _save(self, board: Board, task: str) -> None:
        """A task has vanished: it is done unheard, or it is parked, or it starts again."""
        if not board.enter(task) and not board.park(task, self._farm):
            log.info("%s of %s is in nobody's hands; it is sent again", task, board.job.id)
            board.let_go(task)

    # --- control --------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        for board in self._boards.values():
            before = board.state
            if not board.look():
                continue
            state = board.state
            if state.held or state.skipped != before.skipped or state.priority != before.priority:
                self._withdraw(board)
            if state.cancelled:
                jobs.deactivate(self.store, board.job)

    def _withdraw(self, board: Board) -> None:
        """Takes the job's tasks out of the queues: those that are still wanted go back in as they now should."""
        taken: set[str] = set()

        def is_ours(ticket: Ticket) -> bool:
            ours = ticket.store == self.store.url and ticket.job == board.job.id
            if ours:
                taken.add(ticket.task)
            return ours

        self._queues.withdraw([self._queue(board, kind) for kind in KINDS], is_ours)
        for task in taken:
            board.let_go(task)

    # --- filling the queues ---------------------------------------------------------------------------------------

    def _fill(self) -> None:
        boards = sorted(
            (board for board in self._boards.values() if not board.state.held),
            key=lambda board: (-board.plan.priority, board.job.created, board.job.id),
        )
        for kind in KINDS:
            full: set[str] = set()
            for board in boards:
                queue = self._queue(board, kind)
                while queue not in full and self._slots.get(queue, 0) and (task := board.next(kind)) is not None:
                    if self._send(board, task, queue) == "full":
                        full.add(queue)

    def _send(self, board: Board, task: str, queue: str) -> str:
        if board.enter(task):
            return "there"
        answer = self._queues.offer(
            self._ticket(board, task),
            queue=queue,
            priority=board.plan.priority,
            mark_seconds=mark_seconds(self._farm),
        )
        if answer != "full":
            board.sent(task, time.monotonic())
        return answer

    def _is_full(self) -> bool:
        """The store is full: nothing is sent. Tries whether there is room again."""
        text: Any = self._redis.get(key("hold", self.store.url))
        if text is None:
            return False
        if time.monotonic() < self._probe_due:
            return True
        self._probe_due = time.monotonic() + self._farm.sweep_seconds
        record = json.loads(text)
        for board in self._boards.values():
            self._withdraw(board)
        if not self._has_room(max(PROBE_BYTES, int(record["needed"]))):
            return True
        log.info("%s has room again", self.store.url)
        self._redis.delete(key("hold", self.store.url))
        return False

    def _has_room(self, needed: int) -> bool:
        name = f"{BLOBS}/room-{secrets.token_hex(8)}"
        try:
            piece = bytes(1 << 20)
            self.store.create(name, (piece[: min(len(piece), needed - at)] for at in range(0, needed, len(piece))))
        except StoreFault as error:
            if not error.full:
                raise
            return False
        finally:
            self.store.delete(name)
        return True

    # --- the end of a job -----------------------------------------------------------------------------------------

    def _finish(self, board: Board) -> None:
        if board.ready:
            return
        if board.is_done:
            if board.look():  # frames may have been added in the last moment
                return
            removed = board.remove_what_is_not_needed()
            self.store.sweep(board.job.directory, older_than=LEASES_TO_WRITE * self._farm.lease_seconds)
            log.info("%s is done (%d products that nobody needs are removed)", board.job.id, removed)
        elif board.has_failed:
            log.error("%s has failed: its report cannot be made", board.job.id)
        else:
            return
        jobs.deactivate(self.store, board.job)
        self._boards.pop(board.job.id, None)

    # --- names ----------------------------------------------------------------------------------------------------

    def _ticket(self, board: Board, task: str) -> Ticket:
        return Ticket(self.store.url, board.job.id, task)

    def _queue(self, board: Board, kind: names.Queue) -> str:
        return queue_name(kind, device_of(board.job.environment), board.job.environment_key)
