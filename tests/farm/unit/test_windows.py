"""A window reads frames when it is asked for them, and keeps none."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.farm import names
from pipeline.farm.job import Base, Job
from pipeline.farm.products import MissingProduct, Products
from pipeline.farm.store import LocalStore
from pipeline.farm.windows import StoredWindow
from pipeline.render.buffers import FrameBuffers


def job(version: int, **more: Any) -> Job:
    fields = {"id": f"s.v{version:03d}", "shot": "s", "version": version, "hash": f"{version:064d}", "config": {}}
    fields |= {"frames": (1, 2), "scenes": {}, "environment": {"key": "e"}, "created": "2026-01-01T00:00:00+00:00"}
    return Job.model_validate(fields | more)


class Counting(Products):
    """Counts what is read."""

    def __init__(self, store: LocalStore, of: Job) -> None:
        super().__init__(store, of)
        self.seen: list[str] = []

    def read(self, name: str) -> Any:
        self.seen.append(name)
        return super().read(name)


@pytest.fixture
def products(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counting:
    """Two frames whose sums are one number each."""
    none = np.zeros((1, 1), np.float32)
    colour = np.zeros((1, 1, 3), np.float32)
    names_ = ("beauty", "emission", "diffuse", "specular", "albedo", "normal", "depth")

    def combined(number: Any, combination: str) -> FrameBuffers:
        assert combination == "unbiased"
        return FrameBuffers(
            colour, colour + number, colour, colour, colour, none, none, colour[..., :2], colour[..., :2], none, none,
            none.astype(np.uint32), none, np.zeros((1, 1, 9), np.float32), np.zeros((1, 1, 9), np.float32),
            dict.fromkeys(names_, none),
        )  # fmt: skip

    monkeypatch.setattr("pipeline.farm.windows.Moments.from_arrays", lambda arrays: float(arrays["sum"][0]))
    monkeypatch.setattr("pipeline.farm.windows.combine", combined)
    made = Counting(LocalStore(tmp_path), job(1))
    for frame in (1, 2):
        made.publish(names.buffers(frame, 0), {}, {"sum": np.array([float(frame)])})
    return made


@pytest.fixture
def window(products: Counting) -> StoredWindow:
    return StoredWindow(products, {1: names.buffers(1, 0), 2: names.buffers(2, 0), 3: names.buffers(3, 0)}, "unbiased")


def test_nothing_is_read_before_a_frame_is_asked_for(window: StoredWindow, products: Counting) -> None:
    assert sorted(window) == [1, 2, 3] and len(window) == 3 and 2 in window and 7 not in window
    assert window.get(7) is None and products.seen == []


def test_each_look_reads_one_product(window: StoredWindow, products: Counting) -> None:
    first, second = window[2], window.get(2)

    assert products.seen == [names.buffers(2, 0)] * 2
    assert second is not None and first is not second
    assert first.component("diffuse")[0, 0, 0] == 2.0


def test_the_digest_is_the_products_own_and_reads_no_frame(
    window: StoredWindow, products: Counting, tmp_path: Path
) -> None:
    data = (tmp_path / "s/v001" / names.buffers(1, 0)).read_bytes()

    assert window.digest(1) == hashlib.blake2b(data[:-32], digest_size=32).hexdigest() != window.digest(2)
    assert products.seen == []


def test_versions_that_share_a_product_share_its_digest(window: StoredWindow, tmp_path: Path) -> None:
    base = Base(directory="s/v001", hash=f"{1:064d}", kinds=("buffers",))
    other = StoredWindow(Products(LocalStore(tmp_path), job(2, bases=(base,))), {1: names.buffers(1, 0)}, "unbiased")

    assert other.digest(1) == window.digest(1)


def test_a_product_that_is_gone_is_missing(window: StoredWindow) -> None:
    with pytest.raises(MissingProduct):
        window[3]
    with pytest.raises(MissingProduct):
        window.digest(3)
