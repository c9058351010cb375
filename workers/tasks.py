"""The Celery tasks, one for each kind of queue, so that a monitor shows at a glance what a worker is doing.

Their arguments are a ticket: the store's URL, the job's id, and the name of the product to make. Their result is one
line.
"""

from __future__ import annotations

from celery import shared_task

from workers.run import TaskFailed, desk

__all__ = ["denoise", "light", "render", "train"]


@shared_task(name="penumbra.light", throws=(TaskFailed,))
def light(store: str, job: str, task: str) -> str:
    """Sample maps, sums, error maps, decisions, the report."""
    return desk().perform(store, job, task)


@shared_task(name="penumbra.render", throws=(TaskFailed,))
def render(store: str, job: str, task: str) -> str:
    """A slice of a render pass."""
    return desk().perform(store, job, task)


@shared_task(name="penumbra.denoise", throws=(TaskFailed,))
def denoise(store: str, job: str, task: str) -> str:
    """A denoised frame, a deliverable."""
    return desk().perform(store, job, task)


@shared_task(name="penumbra.train", throws=(TaskFailed,))
def train(store: str, job: str, task: str) -> str:
    """A part of an errand: a material, a stretch of a training."""
    return desk().perform(store, job, task)
