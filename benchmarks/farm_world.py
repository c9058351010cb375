"""A farm of simulated workers around the real dispatcher, planner, leases and queues: for `benchmarks.farm_scale`.

Time is simulated, and runs as fast as it is computed; Redis is real, and keeps its own time, which is slower, so that
nothing expires that should not. Simulated workers do what real ones do to Redis and to the store, and nothing between:
their products have facts and no pixels. The store is in memory, and counts what it is asked.
"""

from __future__ import annotations

import heapq
import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.planner import facts_of
from pipeline.config.farm import Farm
from pipeline.farm import attempts, filling, full_store, leases, names, plan, store_desk
from pipeline.farm import job as jobs
from pipeline.farm.embedded import EmbeddedRedis
from pipeline.farm.job import Frozen, Job, Rehearsal
from pipeline.farm.plan import JobPlan
from pipeline.farm.products import Products
from pipeline.farm.queues import (
    KINDS,
    Queues,
    Report,
    Ticket,
    connect,
    device_of,
    key,
    list_keys,
    queue_name,
    ticket_of,
)
from pipeline.farm.recipes_rehearsal import environment
from pipeline.farm.store import Bytes, Entry
from pipeline.farm.store_desk import StoreDesk

__all__ = ["Costs", "CountingMemory", "World"]

BEAT_SECONDS = 2.0
"""Between two signs of life of a worker."""


class CountingMemory:
    """A store in memory, which counts requests and bytes."""

    url = "memory://farm"

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._tree: dict[str, dict[str, None]] = {}
        self.asked = Counter[str]()

    def create(self, name: str, data: Bytes | Iterable[Bytes], *, durable: bool = True) -> bool:
        self.asked["create"] += 1
        if name in self._files:
            return False
        whole = bytes(data) if isinstance(data, (bytes, bytearray, memoryview)) else b"".join(map(bytes, data))
        self.asked["bytes"] += len(whole)
        self._files[name] = whole
        parent, _, last = name.rpartition("/")
        while last not in (siblings := self._tree.setdefault(parent, {})):
            siblings[last] = None
            if not parent:
                break
            parent, _, last = parent.rpartition("/")
        return True

    def read(self, name: str) -> bytes:
        self.asked["read"] += 1
        try:
            return self._files[name]
        except KeyError:
            raise FileNotFoundError(name) from None

    def read_head(self, name: str, size: int) -> bytes:
        return self.read(name)[:size]

    def read_tail(self, name: str, size: int) -> bytes:
        return self.read(name)[-size:]

    def exists(self, name: str) -> bool:
        self.asked["exists"] += 1
        return name in self._files

    def list(self, prefix: str) -> list[str]:
        self.asked["list"] += 1
        return sorted(self._below(prefix.rstrip("/")))

    def entries(self, prefix: str) -> Iterator[Entry]:
        for name in self.list(prefix):
            yield Entry(name, len(self._files[name]), 0.0)

    def children(self, prefix: str) -> list[str]:
        self.asked["list"] += 1
        return sorted(self._tree.get(prefix.rstrip("/"), ()))

    def quarantine(self, name: str) -> None:
        self.delete(name)

    def delete(self, name: str) -> None:
        self.asked["delete"] += 1
        if self._files.pop(name, None) is not None:
            parent, _, last = name.rpartition("/")
            del self._tree[parent][last]

    def path(self, name: str) -> Path | None:
        return None

    def sweep(self, prefix: str, *, older_than: float = 86400.0) -> int:
        return 0

    def _below(self, directory: str) -> Iterator[str]:
        for child in self._tree.get(directory, ()):
            name = f"{directory}/{child}" if directory else child
            if name in self._files:
                yield name
            else:
                yield from self._below(name)


