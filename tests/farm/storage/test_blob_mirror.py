"""Frozen files travel through a bucket, and are checked on the way."""

from __future__ import annotations

from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from pipeline.errors import SceneError
from pipeline.farm import blob_mirror
from pipeline.farm.object_store import ObjectStore
from pipeline.farm.store import LocalStore
from pipeline.scene import blobs


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    filesystem = MemoryFileSystem()
    filesystem.store = {}
    monkeypatch.setenv("PENUMBRA_CACHE", str(tmp_path / "artist"))
    return ObjectStore("memory://renders", filesystem)


def test_what_one_machine_froze_another_finds_whole(
    remote: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = blobs.put_text(blob_mirror.directory(remote), "<scene/>", "xml")
    assert blob_mirror.push(remote, [name]) == 1
    assert blob_mirror.push(remote, [name]) == 0

    monkeypatch.setenv("PENUMBRA_CACHE", str(tmp_path / "node"))
    folder = blob_mirror.fetch(remote, [name])
    assert str(tmp_path / "node") in str(folder)
    assert blobs.resolve(folder, name, {}).read_text() == "<scene/>"


def test_a_blob_that_is_missing_or_damaged_in_the_bucket_is_refused(remote: ObjectStore) -> None:
    missing, damaged = "0" * 64 + ".xml", "1" * 64 + ".xml"
    remote.create(f"blobs/{damaged}", b"<scene/>")

    for name, words in ((missing, "is missing in"), (damaged, "is damaged in"), ("../a", "not the name of a frozen")):
        with pytest.raises(SceneError, match=words):
            blob_mirror.fetch(remote, [name])
    assert not list(Path(blob_mirror.directory(remote)).glob("*"))


def test_a_store_in_a_directory_serves_its_own(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)

    assert blob_mirror.fetch(store, ["anything"]) == blob_mirror.directory(store) == tmp_path / "blobs"
    assert blob_mirror.push(store, ["anything"]) == 0
