"""A farm to test on: a real Redis, real worker processes, short leases; everything ended by the fixture."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.farm_rig import RestartableRedis
from pipeline.config.farm import Farm as FarmConfig
from pipeline.farm import job as jobs
from pipeline.farm import names, plan, recipes_rehearsal
from pipeline.farm.client import Farm
from pipeline.farm.context import Context
from pipeline.farm.embedded import EmbeddedRedis
from pipeline.farm.job import Frozen, Job, Rehearsal
from pipeline.farm.leases import Held
from pipeline.farm.plan import JobPlan
from pipeline.farm.products import Products
from pipeline.farm.queues import connect
from pipeline.farm.store import Store, open_store

PATIENCE = 90.0
"""Seconds after which a test gives up on something that should happen soon: the machine may be busy."""


def wait_for(what: Callable[[], Any], *, seconds: float = PATIENCE, every: float = 0.05) -> Any:
    """The first true value of `what()`; fails the test when there is none in time."""
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, f"not within {seconds:.0f} s: {what}"
        time.sleep(every)
    return found


class Rig:
    """A store, a Redis, and workers that are started and killed by name."""

    def __init__(
        self, directory: Path, store: Path | None = None, *, restartable: bool = False, **settings: Any
    ) -> None:
        self.directory = directory
        self.store: Store = open_store(store or directory / "store")
        self.redis_server = RestartableRedis(directory) if restartable else EmbeddedRedis()
        quick = {"lease_seconds": 3.0, "heartbeat_seconds": 1.0, "sweep_seconds": 1.0, "control_seconds": 2.0}
        quick["retry_seconds"] = 0.1
        self.config = FarmConfig.model_validate(
            {"broker_url": self.redis_server.broker_url, "child_tasks": 10_000, **quick, **settings}
        )
        self.redis = connect(self.redis_server.broker_url)
        self.farm = Farm.connect(self.store, self.config)
        self.workers: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *named: str, options: tuple[str, ...] = (), fault: str = "", **variables: str) -> None:
        """Starts workers and waits until they are ready. `fault`: see `faults/sitecustomize.py`."""
        if fault:
            variables |= {"PYTHONPATH": str(Path(__file__).parent / "faults"), "FARM_FAULT": fault}
        settings = self.config.model_dump_json(exclude={"broker_url", "store"})
        for name in named:
            command = [sys.executable, "-m", "workers", "--engine", "rehearsal", "--owned", "--name", name]
            command += ["--broker", self.redis_server.broker_url, "--store", self.store.url, "--settings", settings]
            with open(self.directory / f"{name}.log", "ab") as log:
                self.workers[name] = subprocess.Popen(
                    [*command, *options],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    env={**os.environ, **variables},
                )
        wait_for(lambda: set(named) <= {worker["name"] for worker in self.farm.workers()})

    def said(self, name: str) -> str:
        """The log of a worker."""
        return (self.directory / f"{name}.log").read_text()

    def rendering(self, job: Job, worker: str = "") -> Held:
        """A slice that a worker, or any one, has started on."""

        def started() -> list[Held]:
            mine = [held for held in self.farm.running(job) if worker in ("", held.worker)]
            return [held for held in mine if held.ticket.task.startswith("passes") and held.total]

        return wait_for(started)[0]  # type: ignore[no-any-return]

    def kill(self, name: str) -> None:
        """`kill -9` of a worker's parent process."""
        worker = self.workers.pop(name)
        worker.kill()
        worker.wait()
        assert worker.stdin is not None
        worker.stdin.close()

    def close(self) -> None:
        """Ends everything that was started."""
        for worker in self.workers.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
            assert worker.stdin is not None
            worker.stdin.close()
        self.farm.close()
        self.redis.close()
        self.redis_server.close()

    # --- jobs ---------------------------------------------------------------------------------------------------

    def claim(
        self,
        shot: str,
        *,
        frames: range = range(1001, 1004),
        priority: int = 5,
        show: str = "",
        terms: dict[str, Any] | None = None,
        **rehearsal: Any,
    ) -> Job:
        """Claims a rehearsal: two rounds of three slices, with neighbours, unless said otherwise."""
        settings = {"rounds": 2, "slices": 3, "radius": 1, **rehearsal}
        config = {"show": show, "farm": terms or {}}
        frozen = Frozen(config, recipes_rehearsal.environment(), {}, "rehearsal", Rehearsal(**settings))
        return jobs.claim(self.store, shot, frozen, frames=frames, priority=priority)[0]

    def submit(self, shot: str, **options: Any) -> Job:
        """Claims a rehearsal and sets it going."""
        job = self.claim(shot, **options)
        self.farm.submit(job)
        return job

    def finish(self, job: Job) -> str:
        """Waits for the end of a job; returns its state."""
        wait_for(lambda: job.id not in jobs.active(self.store))
        return self.farm.state(job)

    def products(self, job: Job) -> set[str]:
        """Names of all products of a job."""
        kinds = ("samples", "passes", "buffers", "rounds", "stop", "frames")
        skip = len(job.directory) + 1
        return {name[skip:] for kind in kinds for name in self.store.list(f"{job.directory}/{kind}")}

    def attempts(self, job: Job) -> list[str]:
        """Names of the tasks that were started, once for each start."""
        skip = len(job.directory) + 1
        return [str(names.parse(name[skip:]).task) for name in self.store.list(f"{job.directory}/attempts")]

    def failures(self, job: Job) -> list[str]:
        """Names of the tasks that are parked."""
        skip = len(f"{job.directory}/failures/")
        return [name[skip:] for name in self.store.list(f"{job.directory}/failures")]

    def deliverables(self, job: Job) -> dict[int, list[int]]:
        """The numbers of every frame that was made."""
        return numbers_of(self.store, job)

    def made_here(self, job: Job) -> dict[int, list[int]]:
        """What the deliverables must be: the job's tasks, done one after the other in this process."""
        store = open_store(self.directory / "made here")
        frozen = Frozen({}, job.environment, {}, "rehearsal", job.rehearsal)
        copy = jobs.claim(store, job.shot, frozen, frames=job.frames)[0]
        products = Products(store, copy)
        while ready := plan.runnable(JobPlan.of(copy), products):
            for task in ready:
                products.publish(task, *recipes_rehearsal.make(task, copy, products, Context()))
        return numbers_of(store, copy)

    wait_for = staticmethod(wait_for)


def numbers_of(store: Store, job: Job) -> dict[int, list[int]]:
    products = Products(store, job)
    made = [frame for frame in job.frames if products.exists(names.frame_product(frame))]
    return {frame: products.read(names.frame_product(frame)).arrays["numbers"].tolist() for frame in made}


@pytest.fixture
def make_rig(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """A maker of rigs, for tests that kill, or need settings of their own."""
    made: list[Rig] = []

    def make(**settings: Any) -> Rig:
        made.append(Rig(tmp_path, **settings))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A farm of two workers, shared by the tests of a module, which leave it alive."""
    made = Rig(tmp_path_factory.mktemp("farm"))
    try:
        made.start("one", "two")
        yield made
    finally:
        made.close()
