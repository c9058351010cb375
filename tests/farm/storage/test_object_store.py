"""Products in a bucket, on a real S3 protocol server: created once, checked, and safe against faults on the way."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from pipeline.errors import ProductError, StoreError
from pipeline.farm import job as jobs
from pipeline.farm import names, plan, recipes_rehearsal
from pipeline.farm.context import Context
from pipeline.farm.job import Frozen, Job, Rehearsal
from pipeline.farm.object_store import ObjectStore
from pipeline.farm.plan import JobPlan
from pipeline.farm.products import Products
from pipeline.farm.store import LocalStore, Store, StoreFault, open_store


def claim(store: Store, **settings: Any) -> Job:
    rehearsal = Rehearsal(**{"rounds": 1, "slices": 2, "radius": 1, **settings})
    frozen = Frozen({}, recipes_rehearsal.environment(), {}, "rehearsal", rehearsal)
    return jobs.claim(store, "shot", frozen, frames=[1, 2])[0]


def make_all(store: Store, job: Job) -> dict[int, list[int]]:
    """Makes every product of a job in this process; the numbers of its frames."""
    products = Products(store, job)
    while ready := plan.runnable(JobPlan.of(job), products):
        for task in ready:
            products.publish(task, *recipes_rehearsal.make(task, job, products, Context()))
    return {f: products.read(names.frame_product(f)).arrays["numbers"].tolist() for f in job.frames}


class Faulty:
    """A file system that fails when it is told to.

    Attributes:
        fail: asked before each call, with its name and how many times that was called; what it gives is raised.
        after: the same, asked when the call was carried out: its answer is lost.
        calls: names of what was called.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.fail: Callable[[str, int], Exception | None] = lambda name, number: None
        self.after: Callable[[str, int], Exception | None] = lambda name, number: None
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found) or name.startswith("_"):
            return found

        def call(*args: Any, **options: Any) -> Any:
            self.calls.append(name)
            if error := self.fail(name, self.calls.count(name)):
                raise error
            result = found(*args, **options)
            if error := self.after(name, self.calls.count(name)):
                raise error
            return result

        return call


@pytest.fixture
def faulty() -> tuple[ObjectStore, Faulty]:
    """A store over a file system in memory that fails on demand, and that file system. It never waits."""
    inner = MemoryFileSystem()
    inner.store = {}  # else all of a process share one
    filesystem = Faulty(inner)
    made = ObjectStore("memory://renders", filesystem, pause=lambda seconds: None)  # type: ignore[arg-type]
    made.create("proof", b"")
    filesystem.calls.clear()
    return made, filesystem


# --- as a directory does ------------------------------------------------------------------------------------------


def test_a_file_is_created_once_and_never_overwritten(store: ObjectStore) -> None:
    assert store.create("a/b/c", (part for part in (b"fir", memoryview(b"st"))))
    assert not store.create("a/b/c", b"second")
    assert store.read("a/b/c") == b"first"
    assert (store.read_head("a/b/c", 3), store.read_head("a/b/c", 99)) == (b"fir", b"first")
    assert (store.read_tail("a/b/c", 2), store.read_tail("a/b/c", 99)) == (b"st", b"first")


def test_an_empty_file_is_there_and_can_be_read(store: ObjectStore) -> None:
    store.create("empty", b"")

    assert store.exists("empty") and store.read("empty") == b"" and store.read_tail("empty", 4) == b""


