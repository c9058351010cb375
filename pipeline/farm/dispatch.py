"""The dispatcher: keeps the queues filled, and brings back what was lost.

Each worker's parent process runs one in a thread. For each store one of them leads, under a lease in Redis, and the
others stand by. The leader starts from the store's marks of active jobs and keeps a board for each; finished tasks are
reported to it through a list in Redis, and whatever was not reported it finds by itself: a task that was sent, whose
product is not there, that is in no queue and on which nobody holds a lease, was lost and is sent again. So everything
in Redis may vanish at any time.

Who is served next is in `pipeline.farm.shares`, what becomes of a failed task in `recovery`, of a failing worker in
`health`; here they are put to work.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from pipeline.config.farm import Farm
from pipeline.errors import PenumbraError
from pipeline.farm import attempts, control, names, roster
from pipeline.farm import job as jobs
from pipeline.farm.board import Board
from pipeline.farm.health import Health
from pipeline.farm.leases import Leadership, remaining
from pipeline.farm.permits import Permits, permits_of
from pipeline.farm.queues import KINDS, Queues, Report, Ticket, key
from pipeline.farm.requirements import Offer, Requirement, requirement
from pipeline.farm.shares import Claimant, served_first
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
DEFER_SECONDS = 0.5
"""How long a task waits that nobody may take just now; longer each time."""
FARM = "farm"
"""Who asks in control records that the dispatcher writes."""
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

    def _listen(self, leading: list[StoreDesk]) -> list[tuple[StoreDesk, list[Report]]]:
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
        return [(desk, [Report.of(text) for text in found[name]]) for name, desk in by_key.items()]


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
        self._offers: list[Offer] = []
        self._announced: dict[str, Requirement] = {}
        self._health = Health(bar_failures=farm.bar_failures, out_jobs=farm.out_jobs)
        self._permits = Permits.of(redis, farm)

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

    def turn(self, reports: list[Report]) -> None:
        """Enters what was reported, does what is due, and fills the queues."""
        for report in reports:
            self._enter(report)
        if any(not report.task for report in reports):
            self._control_due = 0.0
        now = time.monotonic()
        for board in self._boards.values():
            board.wake(now)
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

    def _enter(self, report: Report) -> None:
        board = self._boards.get(report.job)
        if board is None:
            self._sweep_due = 0.0
        elif not report.task:
            board.refresh(self.leadership.hold)
        elif report.outcome == "deferred":
            board.defer(report.task, time.monotonic(), DEFER_SECONDS)
        elif report.outcome == "away":
            board.defer(report.task, time.monotonic(), self._farm.retry_seconds)
        elif report.outcome in ("", "made", "double"):
            board.enter(report.task)
            if report.outcome == "made":
                failing = self._health.made(report.job, names.queue(report.task), report.worker)
                for worker in failing:
                    self._bar(board, worker)
        else:
            self._failed(board, report.task, report)

    def _failed(self, board: Board, task: str, report: Report | None = None) -> None:
        """A task failed, or vanished: it is there unheard, or it is tried again, or parked."""
        if board.enter(task):
            return
        attempt = None if report is None else report.attempt
        news = board.failed(task, self._farm, time.monotonic(), attempt=attempt, strongest=self._strongest(board))
        if not news or report is None or report.outcome not in attempts.FAILED:
            return
        worker, kind = report.worker, names.queue(task)
        if self._health.failed(report.job, kind, worker, task):
            self._bar(board, worker)

    def _strongest(self, board: Board) -> int | None:
        """Memory of the largest device that may take the job's tasks, MiB; None where there is none."""
        wanted = replace(requirement(board.terms, board.state.barred, "render"), memory=0)
        return max((offer.memory for offer in self._offers if wanted.met_by(offer)), default=None)

    def _bar(self, board: Board, worker: str) -> None:
        """Keeps a worker off a job, if another one is left; takes it out of the farm if this was not the first job."""
        if worker in board.state.barred:
            return
        wanted = requirement(board.terms, board.state.barred | {worker}, "light")
        if not any(wanted.met_by(offer) for offer in self._offers):
            return
        log.warning("%s fails task after task of %s, and is kept off it", worker, board.job.id)
        control.write(self.store, board.job.directory, "bar", worker, after=board.state.records, by=FARM)
        self._control_due = 0.0
        if self._health.barred(board.job.id, worker) and len(self._offers) > 1:
            reason = f"failed task after task of {self._farm.out_jobs} jobs, {board.job.id} the last"
            log.error("%s is taken out of the farm: it %s", worker, reason)
            roster.order(self.store, worker, "out", reason=reason, by=FARM)

    # --- sweeps ---------------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        active = jobs.active(self.store)
        gone = set(self._boards) - set(active)
        self._health.forget(gone)
        for job_id in gone:
            del self._boards[job_id]
        for job_id in active:
            if job_id not in self._boards:
                self._open(job_id)
            self.leadership.hold()
        self._count_slots()
        for board in self._boards.values():
            board.relist(RELISTED_PER_SWEEP)
            board.look_at_others()
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
        slots: dict[str, int] = {}
        self._offers = []
        for worker in self._queues.workers():
            if self.store.url in worker["stores"] and worker["state"] == "working":
                self._offers.append(Offer.of(worker))
                for queue in worker["serving"]:
                    slots[queue] = slots.get(queue, 0) + int(worker["slots"])
        self._slots = slots
        depth, seconds = self._farm.queue_depth_per_slot, self._kept_seconds
        self._queues.set_room(slots, depth, seconds=seconds)
        self._announce(anew=True)
        shows = Counter((board.plan.priority, board.job.show) for board in self._boards.values() if not _idle(board))
        if len(shows) > len({priority for priority, _ in shows}):
            self._queues.share(self.store.url, seconds=seconds)

    @property
    def _kept_seconds(self) -> float:
        """Life of what a sweep writes into Redis."""
        return 10 * max(self._farm.sweep_seconds, 1.0)

    def _announce(self, *, anew: bool = False) -> None:
        """Tells workers of the queues whose tasks require something."""
        found = {
            queue: wanted for board in self._boards.values() for queue, wanted in board.queues.items() if wanted.key
        }
        if anew or found != self._announced:
            self._queues.announce(self.store.url, found, seconds=self._kept_seconds)
            self._announced = found

    def _bring_back(self, board: Board) -> None:
        """Finds the tasks that were sent and are in nobody's hands."""
        if not board.at_work:
            return
        waiting = {
            ticket.task
            for tickets in self._queues.waiting(board.queues).values()
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
                log.info("%s of %s is in nobody's hands", task, board.job.id)
                self._failed(board, task)

    # --- control --------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        for board in list(self._boards.values()):
            before, gate = board.state, board.plan.gate
            if not board.look():
                continue
            state = board.state
            changed = (state.skipped, state.priority, state.barred, state.terms, board.plan.gate)
            if state.held or changed != (before.skipped, before.priority, before.barred, before.terms, gate):
                self._withdraw(board)
            for worker in before.barred - state.barred:
                self._health.allowed(board.job.id, worker)
            if state.barred - before.barred and (pardoned := board.pardon(self._farm)):
                log.info("%s: %s will be tried again by others", board.job.id, ", ".join(pardoned))
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

        self._queues.withdraw(board.queues, is_ours)
        for task in taken:
            board.let_go(task)

    # --- filling the queues ---------------------------------------------------------------------------------------

    def _fill(self) -> None:
        boards = {board.job.id: board for board in self._boards.values() if not board.state.held}
        shows = Counter[str]()
        for board in self._boards.values():
            shows[board.job.show] += len(board.at_work)
        self._used: Counter[str] | None = None
        for kind in KINDS:
            full: set[str] = set()
            left = {
                job_id: Claimant(job_id, board.job.show, board.plan.priority, board.job.created)
                for job_id, board in boards.items()
                if board.next(kind) is not None
            }
            while (chosen := served_first(left.values(), shows, self._farm.shares)) is not None:
                board = boards[chosen.job]
                task = board.next(kind)
                if task is not None and self._start(board, task, full):
                    shows[chosen.show] += 1
                    continue
                del left[chosen.job]
                if board.plain_queue(kind) in full:  # and so it is for all others that would stand in it
                    left = {of: each for of, each in left.items() if boards[of].plain_queue(kind) not in full}

    def _start(self, board: Board, task: str, full: set[str]) -> bool:
        """Sends a task, if a worker can take it; False where the job is to wait."""
        queue = board.queue(task, self._offers)
        if queue in full or self._lacks_permit(board, task):
            return False
        if not self._slots.get(queue, 0):
            if queue == board.plain_queue(names.queue(task)):
                return False  # nobody can take tasks of this kind
            board.set_aside(task, time.monotonic() + DEFER_SECONDS)  # nobody can take this one yet
            return True
        if self._send(board, task, queue) == "full":
            full.add(queue)
            return False
        return True

    def _lacks_permit(self, board: Board, task: str) -> bool:
        """Whether the tasks at work hold, or will hold, all permits of a name that this one needs."""
        terms = board.terms
        if not (self._farm.limits or terms.max_tasks):
            return False
        wanted = permits_of(self._ticket(board, task), terms, self._farm)
        if not wanted:
            return False
        if self._used is None:
            self._used = Counter(
                name
                for other in self._boards.values()
                for at_work in other.at_work
                for name in permits_of(self._ticket(other, at_work), other.terms, self._farm)
            )
        used = self._used
        held = self._permits.used(name for name in wanted if used[name] < wanted[name])
        if any(max(used[name], held.get(name, 0)) >= limit for name, limit in wanted.items()):
            return True
        used.update(wanted.keys())
        return False

    def _send(self, board: Board, task: str, queue: str) -> str:
        if board.enter(task):
            return "there"
        self._announce()
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


def _idle(board: Board) -> bool:
    """Nothing of the job can be sent now."""
    return board.state.held or not board.ready
