"""A farm on this machine for benchmarks: a private Redis, worker processes that can be killed one by one, a store."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from benchmarks.machine import ROOT
from pipeline.config.farm import Farm as FarmConfig
from pipeline.config.load import load_shot
from pipeline.device import environment, environment_key
from pipeline.farm import job as jobs
from pipeline.farm.client import Farm
from pipeline.farm.embedded import EmbeddedRedis, redis_server
from pipeline.farm.job import Job
from pipeline.farm.queues import connect
from pipeline.farm.store import open_store
from pipeline.farm.submission import claim_all, prepare

__all__ = ["RestartableRedis", "Rig", "claim_shot"]

START_SECONDS = 120.0


def claim_shot(store_directory: Path, shot: str, overrides: dict[str, Any]) -> Job:
    """Freezes and claims a sample shot in a store of its own; nothing runs yet."""
    store = open_store(str(store_directory))
    here = environment()
    prepared = prepare([load_shot(ROOT / "shots" / shot, overrides)], store, {**here, "key": environment_key(here)})
    return claim_all(prepared, store)[0].job


class RestartableRedis:
    """A Redis that can go away and come back, at the same place and empty. Its log goes into a directory."""

    def __init__(self, logs: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="redis-", dir="/tmp")  # short: paths of sockets are
        self._socket = Path(self._folder.name) / "s"
        self._log = logs / "redis.log"
        self.broker_url = f"redis+socket://{self._socket}"
        self.start()

    def start(self) -> None:
        """Starts the server and waits until its socket is there."""
        options = ["--port", "0", "--unixsocket", str(self._socket), "--save", "", "--dir", self._folder.name]
        with open(self._log, "ab") as log:
            self._server = subprocess.Popen([str(redis_server()), *options], stdout=log, stderr=log)
        until = time.monotonic() + START_SECONDS
        while not self._socket.exists():
            if self._server.poll() is not None or time.monotonic() > until:
                raise TimeoutError(f"Redis does not start; see {self._log}")
            time.sleep(0.02)

    def signal(self, number: int) -> None:
        """Stops the server where it is, or lets it go on."""
        self._server.send_signal(number)

    def stop(self) -> None:
        """Kills the server."""
        self._server.kill()
        self._server.wait()
        self._socket.unlink(missing_ok=True)

    def close(self) -> None:
        """Ends it for good."""
        self.stop()
        self._folder.cleanup()


class Rig:
    """Use as a context: everything that was started ends with it.

    Args:
        directory: of the store.
        workers: how many.
        engine: `mitsuba` or `rehearsal`.
        logs: directory for the workers' logs; by default that of the store.
        broker: a Redis, which this ends; by default an embedded one.
        variables: for the workers' environment.
        pinned: each worker has a core of its own, and so one thread.
        settings: of the farm, over the defaults.

    Attributes:
        workers: processes of the live ones, by name.
    """

    def __init__(
        self,
        directory: Path,
        *,
        workers: int,
        engine: str = "mitsuba",
        logs: Path | None = None,
        broker: EmbeddedRedis | RestartableRedis | None = None,
        variables: Mapping[str, str] | None = None,
        pinned: bool = False,
        **settings: Any,
    ) -> None:
        self.directory, self.logs = directory, logs or directory
        self.store = open_store(str(directory))
        self.broker = broker or EmbeddedRedis()
        self.config = FarmConfig.model_validate({**settings, "broker_url": self.broker.broker_url})
        self.redis = connect(self.broker.broker_url)
        self.farm = Farm.connect(self.store, self.config)
        self._engine, self._pinned, self._variables = engine, pinned, {**os.environ, **(variables or {})}
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self._started = 0
        self.start(workers)

    def start(self, count: int, *, wait: bool = True) -> None:
        """Starts workers; waits until they take tasks."""
        settings = self.config.model_dump_json(exclude={"broker_url", "store"})
        new = [f"w{self._started + k + 1}" for k in range(count)]
        self._started += count
        for name in new:
            command = [sys.executable, "-m", "workers", "--engine", self._engine, "--owned", "--name", name]
            command += ["--broker", self.broker.broker_url, "--store", self.store.url, "--settings", settings]
            with open(self.logs / f"{name}.log", "ab") as log:
                self.workers[name] = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    cwd=ROOT,
                    env=self._variables,
                )
            if self._pinned:
                cores = sorted(os.sched_getaffinity(0))
                os.sched_setaffinity(self.workers[name].pid, {cores[len(self.workers) % len(cores)]})
        if not wait:
            return
        until = time.monotonic() + START_SECONDS
        while not set(new) <= {worker["name"] for worker in self.farm.workers()}:
            if time.monotonic() > until:
                raise TimeoutError(f"no workers after {START_SECONDS:.0f} s; see {self.logs}/w*.log")
            time.sleep(0.1)

    def children(self) -> list[int]:
        """Process ids of the workers' children, which run the tasks."""
        return [pid for name in self.workers for pid in self.processes(name)[1:]]

    def processes(self, name: str) -> list[int]:
        """Process ids of a worker, then of its children."""
        pid = self.workers[name].pid
        try:
            return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
        except psutil.NoSuchProcess:
            return [pid]

    def kill_child(self, rng: random.Random) -> None:
        """`kill -9` of a random child, if there is one."""
        if children := self.children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(children), signal.SIGKILL)

    def kill_worker(self, rng: random.Random) -> None:
        """`kill -9` of a random worker with its children; another takes its place."""
        self.kill(rng.choice(sorted(self.workers)))
        self.start(1)

    def kill(self, name: str, *, group: bool = True) -> None:
        """`kill -9` of a worker, with its children or without; they then find that it is gone."""
        worker = self.workers.pop(name)
        if not group:
            worker.kill()
            worker.wait()
            close_pipe(worker)
            return
        self._end(worker)

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
        for worker in self.workers.values():
            self._end(worker)
        self.farm.close()
        self.redis.close()
        self.broker.close()

    def _end(self, worker: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        close_pipe(worker)

    def __enter__(self) -> Rig:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def close_pipe(worker: subprocess.Popen[bytes]) -> None:
    """The worker's children end when this closes."""
    assert worker.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        worker.stdin.close()
