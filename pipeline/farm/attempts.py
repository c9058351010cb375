"""Attempts: who tried to make a product, how it ended, and when to stop trying.

`attempts/<task>/<n>` is created before a task starts, so that a crash leaves a trace; `logs/<task>/<n>.log` is created
when it has ended, and its last line says how. An attempt without a log, on whose task nobody holds a lease, was lost. A
task that raised, or crashed its process, `max_raises` times is poison; one that was lost `max_losses` times on
`loss_hosts` hosts is as well (or twice as often on fewer: machines that are switched off, and people who kill workers,
must not park the innocent).
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pipeline.config.farm import Farm
from pipeline.farm import names
from pipeline.farm.store import Store

__all__ = [
    "Attempt",
    "Failure",
    "Line",
    "Outcome",
    "begin",
    "conclude",
    "end",
    "failure",
    "forget",
    "history",
    "park",
    "read_log",
    "retry",
    "verdict",
]

Outcome = Literal["made", "double", "raised", "crashed", "cancelled"]

LOG_TAIL = 40
"""Lines of the last attempt's log that a failure quotes."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a task.

    Attributes:
        n: 0 for the first.
        host, pid, worker: who tried.
        started: seconds since the epoch.
        outcome: `made`; `double` (somebody else was first); `raised`; `crashed` (the process died of its own: SIGSEGV,
            SIGABRT …); `cancelled`; None while it runs, or when it was lost.
        reason: one line.
    """

    n: int
    host: str
    pid: int
    worker: str
    started: float
    outcome: Outcome | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task is parked: the content of `failures/<task>`.

    Attributes:
        task: name of the product that is not made.
        kind: `raised`, `crashed` or `lost`.
        reason: one line.
        attempts: how many there were.
        hosts: where.
        log: the tail of the last attempt's log.
        at: seconds since the epoch.
    """

    task: str
    kind: str
    reason: str
    attempts: int
    hosts: list[str]
    log: list[str]
    at: float


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a task's log, which is JSON, a line each.

    Attributes:
        at: seconds since the epoch.
        level: `info`, `warning` or `error`.
        text: what is said.
        facts: values that go with it; the last line of a log has `outcome` and `reason`.
    """

    at: float
    level: str
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """The line as it stands in the log."""
        record = {"at": self.at, "level": self.level, "text": self.text, "facts": dict(self.facts)}
        return json.dumps(record, ensure_ascii=False, default=str)

    def __str__(self) -> str:
        said = " ".join(f"{name}={value}" for name, value in self.facts.items())
        clock = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self.at))
        return f"{clock} {self.level:<7} {self.text}" + (f" {said}" if said else "")


def read_log(data: bytes) -> list[Line]:
    """The lines of a task's log."""
    return [Line(**json.loads(line)) for line in data.decode().splitlines()]


def begin(store: Store, directory: str, task: str, *, worker: str) -> int:
    """Notes that this process starts on a task; returns the attempt's number.

    Raises:
        StoreError: the store is full or cannot be written.
    """
    record = {"host": socket.gethostname(), "pid": os.getpid(), "worker": worker, "started": round(time.time(), 3)}
    data = json.dumps(record).encode()
    number = 0
    while not store.create(f"{directory}/{names.attempt(task, number)}", data, durable=False):
        number += 1
    return number


def end(
    store: Store, directory: str, task: str, n: int, *, outcome: Outcome, reason: str = "", log: Iterable[Line] = ()
) -> bool:
    """Writes an attempt's log, which ends with how it ended; False if that is known already.

    Raises:
        StoreError: the store is full or cannot be written.
    """
    level = "error" if outcome in ("raised", "crashed") else "info"
    lines = [*log, Line(round(time.time(), 3), level, "end", {"outcome": outcome, "reason": reason})]
    text = "".join(line.to_json() + "\n" for line in lines)
    return store.create(f"{directory}/{names.log(task, n)}", text.encode(), durable=False)


