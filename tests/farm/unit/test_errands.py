"""Errands: jobs whose parts are made from nothing, or one from the other."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.farm import attempts, names, plan, recipes_rehearsal
from pipeline.farm import job as jobs
from pipeline.farm.context import Context
from pipeline.farm.errands import Errand, numbered, same_parts
from pipeline.farm.job import Frozen, Job, Rehearsal
from pipeline.farm.job_plan import JobPlan
from pipeline.farm.limits import Limits
from pipeline.farm.products import Products
from pipeline.farm.progress import snapshot
from pipeline.farm.store import LocalStore

FAMILY = ["oak", "ash", "elm"]


def errand(*items: str, chained: bool = False, settings: Mapping[str, Any] | None = None) -> Errand:
    kind = "preview" if chained else "capture"
    made = numbered([{"name": item} for item in items])
    return Errand(kind=kind, settings=dict(settings or {}), items=made, chained=chained)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


def claim(store: LocalStore, wanted: Errand, **rehearsal: Any) -> Job:
    environment = recipes_rehearsal.environment()
    frozen = Frozen({}, environment, {}, "rehearsal", Rehearsal(**rehearsal), errand=wanted)
    return jobs.claim(store, "capture.woods", frozen, frames=wanted.parts)[0]


def make(store: LocalStore, job: Job, *, tasks: int | None = None, seed: int = 0) -> list[str]:
    """Makes so many of the tasks that can start, or all, in any order; returns their names."""
    products, made, chance = Products(store, job), list[str](), random.Random(seed)
    pool = set(plan.runnable(JobPlan.of(job), products))
    while pool and len(made) != tasks:
        task = chance.choice(sorted(pool))
        products.publish(task, *recipes_rehearsal.make(task, job, products, Context()))
        made.append(task)
        pool.discard(task)
        pool.update(plan.after(JobPlan.of(job), task, products))
        assert pool == set(plan.runnable(JobPlan.of(job), products)), "the increments and the whole plan agree"
    return made


def test_parts_can_all_start_at_once_and_the_report_after_the_last(store: LocalStore) -> None:
    job = claim(store, errand(*FAMILY))

    assert plan.runnable(JobPlan.of(job), Products(store, job)) == [names.part(n) for n in (1, 2, 3)]
    made = make(store, job, seed=3)
    assert sorted(made[:3]) == [names.part(n) for n in (1, 2, 3)] and made[3:] == [names.REPORT]
    assert snapshot(store, job).state == "done"


def test_parts_of_a_chain_follow_one_after_the_other(store: LocalStore) -> None:
    job = claim(store, errand(*FAMILY, chained=True))

    assert make(store, job) == [names.part(1), names.part(2), names.part(3), names.REPORT]
    numbers = [Products(store, job).read(names.part(n)).arrays["numbers"] for n in (1, 2)]
    assert (numbers[0] != numbers[1]).any()


def test_how_far_an_errand_is_is_told_in_parts(store: LocalStore) -> None:
    job = claim(store, errand(*FAMILY))
    make(store, job, tasks=1)
    attempts.begin(store, job.directory, names.part(3), worker="w")
    seen = snapshot(store, job)

    assert (seen.errand, seen.done, seen.state) == ("capture", 1, "running")
    assert 0.3 < seen.fraction < 0.4 and {frame.state for frame in seen.frames} >= {"done", "rendering"}
    assert Limits.of(job).rounds == 1


def park(store: LocalStore, job: Job, part: int) -> None:
    number = attempts.begin(store, job.directory, names.part(part), worker="w")
    attempts.end(store, job.directory, names.part(part), number, outcome="raised", reason="no flash")
    history = attempts.history(store, job.directory, names.part(part))
    attempts.park(store, job.directory, names.part(part), history, kind="raised", reason="no flash")
    products = Products(store, job)
    for frame, task in plan.unmakeable(JobPlan.of(job), products).items():
        products.record(names.absent(frame), {"frame": frame, "task": task})


def test_a_part_that_is_given_up_costs_itself_alone_and_can_be_tried_again(store: LocalStore) -> None:
    job = claim(store, errand(*FAMILY))
    park(store, job, 2)

    assert sorted(make(store, job)) == [names.part(1), names.part(3), names.REPORT]
    seen = snapshot(store, job)
    assert (seen.state, seen.absent, seen.failures) == ("failed", 1, (names.part(2),))

    attempts.retry(store, job.directory)
    assert sorted(make(store, job)) == [names.part(2), names.REPORT]


def test_a_part_of_a_chain_that_is_given_up_takes_those_after_it_along(store: LocalStore) -> None:
    job = claim(store, errand(*FAMILY, chained=True))
    make(store, job, tasks=1)
    park(store, job, 2)

    assert make(store, job) == [names.REPORT]
    assert snapshot(store, job).absent == 2

    attempts.retry(store, job.directory, [names.part(2)])
    assert make(store, job) == [names.part(2), names.part(3), names.REPORT]


def test_the_same_errand_is_the_same_job(store: LocalStore) -> None:
    first = claim(store, errand(*FAMILY))

    assert claim(store, errand(*FAMILY)).id == first.id
    assert claim(store, errand(*FAMILY, settings={"tile": True})).id != first.id


def test_one_more_photograph_leaves_the_others_as_they_are(store: LocalStore) -> None:
    first = claim(store, errand(*FAMILY))
    make(store, first)
    assert first.errand is not None
    more = [{"name": name} for name in ("ash", "birch", "elm", "oak")]
    wider = Errand(kind="capture", settings={}, items=numbered(more, first.errand))
    second = claim(store, wider)

    assert same_parts(wider, first.errand) == (1, 2, 3)
    assert make(store, second) == [names.part(4), names.REPORT]
    assert wider.item(4) == {"name": "birch"}


def test_a_longer_chain_goes_on_from_the_shorter_one_as_far_as_they_are_the_same(store: LocalStore) -> None:
    first = claim(store, errand("100", "200", "250", chained=True))
    make(store, first)

    assert make(store, claim(store, errand("100", "200", "300", chained=True))) == [names.part(3), names.REPORT]
    assert same_parts(errand("a", "b", chained=True), errand("x", "b", chained=True)) == ()
    assert same_parts(errand("a", "b"), errand("x", "b")) == (2,)


def test_errands_go_to_a_queue_of_their_own() -> None:
    assert names.queue(names.part(7)) == "train" and names.parse("parts/0007").frame == 7
