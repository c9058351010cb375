"""Products that a disk has damaged, and processes that were stopped for longer than every time-out."""

from __future__ import annotations

import os
import signal
from typing import Any

from pipeline.farm import attempts, names
from pipeline.farm.progress import snapshot


def test_damaged_products_are_made_anew_at_the_cost_of_who_read_them(rig: Any) -> None:
    job = rig.submit("spoilt", frames=range(1, 5), terms={"approve": "round"})
    rig.wait_for(lambda: snapshot(rig.store, job).state == "review")
    for frame in job.frames:  # the next sums read all of them
        path = rig.store.path(f"{job.directory}/{names.buffers(frame, 0)}")
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data if frame % 2 else data[:-40])
    rig.farm.approve(job)

    assert rig.finish(job) == "done"
    assert rig.deliverables(job) == rig.made_here(job)
    assert len(rig.store.list("damaged")) == len(job.frames)
    tasks = rig.attempts(job)
    assert len(tasks) - len(set(tasks)) <= 2 * len(job.frames)  # each is made again, and so is who met it
    assert rig.failures(job) == []


def test_a_worker_that_was_stopped_for_longer_than_every_time_out_does_no_harm(make_rig: Any) -> None:
    rig = make_rig(stuck_seconds=4.0)
    rig.start("stopped", "other")
    job = rig.submit("frozen", frames=range(1, 2), rounds=1, slices=2, task_seconds=2.5)
    task = rig.rendering(job, "stopped").ticket.task
    os.killpg(rig.workers["stopped"].pid, signal.SIGSTOP)
    rig.wait_for(lambda: rig.store.exists(f"{job.directory}/{task}"))
    os.killpg(rig.workers["stopped"].pid, signal.SIGCONT)

    assert rig.finish(job) == "done"
    rig.wait_for(lambda: rig.store.exists(f"{job.directory}/{names.log(task, 0)}"))
    told = attempts.history(rig.store, job.directory, task)
    assert [each.outcome for each in told] == ["double", "made"]  # and not that it was stuck
    assert rig.deliverables(job) == rig.made_here(job)
    assert attempts.first_trouble(rig.store, job.directory) is None
