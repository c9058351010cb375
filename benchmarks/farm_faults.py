"""Everything that can go wrong on a farm, done on purpose: the faults of `benchmarks.farm_chaos`.

Each fault writes a line into the journal that the workers write (`faults/sitecustomize.py`), with the processes that it
hit: so it can be told afterwards which tasks were running then.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from redis.exceptions import RedisError

from benchmarks.farm_rig import Rig
from pipeline.farm import job as jobs

__all__ = ["FAULTS", "Account", "Disk", "Storm", "account"]

FAULTS = {
    "child": 5,
    "worker": 2,
    "flush": 1,
    "redis": 1,
    "stopped": 1,
    "redis_stopped": 1,
    "truncated": 3,
    "flipped": 3,
    "errors": 2,
    "full": 1,
    "clock": 2,
}
"""Kinds of faults, and how often each comes in one storm."""

STOP_SECONDS = 17.0
"""Longer than every time-out of the rig: leases, presence, sockets (15 s), and tasks without progress."""
ERROR_SECONDS = 3.0
FULL_SECONDS = 4.0
AWAY_SECONDS = 2.0
STEPS = (86400.0, -86400.0, 3600.0, -7.0)
"""Seconds by which the clocks of all workers jump."""
DAMAGED = ("samples", "passes", "buffers", "rounds", "stop", "frames")
"""Directories of the products that are damaged."""


class Disk:
    """The disk of a store, which can be filled: a small one in memory where one can be mounted, else by a quota.

    Args:
        place: an empty directory.
        megabytes: of the disk.
    """

    def __init__(self, place: Path, *, megabytes: int = 256) -> None:
        self.place = place
        place.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)]
        try:
            self.mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
        except OSError:
            self.mounted = False

    def fill(self, flags: Path) -> None:
        """Nothing can be written any more."""
        if not self.mounted:
            (flags / "quota").touch()
            return
        with open(self.place / "ballast", "wb") as file:
            free = os.statvfs(self.place).f_bavail * os.statvfs(self.place).f_frsize
            with contextlib.suppress(OSError):  # somebody else took the last page
                os.posix_fallocate(file.fileno(), 0, free)

    def empty(self, flags: Path) -> None:
        """There is room again."""
        (flags / "quota").unlink(missing_ok=True)
        (self.place / "ballast").unlink(missing_ok=True)

    def close(self) -> None:
        """Gives the memory back."""
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.place)], check=True)


class Storm:
    """Strikes a rig, one fault after the other.

    Args:
        rig: whose Redis can be restarted.
        disk: of its store.
        flags: the directory that steers the workers' own faults, with their journal.
        seed: of everything that is left to chance.
        left_out: kinds of faults that do not come.
    """

    def __init__(self, rig: Rig, disk: Disk, flags: Path, *, seed: int, left_out: Sequence[str] = ()) -> None:
        self._rig, self._disk, self._flags, self._rng = rig, disk, flags, random.Random(seed)
        self._deck = [kind for kind, times in FAULTS.items() if kind not in left_out for _ in range(times)]
        self._rng.shuffle(self._deck)
        self._ends: list[tuple[float, Callable[[], object]]] = []
        self._redis_away = False
        self.struck: list[str] = []

    @property
    def over(self) -> bool:
        """All faults have come, and those that last have passed."""
        return not self._deck and not self._ends

    def strike(self) -> None:
        """The next fault, if it can strike now; else it comes later."""
        if not self._deck:
            return
        kind = self._deck.pop()
        if getattr(self, f"_{kind}")():
            self.struck.append(kind)
        else:
            self._deck.insert(0, kind)

    def gap(self, least: float, most: float) -> float:
        """Seconds until the next fault."""
        return self._rng.uniform(least, most)

    def tick(self) -> None:
        """Ends faults whose time is over."""
        now = time.monotonic()
        due = [each for each in self._ends if each[0] <= now]
        self._ends = [each for each in self._ends if each[0] > now]
        for _, end in due:
            end()

    def calm(self) -> None:
        """Ends every fault that lasts."""
        for _, end in self._ends:
            end()
        self._ends.clear()

    # --- faults; False: it cannot strike now --------------------------------------------------------------------------

    def _child(self) -> bool:
        children = self._rig.children()
        if not children:
            return False
        pid = self._rng.choice(children)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        self._note("child", [pid])
        return True

    def _worker(self) -> bool:
        name = self._rng.choice(sorted(self._rig.workers))
        pids = self._rig.processes(name)
        self._rig.kill(name, group=self._rng.random() < 0.5)
        self._note("worker", pids)
        self._rig.start(1, wait=False)
        return True

    def _flush(self) -> bool:
        if self._redis_away:
            return False
        self._note("flush", None)
        with contextlib.suppress(RedisError):
            self._rig.redis.flushall()
        self._note("flush", None)
        return True

    def _redis(self) -> bool:
        if self._redis_away:
            return False
        self._note("redis", None)
        self._rig.broker.stop()
        self._redis_away = True
        self._later(AWAY_SECONDS, self._redis_back)
        return True

    def _redis_back(self) -> None:
        self._rig.broker.start()
        self._note("redis", None)
        self._redis_away = False

    def _redis_stopped(self) -> bool:
        if self._redis_away:
            return False
        self._note("redis_stopped", None)
        self._rig.broker.signal(signal.SIGSTOP)
        self._redis_away = True

        def goes_on() -> None:
            self._note("redis_stopped", None)
            self._rig.broker.signal(signal.SIGCONT)
            self._redis_away = False

        self._later(STOP_SECONDS, goes_on)
        return True

    def _stopped(self) -> bool:
        name = self._rng.choice(sorted(self._rig.workers))
        pids = self._rig.processes(name)
        group = self._rig.workers[name].pid
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGSTOP)
        self._note("stopped", pids)

        def goes_on() -> None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGCONT)

        self._later(STOP_SECONDS, goes_on)
        return True

    def _truncated(self) -> bool:
        return self._damage("truncated")

    def _flipped(self) -> bool:
        return self._damage("flipped")

    def _damage(self, how: str) -> bool:
        """A random product of a running job loses its end, or has one bit changed, in place."""
        active = jobs.active(self._rig.store)
        found = [
            name
            for job in active
            for kind in DAMAGED
            for name in self._rig.store.list(f"{jobs.directory_of(job)}/{kind}")
            if not name.endswith(".exr")
        ]
        if not found:
            return False
        path = self._rig.store.path(self._rng.choice(found))
        assert path is not None
        with contextlib.suppress(OSError), open(path, "r+b") as file:
            size = path.stat().st_size
            if how == "truncated":
                file.truncate(self._rng.randrange(size))
            else:
                at = self._rng.randrange(size)
                file.seek(at)
                byte = file.read(1)[0]
                file.seek(at)
                file.write(bytes([byte ^ (1 << self._rng.randrange(8))]))
            self._note(how, [], damaged=str(path.name))
            return True
        return False

    def _errors(self) -> bool:
        return self._flag("errors", ERROR_SECONDS)

    def _flag(self, name: str, seconds: float) -> bool:
        if (self._flags / name).exists():
            return False
        (self._flags / name).touch()
        self._note(name, [])
        self._later(seconds, lambda: (self._flags / name).unlink(missing_ok=True))
        return True

    def _full(self) -> bool:
        self._note("full", None)  # whoever runs now cannot publish
        self._disk.fill(self._flags)

        def has_room() -> None:
            self._note("full", None)
            self._disk.empty(self._flags)

        self._later(FULL_SECONDS, has_room)
        return True

    def _clock(self) -> bool:
        (self._flags / "clock").write_text(str(self._rng.choice(STEPS)))
        self._note("clock", [])
        return True

    # --- inside -------------------------------------------------------------------------------------------------------

    def _later(self, seconds: float, end: Callable[[], object]) -> None:
        self._ends.append((time.monotonic() + seconds, end))

    def _note(self, kind: str, pids: Sequence[int] | None, *, damaged: str = "") -> None:
        """`pids` are the processes that were hit; None: every one."""
        line = {"event": "fault", "kind": kind, "pids": pids, "damaged": damaged, "at": time.time()}
        with open(self._flags / "journal", "a") as file:
            file.write(json.dumps(line) + "\n")


@dataclass(frozen=True)
class Account:
    """What a storm cost.

    Attributes:
        executions: attempts that began.
        products: that were published, those that were made anew among them.
        hit: attempts that were running in a process that a fault hit, or that met an injected error.
        damaged: products.
    """

    executions: int
    products: int
    hit: int
    damaged: int

    @property
    def excess(self) -> int:
        """Executions that neither made a product nor are accounted for by a fault."""
        return self.executions - self.products - self.hit - self.damaged


def account(journal: Path) -> Account:
    """Reads a journal. Lines are whole: each was written in one piece."""
    running: dict[int, int] = {}
    hit: set[int] = set()
    executions = products = damaged = 0
    for line in journal.read_text().splitlines():
        told = json.loads(line)
        match told["event"]:
            case "begun":
                executions += 1
                running[told["pid"]] = executions
            case "ended":
                running.pop(told["pid"], None)
            case "made":
                products += 1
            case "error":
                hit.update(each for pid, each in running.items() if pid == told["pid"])
            case "fault":
                damaged += bool(told["damaged"])
                hit.update(each for pid, each in running.items() if told["pids"] is None or pid in told["pids"])
    return Account(executions, products, len(hit), damaged)
