"""What to do about a task that did not work out: a pure function of its attempts.

    what happened                       counts as      then
    it raised, crashed, or hung         a failure      again after a while, on another worker if there is one;
                                                       parked after `max_raises`
    its worker vanished                 a loss         again; parked after `max_losses` on `loss_hosts` hosts
    the device's memory ran out         neither        smaller waves, then a device with more memory; parked when there
                                                       is none
    a licence or the store is away      nothing        again, after ever longer whiles (no attempt is left behind)
    a worker that is kept off the job   nothing        again

What belongs to which class is told by `classified`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.config.farm import Farm
from pipeline.farm.attempts import FAILED, Attempt, Outcome
from pipeline.farm.store import StoreFault

__all__ = ["LONGEST_DELAY", "Remedy", "classified", "delay", "remedy"]

LONGEST_DELAY: Final = 300.0
"""Seconds between two attempts, at most."""
SHRINKS: Final = 2
"""How often the waves of a task that ran out of memory get smaller before it goes to a device with more."""
WAVE_STEP: Final = 4
"""Each time they get smaller, waves are a quarter of what they were. No pixel depends on it."""

_MEMORY: Final = re.compile(
    r"out of (host |device |gpu )?memory|cannot allocate memory|CUDA_ERROR_OUT_OF_MEMORY|"
    r"(jit_malloc|cuMemAlloc|bad_alloc|failed to allocate)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Remedy:
    """What is to be done.

    Attributes:
        park: the kind of failure and the reason, where the task is not to be tried again.
        delay: seconds until the next attempt.
        waves: what the size of waves is to be divided by.
        memory: that the device must have, MiB.
        avoid: workers that failed the task, which are not to have it while there are others.
    """

    park: tuple[str, str] | None = None
    delay: float = 0.0
    waves: int = 1
    memory: int = 0
    avoid: frozenset[str] = frozenset()


def remedy(
    attempts: Sequence[Attempt], limits: Farm, *, barred: Collection[str] = (), strongest: int | None = None
) -> Remedy:
    """What is to be done about a task on which nobody is at work.

    Args:
        attempts: at it, since somebody asked for another try, oldest first.
        limits: how many are too many.
        barred: workers that are kept off the job, whose failures do not count.
        strongest: memory of the largest device that could take the task, MiB; None while no worker is known of.
    """
    own = [each for each in attempts if each.outcome in FAILED and each.worker not in barred]
    out = [each for each in attempts if each.outcome == "memory"]
    lost = [each for each in attempts if each.outcome is None and each.worker not in barred]
    shrinks = len(out) + max(0, len(lost) - 1)  # what the kernel kills for its memory looks like a loss
    memory = 1 + max(each.memory for each in out) if len(out) > SHRINKS else 0
    found = Remedy(
        delay=delay(len(own) + len(out), limits.retry_seconds),
        waves=WAVE_STEP ** min(shrinks, SHRINKS),
        memory=memory,
        avoid=frozenset(each.worker for each in own),
    )
    if len(own) >= limits.max_raises:
        return _parked(found, str(own[-1].outcome), own[-1].reason)
    hosts = sorted({each.host for each in lost})
    if len(lost) >= limits.max_losses * (1 if len(hosts) >= limits.loss_hosts else 2):
        return _parked(found, "lost", f"its worker vanished {len(lost)} times on {', '.join(hosts)} (out of memory?)")
    if memory and strongest is not None and strongest < memory:
        return _parked(
            found,
            "memory",
            f"it needs more memory than {(memory - 1) / 1024:.1f} GiB, also in small waves, and no live worker has "
            f"more: {out[-1].reason}",
        )
    return found


def delay(failures: int, first: float) -> float:
    """Seconds to wait after so many failures: `first`, then twice as long each time, up to `LONGEST_DELAY`.

    >>> [delay(n, 1.0) for n in (0, 1, 2, 3, 20)]
    [0.0, 1.0, 2.0, 4.0, 300.0]
    """
    return 0.0 if failures == 0 else float(min(LONGEST_DELAY, first * 2.0 ** min(failures - 1, 30)))


def classified(error: BaseException, limits: Farm) -> Outcome:
    """What an error means: `memory`; `away` (a licence or the store is); else `raised`."""
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or _MEMORY.search(text):
        return "memory"
    if isinstance(error, StoreFault) or any(re.search(expression, text) for expression in limits.licence_errors):
        return "away"
    return "raised"


def _parked(found: Remedy, kind: str, reason: str) -> Remedy:
    return Remedy((kind, reason), found.delay, found.waves, found.memory, found.avoid)
