"""What a job waits for, and each of its open tasks. For people: it lists the job, and asks Redis for leases."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.farm import attempts, names, plan
from pipeline.farm.control import Control
from pipeline.farm.job import Job, wanted_frames
from pipeline.farm.leases import Held
from pipeline.farm.plan import JobPlan
from pipeline.farm.products import Products
from pipeline.farm.states import TaskSigns, TaskState, task_state
from pipeline.farm.store import Store
from pipeline.farm.waits import Waits

if TYPE_CHECKING:
    from pipeline.farm.client import Farm
    from pipeline.farm.progress import JobSnapshot

__all__ = ["OpenTask", "open_tasks", "waits_of"]


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


def waits_of(service: Farm, job: Job, seen: JobSnapshot) -> list[str]:
    """What a job waits for beside its own tasks, one line each: room, workers, licences, other jobs, an approval."""
    if seen.state in ("done", "failed", "cancelled", "paused"):
        return []
    found = []
    if full := service.on_hold():
        found.append(f"for room: {full}")
    if away := service.back_off(job):
        found.append(f"tasks are tried again later: {away}")
    if seen.state == "review":
        found.append(f"for an approval: pipeline approve {seen.job}")
    found += [f"for {other}" for other in sorted(set(seen.blocked.values()))]
    if service.config.broker_url is not None and (unserved := service.unserved(job)):
        asked = {key: value for key, value in seen.terms.items() if value and key in ("pool", "tags", "memory")}
        what = ", ".join(f"{key} {value}" for key, value in asked.items())
        found.append(f"for a worker: none serves {', '.join(unserved)}" + (f" ({what})" if what else ""))
    found += [f"{worker} is kept off it: pipeline allow {worker} --job {seen.job}" for worker in seen.barred]
    return found
