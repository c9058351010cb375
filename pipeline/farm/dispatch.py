"""The dispatcher: keeps the queues filled, and brings back what was lost.

Each worker's parent process runs one in a thread. For each store one of them leads, under a lease in Redis, and the
others stand by. The leader starts from the store's marks of active jobs and keeps a board for each; finished tasks are
reported to it through a list in Redis, and whatever was not reported it finds by itself: a task that was sent, whose
product is not there, that is in no queue and on which nobody holds a lease, was lost and is sent again. So everything
in Redis may vanish at any time.

What is done for one store is in `pipeline.farm.store_desk`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import RedisError

from pipeline.config.farm import Farm
from pipeline.errors import FarmError, PenumbraError
from pipeline.farm.full_store import hold
from pipeline.farm.queues import Queues, Report, key
from pipeline.farm.store import Store, StoreFault
from pipeline.farm.store_desk import StoreDesk

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["Dispatcher"]

log = logging.getLogger(__name__)

STOP_SECONDS: Final = 0.5
"""How long the dispatcher listens without looking whether it is to stop."""
LEAST_PATIENCE: Final = 0.01
"""Redis takes a shorter time-out for none at all."""


class Dispatcher:
    """Dispatches the jobs of some stores, as far as this process leads them.

    Args:
        redis: a connection of its own.
        stores: by their URLs.
        farm: leases, limits and times.
        worker: name of the worker in whose parent process this runs.
    """

    def __init__(self, redis: Redis, stores: Mapping[str, Store], *, farm: Farm, worker: str) -> None:
        self._redis, self._queues, self._farm = redis, Queues(redis), farm
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
            except RedisError as error:
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
                    hold(self._redis, desk.store.url, needed=0, reason=str(error))
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
        return [(desk, list(_reports(found[name]))) for name, desk in by_key.items()]


def _reports(texts: Iterable[str]) -> Iterator[Report]:
    """The reports in what was heard; what is none is told, and left out."""
    for text in texts:
        try:
            yield Report.of(text)
        except FarmError as error:
            log.error("refused %s", error)
