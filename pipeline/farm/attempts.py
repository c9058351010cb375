"""Attempts: who tried to make a product, and how it ended.

`attempts/<task>/<n>` is created before a task starts, so that a crash leaves a trace; `logs/<task>/<n>.log` is created
when it has ended, and its last line says how. An attempt without a log, on whose task nobody holds a lease, was lost.

The number of an attempt is its fence. Who takes a task up takes the next number, which nobody else ever had, and every
report carries it: the lease, the log, the word to the dispatcher. What an attempt says of its failure when a later one
has begun (it was stopped for so long that it was believed dead) is noted as `superseded`, and counts for nothing; what
it made counts, since equal tasks make equal bytes. Another try does not remove the attempts: it adds one that forgives
those before it.

What follows from the attempts of a task is in `pipeline.farm.recovery`.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from pipeline.farm import names
from pipeline.farm.records import parsed
from pipeline.farm.store import Store

__all__ = [
    "FAILED",
    "Attempt",
    "Failure",
    "Line",
    "Outcome",
    "Trouble",
    "begin",
    "end",
    "failure",
    "first_trouble",
    "forget",
    "history",
    "note_trouble",
    "park",
    "read_log",
    "retry",
    "superseded",
    "unpark",
]

Outcome = Literal[
    "made", "double", "raised", "crashed", "stuck", "memory", "away", "cancelled", "superseded", "forgiven"
]
FAILED: Final[frozenset[Outcome]] = frozenset({"raised", "crashed", "stuck"})
"""Ends that are the task's own fault, as far as one knows, and use up a retry."""

LOG_TAIL = 40
"""Lines of the last attempt's log that a failure quotes."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a task.

    Attributes:
        n: 0 for the first.
        host, pid, worker: who tried.
        started: seconds since the epoch.
        memory: of the device, MiB; 0 where it is not known.
        outcome: `made`; `double` (somebody else was first); `raised`; `crashed` (the process died of its own: SIGSEGV,
            SIGABRT …); `stuck` (no progress for too long); `memory` (it ran out); `cancelled`; `superseded` (it failed
            after another attempt had begun); `forgiven` (it stands for somebody's wish to try again); None while it
            runs, or when it was lost.
        reason: one line.
    """

    n: int
    host: str
    pid: int
    worker: str
    started: float
    memory: int = 0
    outcome: Outcome | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Began:
    """What is written before an attempt starts: see `Attempt`."""

    host: str
    pid: int
    worker: str
    started: float
    memory: int = 0


@dataclass(frozen=True, slots=True)
class Trouble:
    """The first thing that went wrong in a job: the content of `first_failure`.

    Attributes:
        task: product that was not made.
        attempt: number of the attempt.
        worker, host: who tried.
        kind: how the attempt ended.
        reason: one line.
        log: the tail of its log.
        at: seconds since the epoch.
    """

    task: str
    attempt: int
    worker: str
    host: str
    kind: str
    reason: str
    log: list[str]
    at: float


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task is parked: the content of `failures/<task>`.

    Attributes:
        task: name of the product that is not made.
        kind: `raised`, `crashed`, `stuck`, `memory` or `lost`.
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
    return [parsed(Line, line, "a task's log") for line in data.splitlines()]


def begin(store: Store, directory: str, task: str, *, worker: str, memory: int = 0) -> int:
    """Notes that this process starts on a task; returns the attempt's number.

    Args:
        store: where the job lives.
        directory: of the job in it.
        task: name of the product.
        worker: name of the worker.
        memory: of its device, MiB.

    Raises:
        StoreError: the store is full or cannot be written.
    """
    record = {"host": socket.gethostname(), "pid": os.getpid(), "worker": worker, "started": round(time.time(), 3)}
    data = json.dumps({**record, "memory": memory}).encode()
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
    level = "error" if outcome in FAILED or outcome == "memory" else "info"
    lines = [*log, Line(round(time.time(), 3), level, "end", {"outcome": outcome, "reason": reason})]
    text = "".join(line.to_json() + "\n" for line in lines)
    return store.create(f"{directory}/{names.log(task, n)}", text.encode(), durable=False)


