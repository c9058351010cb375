"""A rehearsed job with a budget, task by task in one process: what each round decides, and that the sum is kept."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pipeline.farm import control, names, plan, recipes_rehearsal
from pipeline.farm.context import Context
from pipeline.farm.control import Control
from pipeline.farm.job import Frozen, Job, Rehearsal, claim
from pipeline.farm.job_plan import JobPlan
from pipeline.farm.limits import Limits
from pipeline.farm.products import Products
from pipeline.farm.recipes_budget import granted
from pipeline.farm.store import LocalStore

FRAMES = tuple(range(1001, 1006))
SIZE = 40


class Bench:
    """A rehearsal whose first rounds take one sample for each of 40 numbers; frames are up to 8 times as noisy."""

    def __init__(self, store: LocalStore, frames: tuple[int, ...] = FRAMES, **settings: Any) -> None:
        rehearsal = Rehearsal(**{"rounds": 6, "size": SIZE, "slices": 1, "budget_spp": 6, **settings})
        frozen = Frozen({}, recipes_rehearsal.environment(), {}, "rehearsal", rehearsal)
        self.store = store
        self.job: Job = claim(store, "s", frozen, frames=frames)[0]
        self.products = Products(store, self.job)

    def run(self, *, until: str = "", without: str = " ") -> None:
        """Makes what can be made; not what begins with `without`, and nothing more once there is `until`."""
        while not (until and self.products.exists(until)):
            wanted = JobPlan.of(self.job, Control(self.store, self.job.directory).look())
            ready = [task for task in plan.runnable(wanted, self.products) if not task.startswith(without)]
            if not ready:
                return
            for task in ready:
                self.products.publish(task, *recipes_rehearsal.make(task, self.job, self.products, Context()))

    def stops(self) -> dict[int, tuple[str, int]]:
        """Why each frame stopped, and its samples."""
        found = {}
        for frame in (f for f in FRAMES if self.products.exists(names.stop(f))):
            facts = self.products.facts(names.stop(frame))
            found[frame] = facts["reason"], int(self.products.facts(names.buffers(frame, facts["round"]))["samples"])
        return found


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A job without a target, at its end. Not to be changed."""
    bench = Bench(LocalStore(tmp_path_factory.mktemp("done")))
    bench.run()
    return bench


def test_a_job_without_a_target_spends_its_budget_to_the_last_sample(done: Bench) -> None:
    bench, stops = done, done.stops()

    assert bench.products.exists(names.REPORT)
    assert sum(samples for _, samples in stops.values()) == 6 * SIZE * len(FRAMES)
    assert {reason for reason, _ in stops.values()} == {"budget"}


def test_noisier_frames_get_more(done: Bench) -> None:
    noise = {frame: done.products.facts(names.error(frame, 0))["mean"] for frame in FRAMES}
    order = sorted(FRAMES, key=noise.__getitem__)
    samples = [done.stops()[frame][1] for frame in order]

    assert noise[order[0]] < noise[order[-1]]
    assert all(quiet <= noisy + 1 for quiet, noisy in pairwise(samples)) and samples[-1] > 2 * samples[0]


def test_the_total_doubles_from_round_to_round_up_to_the_budget(done: Bench) -> None:
    facts = [done.products.facts(names.budget(r)) for r in (1, 2, 3, 4)]
    whole = SIZE * len(FRAMES)

    assert [each["samples"] for each in facts] == [whole, 2 * whole, 2 * whole, 0]
    assert [each["left"] for each in facts] == [4 * whole, 2 * whole, 0, 0]
    assert facts[3]["going"] == []


def test_frames_at_their_target_leave_their_share_to_the_others(store: LocalStore) -> None:
    bench = Bench(store, target_error=0.3)
    bench.run()
    stops = bench.stops()

    assert {reason for reason, _ in stops.values()} == {"target"}
    assert sum(samples for _, samples in stops.values()) < 6 * SIZE * len(FRAMES)
    assert max(samples for _, samples in stops.values()) > 6 * SIZE


