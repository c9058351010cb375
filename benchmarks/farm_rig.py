"""A farm on this machine for benchmarks: a private Redis, worker processes that can be killed one by one, a store."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.machine import ROOT
from pipeline.config.farm import Farm as FarmConfig
from pipeline.config.load import load_shot
from pipeline.device import environment, environment_key
from pipeline.farm import job as jobs
from pipeline.farm.client import Farm
from pipeline.farm.embedded import EmbeddedRedis
from pipeline.farm.job import Job
from pipeline.farm.queues import connect
from pipeline.farm.store import open_store
from pipeline.farm.submission import claim_all, prepare

__all__ = ["Rig", "claim_shot"]

START_SECONDS = 120.0


def claim_shot(store_directory: Path, shot: str, overrides: dict[str, Any]) -> Job:
    """Freezes and claims a sample shot in a store of its own; nothing runs yet."""
    store = open_store(str(store_directory))
    here = environment()
    prepared = prepare([load_shot(ROOT / "shots" / shot, overrides)], store, {**here, "key": environment_key(here)})
    return claim_all(prepared, store)[0].job


class Rig:
    """Use as a context: everything that was started ends with it.

    Args:
        directory: of the store and the workers' logs.
        workers: how many.
        engine: `mitsuba` or `rehearsal`.
        settings: of the farm, over the defaults.
    """

    def __init__(self, directory: Path, *, workers: int, engine: str = "mitsuba", **settings: Any) -> None:
        self.directory = directory
        self.store = open_store(str(directory))
        self._redis_server = EmbeddedRedis()
        self.config = FarmConfig.model_validate({**settings, "broker_url": self._redis_server.broker_url})
        self.redis = connect(self._redis_server.broker_url)
        self.farm = Farm.connect(self.store, self.config)
        self._engine = engine
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._started = 0
        self.start(workers)

    def start(self, count: int) -> None:
        """Starts workers and waits until they take tasks."""
        settings = self.config.model_dump_json(exclude={"broker_url", "store"})
        new = [f"w{self._started + k + 1}" for k in range(count)]
        self._started += count
        for name in new:
            command = [sys.executable, "-m", "workers", "--engine", self._engine, "--owned", "--name", name]
            command += ["--broker", self._redis_server.broker_url, "--store", self.store.url, "--settings", settings]
            with open(self.directory / f"{name}.log", "ab") as log:
                self._workers[name] = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, cwd=ROOT
                )
        until = time.monotonic() + START_SECONDS
        while not set(new) <= {worker["name"] for worker in self.farm.workers()}:
            if time.monotonic() > until:
                raise TimeoutError(f"no workers after {START_SECONDS:.0f} s; see {self.directory}/w*.log")
            time.sleep(0.1)

    def children(self) -> list[int]:
        """Process ids of the workers' children, which run the tasks."""
        found = []
        for worker in self._workers.values():
            with contextlib.suppress(psutil.NoSuchProcess):
                found += [child.pid for child in psutil.Process(worker.pid).children(recursive=True)]
        return found

    def kill_child(self, rng: random.Random) -> None:
        """`kill -9` of a random child, if there is one."""
        if children := self.children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(children), signal.SIGKILL)

    def kill_worker(self, rng: random.Random) -> None:
        """`kill -9` of a random worker with its children; another takes its place."""
        name = rng.choice(sorted(self._workers))
        self._end(self._workers.pop(name))
        self.start(1)

    def run(self, job: Job, on_wait: Callable[[], object] = lambda: None, *, patience: float = 3600.0) -> float:
        """Sets a job going and waits for its end; seconds from one to the other.

        Raises:
            TimeoutError: it has not ended in `patience` seconds.
        """
        began = time.monotonic()
        self.farm.submit(job)
        while job.id in jobs.active(self.store):
            on_wait()
            time.sleep(0.05)
            if time.monotonic() - began > patience:
                raise TimeoutError(f"{job.id} did not end in {patience:.0f} s; see {self.directory}")
        return time.monotonic() - began

    def close(self) -> None:
        """Ends the workers, then Redis."""
        for worker in self._workers.values():
            self._end(worker)
        self.farm.close()
        self.redis.close()
        self._redis_server.close()

    def _end(self, worker: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        assert worker.stdin is not None
        worker.stdin.close()

    def __enter__(self) -> Rig:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def attempts(rig: Rig, job: Job, kinds: Sequence[str]) -> int:
    """How many times tasks of some kinds were started."""
    return sum(len(rig.store.list(f"{job.directory}/attempts/{kind}")) for kind in kinds)
