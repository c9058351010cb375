"""Sequences on disk: what is written comes back in place, and nothing damaged is taken for data."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.denoise.training.sequences import ALIGNMENT, LAYERS, Sequence, fingerprint, listing, read, write
from pipeline.errors import ProductError


def arrays_of(sequence: Sequence) -> dict[str, np.ndarray]:
    return {name: np.asarray(getattr(sequence, name)) for name in ("spp", *LAYERS)}


@pytest.fixture
def stored(tmp_path: Path, sequence: Sequence) -> Path:
    path = tmp_path / "00000000.npz"
    write(path, sequence)
    return path


def test_what_is_written_comes_back(stored: Path, sequence: Sequence) -> None:
    back = read(stored)

    for name, array in arrays_of(sequence).items():
        assert np.array_equal(getattr(back, name), array), name
        assert getattr(back, name).dtype == array.dtype
    assert back.meta == sequence.meta
    assert back.radius == 1
    assert back.shape == (24, 20)


def test_it_is_read_in_place_and_aligned(stored: Path) -> None:
    for name, array in arrays_of(read(stored)).items():
        assert not array.flags.owndata, name
        assert not array.flags.writeable, name
        assert array.ctypes.data % ALIGNMENT == 0, name


def test_numpy_reads_it_too(stored: Path, sequence: Sequence) -> None:
    with np.load(stored, allow_pickle=False) as file:
        assert np.array_equal(file["colour"], sequence.colour)
        assert json.loads(str(file["meta"]))["format"] == "sequence-v1"


def test_light_beyond_float16_is_clipped_to_it(tmp_path: Path, sequence: Sequence) -> None:
    colour = sequence.colour.astype(np.float32)
    colour[0, 0, 0, 0, 0] = 1e9
    write(tmp_path / "a.npz", replace(sequence, colour=colour))

    assert read(tmp_path / "a.npz").colour[0, 0, 0, 0, 0] == 65504


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_file_cut_short_is_refused(stored: Path, share: float) -> None:
    data = stored.read_bytes()
    stored.write_bytes(data[: int(share * len(data))])

    with pytest.raises(ProductError, match="is damaged"):
        read(stored)


def test_a_member_that_is_overwritten_is_refused(stored: Path) -> None:
    data = bytearray(stored.read_bytes())
    for wanted in (b"PK\x03\x04", b"\x93NUMPY"):
        at = data.index(wanted, 1000)
        stored.write_bytes(data[:at] + b"\0" * len(wanted) + data[at + len(wanted) :])
        with pytest.raises(ProductError, match="is damaged"):
            read(stored)


def rewritten(path: Path, change: Callable[[dict[str, Any]], None], **options: Any) -> None:
    with np.load(path) as file:
        arrays = dict(file)
    change(arrays)
    (np.savez_compressed if options.get("compressed") else np.savez)(path, **arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("raw"), "has no raw"),
        (lambda a: a.pop("meta"), "meta"),
        (lambda a: a.update(raw=a["raw"][:-1]), "raw is float16"),
        (lambda a: a.update(rms=a["rms"].astype(np.float32)), "rms is float32"),
        (lambda a: a.update(colour=a["colour"][0]), "colour is float16"),
        (lambda a: a.update(spp=a["spp"][:-1]), "sub-buffers"),
        (lambda a: a.update(spp=np.ones_like(a["spp"])), "sub-buffers"),
        (lambda a: a.update(meta=np.array("no JSON")), "is damaged"),
        (lambda a: a.update(meta=np.array('{"format": "sequence-v0"}')), "is of format sequence-v0"),
    ],
)
def test_a_file_of_another_make_is_refused(stored: Path, change: Callable[..., None], message: str) -> None:
    rewritten(stored, change)
    with pytest.raises(ProductError, match=message):
        read(stored)


def test_a_compressed_file_is_refused(stored: Path) -> None:
    rewritten(stored, lambda arrays: None, compressed=True)
    with pytest.raises(ProductError, match="is compressed"):
        read(stored)


def test_a_missing_file_is_not_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "a.npz")


def test_arrays_that_do_not_fit_together_are_not_written(tmp_path: Path, sequence: Sequence) -> None:
    with pytest.raises(ProductError, match="reference_albedo"):
        write(tmp_path / "a.npz", replace(sequence, reference_albedo=sequence.reference_albedo[1:]))

    assert not list(tmp_path.iterdir())


def test_what_was_there_stays_until_the_new_file_is_whole(stored: Path, sequence: Sequence, monkeypatch: Any) -> None:
    before = stored.read_bytes()

    def full(*arguments: Any, **options: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(OSError, match="no space"):
        write(stored, sequence)

    assert stored.read_bytes() == before
    assert list(stored.parent.iterdir()) == [stored]


def test_a_fingerprint_is_of_names_and_numbers_and_not_of_the_time_they_took(
    tmp_path: Path, sequence_of: Callable[..., Sequence]
) -> None:
    prints = {}
    slow, other = sequence_of(1), sequence_of(1)
    slow = replace(slow, meta={**slow.meta, "seconds": 99.0})
    raw = other.raw.copy()
    raw[3, 3, 3] += 1
    variants = {"once": sequence_of(1), "slow": slow, "other": replace(other, raw=raw)}
    for name, variant in variants.items():
        folder = tmp_path / name
        folder.mkdir()
        write(folder / "2.npz", variant)
        write(folder / "1.npz", sequence_of(2))
        prints[name] = fingerprint(folder)
    (tmp_path / "slow" / "00000090.skipped").write_text("dark")

    assert prints["once"] == prints["slow"] == fingerprint(tmp_path / "slow")
    assert prints["once"] != prints["other"]
    assert [path.name for path in listing(tmp_path / "slow")] == ["1.npz", "2.npz"]
    (tmp_path / "slow" / "2.npz").rename(tmp_path / "slow" / "3.npz")
    assert fingerprint(tmp_path / "slow") != prints["once"]


def test_a_damaged_folder_has_no_fingerprint(stored: Path) -> None:
    stored.write_bytes(stored.read_bytes()[:5000])
    with pytest.raises(ProductError, match="is damaged"):
        fingerprint(stored.parent)
