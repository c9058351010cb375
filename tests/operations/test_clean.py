"""Clean-up finds what can go, tells it, and touches nothing that is needed, unfinished, or not ours."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from pipeline.farm import clean, names
from pipeline.farm.products import Products
from pipeline.scene import blobs

OLD = time.time() - 100_000


def age(store: Any, name: str) -> None:
    os.utime(store.root / name, (OLD, OLD))


def test_a_finished_job_loses_its_slices_and_under_a_budget_what_no_last_round_reads(
    store: Any, rehearsed: Any
) -> None:
    job = rehearsed.done(store, rounds=3, every_round=True, radius=1)
    frames = {f: Products(store, job).read(names.frame_product(f)).arrays["numbers"].tolist() for f in job.frames}

    free = clean.find(store)
    assert {removal.why for removal in free.removals} == {"slice"} and len(free.removals) == 12
    tight = clean.find(store, budget=1)
    assert {removal.why for removal in tight.removals} == {"slice", "superseded sum", "earlier round"}
    assert tight.over[job.id] > 0
    assert clean.apply(store, tight) == tight.size

    products = Products(store, job)
    assert clean.find(store, budget=1).removals == []
    assert products.exists("buffers/0001/r02") and not products.exists("buffers/0001/r00")
    assert {f: products.read(names.frame_product(f)).arrays["numbers"].tolist() for f in job.frames} == frames


def test_a_budget_that_is_met_leaves_the_rest(store: Any, rehearsed: Any) -> None:
    job = rehearsed.done(store, rounds=3)
    size = sum(entry.size for entry in store.entries(job.directory))
    slices = clean.find(store).size

    assert {r.why for r in clean.find(store, budget=size - slices).removals} == {"slice"}
    one_more = clean.find(store, budget=size - slices - 1).removals
    assert [r.why for r in one_more].count("superseded sum") == 1 and one_more[-1].name.endswith("r00")


def test_a_job_that_is_not_done_is_left_alone(store: Any, rehearsed: Any) -> None:
    job = rehearsed.claim(store)
    rehearsed.make(store, job, tasks=8)

    found = clean.find(store, budget=1)

    assert found.removals == [] and f"{job.id} is left alone: it is not done" in found.notes


def test_what_another_version_is_based_on_stays(store: Any, rehearsed: Any) -> None:
    first = rehearsed.done(store, rounds=2, slices=1)
    second = rehearsed.claim(store, rounds=2, slices=1, seed=3)
    from pipeline.farm.job import Base

    based = second.model_copy(update={"bases": (Base(directory=first.directory, hash=first.hash, kinds=("buffers",)),)})
    store.delete(f"{second.directory}/job.json")
    store.create(f"{second.directory}/job.json", based.model_dump_json().encode())

    found = clean.find(store, [first], budget=1)

    assert found.removals == [] and "goes on from it" in found.notes[0]


def test_frozen_files_that_a_job_names_stay_however_they_are_named(store: Any, rehearsed: Any) -> None:
    folder = store.root / "blobs"
    picture = blobs.put_text(folder, "a picture", "exr")
    listed = blobs.put_text(folder, f'{{"1": "{picture}"}}', "json")
    unused, young = blobs.put_text(folder, "unused", "ply"), blobs.put_text(folder, "young", "ply")
    for name in (picture, listed, unused):
        age(store, f"blobs/{name}")
    job = rehearsed.done(store)
    with_list = job.model_copy(update={"config": {"sampling": {"reference": listed}}})
    store.delete(f"{job.directory}/job.json")
    store.create(f"{job.directory}/job.json", with_list.model_dump_json().encode())

    gone = {removal.name for removal in clean.find(store).removals if removal.why == "unused frozen file"}

    assert gone == {f"blobs/{unused}"} and young


def test_frozen_files_stay_while_a_job_cannot_be_read(store: Any, rehearsed: Any) -> None:
    unused = blobs.put_text(store.root / "blobs", "unused", "ply")
    age(store, f"blobs/{unused}")
    store.create("shot_020/v001/job.json", b"{")

    found = clean.find(store)

    assert found.removals == [] and any("frozen files stay" in note for note in found.notes)


def test_a_frozen_file_that_a_job_has_come_to_name_meanwhile_stays(store: Any, rehearsed: Any) -> None:
    name = blobs.put_text(store.root / "blobs", "late", "ply")
    age(store, f"blobs/{name}")
    found = clean.find(store)
    job = rehearsed.claim(store)
    named = job.model_copy(update={"config": {"materials": {"floor": name}}})
    store.delete(f"{job.directory}/job.json")
    store.create(f"{job.directory}/job.json", named.model_dump_json().encode())

    assert [removal.why for removal in found.removals] == ["unused frozen file"]
    assert clean.apply(store, found) == 0 and store.exists(f"blobs/{name}")


def test_nothing_goes_that_is_not_ours(store: Any, rehearsed: Any) -> None:
    job = rehearsed.done(store)
    foreign = [
        f"{job.directory}/passes/notes.txt",
        f"{job.directory}/frames/plate.exr",
        f"{job.directory}/passes/0001/r00.s00.backup",
        "blobs/readme",
        "damaged/elsewhere/file.0",
        "other/v001/buffers/0001/r00",
    ]
    for name in foreign:
        store.create(name, b"mine")
        age(store, name)

    clean.apply(store, clean.find(store, budget=1))

    assert all(store.exists(name) for name in foreign)


def test_what_was_moved_aside_goes_after_a_day(store: Any, rehearsed: Any) -> None:
    job = rehearsed.done(store, slices=1)
    for name in ("stop/0001", "stop/0002"):
        store.quarantine(f"{job.directory}/{name}")
    age(store, f"damaged/{job.directory}/stop/0001.0")

    gone = [removal.name for removal in clean.find(store).removals if removal.why == "damaged"]

    assert gone == [f"damaged/{job.directory}/stop/0001.0"]


@pytest.mark.parametrize(
    ("text", "size"), [("500MB", 500_000_000), ("20 GB", 20_000_000_000), ("1.5TB", 1_500_000_000_000), ("7", 7)]
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    from pipeline.cli.clean import Size

    assert Size().convert(text, None, None) == size
