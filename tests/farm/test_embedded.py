"""The embedded farm: works by itself, replaces killed workers, and leaves nothing behind however its owner ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.config.farm import Farm as FarmConfig
from pipeline.errors import FarmError
from pipeline.farm import job as jobs
from pipeline.farm import recipes_rehearsal
from pipeline.farm.client import Farm
from pipeline.farm.embedded import EmbeddedFarm, EmbeddedRedis, redis_server
from pipeline.farm.job import Frozen, Rehearsal
from pipeline.farm.store import open_store

QUICK = {"lease_seconds": 3.0, "heartbeat_seconds": 1.0, "sweep_seconds": 1.0, "control_seconds": 2.0}

OWNER = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
from pipeline.config.farm import Farm as FarmConfig
from pipeline.farm import job as jobs, recipes_rehearsal
from pipeline.farm.client import Farm
from pipeline.farm.job import Frozen, Rehearsal
from pipeline.farm.store import open_store
store = open_store(sys.argv[1])
frozen = Frozen({}, recipes_rehearsal.environment(), {}, "rehearsal", Rehearsal(task_seconds=60))
job, _ = jobs.claim(store, "shot", frozen, frames=[1, 2])
with Farm.embedded(store, FarmConfig(), workers=1, engine="rehearsal") as farm:
    farm.submit(job)
    while not any(held.total for held in farm.running(job)):
        time.sleep(0.05)
    print("running", farm.config.broker_url, flush=True)
    if sys.argv[2] == "raise":
        raise SystemExit("on purpose")
    farm.wait(job)
"""


def family(word: str) -> list[psutil.Process]:
    """Processes that know a word: in their command line, or their parents'."""
    found: set[psutil.Process] = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and any(word in part for part in process.cmdline()):
                found |= {process, *process.children(recursive=True)}
    return [process for process in found if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def start_owner(tmp_path: Path, mode: str) -> tuple[subprocess.Popen[str], Path, list[psutil.Process]]:
    """A process with an embedded farm in the midst of a job, its Redis' directory, and all processes below it."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path / "store"), mode], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    word, url = owner.stdout.readline().split()
    assert word == "running"
    below = psutil.Process(owner.pid).children(recursive=True)
    assert "redis-server" in [process.name() for process in below]
    assert len(below) >= 4  # the keeper, Redis, a worker, its child
    return owner, Path(url.removeprefix("redis+socket://")).parent, below


def gone(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


def wait_until(what: Callable[[], Any], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, what
        time.sleep(0.05)


@pytest.mark.parametrize("how", ["kill -9", "ctrl-c", "an error"])
def test_nothing_is_orphaned_however_the_owner_ends(tmp_path: Path, how: str) -> None:
    owner, directory, below = start_owner(tmp_path, "raise" if how == "an error" else "wait")
    if how == "kill -9":
        owner.kill()
    elif how == "ctrl-c":
        owner.send_signal(signal.SIGINT)
    owner.wait(30)
    assert owner.stdout is not None
    owner.stdout.close()

    wait_until(lambda: gone(below), 10.0)
    wait_until(lambda: not directory.exists(), 5.0)
    assert family(str(directory)) == []


def test_a_killed_worker_is_replaced_and_the_job_ends(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    rehearsal = Rehearsal(task_seconds=0.4, slices=3)
    frozen = Frozen({}, recipes_rehearsal.environment(), {}, "rehearsal", rehearsal)
    job, _ = jobs.claim(store, "shot", frozen, frames=[1, 2])
    with Farm.embedded(store, FarmConfig(**QUICK), workers=1, engine="rehearsal", log=tmp_path) as farm:
        farm.submit(job)
        wait_until(lambda: any(held.total for held in farm.running(job)), 30.0)
        before = farm.workers()[0]["pid"]
        os.kill(before, signal.SIGKILL)

        assert farm.wait(job, every=0.1) == "done"
        assert farm.workers()[0]["pid"] != before


def test_a_worker_that_gives_up_is_told_of_and_not_started_again(tmp_path: Path) -> None:
    with EmbeddedFarm([["--store", str(tmp_path), "--device", "abacus"]], log=tmp_path) as farm:
        wait_until(lambda: farm.problem is not None, 30.0)

        assert "'abacus' is not a device" in str(farm.problem)


def test_a_farm_that_does_not_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.farm.embedded.redis_server", lambda: Path("/bin/false"))

    with pytest.raises(FarmError, match="does not start"):
        EmbeddedRedis()


def test_the_private_redis_listens_on_a_socket_that_only_this_user_can_reach() -> None:
    with EmbeddedRedis() as redis:
        assert redis.directory.stat().st_mode & 0o777 == 0o700
        server = [each for each in family(str(redis.directory)) if "redis-server" in " ".join(each.cmdline())]
        assert [each for process in server for each in process.net_connections("inet")] == []
    assert not redis.directory.exists()


def test_a_redis_server_is_found() -> None:
    assert redis_server().exists()
