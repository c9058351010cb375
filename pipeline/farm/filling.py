"""Filling the queues: which task goes next into which queue, as far as there are workers, room and permits.

Who is served next is in `pipeline.farm.shares`. What live workers there are is counted by each sweep.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from pipeline.config.farm import Farm
from pipeline.farm import names
from pipeline.farm.board import Board
from pipeline.farm.permits import Permits, permits_of
from pipeline.farm.queues import KINDS, Queues, Ticket
from pipeline.farm.requirements import Offer, Requirement, requirement
from pipeline.farm.shares import Claimant, served_first

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["DEFER_SECONDS", "Crew", "Filler", "mark_seconds"]

DEFER_SECONDS: Final = 0.5
"""How long a task waits that nobody may take just now; longer each time."""


def mark_seconds(farm: Farm) -> float:
    """For how long a task may be without a lease: its holder writes one that vanished anew within a heartbeat."""
    return farm.heartbeat_seconds + 0.5


@dataclass(frozen=True)
class Crew:
    """The live workers that serve a store and work now.

    Attributes:
        slots: in each queue.
        offers: what each worker offers.
    """

    slots: Mapping[str, int] = field(default_factory=dict)
    offers: tuple[Offer, ...] = ()

    @classmethod
    def of(cls, workers: Iterable[Mapping[str, Any]], store: str) -> Crew:
        """The crew of a store, from how the workers describe themselves."""
        ours = [worker for worker in workers if store in worker["stores"] and worker["state"] == "working"]
        slots = Counter[str]()
        for worker in ours:
            slots.update(dict.fromkeys(worker["serving"], int(worker["slots"])))
        return cls(slots, tuple(Offer.of(worker) for worker in ours))

    def strongest(self, board: Board) -> int | None:
        """Memory of the largest device that may take a job's tasks, MiB; None where there is none."""
        wanted = replace(requirement(board.terms, board.state.barred, "render"), memory=0)
        return max((offer.memory for offer in self.offers if wanted.met_by(offer)), default=None)

    def can_spare(self, board: Board, worker: str) -> bool:
        """Whether a job has another worker than those that are kept off it, and this one."""
        wanted = requirement(board.terms, board.state.barred | {worker}, "light")
        return any(wanted.met_by(offer) for offer in self.offers)


class Filler:
    """Fills the queues of one store's jobs. Raises `RedisError` from anywhere while the broker is away.

    Args:
        redis: the broker.
        queues: of the farm.
        store: its URL.
        farm: leases, limits, shares.

    Attributes:
        crew: as counted last.
    """

    def __init__(self, redis: Redis, queues: Queues, store: str, farm: Farm) -> None:
        self._queues, self._store, self._farm = queues, store, farm
        self._permits = Permits.of(redis, farm)
        self._announced: dict[str, Requirement] = {}
        self._used: Counter[str] | None = None
        self.crew = Crew()

    @property
    def _kept_seconds(self) -> float:
        """Life of what a sweep writes into Redis."""
        return 10 * max(self._farm.sweep_seconds, 1.0)

    def count(self, boards: Collection[Board]) -> None:
        """Counts the workers, and tells everybody how much the queues may hold, and what their tasks require."""
        self.crew = Crew.of(self._queues.workers(), self._store)
        self._queues.set_room(self.crew.slots, self._farm.queue_depth_per_slot, seconds=self._kept_seconds)
        self._announce(boards)
        shows = Counter((board.plan.priority, board.job.show) for board in boards if board.can_start)
        if len(shows) > len({priority for priority, _ in shows}):
            self._queues.share(self._store, seconds=self._kept_seconds)

    def fill(self, boards: Collection[Board]) -> None:
        """Sends what can start, until the queues are full."""
        going = {board.job.id: board for board in boards if not board.state.held}
        shows = Counter[str]()
        for board in boards:
            shows[board.job.show] += len(board.at_work)
        self._used = None
        for kind in KINDS:
            full: set[str] = set()
            left = {
                job_id: Claimant(job_id, board.job.show, board.plan.priority, board.job.created)
                for job_id, board in going.items()
                if board.next(kind) is not None
            }
            while (chosen := served_first(left.values(), shows, self._farm.shares)) is not None:
                board = going[chosen.job]
                task = board.next(kind)
                if task is not None and self._start(board, task, boards, full):
                    shows[chosen.show] += 1
                    continue
                del left[chosen.job]
                if board.plain_queue(kind) in full:  # and so it is for all others that would stand in it
                    left = {of: each for of, each in left.items() if going[of].plain_queue(kind) not in full}

    def _start(self, board: Board, task: str, boards: Collection[Board], full: set[str]) -> bool:
        """Sends a task, if a worker can take it; False where the job is to wait."""
        queue = board.queue(task, self.crew.offers)
        if queue in full or self._lacks_permit(board, task, boards):
            return False
        if not self.crew.slots.get(queue, 0):
            if board.queues[queue].key and queue not in self._announced:
                self._announce(boards)
            if queue == board.plain_queue(names.queue(task)):
                return False  # nobody can take tasks of this kind
            board.set_aside(task, time.monotonic() + DEFER_SECONDS)  # nobody can take this one yet
            return True
        if board.enter(task):
            return True
        answer = self._queues.offer(
            Ticket(self._store, board.job.id, task),
            queue=queue,
            priority=board.plan.priority,
            mark_seconds=mark_seconds(self._farm),
        )
        if answer == "full":
            full.add(queue)
            return False
        board.sent(task, time.monotonic())
        return True

    def _lacks_permit(self, board: Board, task: str, boards: Collection[Board]) -> bool:
        """Whether the tasks at work hold, or will hold, all permits of a name that this one needs."""
        if not (self._farm.limits or board.terms.max_tasks):
            return False
        wanted = self._permits_of(board, task)
        if not wanted:
            return False
        if self._used is None:
            self._used = Counter(
                name for other in boards for at_work in other.at_work for name in self._permits_of(other, at_work)
            )
        used = self._used
        held = self._permits.used(name for name in wanted if used[name] < wanted[name])
        if any(max(used[name], held.get(name, 0)) >= limit for name, limit in wanted.items()):
            return True
        used.update(wanted.keys())
        return False

    def _permits_of(self, board: Board, task: str) -> dict[str, int]:
        return permits_of(Ticket(self._store, board.job.id, task), board.terms, self._farm)

    def _announce(self, boards: Iterable[Board]) -> None:
        """Tells workers of the queues whose tasks require something."""
        self._announced = {queue: wanted for board in boards for queue, wanted in board.queues.items() if wanted.key}
        self._queues.announce(self._store, self._announced, seconds=self._kept_seconds)
