"""How far one farm goes: the real planner, dispatcher, leases and queues against simulated workers.

python -m benchmarks.farm_scale [--quick] [--json FILE]

A thousand workers, a hundred jobs, a million tasks: slices take a minute, everything else two seconds. The run is cut
into stretches that begin with jobs that are done in part; what each found is kept under `~/.cache/penumbra/farm_scale`,
by commit, so that a run that was cut off goes on. A quick run makes one stretch, and a short one.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmarks.farm_world import Costs, World
from benchmarks.machine import commit
from benchmarks.planner import ROUNDS, SLICES
from benchmarks.results import Results, Row, main, published
from pipeline.config.farm import Farm
from pipeline.device import cache_directory
from pipeline.farm.job import Rehearsal

WORKERS, JOBS, FRAMES = 1000, 100, 256
WORK = Rehearsal(rounds=ROUNDS, slices=SLICES)
"""Five rounds of four slices: 39 tasks a frame, a million in all."""
RENDER_SECONDS, LIGHT_SECONDS = 60.0, 2.0
STRETCHES, STRETCH_TASKS, QUICK_TASKS = 20, 50_000, 4_000
SHARE = 50.0
"""Of one core, per cent, that the dispatcher may take."""
LATENCIES = {"a local disk": 0.0001, "a network file system": 0.001, "a bucket": 0.02}
"""Seconds that one small request takes, roughly."""
NETWORK = 1.25e9
"""Bytes per second of a file server with ten-gigabit Ethernet."""
SLICE_BYTES = 389.8e6 / SLICES
"""Of a slice of a 1080p frame with all channels, where `benchmarks.farm` has published no figure."""


@dataclass(frozen=True)
class Stretch:
    """What one stretch found.

    Attributes:
        done: share of the jobs that was made before.
        takeover: CPU seconds of a new dispatcher until it knows all jobs.
        takeover_requests: of it to the store.
        costs: of the stretch itself.
    """

    done: float
    takeover: float
    takeover_requests: int
    costs: Costs


def measure(results: Results) -> None:
    kept = cache_directory() / "farm_scale" / (commit() or "no commit")
    starts = [0.5] if results.quick else [k / STRETCHES for k in range(STRETCHES)]
    tasks = QUICK_TASKS if results.quick else STRETCH_TASKS
    stretches = [_kept(kept, done, tasks) for done in starts]
    costs = [stretch.costs for stretch in stretches]
    seconds, made = sum(c.seconds for c in costs), sum(c.tasks for c in costs)
    rate = made / seconds
    busy = sum(c.busy * c.seconds for c in costs) / seconds
    size = f"{WORKERS} workers, {JOBS} jobs of {FRAMES * 39} tasks; {made} tasks at {rate:.0f}/s"
    turns, sweeps = sum(c.turns for c in costs), sum(c.sweeps for c in costs)
    share = 100 * (turns + sweeps) / seconds
    results.add(Row("share", f"planner and sweep, of one core: {size}", share, "%", must=SHARE))
    worst = max(100 * (c.turns + c.sweeps) / c.seconds for c in costs)
    results.add(Row("share-worst", "the same, in the worst stretch", worst, "%", must=SHARE))
    results.add(Row("sweeps", "of that, sweeps", 100 * sweeps / seconds, "%"))
    each = sweeps / max(1, sum(c.sweep_count for c in costs))
    results.add(Row("sweep", f"one sweep, every {Farm().sweep_seconds:.0f} s", 1000 * each, "ms"))
    results.add(Row("turn", "what is reported of one task, and what is sent for it", 1000 * turns / made, "ms"))
    results.add(Row("busy", "workers that were at work, on average", 100 * busy, "%"))
    redis = 100 * sum(c.redis for c in costs) / seconds
    results.add(Row("redis", "Redis, of one core, without the polls of idle workers", redis, "%"))
    takeover = max(s.takeover for s in stretches)
    results.add(Row("takeover", "CPU of a new dispatcher until it knows all jobs", takeover, "s"))
    asked = sum((c.dispatcher for c in costs), Counter()), sum((c.workers for c in costs), Counter())
    requests = [(who.total() - who["bytes"]) / seconds for who in asked]
    results.add(Row("requests-dispatcher", "requests to the store by the dispatcher", requests[0], "/s"))
    results.add(
        Row("requests-workers", "requests to the store by the workers, for the farm's own sake", requests[1], "/s")
    )
    records = asked[1]["bytes"] / seconds
    results.add(Row("bytes-records", "products' heads, attempts and logs written to the store", records / 1e6, "MB/s"))
    pixels = _pixels(rate)
    results.add(Row("bytes", "pixels written to the store and read, 1080p with all channels", pixels / 1e6, "MB/s"))
    _bottleneck(results, share, redis, requests[0], pixels)


def _pixels(rate: float) -> float:
    """Bytes per second: each slice is written and read once; so are the sums of a round, as large as its slices."""
    found = published("farm")
    rows = {} if found is None else {row["key"]: row["value"] for row in found["rows"]}
    slice_bytes = 1e6 * rows["bytes-1080p"] / SLICES if rows.get("bytes-1080p") else SLICE_BYTES
    slices = rate * ROUNDS * SLICES / 39
    return slices * slice_bytes * 4.0


def _bottleneck(results: Results, share: float, redis: float, requests: float, pixels: float) -> None:
    """How many workers each part would serve, all growing alike; the least names the bottleneck."""
    shard = "give shows stores of their own: each store has a dispatcher, and they share nothing but Redis"
    limits = [
        (WORKERS * SHARE / share, "the dispatcher's core, half of it", f"{shard}; or sweep less often"),
        (WORKERS * 80.0 / redis, "Redis' core, four fifths of it", "give shows farms of their own"),
        (
            WORKERS * NETWORK / pixels,
            "a file server of 10 Gbit/s, 1080p with all channels",
            "give the store more network (several servers, a parallel file system, a bucket), or render rounds of more"
            " samples: slices and sums are written once for each round, however long it took",
        ),
    ]
    for place, latency in LATENCIES.items():
        part = f"the dispatcher's requests, half of the time, on {place}"
        limits.append((WORKERS * 0.5 / (requests * latency), part, f"{shard}; or keep records on a faster store"))
    limits.sort()
    results.text("## The first bottleneck")
    results.table(
        ["part", "workers that it would serve", "what to do then"],
        [[part, round(count), remedy] for count, part, remedy in limits],
    )
    count, part, _ = limits[0]
    results.add(Row("bottleneck", f"workers at the first bottleneck: {part}", count, "workers"))


def _kept(folder: Path, done: float, tasks: int) -> Stretch:
    """What an earlier run of the same commit found, or a new stretch. A tree that was changed is not remembered."""
    path = folder / f"{round(100 * done):02d}.{tasks}.json"
    remembered = not folder.name.endswith("+")
    if remembered and path.exists():
        kept = json.loads(path.read_text())
        counts = {key: Counter(kept["costs"][key]) for key in ("dispatcher", "workers")}
        return Stretch(**{**kept, "costs": Costs(**{**kept["costs"], **counts})})
    found = stretch(done, tasks)
    if remembered:
        folder.mkdir(parents=True, exist_ok=True)
        # Not `asdict`, which makes a Counter of a Counter's items.
        path.write_text(json.dumps({**vars(found), "costs": vars(found.costs)}, indent=1))
    return found


def stretch(done: float, tasks: int, *, workers: int = WORKERS, jobs: int = JOBS, frames: int = FRAMES) -> Stretch:
    """Simulates a stretch, from jobs that are done in part, once all workers have something to do.

    Args:
        done: share of each job's frames that is made.
        tasks: that are made in it.
        workers, jobs, frames: of the farm, and of each job.
    """
    with World(
        workers=workers,
        jobs=jobs,
        frames=frames,
        work=WORK,
        render_seconds=RENDER_SECONDS,
        light_seconds=LIGHT_SECONDS,
        done=done,
    ) as world:
        takeover, requests = world.open()
        world.run(2 * workers)  # until what ends at one time has spread
        costs = world.run(tasks)
    return Stretch(done, takeover, requests.total() - requests["bytes"], costs)


if __name__ == "__main__":
    raise SystemExit(main("farm_scale", "How far one farm goes", __doc__.splitlines()[0], measure))
