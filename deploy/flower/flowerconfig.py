"""Flower, as a farm wants it: nobody looks without a login, nothing can be changed, the history outlives a restart.

    celery --app workers.monitor flower --conf=deploy/flower/flowerconfig.py

Flower shows workers and single tasks; jobs, frames and errors are shown by `pipeline status`, the API and Grafana.

Variables:
    PIPELINE_FLOWER_LOGINS  file of `name:password`, one a line; without one Flower does not start
    PIPELINE_FLOWER_STATE   directory for the history, which nobody else may write to: it is a pickle
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any


def _logins() -> list[str]:
    file = os.environ.get("PIPELINE_FLOWER_LOGINS", "")
    try:
        found = [line.strip() for line in Path(file).read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError as error:
        sys.exit(f"flower: PIPELINE_FLOWER_LOGINS='{file}' cannot be read: {error.strerror}")
    if not found or not all(name and password for name, _, password in (each.partition(":") for each in found)):
        sys.exit(f"flower: {file} holds no logins, or one that is not name:password")
    return found


def format_task(task: Any) -> Any:
    """A task as it reads well: the product that it makes in place of its arguments."""
    job, _, name = str(task.uuid).partition("/")
    if name:
        task.args, task.kwargs = f"{name.rpartition('~')[0]} of {job}", ""
    return task


basic_auth = _logins()
read_only = True  # `pipeline` asks things of jobs and workers, and writes down who did
persistent = True
db = str(Path(os.environ.get("PIPELINE_FLOWER_STATE", ".")) / "flower.db")
state_save_interval = 60_000
max_tasks = 20_000  # more is history, which the jobs' own logs have; Flower would only grow
max_workers = 2_000
purge_offline_workers = 3_600
inspect_timeout = 3_000.0
tasks_columns = "name,args,state,started,runtime,worker"
natural_time = True
task_runtime_metric_buckets = [1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, float("inf")]