def forget(store: Store, directory: str, task: str, n: int) -> None:
    """Takes an attempt back: the store was full, which is not the task's fault. Works on a full store."""
    store.delete(f"{directory}/{names.attempt(task, n)}")


def history(store: Store, directory: str, task: str) -> list[Attempt]:
    """All attempts at a task, oldest first."""
    attempts = []
    for number in sorted(int(name.rpartition("/")[2]) for name in store.list(f"{directory}/attempts/{task}/")):
        began = json.loads(store.read(f"{directory}/{names.attempt(task, number)}"))
        try:
            ended = read_log(store.read(f"{directory}/{names.log(task, number)}"))[-1].facts
        except FileNotFoundError:
            ended = {}
        attempts.append(
            Attempt(
                number,
                began["host"],
                began["pid"],
                began["worker"],
                began["started"],
                ended.get("outcome"),
                ended.get("reason", ""),
            )
        )
    return attempts


def verdict(attempts: Sequence[Attempt], limits: Farm) -> tuple[str, str] | None:
    """Whether a task is to be parked, from its attempts, none of which is at work any more.

    Returns:
        The kind (`raised`, `crashed`, `lost`) and the reason; None when it is to be tried again.
    """
    own = [attempt for attempt in attempts if attempt.outcome in ("raised", "crashed")]
    if len(own) >= limits.max_raises:
        last = own[-1]
        return str(last.outcome), last.reason
    lost = [attempt for attempt in attempts if attempt.outcome is None]
    hosts = {attempt.host for attempt in lost}
    if len(lost) >= limits.max_losses * (1 if len(hosts) >= limits.loss_hosts else 2):
        return "lost", f"its worker vanished {len(lost)} times on {', '.join(sorted(hosts))} (out of memory?)"
    return None


def conclude(store: Store, directory: str, task: str, limits: Farm, *, before: int | None = None) -> bool:
    """Parks a task, on which nobody is at work, if its attempts are too many; True if it is parked now.

    Args:
        store: where the job lives.
        directory: of the job in it.
        task: name of the product.
        limits: how many are too many.
        before: number of the caller's own attempt, which does not count.
    """
    tried = [attempt for attempt in history(store, directory, task) if before is None or attempt.n < before]
    found = verdict(tried, limits)
    if found is None:
        return False
    park(store, directory, task, tried, kind=found[0], reason=found[1])
    return True


def park(store: Store, directory: str, task: str, attempts: Sequence[Attempt], *, kind: str, reason: str) -> bool:
    """Writes `failures/<task>` with the tail of the last attempt's log; False if it is parked already."""
    log: list[str] = []
    for attempt in reversed(attempts):
        name = f"{directory}/{names.log(task, attempt.n)}"
        if store.exists(name):
            log = [str(line) for line in read_log(store.read(name))[-LOG_TAIL:]]
            break
    hosts = sorted({attempt.host for attempt in attempts})
    record = Failure(task, kind, reason, len(attempts), hosts, log, round(time.time(), 3))
    return store.create(f"{directory}/{names.failure(task)}", json.dumps(asdict(record)).encode())


def failure(store: Store, directory: str, task: str) -> Failure:
    """Why a task is parked.

    Raises:
        FileNotFoundError: it is not.
    """
    return Failure(**json.loads(store.read(f"{directory}/{names.failure(task)}")))


def retry(store: Store, directory: str) -> list[str]:
    """Removes the marks of what failed: failures, the attempts behind them, absent frames. Returns the tasks.

    The report goes too when it told of absent frames, since it will be made anew.
    """
    prefix = f"{directory}/failures/"
    tasks = [name.removeprefix(prefix) for name in store.list(prefix)]
    for task in tasks:
        for kind in ("attempts", "logs"):
            for name in store.list(f"{directory}/{kind}/{task}/"):
                store.delete(name)
        store.delete(f"{directory}/{names.failure(task)}")
    gone = store.list(f"{directory}/absent/")
    for name in gone:
        store.delete(name)
    if gone and store.exists(f"{directory}/{names.REPORT}"):
        store.delete(f"{directory}/{names.REPORT}")
    return tasks