def test_of_many_writers_one_wins_and_all_see_its_bytes(store: ObjectStore) -> None:
    gate, won = threading.Barrier(6), []

    def write(number: int) -> None:
        gate.wait()
        if store.create("shot/v001/job.json", b"%d" % number * 1000):
            won.append(number)

    store.create("proof", b"")
    threads = [threading.Thread(target=write, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(won) == 1
    assert store.read("shot/v001/job.json") == b"%d" % won[0] * 1000


def test_what_is_not_there_is_not_found_without_a_listing(faulty: tuple[ObjectStore, Faulty]) -> None:
    store, filesystem = faulty
    assert not store.exists("b")
    for read in (store.read, lambda name: store.read_head(name, 4), lambda name: store.read_tail(name, 4)):
        with pytest.raises(FileNotFoundError):
            read("b")
    store.delete("b")
    store.quarantine("b")

    assert {"find", "ls", "info", "exists"}.isdisjoint(filesystem.calls)


def test_listings_tell_names_sizes_and_times_and_leave_out_what_is_foreign(store: ObjectStore) -> None:
    for name in ("s/v001/b", "s/v001/a/x", "s/v0011/c", "t"):
        store.create(name, b"12345")
    store._fs.pipe_file(f"{store._root}/s/v001/my notes.txt", b"")

    assert store.list("s/v001") == store.list("s/v001/") == ["s/v001/a/x", "s/v001/b"]
    assert store.list("nothing") == [] and store.list("t") == []
    assert store.list("") == ["s/v001/a/x", "s/v001/b", "s/v0011/c", "t"]
    assert store.children("s") == ["v001", "v0011"] and store.children("nothing") == []
    entry = next(store.entries("s/v0011"))
    assert entry.size == 5 and entry.modified > 1_700_000_000


def test_a_job_has_the_numbers_that_it_has_in_a_directory_and_a_damaged_product_is_made_anew(
    store: ObjectStore, tmp_path: Any
) -> None:
    local, job = LocalStore(tmp_path), claim(store)
    frames = make_all(store, job)
    assert frames == make_all(local, claim(local))

    products = Products(store, job)
    name = products.name("frames/0001")
    whole = store.read(name)
    for number in range(2):
        store.delete(name)
        store.create(name, whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(ProductError, match="digest"):
            products.read("frames/0001")
        assert not store.exists(name) and store.exists(f"damaged/{name}.{number}")

    assert make_all(store, job) == frames and store.read(name) == whole


def test_a_large_product_is_one_conditional_step_as_well(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.random.default_rng(1).bytes(11 << 20)
    whole = store._fs.pipe_file
    parts = {"chunksize": 5 << 20}
    monkeypatch.setattr(store._fs, "pipe_file", lambda path, body, mode: whole(path, body, mode=mode, **parts))

    assert store.create("large", data) and not store.create("large", data)
    assert store.read_tail("large", 64) == data[-64:] and next(store.entries("")).size == len(data)


# --- faults -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        OSError(errno.EBUSY, "Please reduce your request rate"),
        OSError(errno.EIO, "We encountered an internal error"),
        ConnectionResetError(errno.ECONNRESET, "cut"),
        TimeoutError("no answer"),
    ],
)
def test_a_fault_that_passes_is_not_noticed(faulty: tuple[ObjectStore, Faulty], fault: Exception) -> None:
    store, filesystem = faulty
    filesystem.fail = lambda name, number: fault if number <= 2 else None

    assert store.create("a", b"1") and store.read("a") == b"1" and store.exists("a")
    assert filesystem.calls.count("pipe_file") == 3


def test_a_fault_that_stays_is_told_in_one_line(faulty: tuple[ObjectStore, Faulty]) -> None:
    store, filesystem = faulty
    filesystem.fail = lambda name, number: OSError(errno.EBUSY, "slow down")

    with pytest.raises(StoreFault, match="memory://renders/a cannot be written: slow down") as caught:
        store.create("a", b"1")
    assert not caught.value.full and "\n" not in str(caught.value)
    assert filesystem.calls.count("pipe_file") == 5


def test_a_put_whose_answer_was_lost_counts_as_made(faulty: tuple[ObjectStore, Faulty]) -> None:
    store, filesystem = faulty
    filesystem.after = lambda name, number: TimeoutError("no answer") if number == 1 else None

    assert store.create("a", b"mine")
    assert store.read("a") == b"mine"


def test_a_put_whose_answer_was_lost_to_another_writer_is_not_taken_for_ours(
    faulty: tuple[ObjectStore, Faulty],
) -> None:
    store, filesystem = faulty
    store.create("a", b"theirs")
    filesystem.calls.clear()
    filesystem.fail = lambda name, number: TimeoutError("lost") if (name, number) == ("pipe_file", 1) else None

    assert not store.create("a", b"mine")
    assert store.read("a") == b"theirs"


def test_a_full_bucket_is_told_as_one(faulty: tuple[ObjectStore, Faulty]) -> None:
    store, filesystem = faulty
    filesystem.fail = lambda name, number: OSError(errno.EINVAL, "Bucket quota exceeded")

    with pytest.raises(StoreFault, match="the bucket is full") as caught:
        store.create("a", b"1")
    assert caught.value.full


def test_denied_access_names_the_credentials_and_is_not_tried_again(faulty: tuple[ObjectStore, Faulty]) -> None:
    store, filesystem = faulty
    filesystem.fail = lambda name, number: PermissionError("Access Denied")

    with pytest.raises(StoreFault, match="look at the credentials"):
        store.read("a")
    assert filesystem.calls == ["cat_file"]


def test_a_bucket_that_is_not_there_is_told(bucket: ObjectStore) -> None:
    with pytest.raises(StoreFault, match="there is no such bucket"):
        open_store("s3://nobody-made-this/renders").create("a", b"1")


def test_a_server_that_ignores_the_condition_is_refused(store: ObjectStore) -> None:
    class Careless(Faulty):
        def pipe_file(self, path: str, data: bytes, mode: str = "overwrite") -> None:
            self._inner.pipe_file(path, data)

    careless = ObjectStore(store.url, Careless(store._fs))  # type: ignore[arg-type]

    with pytest.raises(StoreFault, match="overwrites objects that are there"):
        careless.create("a", b"1")
    assert store.list("") == []


def test_an_error_of_our_own_is_not_hidden(faulty: tuple[ObjectStore, Faulty]) -> None:
    store, filesystem = faulty
    filesystem.fail = lambda name, number: KeyError("a mistake")

    with pytest.raises(KeyError):
        store.read("a")


# --- places -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://host/renders", "cannot create a file only if it is absent"),
        ("memory://renders", "cannot create a file only if it is absent"),
        ("simplecache::s3://bucket/renders", "cannot create a file only if it is absent"),
        ("s3://key:secret@bucket/renders", "must not hold credentials"),
        ("s3://bucket/../other", "has a prefix that cannot be one"),
        ("s3://bucket/a//b", "has a prefix that cannot be one"),
        ("s3://bucket/.hidden", "has a prefix that cannot be one"),
        ("s3://bucket/a?versionId=1", "is not the URL of a bucket"),
        ("s3:///renders", "is not the URL of a bucket"),
        ("s3://../renders", "is not the URL of a bucket"),
        ("gs://bucket/renders", "needs the package gcsfs"),
    ],
)
def test_a_place_that_cannot_keep_products_is_refused(url: str, words: str) -> None:
    with pytest.raises(StoreError, match=words) as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


def test_one_place_has_one_url(bucket: ObjectStore) -> None:
    assert open_store("s3a://bucket/renders/").url == open_store("s3://bucket/renders").url == "s3://bucket/renders"


@pytest.mark.parametrize("name", ["../a", "a/../b", "/a", ".hidden", "a b", "x" * 201])
def test_a_name_that_may_lead_elsewhere_is_refused(faulty: tuple[ObjectStore, Faulty], name: str) -> None:
    store, filesystem = faulty
    for act in (store.exists, store.read, store.delete, store.quarantine, store.path):
        with pytest.raises(StoreError, match="cannot be the name"):
            act(name)
    assert filesystem.calls == []
