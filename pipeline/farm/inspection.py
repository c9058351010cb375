"""The open tasks of a job, one by one: what each waits for. For people: it lists the job, and asks Redis for leases."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.farm import attempts, names, plan
from pipeline.farm.control import Control
from pipeline.farm.job import Job, wanted_frames
from pipeline.farm.leases import Held
from pipeline.farm.plan import JobPlan
from pipeline.farm.products import Products
from pipeline.farm.states import TaskSigns, TaskState, task_state
from pipeline.farm.store import Store
from pipeline.farm.waits import Waits

__all__ = ["OpenTask", "open_tasks"]


@dataclass(frozen=True, slots=True)
class OpenTask:
    """A task that a job still needs.

    Attributes:
        task: name of the product.
        state: see `pipeline.farm.states`.
        waits_for: inputs that are missing.
        worker: who is at it; else who tried last.
        attempts: how many there were, since somebody asked for another try.
        reason: how the last one ended, one line.
    """

    task: str
    state: TaskState
    waits_for: tuple[str, ...] = ()
    worker: str = ""
    attempts: int = 0
    reason: str = ""


def open_tasks(store: Store, job: Job, running: Iterable[Held]) -> list[OpenTask]:
    """The tasks that a job still needs, as far as one knows by now, in the order in which they are to start.

    Args:
        store: where the job lives.
        job: the job.
        running: the leases of its tasks.
    """
    products, state = Products(store, job), Control(store, job.directory).look()
    blocked = Waits(store, job.terms(state).after).blocked(wanted_frames(job, state))
    held_by = {held.ticket.task: held for held in running}
    found = []
    for task, missing in plan.open_tasks(JobPlan.of(job, state, blocked=blocked), products).items():
        tried = attempts.history(store, job.directory, task)
        held = held_by.get(task)
        last = tried[-1] if tried else None
        failed = last is not None and last.outcome is not None
        signs = TaskSigns(
            leased=held is not None and (last is None or held.attempt in (-1, last.n)),
            parked=products.exists(names.failure(task)),
            complete=not missing,
            held=state.holds(task),
            delayed=failed,  # for how long, the dispatcher alone knows
        )
        worker = held.worker if held is not None else last.worker if last is not None else ""
        reason = last.reason if last is not None else ""
        found.append(OpenTask(task, task_state(signs), tuple(missing), worker, len(tried), reason))
    return found
