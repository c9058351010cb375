"""A frame that is tried again has its neighbours denoised anew; and files of frames are read once more."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pipeline.config.farm import Farm as FarmConfig
from pipeline.errors import ProductError
from pipeline.farm import attempts, names, plan, recipes_rehearsal
from pipeline.farm.client import Farm
from pipeline.farm.context import Context
from pipeline.farm.job import Frozen, Job, Rehearsal, claim
from pipeline.farm.plan import JobPlan
from pipeline.farm.products import Products
from pipeline.farm.recipes_report import check_files
from pipeline.farm.store import LocalStore

FRAMES = range(1, 6)
PARKED = names.passes(2, 0, 0)


def claimed(directory: Path, *, every_round: bool) -> tuple[Job, Products]:
    store = LocalStore(directory)
    work = Rehearsal(radius=1, rounds=2, every_round=every_round)
    job, _ = claim(store, "shot", Frozen({}, recipes_rehearsal.environment(), {}, "rehearsal", work), frames=FRAMES)
    return job, Products(store, job)


def made(job: Job, products: Products) -> list[str]:
    """Makes what can be made; frames whose task is parked are given up. The tasks, in order."""
    done: list[str] = []
    while True:
        for frame, task in plan.unmakeable(JobPlan.of(job), products).items():
            products.record(names.absent(frame), {"frame": frame, "task": task})
        tasks = plan.runnable(JobPlan.of(job), products)
        if not tasks:
            return done
        for task in tasks:
            products.publish(task, *recipes_rehearsal.make(task, job, products, Context()))
        done += tasks


def delivered(job: Job, products: Products) -> dict[int, list[int]]:
    return {frame: products.read(names.frame_product(frame)).arrays["numbers"].tolist() for frame in job.frames}


@pytest.mark.parametrize("every_round", [False, True])
def test_retry_has_the_neighbours_of_a_given_up_frame_made_again(tmp_path: Path, every_round: bool) -> None:
    job, products = claimed(tmp_path / "a", every_round=every_round)
    attempts.park(products.store, job.directory, PARKED, [], kind="raised", reason="a test")
    made(job, products)
    assert [f for f in FRAMES if products.exists(names.absent(f))] == [2]

    assert Farm.offline(products.store, FarmConfig()).retry(job) == [PARKED]
    again = made(job, products)

    pictures = {task for task in again if names.parse(task).kind in ("denoised", "frames")}
    whole = {names.frame_product(f) for f in (1, 2, 3)} | {names.denoised(f, 1) for f in (1, 2, 3)}
    assert pictures == whole | ({names.denoised(2, 0)} if every_round else set())
    assert {names.parse(task).frame for task in again if names.parse(task).kind == "passes"} == {2}
    assert not any(products.facts(names.frame_product(frame))["degraded"] for frame in FRAMES)
    other, calm = claimed(tmp_path / "b", every_round=every_round)
    made(other, calm)
    if not every_round:  # else earlier rounds' errors, which no number of a rehearsal follows, lacked the neighbour
        assert delivered(job, products) == delivered(other, calm)


def test_a_file_that_changed_since_it_was_written_is_moved_aside_with_its_manifest(tmp_path: Path) -> None:
    _, products = claimed(tmp_path, every_round=False)
    facts = {}
    for kind, data in (("exr", b"pixels"), ("png", b"picture")):
        products.store.create(products.name(f"frames/{kind}"), data)
        facts |= {kind: f"frames/{kind}", f"{kind}_blake2b": hashlib.blake2b(data, digest_size=32).hexdigest()}
    products.publish(names.frame_product(1), facts)
    check_files(products, 1, facts)

    path = products.store.path(products.name("frames/exr"))
    assert path is not None
    path.write_bytes(b"pixelz")
    with pytest.raises(ProductError, match="frames/exr is damaged"):
        check_files(products, 1, facts)
    assert not products.exists(names.frame_product(1))
    assert len(products.store.list("damaged")) == 2
