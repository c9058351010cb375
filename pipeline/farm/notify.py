"""Notifications: a webhook is told when a job has its first frame, is done, has failed or was cancelled.

What was told is marked in the job's directory (`notices/<event>`), created if absent once it was delivered: a notice
is told at least once, also when whoever tells it is restarted; receivers know a repetition by its `id`. Bodies are
signed: `X-Penumbra-Signature: sha256=<HMAC of the body>`, where a secret is set. URLs come from the operator alone,
and redirects are not followed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final, Literal

import httpx

from pipeline.errors import StoreError
from pipeline.farm.job import Job
from pipeline.farm.progress import JobSnapshot
from pipeline.farm.store import Store
from pipeline.farm.watching import FarmSight, JobSight

__all__ = ["Event", "Notice", "Notifier", "notices"]

log = logging.getLogger(__name__)

Event = Literal["first_frame", "done", "failed", "cancelled"]

TIMEOUT_SECONDS: Final = 5.0
TRIES: Final = 8
"""A notice that could not be delivered so often is given up, with a line in the log."""
FIRST_PAUSE: Final = 2.0
"""Seconds to the second try; each further one waits twice as long."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What a webhook gets, as JSON.

    Attributes:
        id: the same when it is told again: `shot_010.v001/done`.
        event: what happened.
        job, shot, version: whose.
        owner: who submitted it.
        frames, done, absent: how many there are, are made, were given up.
        failures: tasks that are parked, a few of them.
        at: seconds since the epoch, when it was seen.
        text: the same in one line, which chat programs show.
    """

    id: str
    event: Event
    job: str
    shot: str
    version: int
    owner: str
    frames: int
    done: int
    absent: int
    failures: tuple[str, ...]
    at: float
    text: str


def notices(sight: JobSight, *, at: float) -> Iterator[Notice]:
    """What there is to tell of a job as it is, whether it was told or not."""
    seen = sight.snapshot
    if seen.done:
        yield _notice("first_frame", sight.job, seen, at, f"has its first frame, of {len(seen.frames)}")
    if seen.state == "done":
        yield _notice("done", sight.job, seen, at, f"is done: {seen.done} frames")
    elif seen.state == "failed":
        yield _notice("failed", sight.job, seen, at, f"has failed: {seen.done} of {len(seen.frames)} frames are made")
    elif seen.state == "cancelled":
        yield _notice("cancelled", sight.job, seen, at, f"was cancelled: {seen.done} of {len(seen.frames)} frames")


def _notice(event: Event, job: Job, seen: JobSnapshot, at: float, words: str) -> Notice:
    return Notice(
        id=f"{job.id}/{event}",
        event=event,
        job=job.id,
        shot=job.shot,
        version=job.version,
        owner=job.owner,
        frames=len(seen.frames),
        done=seen.done,
        absent=seen.absent,
        failures=seen.failures[:10],
        at=round(at, 3),
        text=f"{job.id} {words}",
    )


class Notifier:
    """Tells webhooks what is new. Used from one thread; one process of a farm does it.

    Args:
        store: where jobs live.
        urls: of the webhooks; each gets every notice.
        secret: signs the bodies; None leaves them unsigned.
        client: HTTP client, by default one that follows no redirects.
        clock: that only goes forward, seconds.
    """

    def __init__(
        self,
        store: Store,
        urls: Sequence[str],
        *,
        secret: str | None = None,
        client: httpx.Client | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._urls, self._secret, self._clock = store, tuple(urls), secret, clock
        self._client = client or httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False)
        self._told: set[str] = set()
        self._pending: dict[tuple[str, str], tuple[int, float]] = {}
        """Tries so far and when the next one is due, by notice and URL."""
        self._delivered: dict[str, set[str]] = {}

    def tell(self, sight: FarmSight) -> list[Notice]:
        """Delivers what is new and due; returns what every webhook has got, or was given up, in this call."""
        ended = []
        for each in sight.jobs:
            for notice in notices(each, at=sight.at):
                if notice.id not in self._told and self._is_new(each.job, notice) and self._deliver(notice):
                    self._mark(each.job, notice)
                    ended.append(notice)
        return ended

    def _is_new(self, job: Job, notice: Notice) -> bool:
        if self._store.exists(_mark_name(job, notice)):
            self._told.add(notice.id)
            return False
        return True

    def _deliver(self, notice: Notice) -> bool:
        """Whether nothing is left to be tried."""
        done, now = self._delivered.setdefault(notice.id, set()), self._clock()
        for url in self._urls:
            tries, due = self._pending.get((notice.id, url), (0, 0.0))
            if url in done or now < due:
                continue
            if self._post(notice, url):
                done.add(url)
            elif tries + 1 >= TRIES:
                log.error("%s is not told to %s: given up after %d tries", notice.id, _host(url), TRIES)
                done.add(url)
            else:
                self._pending[notice.id, url] = tries + 1, now + FIRST_PAUSE * 2**tries
        return done.issuperset(self._urls)

    def _post(self, notice: Notice, url: str) -> bool:
        body = json.dumps(asdict(notice), ensure_ascii=False).encode()
        try:
            answer = self._client.post(url, content=body, headers=dict(headers(body, self._secret)))
            answer.raise_for_status()
        except httpx.HTTPError as error:
            log.warning("webhook %s: %s", _host(url), type(error).__name__)
            return False
        if not answer.is_success:
            log.warning("webhook %s: status %d", _host(url), answer.status_code)
        return answer.is_success

    def _mark(self, job: Job, notice: Notice) -> None:
        self._told.add(notice.id)
        self._delivered.pop(notice.id, None)
        for url in self._urls:
            self._pending.pop((notice.id, url), None)
        try:
            self._store.create(_mark_name(job, notice), json.dumps(asdict(notice)).encode(), durable=False)
        except StoreError as error:
            log.warning("%s may be told again: %s", notice.id, error)


def headers(body: bytes, secret: str | None) -> Iterable[tuple[str, str]]:
    """Headers of a webhook's request.

    >>> dict(headers(b"{}", "s"))["X-Penumbra-Signature"][:13]
    'sha256=9ac8b7'
    """
    yield "Content-Type", "application/json"
    if secret is not None:
        digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        yield "X-Penumbra-Signature", f"sha256={digest}"


def _mark_name(job: Job, notice: Notice) -> str:
    return f"{job.directory}/notices/{notice.event}"


def _host(url: str) -> str:
    """Of a webhook: its path may be a secret."""
    return httpx.URL(url).host
