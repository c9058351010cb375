"""The jobs that a child has open: read once, kept between tasks, with what was asked of them since."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from pipeline.errors import FarmError
from pipeline.farm import job as jobs
from pipeline.farm import names
from pipeline.farm.control import Control, ControlState
from pipeline.farm.job import Job
from pipeline.farm.plan import JobPlan
from pipeline.farm.products import Products
from pipeline.farm.queues import Ticket, device_of, queue_name
from pipeline.farm.requirements import requirement
from pipeline.farm.store import Store
from workers.settings import WorkerSettings

__all__ = ["OpenJob", "OpenJobs"]

JOBS_KEPT: Final = 16


class OpenJob:
    """A job as a child keeps it between tasks.

    Attributes:
        plan: what planning needs, as of the last look at the control records.
        terms: of the job, as of then.
        state: what they ask for.
    """

    def __init__(self, store: Store, job: Job) -> None:
        self.job, self.store, self.products = job, store, Products(store, job)
        self._control = Control(store, job.directory)
        self._due = 0.0
        self.plan, self.terms = JobPlan.of(job), job.terms()

    @property
    def state(self) -> ControlState:
        return self._control.state

    def look(self, *, every: float) -> ControlState:
        """The control state, not older than so many seconds."""
        now = time.monotonic()
        if now >= self._due:
            before = self.state
            if self._control.look() != before:
                self.plan, self.terms = JobPlan.of(self.job, self.state), self.job.terms(self.state)
            self._due = now + every
        return self.state

    def queue(self, task: str) -> str:
        """The queue of a task that has not failed yet."""
        kind = names.queue(task)
        wanted = requirement(self.terms, self.state.barred, kind)
        return queue_name(kind, device_of(self.job.environment), self.job.environment_key, wanted.key)


class OpenJobs:
    """Opens jobs, as far as this worker may make their products.

    Args:
        settings: of the worker.
        stores: that it serves, by their URLs.
    """

    def __init__(self, settings: WorkerSettings, stores: Mapping[str, Store]) -> None:
        self._settings, self._stores = settings, stores
        self._open: OrderedDict[tuple[str, str], OpenJob] = OrderedDict()

    def open(self, ticket: Ticket) -> OpenJob:
        """The job of a ticket, from memory if it was there lately.

        Raises:
            FarmError: this worker does not serve the store, or the job's environment, or has other weights, or the name
                is no task's.
            StoreError: the store cannot be read.
        """
        names.queue(ticket.task)
        found = self._open.get((ticket.store, ticket.job))
        if found is None:
            found = self._open[ticket.store, ticket.job] = self._read(ticket)
            if len(self._open) > JOBS_KEPT:
                self._open.popitem(last=False)
        self._open.move_to_end((ticket.store, ticket.job))
        return found

    def _read(self, ticket: Ticket) -> OpenJob:
        store = self._stores.get(ticket.store)
        if store is None:
            raise FarmError(f"this worker serves {', '.join(self._stores)}, not {ticket.store}")
        job = jobs.load(store, ticket.job)
        if job.rendering_key not in self._settings.environments:
            raise FarmError(
                f"its environment is {job.rendering_key}, this worker's {', '.join(self._settings.environments)}"
            )
        for preset, wanted in job.weights.items():
            if (own := self._settings.weights.get(preset)) != wanted:
                raise FarmError(f"its weights of {preset} are {wanted}, this worker's {own}")
        return OpenJob(store, job)