def superseded(store: Store, directory: str, task: str, n: int) -> bool:
    """Whether somebody else has taken the task up after this attempt: what it says of its failure does not count."""
    return store.exists(f"{directory}/{names.attempt(task, n + 1)}")


def forget(store: Store, directory: str, task: str, n: int) -> None:
    """Takes an attempt back: the store or a licence was away, which is not its fault. Works on a full store."""
    store.delete(f"{directory}/{names.attempt(task, n)}")


def history(store: Store, directory: str, task: str) -> list[Attempt]:
    """The attempts at a task since somebody last asked for another try, oldest first."""
    attempts: list[Attempt] = []
    for number in sorted(int(name.rpartition("/")[2]) for name in store.list(f"{directory}/attempts/{task}/")):
        try:
            name = f"{directory}/{names.attempt(task, number)}"
            began = parsed(_Began, store.read(name), name)
        except FileNotFoundError:  # just taken back
            continue
        try:
            lines = read_log(store.read(f"{directory}/{names.log(task, number)}"))
        except FileNotFoundError:
            lines = []
        ended = lines[-1].facts if lines else {}
        if ended.get("outcome") == "forgiven":
            attempts.clear()
            continue
        attempts.append(
            Attempt(
                number,
                began.host,
                began.pid,
                began.worker,
                began.started,
                began.memory,
                ended.get("outcome"),
                ended.get("reason", ""),
            )
        )
    return attempts


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
    name = f"{directory}/{names.failure(task)}"
    return parsed(Failure, store.read(name), name)


def unpark(store: Store, directory: str, task: str) -> None:
    """Removes the mark of a parked task, and of the frames that were given up for it; the attempts stay as they are."""
    store.delete(f"{directory}/{names.failure(task)}")
    parsed = names.parse(task)
    gone = [names.absent(parsed.frame)] if parsed.frame is not None else []
    if parsed.frame is None or parsed.kind == "parts":  # a budget, a part: what waits for it was given up with it
        gone = [name[len(directory) + 1 :] for name in store.list(f"{directory}/absent/")]
    for name in gone:
        store.delete(f"{directory}/{name}")
    if gone and store.exists(f"{directory}/{names.REPORT}"):  # which told of absent frames
        store.delete(f"{directory}/{names.REPORT}")


def retry(store: Store, directory: str, tasks: Iterable[str] | None = None) -> list[str]:
    """Has what failed tried again; returns the tasks.

    Each gets an attempt that forgives those before it, so that numbers go on, and whoever is still at an earlier one
    cannot be taken for a later one.

    Args:
        store: where the job lives.
        directory: of the job in it.
        tasks: that are meant; by default all that are parked, and all frames that were given up.
    """
    prefix = f"{directory}/failures/"
    parked = [name.removeprefix(prefix) for name in store.list(prefix)]
    meant = parked if tasks is None else [task for task in parked if task in set(tasks)]
    for task in meant:
        number = begin(store, directory, task, worker="")
        end(store, directory, task, number, outcome="forgiven", reason="somebody asked for another try")
        unpark(store, directory, task)
    if tasks is None:
        gone = store.list(f"{directory}/absent/")
        for name in gone:
            store.delete(name)
        if gone and store.exists(f"{directory}/{names.REPORT}"):
            store.delete(f"{directory}/{names.REPORT}")
    store.delete(f"{directory}/{names.FIRST_FAILURE}")
    return meant


# --- the first failure --------------------------------------------------------------------------------------------


def note_trouble(store: Store, directory: str, trouble: Trouble) -> bool:
    """Notes a failed attempt, if it is the job's first; the tail of its log is shortened."""
    record = asdict(trouble) | {"log": trouble.log[-LOG_TAIL:]}
    return store.create(f"{directory}/{names.FIRST_FAILURE}", json.dumps(record).encode(), durable=False)


def first_trouble(store: Store, directory: str) -> Trouble | None:
    """The first failed attempt of a job, whether it worked later or not; None while there was none."""
    try:
        name = f"{directory}/{names.FIRST_FAILURE}"
        return parsed(Trouble, store.read(name), name)
    except FileNotFoundError:
        return None
