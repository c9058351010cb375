"""The Celery application of a worker: prefork with `spawn`, one message at a time, early acknowledgement.

Only the sweep redelivers (see `pipeline.farm.dispatch`), so a message that was popped is gone: no visibility time-out,
no late acknowledgement. `worker_disable_prefetch` keeps everything that no child works on in Redis, where priority,
pause and cancel reach it.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from pipeline.farm.queues import celery_app
from workers.settings import WorkerSettings

if TYPE_CHECKING:
    from celery import Celery

__all__ = ["SETTINGS_KEY", "start", "worker_app"]

SETTINGS_KEY = "penumbra_worker"
"""Key of the Celery configuration under which children find the worker's settings."""

CHILD_START_SECONDS = 180.0
"""How long a child may take to come up: a fresh interpreter on a busy machine, over a slow network file system."""


def worker_app(settings: WorkerSettings) -> Celery:
    """The application that `start` runs; its configuration, settings included, travels to the children."""
    return celery_app(
        settings.broker_url,
        events=settings.events,
        options={
            "include": ["workers.tasks"],
            "worker_pool": "prefork",
            "worker_pool_start_method": "spawn",
            "worker_concurrency": settings.slots,
            "worker_prefetch_multiplier": 1,
            "worker_disable_prefetch": True,
            "worker_max_tasks_per_child": settings.farm.child_tasks,
            "worker_proc_alive_timeout": CHILD_START_SECONDS,
            "worker_cancel_long_running_tasks_on_connection_loss": False,
            "worker_enable_remote_control": settings.events,
            "worker_redirect_stdouts": False,
            "worker_log_format": "%(asctime)s %(levelname)-7s %(processName)s %(message)s",
            "worker_task_log_format": "%(asctime)s %(levelname)-7s %(processName)s %(message)s",
            "task_create_missing_queues": True,
            SETTINGS_KEY: settings.to_json(),
        },
    )


def start(settings: WorkerSettings, *, log_level: str) -> int:
    """Runs a worker until it is told to stop; returns its exit code.

    SIGTERM and SIGINT let running tasks finish; a second SIGINT, or SIGQUIT, ends them at once.
    """
    from celery import signals

    from workers.messages import keep_reading
    from workers.parent import Parent
    from workers.semaphores import keep_tracked

    keep_tracked()
    keep_reading()
    app = worker_app(settings)
    parent = Parent(settings)

    def on_ready(sender: Any = None, **_: object) -> None:
        parent.start(sender)

    def on_shutdown(**_: object) -> None:
        parent.stop()

    signals.worker_ready.connect(on_ready, weak=False)
    signals.worker_shutting_down.connect(on_shutdown, weak=False)
    signals.task_failure.connect(parent.on_task_failure, weak=False)
    worker = app.Worker(
        hostname=f"{settings.name}@{socket.gethostname()}",
        queues=[f"worker.{settings.name}"],  # nobody sends to it; the parent adds those that the worker may serve now
        loglevel=log_level,
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=not settings.events,
    )
    worker.start()
    return int(worker.exitcode or 0)
