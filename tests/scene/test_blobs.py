"""Content-addressed files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pipeline.errors import SceneError
from pipeline.scene import blobs


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "Oak.PNG"
    path.write_bytes(b"wood")
    return path


def test_a_blob_is_named_by_its_content_and_keeps_its_kind(source, blob_directory):
    name = blobs.put(blob_directory, source)
    assert name == hashlib.sha256(b"wood").hexdigest() + ".png"
    assert blobs.is_blob(name)
    assert blobs.resolve(blob_directory, name, {}).read_bytes() == b"wood"


def test_a_blob_is_a_copy_that_later_edits_do_not_reach(source, blob_directory):
    name = blobs.put(blob_directory, source)
    source.write_bytes(b"stone")
    assert blobs.resolve(blob_directory, name, {}).read_bytes() == b"wood"


def test_putting_twice_leaves_one_file_and_nothing_else(source, blob_directory):
    assert blobs.put(blob_directory, source) == blobs.put(blob_directory, source)
    assert len(list(blob_directory.iterdir())) == 1


def test_a_damaged_blob_is_refused_and_put_again(source, blob_directory):
    name = blobs.put(blob_directory, source)
    (blob_directory / name).write_bytes(b"wo")
    with pytest.raises(SceneError, match="damaged"):
        blobs.resolve(blob_directory, name, {})
    assert blobs.put(blob_directory, source) == name
    assert blobs.resolve(blob_directory, name, {}).read_bytes() == b"wood"


@pytest.mark.parametrize("name", ["../../etc/passwd", "oak.png", "0" * 64 + "/x", "0" * 63 + ".png"])
def test_names_that_are_no_blobs_are_refused(name, blob_directory):
    with pytest.raises(SceneError, match="not the name"):
        blobs.resolve(blob_directory, name, {})
