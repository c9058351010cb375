"""The cache of features: what was put in comes out, whoever put it in, within a budget and in spite of damage."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.denoise.cache import Cache, feature_cache

KEY = "0123456789abcdef"
KILO = np.zeros(256, np.float32)


def key(number: int) -> str:
    return f"{number:016x}-irradiance"


def one(cache: Cache) -> Path:
    (file,) = cache.directory.iterdir()
    return file


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "features", 1 << 20)


def test_arrays_come_out_as_they_were_put_in(cache: Cache) -> None:
    rng = np.random.default_rng(1)
    arrays = {
        "half": rng.normal(size=(3, 5, 7)).astype(np.float16),
        "single": rng.normal(size=(2, 3)).astype(np.float32),
        "bits": rng.integers(0, 1 << 16, (4, 4), np.uint16),
        "signed": rng.integers(-(1 << 15), 1 << 15, (2, 4), np.int16),
        "turned": np.arange(12, dtype=np.float32).reshape(3, 4).T,
        "empty": np.zeros((0, 3), np.float32),
    }
    assert cache.put(KEY, arrays)
    found = cache.get(KEY)

    assert found is not None and list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype and np.array_equal(found[name], array)


def test_arrays_are_mapped_and_writing_to_them_changes_no_file(cache: Cache) -> None:
    cache.put(KEY, {"a": KILO})
    first = cache.get(KEY)
    assert first is not None and not first["a"].flags.owndata
    first["a"][:] = 1.0

    second = cache.get(KEY)
    assert second is not None and not second["a"].any()


def test_what_nobody_put_in_is_not_there(cache: Cache) -> None:
    assert cache.get(KEY) is None


def test_arrays_outlive_the_removal_of_their_file(cache: Cache) -> None:
    cache.put(KEY, {"a": KILO + 3})
    found = cache.get(KEY)
    one(cache).unlink()

    assert found is not None and found["a"].sum() == 3 * 256


@pytest.mark.parametrize("damage", ["cut", "emptied", "flipped", "zeroed", "foreign"])
def test_a_damaged_entry_is_dropped(cache: Cache, damage: str) -> None:
    cache.put(KEY, {"a": KILO})
    file = one(cache)
    data = bytearray(file.read_bytes())
    if damage == "cut":
        del data[-1]
    elif damage == "emptied":
        data.clear()
    elif damage == "flipped":
        data[-7] ^= 1
    elif damage == "zeroed":
        data[16:] = bytes(len(data) - 16)
    else:
        data[:8] = b"PENUMBRA"
    file.write_bytes(data)

    assert cache.get(KEY) is None
    assert not file.exists()
    assert cache.put(KEY, {"a": KILO}) and cache.get(KEY) is not None


def test_what_was_read_the_longest_ago_goes_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 4 * 1300)
    for number in range(4):
        cache.put(key(number), {"a": KILO})
        file = tmp_path / f"{key(number)}.arrays"
        os.utime(file, (1000 + number, 1000 + number))
    assert cache.get(key(0)) is not None  # is young again
    cache.put(key(4), {"a": KILO})

    assert [number for number in range(5) if cache.get(key(number)) is not None] == [0, 2, 3, 4]


def test_the_budget_holds_whatever_is_put_in(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 10_000)
    for number in range(50):
        assert cache.put(key(number), {"a": np.zeros(100 + 17 * number, np.float32)})
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 10_000


def test_an_entry_beyond_the_whole_budget_is_not_kept_and_displaces_nothing(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 2000)
    cache.put(key(1), {"a": KILO})

    assert not cache.put(key(2), {"a": np.zeros(1000, np.float32)})
    assert cache.get(key(1)) is not None and cache.get(key(2)) is None


def test_what_dead_writers_left_is_removed_after_an_hour(cache: Cache) -> None:
    cache.put(key(1), {"a": KILO})
    old, young = cache.directory / ".tmp-1-a", cache.directory / ".tmp-2-b"
    for file in (old, young):
        file.write_bytes(b"half")
    os.utime(old, (1000, 1000))
    cache.put(key(2), {"a": KILO})

    assert not old.exists() and young.exists()


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a.b", "-a", "x" * 201])
def test_what_is_no_key_is_refused(cache: Cache, name: str) -> None:
    with pytest.raises(ValueError, match="is not a key"):
        cache.get(name)
    with pytest.raises(ValueError, match="is not a key"):
        cache.put(name, {"a": KILO})


def test_arrays_of_another_type_are_refused(cache: Cache) -> None:
    with pytest.raises(ValueError, match="float64"):
        cache.put(KEY, {"a": np.zeros(3)})


def test_a_directory_that_cannot_be_made_costs_the_cache_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = Cache(tmp_path / "file" / "features", 1 << 20)

    assert not cache.put(KEY, {"a": KILO})
    assert cache.get(KEY) is None


def _work(directory: Path, seed: int) -> bool:
    """Puts in and takes out at random; whether all that came out was what belongs to its key."""
    rng = np.random.default_rng(seed)
    cache, right = Cache(directory, 30_000), True
    for _ in range(150):
        number = int(rng.integers(0, 20))
        found = cache.get(key(number))
        if found is None:
            cache.put(key(number), {"a": np.full(300 + number, number, np.float32)})
        else:
            right &= bool((found["a"] == number).all()) and len(found["a"]) == 300 + number
    return right


def test_several_processes_share_a_directory(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        assert all(pool.starmap(_work, [(tmp_path, seed) for seed in range(4)]))
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".tmp-")]


def test_no_bytes_are_no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PENUMBRA_CACHE", str(tmp_path))

    assert feature_cache(0) is None
    kept = feature_cache(100)
    assert kept is not None and (kept.directory, kept.most_bytes) == (tmp_path / "features", 100)
