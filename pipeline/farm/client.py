"""The farm as the command line sees it: one small interface to the store, the broker and the workers.

What is asked of a job goes into its control records, so that it holds without a broker as well; Redis is only told to
look.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pipeline.config.farm import Farm as FarmConfig
from pipeline.errors import FarmError
from pipeline.farm import attempts, control, names
from pipeline.farm import job as jobs
from pipeline.farm.control import Control, ControlState
from pipeline.farm.degraded import remake
from pipeline.farm.job import Job
from pipeline.farm.plan import JobPlan, is_done
from pipeline.farm.products import Products
from pipeline.farm.store import Store

if TYPE_CHECKING:
    from pipeline.farm.embedded import EmbeddedFarm
    from pipeline.farm.leases import Held
    from pipeline.farm.queues import Queues, Ticket
    from pipeline.farm.roster import Order

__all__ = ["BrokerDown", "Farm", "State"]

State = Literal["active", "done", "failed", "cancelled"]
T = TypeVar("T")


class BrokerDown(FarmError):
    """The broker does not answer: bad input, as far as the command line is concerned; nothing was enqueued."""

    exit_code = 2


class Farm:
    """A store, and the broker and workers that serve it. Made by `connect`, `embedded` or `offline`.

    Attributes:
        store: where jobs live.
        config: leases, limits, times.
    """

    def __init__(
        self, store: Store, config: FarmConfig, queues: Queues | None, local: EmbeddedFarm | None = None
    ) -> None:
        self.store, self.config = store, config
        self._queues, self._local = queues, local
        self._by: str | None = None

    def asked_by(self, who: str) -> Farm:
        """The same farm; what is asked through it is written down as theirs, not as this process' user's."""
        made = Farm(self.store, self.config, self._queues, self._local)
        made._by = who
        return made

    @classmethod
    def connect(cls, store: Store, config: FarmConfig) -> Farm:
        """The farm of a profile.

        Raises:
            BrokerDown: its broker does not answer.
            FarmError: it has no broker.
        """
        from redis.exceptions import RedisError

        from pipeline.farm.queues import Queues, connect

        if config.broker_url is None:
            raise FarmError("the farm's profile has no broker_url; PIPELINE_BROKER_URL sets one")
        redis = connect(config.broker_url, timeout=5.0)
        try:
            redis.ping()
        except RedisError as error:
            raise BrokerDown(f"the broker {without_password(config.broker_url)} does not answer: {error}") from error
        return cls(store, config, Queues(redis))

    @classmethod
    def embedded(
        cls,
        store: Store,
        config: FarmConfig,
        *,
        workers: int | None = None,
        engine: str = "mitsuba",
        log: Path | None = None,
        events: bool = True,
    ) -> Farm:
        """A private Redis and workers on this machine; `close` ends them, and so does the end of this process.

        Args:
            store: a local one.
            config: of the farm; its broker is not used.
            workers: processes; by default one for each GPU, or one for the CPU.
            engine: `mitsuba`, or `rehearsal` for rehearsals alone.
            log: directory for the workers' logs.
            events: tell monitors about tasks.

        Raises:
            FarmError: Redis does not start.
            DeviceError: no device works.
        """
        from pipeline.farm.embedded import EmbeddedFarm
        from pipeline.farm.queues import Queues, connect

        settings = config.model_dump_json(exclude={"broker_url", "store"})
        common = ["--store", store.url, "--engine", engine, "--settings", settings]
        if not events:
            common += ["--no-events", "--log-level", "WARNING"]
        devices = _devices() if engine == "mitsuba" else ["cpu"]
        count = workers or len(devices)
        local = EmbeddedFarm(
            [[*common, "--device", devices[number % len(devices)]] for number in range(count)], log=log
        )
        farm = config.model_copy(update={"broker_url": local.broker_url})
        redis = connect(local.broker_url, timeout=5.0)
        return cls(store, farm, Queues(redis), local)

    @classmethod
    def offline(cls, store: Store, config: FarmConfig) -> Farm:
        """The store alone: jobs can be asked about, and control records written, which workers find by themselves."""
        return cls(store, config, None)

    # --- looking --------------------------------------------------------------------------------------------------

    def workers(self) -> list[dict[str, Any]]:
        """The live workers, as they describe themselves: name, host, pid, device, slots, queues, stores, …"""
        return self._ask(lambda queues: queues.workers(), [])

    def slots(self) -> int:
        """Slots of the live workers that serve the store; 0 where none is known of."""
        return sum(int(worker["slots"]) for worker in self.workers() if self.store.url in worker["stores"])

    def queues(self) -> dict[str, int]:
        """How many tasks wait in each queue."""
        return self._ask(lambda queues: queues.lengths(), {})

    def waiting(self) -> dict[str, list[Ticket]]:
        """The tasks in each queue, the one that is served last in front."""
        return self._ask(lambda queues: queues.waiting(queues.lengths()), {})

    def running(self, job: Job | str | None = None) -> list[Held]:
        """The tasks at work, of one job or all, with who works on them, since when, and how far they are."""
        from pipeline.farm.leases import running

        job_id = job.id if isinstance(job, Job) else job or ""
        return self._ask(lambda queues: running(queues.redis, store=self.store.url, job=job_id), [])

    def unserved(self, job: Job) -> list[str]:
        """Queues of a job that no live worker serves now, so that it waits for one."""
        from pipeline.farm.queues import device_of, queue_name
        from pipeline.farm.requirements import Offer, requirement

        state, device = self.control(job), device_of(job.environment)
        terms = job.terms(state)
        ours = [worker for worker in self.workers() if self.store.url in worker["stores"]]
        working = [(worker["queues"], Offer.of(worker)) for worker in ours if worker["state"] == "working"]
        found = []
        for kind in job.queue_kinds:
            plain = queue_name(kind, device, job.environment_key)
            wanted = requirement(terms, state.barred, kind)
            if not any(plain in queues and wanted.met_by(offer) for queues, offer in working):
                found.append(queue_name(kind, device, job.environment_key, wanted.key))
        return found

    def back_off(self, job: Job) -> str | None:
        """Why tasks of a job wait: the store or a licence was away lately; else None."""
        from pipeline.farm.queues import key

        name = key("away", f"{self.store.url}|{job.id}")
        told: Any = self._ask(lambda queues: queues.redis.get(name), None)
        return None if told is None else str(told)

    def on_hold(self) -> str | None:
        """Why nothing runs on the store, if it is full; else None."""
        from pipeline.farm.full_store import held_because

        return self._ask(lambda queues: held_because(queues.redis, self.store.url), None)

    def state(self, job: Job) -> State:
        """Where a job stands, from the store alone. `failed`: some frames could not be made."""
        control_state = self.control(job)
        products = Products(self.store, job)
        plan = JobPlan.of(job, control_state)
        if is_done(plan, products):
            return "failed" if any(products.exists(names.absent(frame)) for frame in plan.frames) else "done"
        if control_state.cancelled:
            return "cancelled"
        if self.store.exists(f"{jobs.ACTIVE}/{job.id}"):
            return "active"
        return "failed"

    def control(self, job: Job) -> ControlState:
        """What was asked of a job."""
        return Control(self.store, job.directory).look()

    # --- asking ---------------------------------------------------------------------------------------------------

    def submit(self, job: Job) -> list[str]:
        """Sets a claimed job going; returns what the user should know, one line each."""
        jobs.activate(self.store, job)
        self._wake(job)
        if self._queues is None or self._local is not None:
            return []
        workers = [worker for worker in self.workers() if self.store.url in worker["stores"]]
        if not workers:
            return [f"no live worker serves {self.store.url} now; the job waits for one"]
        if unserved := self.unserved(job):
            return [f"no live worker serves {', '.join(sorted(unserved))} now; the job waits for one"]
        return []

    def pause(self, job: Job, *, after_task: bool = False) -> None:
        """Nothing of the job starts any more, and what runs lets go between waves, or comes to its end."""
        self._control(job, "pause", control.AFTER_TASK if after_task else None)

    def resume(self, job: Job) -> None:
        """The job goes on after a pause or a cancel."""
        control.write(self.store, job.directory, "resume", by=self._by)
        jobs.activate(self.store, job)
        self._wake(job)

    def cancel(self, job: Job, *, after_task: bool = False) -> None:
        """The job ends now, or after the tasks that run; what was made stays, and `resume` goes on from it."""
        self._control(job, "cancel", control.AFTER_TASK if after_task else None)

    def approve(self, job: Job) -> None:
        """The first passes of a job that waits for an approval are good: it goes on."""
        self._control(job, "approve")

    def adjust(self, job: Job, terms: Mapping[str, Any]) -> None:
        """Changes the terms of a job, by key of `Terms`.

        Raises:
            ConfigError: a key or a value that they do not have.
        """
        from pydantic import ValidationError

        from pipeline.config.problems import Source, problems_of
        from pipeline.config.terms import Terms

        before = job.terms(self.control(job)).model_dump(mode="json")
        try:
            after = Terms.model_validate({**before, **terms}).model_dump(mode="json")
        except ValidationError as error:
            raise Source().error(problems_of(error, Terms)) from error
        self._control(job, "terms", {key: after[key] for key in terms})

    def bar(self, job: Job, worker: str) -> None:
        """Keeps a worker off a job."""
        self._control(job, "bar", worker)

    def allow(self, job: Job, worker: str) -> None:
        """Lets a worker take a job's tasks again."""
        self._control(job, "allow", worker)

    def order(self, worker: str, what: Order, reason: str = "") -> None:
        """Asks something of a worker: `drain`, `out` or `in`."""
        from pipeline.farm import roster

        roster.order(self.store, worker, what, reason=reason, by=self._by)

    def skip(self, job: Job, frames: Iterable[int]) -> None:
        """These frames are not wanted any more.

        Raises:
            FarmError: the job has none of them, or no others, or they are parts that go on from each other.
        """
        if job.errand is not None and job.errand.chained:
            raise FarmError(f"{job.id}: each part goes on from the one before, so that none can be skipped")
        wanted = set(jobs.wanted_frames(job, self.control(job)))
        named = sorted(wanted.intersection(frames))
        if not named:
            raise FarmError(f"{job.id} has none of these frames")
        if len(named) == len(wanted):
            raise FarmError(f"{job.id} would have no frame left; cancel it instead")
        self._control(job, "skip", named)

    def priority(self, job: Job, priority: int) -> None:
        """Changes a job's priority: 0 (last) to 9 (first).

        Raises:
            FarmError: it is beyond them.
        """
        if not 0 <= priority <= 9:
            raise FarmError(f"a priority is 0 (last) to 9 (first), not {priority}")
        self._control(job, "priority", priority)

    def retry(self, job: Job, only: Iterable[str] | None = None) -> list[str]:
        """Removes the marks of what failed, or of these tasks, so that it is tried again; returns those tasks.

        Frames that were made without one that is tried again are denoised anew.
        """
        products, plan = Products(self.store, job), JobPlan.of(job, self.control(job))
        absent = {frame for frame in plan.frames if products.exists(names.absent(frame))}
        tasks = attempts.retry(self.store, job.directory, only)
        remake(plan, products, {frame for frame in absent if not products.exists(names.absent(frame))})
        control.write(self.store, job.directory, "retry", tasks, by=self._by)
        jobs.activate(self.store, job)
        self._wake(job)
        return tasks

    def wait(self, job: Job, on_update: Callable[[], object] = lambda: None, *, every: float = 0.5) -> State:
        """Waits until a job is done, failed, or cancelled; calls `on_update` meanwhile.

        Raises:
            FarmError: the workers of an embedded farm cannot work.
        """
        while self.store.exists(f"{jobs.ACTIVE}/{job.id}"):
            on_update()
            if self._local is not None and self._local.problem is not None:
                raise FarmError(self._local.problem)
            time.sleep(every)
        on_update()
        return self.state(job)

    # --- ending ---------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Ends an embedded farm; leaves others alone."""
        if self._local is not None:
            self._local.close()

    def __enter__(self) -> Farm:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    # --- inside ---------------------------------------------------------------------------------------------------

    def _control(self, job: Job, action: str, value: Any = None) -> None:
        control.write(self.store, job.directory, action, value, by=self._by)
        self._wake(job)

    def _wake(self, job: Job) -> None:
        from pipeline.farm.queues import Report

        self._ask(lambda queues: queues.wake(self.store.url, Report(job.id)), None)

    def _ask(self, question: Callable[[Queues], T], without: T) -> T:
        """The broker's answer; `without` where there is no broker.

        Raises:
            BrokerDown: it does not answer any more.
        """
        if self._queues is None:
            return without
        from redis.exceptions import RedisError

        try:
            return question(self._queues)
        except RedisError as error:
            raise BrokerDown(f"the broker does not answer any more: {error}") from error


def without_password(url: str) -> str:
    """A broker's URL as it may be shown.

    >>> without_password("redis://farm:secret@host:6379/0")
    'redis://farm:***@host:6379/0'
    """
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@")).geturl()


def _devices() -> list[str]:
    """The devices that an embedded farm's workers are bound to: every GPU, or the CPU where there is none."""
    from pipeline.device import LLVM, choose_variant, devices

    if choose_variant() == LLVM:
        return ["cpu"]
    return [f"cuda:{device.index}" for device in devices() if device.kind == "cuda"]
