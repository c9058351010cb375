"""A semaphore tracker that is replaced when it was killed.

Billiard's pool starts a small process that remembers named semaphores. It never looks whether that process still
lives: once it is gone, the next child that the pool starts takes the whole worker down with a broken pipe.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select

from billiard import semaphore_tracker

__all__ = ["keep_tracked"]

log = logging.getLogger(__name__)


def keep_tracked() -> None:
    """From now on, a dead tracker of this process is noticed before it is written to, and another one started."""
    tracker = semaphore_tracker._semaphore_tracker
    start = type(tracker).ensure_running

    def ensure_running() -> None:
        if tracker._fd is not None and _is_broken(tracker._fd):
            log.warning("the semaphore tracker is gone; starting another one")
            with contextlib.suppress(OSError):
                os.close(tracker._fd)
            tracker._fd = None
        start(tracker)

    tracker.ensure_running = ensure_running


def _is_broken(fd: int) -> bool:
    """Whether nobody reads the pipe any more."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return any(event & (select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))
