"""The dispatching of one store's jobs: a board for each, what is reported, sweeps, and what was asked of jobs.

What becomes of a failed task is in `pipeline.farm.recovery`, of a failing worker in `health`; which task goes next in
`filling`. Here they are put to work.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from pipeline.config.farm import Farm
from pipeline.errors import PenumbraError
from pipeline.farm import attempts, control, names, roster
from pipeline.farm import job as jobs
from pipeline.farm.board import Board
from pipeline.farm.filling import DEFER_SECONDS, Filler, mark_seconds
from pipeline.farm.full_store import FullStore
from pipeline.farm.health import Health
from pipeline.farm.leases import Leadership, remaining
from pipeline.farm.queues import Queues, Report, Ticket
from pipeline.farm.store import Store

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["CONTROL_SECONDS", "StoreDesk"]

log = logging.getLogger(__name__)

CONTROL_SECONDS: Final = 2.0
"""Longest time between two looks at control records, unless the profile says less."""
LEASES_TO_WRITE: Final = 10
"""Lives of a lease after which a file that was not finished is a dead worker's."""
RELISTED_PER_SWEEP: Final = 50
"""Frames that a sweep lists anew, of all jobs together, but one of each at least: some ten milliseconds on a local
disk, a second on a slow network file system."""
FARM: Final = "farm"
"""Who asks in control records that the dispatcher writes."""


class StoreDesk:
    """Dispatches the jobs of one store. Raises `RedisError` from anywhere while the broker is away.

    Args:
        redis: a connection of its own.
        queues: of the farm.
        store: whose jobs it dispatches.
        farm: leases, limits and times.
        worker: name of the worker in whose parent process this runs.
    """

    def __init__(self, redis: Redis, queues: Queues, store: Store, farm: Farm, *, worker: str) -> None:
        self.store = store
        self.leadership = Leadership(redis, store.url, seconds=farm.lease_seconds, worker=worker)
        self._redis, self._queues, self._farm = redis, queues, farm
        self._boards: dict[str, Board] = {}
        self._unreadable: set[str] = set()
        self._leading = False
        self._sweep_due = self._control_due = 0.0
        self._control_seconds = min(CONTROL_SECONDS, farm.control_seconds / 2)
        self._filler = Filler(redis, queues, store.url, farm)
        self._full = FullStore(redis, store, probe_seconds=farm.sweep_seconds)
        self._health = Health(bar_failures=farm.bar_failures, out_jobs=farm.out_jobs)

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
        return max(0.0, min(self._sweep_due, self._control_due, self._full.due) - time.monotonic())

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
        if self._full.look():
            for board in self._boards.values():
                self._withdraw(board)
        if not self._full.held:
            self._filler.fill(self._boards.values())

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
        news = board.failed(
            task, self._farm, time.monotonic(), attempt=attempt, strongest=self._filler.crew.strongest(board)
        )
        if not news or report is None or report.outcome not in attempts.FAILED:
            return
        worker, kind = report.worker, names.queue(task)
        if self._health.failed(report.job, kind, worker, task):
            self._bar(board, worker)

    def _bar(self, board: Board, worker: str) -> None:
        """Keeps a worker off a job, if another one is left; takes it out of the farm if this was not the first job."""
        if worker in board.state.barred:
            return
        if not self._filler.crew.can_spare(board, worker):
            return
        log.warning("%s fails task after task of %s, and is kept off it", worker, board.job.id)
        control.write(self.store, board.job.directory, "bar", worker, after=board.state.records, by=FARM)
        self._control_due = 0.0
        if self._health.barred(board.job.id, worker) and len(self._filler.crew.offers) > 1:
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
        boards = self._boards.values()
        self._filler.count(boards)
        for board in boards:
            board.relist(max(1, RELISTED_PER_SWEEP // len(boards)))
            board.look_at_others()
            self.leadership.hold()
        self._bring_back(boards)

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

    def _bring_back(self, boards: Iterable[Board]) -> None:
        """Finds the tasks that were sent and are in nobody's hands."""
        sent = [board for board in boards if board.at_work]
        queues = {queue for board in sent for queue in board.queues}
        waiting = {ticket for tickets in self._queues.waiting(queues).values() for ticket in tickets}
        tickets = {self._ticket(board, task): board for board in sent for task in board.at_work}
        now = time.monotonic()
        leases = remaining(self._redis, tickets)
        patience = mark_seconds(self._farm)
        for ticket, board in tickets.items():
            seen = board.at_work.get(ticket.task)
            if seen is None:  # one that was parked took it along
                continue
            if ticket in waiting:
                board.sent(ticket.task, now)
            elif (seconds := leases.get(ticket)) is not None:
                board.sent(ticket.task, now - self._farm.lease_seconds + seconds)
            elif now - seen > patience:
                log.info("%s of %s is in nobody's hands", ticket.task, board.job.id)
                self._failed(board, ticket.task)

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

    def _ticket(self, board: Board, task: str) -> Ticket:
        return Ticket(self.store.url, board.job.id, task)
