import errno
import os
import threading
import time
from pathlib import Path

import pytest

from pipeline.errors import StoreError
from pipeline.farm.store import LocalStore, StoreFault, open_store


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "renders")


def files(store: LocalStore) -> list[str]:
    return sorted(path.name for path in store.root.rglob("*") if path.is_file())


def test_a_file_is_created_once_and_never_overwritten(store: LocalStore) -> None:
    assert store.create("a/b/c", b"first")
    assert not store.create("a/b/c", b"second")
    assert store.read("a/b/c") == b"first"


def test_chunks_are_written_one_after_the_other(store: LocalStore) -> None:
    store.create("a", (part for part in (b"ab", memoryview(b"cd"), bytearray(b"e"))))

    assert store.read("a") == b"abcde"
    assert store.read_head("a", 3) == b"abc"
    assert store.read_head("a", 30) == b"abcde"
    assert store.read_tail("a", 2) == b"de"
    assert store.read_tail("a", 30) == b"abcde"


def test_only_what_must_outlive_the_machine_waits_for_the_disk(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create("s/first", b"")
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)

    assert store.create("s/note", b"n", durable=False)
    assert synced == [] and store.read("s/note") == b"n"
    assert not store.create("s/note", b"m", durable=False)
    assert store.create("s/product", b"p")
    assert len(synced) == 2  # the file, then its directory


def test_of_many_writers_one_wins_and_all_see_its_bytes(store: LocalStore) -> None:
    gate, won = threading.Barrier(8), []

    def write(number: int) -> None:
        gate.wait()
        if store.create("shot/v001/job.json", [b"%d" % number] * 1000):
            won.append(number)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(won) == 1
    assert store.read("shot/v001/job.json") == b"%d" % won[0] * 1000
    assert files(store) == ["job.json"]


def test_a_file_that_is_not_there_is_not_found(store: LocalStore) -> None:
    store.create("a", b"")
    for name in ("b", "a/b", "c/d"):
        assert not store.exists(name)
        with pytest.raises(FileNotFoundError):
            store.read(name)
        with pytest.raises(FileNotFoundError):
            store.read_head(name, 10)
        with pytest.raises(FileNotFoundError):
            store.read_tail(name, 10)


def test_files_below_a_directory_are_listed_in_order_without_temporary_and_foreign_ones(store: LocalStore) -> None:
    for name in ("s/v001/b", "s/v001/a/x", "s/v0011/c", "t"):
        store.create(name, b"")
    (store.root / "s/v001/.tmp-1-ab").write_bytes(b"")
    (store.root / "s/v001/my notes.txt").write_bytes(b"")

    assert store.list("s/v001") == store.list("s/v001/") == ["s/v001/a/x", "s/v001/b"]
    assert store.list("nothing") == []
    assert store.list("") == ["s/v001/a/x", "s/v001/b", "s/v0011/c", "t"]
    assert store.children("s") == ["v001", "v0011"]
    assert store.children("s/v001") == ["a", "b"]
    assert store.children("nothing") == []


def test_a_damaged_file_is_moved_aside_and_can_be_made_anew(store: LocalStore) -> None:
    for number in range(2):
        store.create("s/v001/stop/1001", b"%d" % number)
        store.quarantine("s/v001/stop/1001")
        assert not store.exists("s/v001/stop/1001")

    assert store.read("damaged/s/v001/stop/1001.0") == b"0"
    assert store.read("damaged/s/v001/stop/1001.1") == b"1"
    store.quarantine("s/v001/stop/1001")


def test_deleting_what_is_not_there_is_no_error(store: LocalStore) -> None:
    store.create("a", b"")
    store.delete("a")
    store.delete("a")

    assert not store.exists("a")


def test_old_leftovers_are_swept_and_young_ones_are_kept(store: LocalStore) -> None:
    store.create("s/a", b"")
    old, young = store.root / "s/.tmp-1-aa", store.root / "s/.tmp-1-bb"
    for path in (old, young):
        path.write_bytes(b"half")
    day = time.time() - 90_000
    os.utime(old, (day, day))
    os.utime(store.root / "s/a", (day, day))

    assert store.sweep("s") == 1
    assert files(store) == [".tmp-1-bb", "a"]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/a",
        "a/",
        "a//b",
        "..",
        "a/../b",
        "a/.b",
        ".",
        "./a",
        "a\0b",
        "a b",
        "a\\b",
        "a\nb",
        "é",
        "x" * 201,
        "~/a",
        "a:b",
    ],
)
def test_a_name_that_may_lead_elsewhere_is_refused(store: LocalStore, name: str) -> None:
    for act in (store.exists, store.read, store.delete, store.quarantine, store.path):
        with pytest.raises(StoreError, match="cannot be the name"):
            act(name)
    with pytest.raises(StoreError, match="cannot be the name"):
        store.create(name, b"")


@pytest.mark.parametrize(
    ("code", "full", "words"),
    [
        (errno.ENOSPC, True, "the disk is full"),
        (errno.EDQUOT, True, "quota"),
        (errno.EROFS, False, "read-only"),
        (errno.EACCES, False, "permission is denied"),
        (errno.EIO, False, "disk reports an error"),
    ],
)
@pytest.mark.parametrize("call", ["write", "fsync", "link", "open", "mkdir"])
def test_a_store_that_cannot_be_written_says_why_and_leaves_nothing(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, code: int, full: bool, words: str, call: str
) -> None:
    if call != "mkdir":
        store.create("s/first", b"")

    def fails(*_: object, **__: object) -> int:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as broken:
        broken.setattr(os, call, fails)
        with pytest.raises(StoreFault, match=words) as caught:
            store.create("s/second", b"x")

    assert caught.value.full is full
    assert str(store.root) in str(caught.value) and "\n" not in str(caught.value)
    assert not store.exists("s/second")
    assert not store.root.exists() or files(store) == ["first"]


def test_a_chunk_that_fails_leaves_nothing(store: LocalStore) -> None:
    def data() -> object:
        yield b"half"
        raise RuntimeError("the renderer died")

    with pytest.raises(RuntimeError, match="died"):
        store.create("s/a", data())  # type: ignore[arg-type]
    assert files(store) == []


def test_a_link_whose_answer_was_lost_counts_as_made(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def repeats(source: str, target: str) -> None:
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", repeats)

    assert store.create("s/a", b"mine")
    assert store.read("s/a") == b"mine"


def test_a_store_whose_place_is_a_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match="a part of the path is a file"):
        LocalStore(tmp_path / "file").create("a/b", b"")


def test_files_may_be_read_by_whoever_the_umask_allows(store: LocalStore) -> None:
    store.create("a", b"")
    mask = os.umask(0)
    os.umask(mask)

    assert os.stat(store.root / "a").st_mode & 0o777 == 0o666 & ~mask


def test_paths_and_file_urls_open_a_local_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert open_store("renders").url == str(tmp_path / "renders")
    assert open_store(tmp_path).url == str(tmp_path)
    assert open_store(f"file://{tmp_path}/a%20b").url == f"{tmp_path}/a b"
    assert open_store(open_store("renders").url).url == str(tmp_path / "renders")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://server/renders", "stores of the kind ftp:// cannot create a file only if it is absent"),
        ("file://server/renders", "names the host 'server'"),
        ("", "the place of the store is empty"),
    ],
)
def test_another_kind_of_store_is_refused_by_name(url: str, words: str) -> None:
    with pytest.raises(StoreError, match=words):
        open_store(url)
