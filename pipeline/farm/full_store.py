"""A store that is full: nobody's task is at fault, so that all work on it stops until there is room."""

from __future__ import annotations

import json
import logging
import secrets
import time
from typing import TYPE_CHECKING, Any, Final

from pipeline.farm.queues import key
from pipeline.farm.store import BLOBS, Store, StoreFault

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["HOLD_SECONDS", "FullStore", "held_because", "hold"]

log = logging.getLogger(__name__)

HOLD_SECONDS: Final = 1.0
"""Time between two looks at whether the store is full."""
PROBE_BYTES: Final = 1 << 16
"""Least room that a full store must have again before work goes on."""
PIECE_BYTES: Final = 1 << 20


def hold(redis: Redis, store: str, *, needed: int, reason: str) -> None:
    """Stops all work on a store that is full, until the dispatcher finds room for so many bytes."""
    record = {"needed": max(needed, PROBE_BYTES), "reason": reason, "at": round(time.time(), 3)}
    redis.set(key("hold", store), json.dumps(record), nx=True)


def held_because(redis: Redis, store: str) -> str | None:
    """Why all work on a store is stopped; None when it is not."""
    text: Any = redis.get(key("hold", store))
    return None if text is None else str(json.loads(text)["reason"])


class FullStore:
    """Watches for the dispatcher whether its store is full, and whether there is room again.

    Args:
        redis: the broker.
        store: the store.
        probe_seconds: between two tries.
    """

    def __init__(self, redis: Redis, store: Store, *, probe_seconds: float) -> None:
        self._redis, self._store, self._probe_seconds = redis, store, probe_seconds
        self._due = self._probe_due = 0.0
        self.held = False

    @property
    def due(self) -> float:
        """When to look next, by the clock that only goes forward."""
        return self._due

    def look(self) -> bool:
        """Whether work has just been stopped, or is still: then the queues are to be emptied."""
        now = time.monotonic()
        if now < self._due:
            return False
        self._due = now + HOLD_SECONDS
        text: Any = self._redis.get(key("hold", self._store.url))
        self.held = text is not None
        if text is None or now < self._probe_due:
            return False
        self._probe_due = now + self._probe_seconds
        if not self._has_room(int(json.loads(text)["needed"])):
            return True
        log.info("%s has room again", self._store.url)
        self._redis.delete(key("hold", self._store.url))
        self.held = False
        return False

    def _has_room(self, needed: int) -> bool:
        name = f"{BLOBS}/room-{secrets.token_hex(8)}"
        try:
            piece = bytes(PIECE_BYTES)
            self._store.create(name, (piece[: min(PIECE_BYTES, needed - at)] for at in range(0, needed, PIECE_BYTES)))
        except StoreFault as error:
            if not error.full:
                raise
            return False
        finally:
            self._store.delete(name)
        return True