def test_what_a_round_decided_is_told_with_what_it_rests_on(store: LocalStore) -> None:
    bench = Bench(store, target_error=0.15, budget_spp=3)
    bench.run()
    told = bench.products.facts(names.budget(2))["frames"]
    one = next(iter(told.values()))

    assert {"samples", "mean", "p99", "history", "exponent", "spread", "need", "rate", "cost", "granted", "reason"} <= {
        *one
    }
    assert all(len(each["history"]) == 2 for each in told.values())
    assert all((each["granted"] > 0) != bool(each["reason"]) for each in told.values())
    assert {reason for reason, _ in bench.stops().values()} == {"target", "budget"}


def test_a_frame_stops_at_its_own_cap(store: LocalStore) -> None:
    bench = Bench(store, rounds=3, budget_spp=100)
    bench.run()

    assert set(bench.stops().values()) == {("max_spp", 4 * SIZE)}


def test_no_order_and_no_cut_of_slices_changes_what_is_made(done: Bench, store: LocalStore) -> None:
    other = Bench(store, slices=3)
    other.run()

    for frame in FRAMES:
        numbers = [bench.products.read(names.frame_product(frame)).arrays["numbers"] for bench in (done, other)]
        assert (numbers[0] == numbers[1]).all()


def test_a_frame_that_is_given_up_is_left_out_and_its_share_is_kept_for_it(store: LocalStore) -> None:
    bench = Bench(store)
    late = names.passes(1003, 1, 0)
    bench.run(without=late)
    bench.products.record(names.failure(late), {})
    bench.products.record(names.absent(1003), {})
    bench.run()
    facts = bench.products.facts(names.budget(2))
    taken = sum(samples for _, samples in bench.stops().values())

    assert "1003" not in facts["frames"] and bench.products.exists(names.REPORT)
    assert facts["reserved"] + taken + SIZE + _granted(bench, 1003, 1) == 6 * SIZE * len(FRAMES)

    for mark in (names.failure(late), names.absent(1003), names.REPORT):
        store.delete(bench.products.name(mark))
    bench.run()
    assert bench.stops()[1003] == ("budget", 6 * SIZE)
    assert sum(samples for _, samples in bench.stops().values()) == 6 * SIZE * len(FRAMES)


def test_a_frame_that_is_skipped_midway_is_left_out(store: LocalStore) -> None:
    bench = Bench(store)
    bench.run(until=names.budget(1))
    control.write(store, bench.job.directory, "skip", [1002])
    bench.run()

    assert bench.products.exists(names.REPORT)
    assert "1002" not in bench.products.facts(names.budget(2))["frames"]


def test_a_lost_round_is_decided_again_as_it_was(store: LocalStore) -> None:
    bench = Bench(store)
    bench.run()
    name = bench.products.name(names.budget(2))
    before = store.read(name)
    for lost in (names.budget(2), names.samples(1002, 2), names.frame_product(1002), names.buffers(1002, 3)):
        store.delete(bench.products.name(lost))
    for lost in (names.passes(1002, 2, 0), names.buffers(1002, 2)):
        store.delete(bench.products.name(lost))
    bench = Bench(store)
    bench.run()

    assert store.read(name) == before


def test_without_a_budget_a_round_doubles_the_frame_up_to_its_cap(store: LocalStore) -> None:
    products = Bench(store).products
    limits = Limits(16, 40)

    assert granted(products, limits, 1001, 1, pixels=10, spent=160) == (160, "")
    assert granted(products, limits, 1001, 2, pixels=10, spent=320) == (80, "")
    assert granted(products, limits, 1001, 3, pixels=10, spent=400) == (0, "max_spp")


def _granted(bench: Bench, frame: int, r: int) -> int:
    return int(bench.products.facts(names.budget(r))["frames"][str(frame)]["granted"])
