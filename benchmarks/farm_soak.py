"""A farm that works for hours: does its memory grow, and is that of its children bounded?

python -m benchmarks.farm_soak [--quick] [--json FILE]

Two workers make small jobs, one after the other, for two hours (three minutes in a quick run, whose slope says little);
their children are replaced after so many tasks. The memory of each process is its proportional set size: pages that
processes share are divided among them. What was sampled is kept under `~/.cache/penumbra/farm_soak`, by commit: a run
that was cut off goes on with new processes, and each stretch of at least ten minutes counts.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from benchmarks.farm_rig import Rig
from benchmarks.machine import commit
from benchmarks.results import Results, Row, main
from pipeline.device import cache_directory
from pipeline.farm import job as jobs
from pipeline.farm import recipes_rehearsal
from pipeline.farm.job import Frozen, Rehearsal

HOURS, QUICK_SECONDS = 2.0, 180.0
STRETCH_SECONDS = 1200.0
"""After so long new processes start, and what the last ones showed is written down."""
LEAST_SECONDS = 600.0
WARM_SHARE = 0.25
"""Of a stretch, at its beginning, that is not counted: caches fill."""
SAMPLE_SECONDS = 2.0
CHILD_TASKS = 64
WORK = Rehearsal(rounds=2, slices=4, size=50_000, task_seconds=0.05)
FRAMES = range(1, 21)
SLOPE, CHILD_MIB = 2.0, 512.0
"""Per cent in an hour; and what a child that renders nothing may take between two recycles."""


@dataclass
class Stretch:
    """What was sampled while the same parents lived.

    Attributes:
        seconds: of each sample, since the parents were ready.
        parents: MiB of all of them, in each sample.
        peak: MiB of the largest child.
        children: how many processes made tasks.
        tasks: that were made.
    """

    seconds: list[float] = field(default_factory=list)
    parents: list[float] = field(default_factory=list)
    peak: float = 0.0
    children: int = 0
    tasks: int = 0

    @property
    def slope(self) -> float:
        """Growth of the parents' memory in an hour, per cent, by least squares over all but the beginning."""
        return slope(self.seconds, self.parents)


def slope(seconds: Sequence[float], memory: Sequence[float]) -> float:
    """Per cent in an hour, of a line through all samples but the first quarter; NaN for fewer than three."""
    first = int(len(seconds) * WARM_SHARE)
    if len(seconds) - first < 3:
        return float("nan")
    per_second, _ = np.polyfit(seconds[first:], memory[first:], 1)
    return float(100.0 * 3600.0 * per_second / np.mean(memory[first:]))


def measure(results: Results) -> None:
    kept = cache_directory() / "farm_soak" / (commit() or "no commit")
    if results.quick:
        stretches = [soak(QUICK_SECONDS)]
    else:
        stretches = [_kept(kept, number) for number in range(round(HOURS * 3600 / STRETCH_SECONDS))]
    seconds = sum(stretch.seconds[-1] for stretch in stretches)
    what = f"parents' memory in {seconds / 60:.0f} min, {sum(s.tasks for s in stretches)} tasks: growth in an hour"
    long_enough = seconds >= LEAST_SECONDS
    results.add(
        Row(
            "slope",
            what,
            float(np.median([stretch.slope for stretch in stretches])),
            "%",
            must=SLOPE if long_enough else None,
            note="" if long_enough else "too short to tell",
        )
    )
    results.add(Row("parents", "memory of both parents", float(np.mean([s.parents[-1] for s in stretches])), "MiB"))
    peak, children = max(s.peak for s in stretches), sum(s.children for s in stretches)
    what = f"largest of {children} children, replaced after {CHILD_TASKS} tasks"
    results.add(Row("children", what, peak, "MiB", must=CHILD_MIB))


def soak(seconds: float) -> Stretch:
    """Two workers at work for so long."""
    found, children = Stretch(), set[int]()
    with (
        tempfile.TemporaryDirectory(prefix="penumbra-soak-") as scratch,
        Rig(Path(scratch), workers=2, engine="rehearsal", child_tasks=CHILD_TASKS) as rig,
    ):
        began, due = time.monotonic(), 0.0

        def sample() -> None:
            nonlocal due
            now = time.monotonic() - began
            if now < due:
                return
            due = now + SAMPLE_SECONDS
            parents = [_mib(worker.pid) for worker in rig.workers.values()]
            found.seconds.append(now)
            found.parents.append(sum(parents))
            for pid in rig.children():
                children.add(pid)
                found.peak = max(found.peak, _mib(pid))

        number = 0
        while time.monotonic() - began < seconds:
            work = WORK.model_copy(update={"seed": number})
            frozen = Frozen({}, recipes_rehearsal.environment(), {}, "rehearsal", work)
            job = jobs.claim(rig.store, "soak", frozen, frames=FRAMES)[0]
            rig.run(job, sample)
            found.tasks += len(rig.store.list(f"{job.directory}/attempts"))
            number += 1
    found.children = len(children)
    return found


def _mib(pid: int) -> float:
    """Proportional set size; 0 for a process that has just ended."""
    try:
        return float(psutil.Process(pid).memory_full_info().pss) / 2**20
    except psutil.Error:
        return 0.0


def _kept(folder: Path, number: int) -> Stretch:
    """A stretch of an earlier run of the same commit, or a new one. A tree that was changed is not remembered."""
    path = folder / f"{number}.json"
    remembered = not folder.name.endswith("+")
    if remembered and path.exists():
        return Stretch(**json.loads(path.read_text()))
    found = soak(STRETCH_SECONDS)
    if remembered:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(vars(found)))
    return found


if __name__ == "__main__":
    raise SystemExit(main("farm_soak", "A farm that works for hours", __doc__.splitlines()[0], measure))