class Clock:
    """The time that simulated modules see in place of `time`."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@dataclass
class Costs:
    """What the dispatcher cost in a stretch of simulated time.

    Attributes:
        seconds: simulated.
        tasks: that were made.
        turns: CPU seconds of everything but sweeps.
        sweeps: CPU seconds of the sweeps.
        sweep_count: how many.
        redis: CPU seconds of Redis, for the dispatcher and the workers.
        dispatcher: requests to the store by the dispatcher.
        workers: requests to the store by the workers, and bytes of products without pixels.
        busy: share of the workers that were at work, on average.
    """

    seconds: float = 0.0
    tasks: int = 0
    turns: float = 0.0
    sweeps: float = 0.0
    sweep_count: int = 0
    redis: float = 0.0
    dispatcher: Counter[str] = field(default_factory=Counter)
    workers: Counter[str] = field(default_factory=Counter)
    busy: float = 0.0


class World:
    """Jobs, workers, and a dispatcher. Use as a context.

    Args:
        workers: how many, of one slot.
        jobs: how many.
        frames: of each.
        work: of each frame.
        render_seconds, light_seconds: that a slice, and any other task, takes.
        done: share of each job's frames that is made already.
    """

    def __init__(
        self,
        *,
        workers: int,
        jobs: int,
        frames: int,
        work: Rehearsal,
        render_seconds: float,
        light_seconds: float,
        done: float,
    ) -> None:
        self._workers, self._seconds = workers, {"render": render_seconds}
        self._light = light_seconds
        self.store, self.clock = CountingMemory(), Clock()
        self._broker = EmbeddedRedis()
        self.redis = connect(self._broker.broker_url)
        self.farm = Farm(broker_url=self._broker.broker_url, queue_depth_per_slot=2)
        self.queues = Queues(self.redis)
        self._take = self.redis.register_script(leases.TAKE)
        self._modules = (store_desk, filling, full_store, leases)
        for module in self._modules:
            module.time = self.clock  # type: ignore[assignment]
        self.jobs = {each.id: each for each in (self._claimed(k, frames, work, done) for k in range(jobs))}
        self._plans = {job_id: JobPlan.of(job) for job_id, job in self.jobs.items()}
        self._products = {job_id: Products(self.store, job) for job_id, job in self.jobs.items()}
        here = next(iter(self.jobs.values()))
        self._served = [queue_name(kind, device_of(here.environment), here.environment_key) for kind in KINDS]
        self._ends: list[tuple[float, Ticket, int]] = []
        self._idle, self._number = workers, 0
        self._beat_due = self._renew_due = 0.0
        self._beat()
        self.desk = StoreDesk(self.redis, self.queues, self.store, self.farm, worker="simulated")
        self._sweep, self._sweep_seconds, self._sweep_count = self.desk._sweep, 0.0, 0
        self.desk._sweep = self._timed_sweep  # type: ignore[method-assign]

    def _claimed(self, number: int, frames: int, work: Rehearsal, done: float) -> Job:
        frozen = Frozen({}, environment(), {}, "rehearsal", work.model_copy(update={"seed": number}))
        job, _ = jobs.claim(self.store, f"shot_{number:03d}", frozen, frames=range(1, frames + 1))
        products, ready = Products(self.store, job), round(frames * done)
        few = JobPlan(tuple(range(1, ready + 1)), work.rounds)
        while ready and (tasks := [task for task in plan.runnable(few, products) if task != names.REPORT]):
            for task in tasks:
                products.publish(task, facts_of(task))
        return job

    def open(self) -> tuple[float, Counter[str]]:
        """The dispatcher takes over: CPU seconds until it knows all jobs and has filled the queues, and requests."""
        before, start = self.store.asked.copy(), time.thread_time()
        assert self.desk.leads()
        self.desk.turn([])
        return time.thread_time() - start, self.store.asked - before

    def run(self, tasks: int, *, step: float = 0.05) -> Costs:
        """Simulates until so many tasks are made; what that cost."""
        costs, start, redis = Costs(), self.clock.now, self._redis_seconds()
        busy = steps = 0
        while costs.tasks < tasks and jobs.active(self.store):
            self.clock.now += step
            before = self.store.asked.copy()
            costs.tasks += self._finish_tasks()
            self._start_tasks()
            self._beat()
            self._renew()
            costs.workers += self.store.asked - before
            before = self.store.asked.copy()
            self._dispatch(costs)
            costs.dispatcher += self.store.asked - before
            busy, steps = busy + self._workers - self._idle, steps + 1
        costs.seconds = self.clock.now - start
        costs.redis = self._redis_seconds() - redis
        costs.busy = busy / max(1, steps) / self._workers
        return costs

    def _dispatch(self, costs: Costs) -> None:
        texts: Any = self.redis.lpop(key("wake", self.store.url), 1000) or []
        if not texts and self.desk.patience() > 0:
            return
        swept, count = self._sweep_seconds, self._sweep_count
        start = time.thread_time()
        assert self.desk.leads()
        self.desk.turn([Report.of(text) for text in texts])
        swept = self._sweep_seconds - swept
        costs.sweeps += swept
        costs.sweep_count += self._sweep_count - count
        costs.turns += time.thread_time() - start - swept

    def _timed_sweep(self) -> None:
        start = time.thread_time()
        self._sweep()
        self._sweep_seconds += time.thread_time() - start
        self._sweep_count += 1

    # --- simulated workers ------------------------------------------------------------------------------------------

    def _start_tasks(self) -> None:
        for queue in self._served:
            for name in list_keys(queue):
                if not self._idle:
                    return
                raws: Any = self.redis.rpop(name, self._idle) or []
                for raw in raws:
                    ticket = ticket_of(str(raw))
                    if ticket is not None:
                        self._start(ticket)

    def _start(self, ticket: Ticket) -> None:
        products = self._products[ticket.job]
        if products.exists(ticket.task):
            return
        inputs = plan.inputs(self._plans[ticket.job], ticket.task, products)
        assert inputs is not None and all(products.exists(name) for name in inputs), ticket
        self._lease(ticket)
        number = attempts.begin(self.store, self.jobs[ticket.job].directory, ticket.task, worker="simulated")
        seconds = self._seconds.get(names.queue(ticket.task), self._light)
        heapq.heappush(self._ends, (self.clock.now + seconds, ticket, number))
        self._idle -= 1

    def _lease(self, ticket: Ticket) -> None:
        fields = {"worker": "simulated", "host": "simulated", "pid": os.getpid(), "since": 0, "attempt": 0}
        pairs = [word for pair in (fields | {"done": 0, "total": 0}).items() for word in pair]
        args = [str(ticket), 3_600_000, *pairs]
        self._take(keys=[key("lease", ticket)], args=args)

    def _finish_tasks(self) -> int:
        made = 0
        while self._ends and self._ends[0][0] <= self.clock.now:
            _, ticket, number = heapq.heappop(self._ends)
            products, directory = self._products[ticket.job], self.jobs[ticket.job].directory
            facts = {"frames": list(self._plans[ticket.job].frames)} if ticket.task == names.REPORT else {}
            products.publish(ticket.task, facts or facts_of(ticket.task))
            attempts.end(self.store, directory, ticket.task, number, outcome="made")
            for task in plan.after(self._plans[ticket.job], ticket.task, products):
                following = Ticket(ticket.store, ticket.job, task)
                offered = self.queues.offer(
                    following,
                    queue=self._served[KINDS.index(names.queue(task))],
                    priority=5,
                    mark_seconds=filling.mark_seconds(self.farm),
                    direct=True,
                )
                if offered == "full":
                    break
            self.redis.delete(key("lease", ticket))
            self.queues.wake(self.store.url, Report(ticket.job, ticket.task, "made", number, "simulated"))
            self._idle += 1
            made += 1
        return made

    def _renew(self) -> None:
        """All leases, once in a heartbeat."""
        if self.clock.now >= self._renew_due:
            self._renew_due = self.clock.now + self.farm.heartbeat_seconds
            for _, ticket, _ in self._ends:
                self._lease(ticket)

    def _beat(self) -> None:
        """All workers tell that they live."""
        if self.clock.now < self._beat_due:
            return
        self._beat_due = self.clock.now + BEAT_SECONDS
        record = {
            "stores": [self.store.url], "state": "working", "slots": 1, "serving": self._served,
            "queues": self._served, "pools": [""], "tags": [], "memory": 24000,
        }  # fmt: skip
        pipe = self.redis.pipeline(transaction=False)
        for number in range(self._workers):
            name = f"node{number:04d}"
            pipe.set(key("worker", name), json.dumps({**record, "name": name}), px=3_600_000)
        pipe.execute()

    def _redis_seconds(self) -> float:
        told: Any = self.redis.info("cpu")
        return float(told["used_cpu_sys"]) + float(told["used_cpu_user"])

    def close(self) -> None:
        """Ends Redis, and gives the modules their time back."""
        for module in self._modules:
            module.time = time
        self.redis.close()
        self._broker.close()

    def __enter__(self) -> World:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()
