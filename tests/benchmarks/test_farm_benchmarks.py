"""What the farm's benchmarks conclude from what they saw."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks import farm_scale
from benchmarks.farm_faults import account
from benchmarks.farm_soak import slope
from benchmarks.farm_world import Costs, CountingMemory, World
from benchmarks.results import Results
from pipeline.farm import job as jobs


def journal(path: Path, *lines: tuple[Any, ...]) -> Path:
    """Lines of (event, pid), and of (fault, pids, damaged)."""
    told = []
    for event, *rest in lines:
        fault = {"pids": rest[0], "damaged": rest[1]} if event == "fault" else {"pid": rest[0]}
        told.append(json.dumps({"event": event, **fault}))
    path.write_text("\n".join(told))
    return path


def test_an_execution_that_a_fault_hit_is_accounted_for_once(tmp_path: Path) -> None:
    found = account(
        journal(
            tmp_path / "journal",
            ("begun", 1), ("fault", [1], ""), ("fault", None, ""), ("begun", 2), ("made", 2), ("ended", 2),
        )
    )  # fmt: skip

    assert (found.executions, found.products, found.hit, found.damaged) == (2, 1, 1, 0)
    assert found.excess == 0


def test_an_execution_that_nothing_explains_is_an_excess(tmp_path: Path) -> None:
    calm = journal(tmp_path / "calm", ("begun", 1), ("ended", 1), ("fault", [1], ""), ("begun", 1), ("made", 1))
    damaged = journal(tmp_path / "damaged", ("begun", 1), ("ended", 1), ("fault", [], "r00"), ("error", 1))

    assert account(calm).excess == 1
    assert account(damaged).excess == 0


def test_a_line_through_memory_is_told_as_growth_in_an_hour() -> None:
    seconds = [float(second) for second in range(0, 3600, 10)]
    memory = [100.0 + 0.5 * second / 36.0 for second in seconds]

    assert slope(seconds, memory) == pytest.approx(100 * 50.0 / (100 + 50 * 0.625), rel=0.01)
    assert math.isnan(slope([0.0, 1.0], [1.0, 1.0]))


def test_a_store_in_memory_lists_what_is_there() -> None:
    store = CountingMemory()
    assert store.create("a/b/c", b"12") and not store.create("a/b/c", b"3")
    store.create("a/d", [b"1", b"2"])

    assert store.list("a") == ["a/b/c", "a/d"] and store.children("a") == ["b", "d"]
    store.delete("a/b/c")
    assert store.list("") == ["a/d"]
    assert store.asked["create"] == 3 and store.asked["bytes"] == 4


def test_simulated_workers_bring_real_jobs_to_their_end() -> None:
    with World(
        workers=6, jobs=2, frames=2, work=farm_scale.WORK, render_seconds=60.0, light_seconds=2.0, done=0.5
    ) as world:
        world.open()
        costs = world.run(1000, step=1.0)
        world.desk.turn([])

        assert jobs.active(world.store) == []
        assert costs.tasks == 2 * (39 + 1)
        assert costs.turns > 0 and costs.sweep_count > 0 and costs.redis > 0


def test_the_least_number_of_workers_names_the_bottleneck() -> None:
    results = Results("farm_scale", "", "", quick=True)
    farm_scale._bottleneck(results, share=10.0, redis=1.0, requests=100.0, pixels=1e9)

    (row,) = results.rows
    assert row.value == pytest.approx(250) and "bucket" in row.what


def test_what_a_stretch_found_is_kept_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    costs = Costs(seconds=60.0, tasks=10, dispatcher=Counter(get=2), workers=Counter(put=3, bytes=500))
    found = farm_scale.Stretch(0.5, 1.5, 7, costs)
    monkeypatch.setattr(farm_scale, "stretch", lambda done, tasks: found)
    assert farm_scale._kept(tmp_path, 0.5, 10) == found
    monkeypatch.delattr(farm_scale, "stretch")
    assert farm_scale._kept(tmp_path, 0.5, 10) == found
