"""Jobs as a stream: one task of the server looks at the farm, and every listener gets what has changed.

A listener that is slow misses steps in between, never the last one: of each job only the newest document waits for it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

from pipeline.api.documents import JobSummary
from pipeline.errors import PenumbraError
from pipeline.farm.notify import Notifier
from pipeline.farm.watching import FarmSight, Watch

__all__ = ["LISTENERS", "Stream", "TooManyListeners"]

log = logging.getLogger(__name__)

LISTENERS: Final = 64
"""At a time."""
ALIVE_SECONDS: Final = 15.0
"""A comment is sent after so long without an event, so that proxies and both ends know of each other."""


class TooManyListeners(Exception):
    """The server has as many listeners as it serves."""


class _Listener:
    def __init__(self, job: str | None) -> None:
        self.job = job
        self.waiting: dict[str, JobSummary] = {}
        self.changed = asyncio.Event()

    def offer(self, document: JobSummary) -> None:
        if self.job is None or document.job == self.job:
            self.waiting[document.job] = document
            self.changed.set()


class Stream:
    """Looks at the farm while the server runs, tells listeners and webhooks.

    Args:
        watch: of the farm.
        notifier: of the webhooks; None where there are none.
        every: seconds between two looks.
    """

    def __init__(self, watch: Watch, notifier: Notifier | None = None, *, every: float = 1.0) -> None:
        self._watch, self._notifier, self._every = watch, notifier, every
        self._listeners: set[_Listener] = set()
        self._known: dict[str, JobSummary] = {}

    async def run(self) -> None:
        """Looks and tells until it is cancelled; outlives every absence of the store or the broker."""
        while True:
            try:
                sight = await asyncio.to_thread(self._watch.look)
                self.publish(sight)
                if self._notifier is not None:
                    await asyncio.to_thread(self._notifier.tell, sight)
            except PenumbraError as error:
                log.warning("%s", error)
            except Exception:
                log.exception("a look at the farm failed; the next one follows")
            await asyncio.sleep(self._every)

    def publish(self, sight: FarmSight) -> None:
        """Tells listeners of the jobs that have changed."""
        for each in sight.jobs:
            document = JobSummary.of(each.job, each.snapshot)
            if self._known.get(document.job) != document:
                self._known[document.job] = document
                for listener in self._listeners:
                    listener.offer(document)

    async def events(self, job: str | None = None) -> AsyncIterator[str]:
        """Server-Sent Events: every job as it is now, then what changes.

        Args:
            job: id of the only one; None: all.

        Raises:
            TooManyListeners: before the first event.
        """
        with self._listening(job) as listener:
            yield "retry: 2000\n\n"
            while True:
                try:
                    await asyncio.wait_for(listener.changed.wait(), ALIVE_SECONDS)
                except TimeoutError:
                    yield ": alive\n\n"
                    continue
                listener.changed.clear()
                while listener.waiting:
                    _, document = listener.waiting.popitem()
                    yield f"event: job\ndata: {json.dumps(document.model_dump(mode='json'))}\n\n"

    @property
    def full(self) -> bool:
        """No more listeners are served now."""
        return len(self._listeners) >= LISTENERS

    @contextmanager
    def _listening(self, job: str | None) -> Iterator[_Listener]:
        if self.full:
            raise TooManyListeners
        listener = _Listener(job)
        for document in self._known.values():
            listener.offer(document)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
