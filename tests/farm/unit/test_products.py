import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import ProductError
from pipeline.farm import names
from pipeline.farm.job import Base, Job
from pipeline.farm.products import MissingProduct, Products
from pipeline.farm.store import LocalStore

PLAN = {"slices": 2, "bounds": [0, 3, 6], "samples": 21, "spent": 0, "reason": "first round"}
MAP = {"map": np.arange(1, 7, dtype=np.uint32).reshape(2, 3)}


def job(version: int = 1, **changes: Any) -> Job:
    fields = {
        "id": f"s.v{version:03d}",
        "shot": "s",
        "version": version,
        "hash": f"{version:064d}",
        "config": {},
        "frames": (1001,),
        "scenes": {},
        "environment": {"key": "e"},
        "created": "2026-01-01T00:00:00+00:00",
    }
    return Job.model_validate(fields | changes)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


@pytest.fixture
def products(store: LocalStore) -> Products:
    return Products(store, job())


def test_what_is_published_is_read_with_its_facts_and_arrays(products: Products) -> None:
    name = names.samples(1001, 0)

    assert not products.exists(name)
    assert products.publish(name, PLAN, MAP)
    assert products.exists(name)
    assert products.facts(name) == PLAN
    np.testing.assert_array_equal(products.read(name).arrays["map"], MAP["map"])


def test_who_publishes_second_leaves_the_first_ones_bytes(products: Products) -> None:
    products.publish("stop/1001", {"round": 1})

    assert not products.publish("stop/1001", {"round": 2})
    assert products.facts("stop/1001")["round"] == 1


def test_a_product_that_is_not_there_is_missing(products: Products) -> None:
    with pytest.raises(MissingProduct, match="stop/1001 is not there"):
        products.facts("stop/1001")
    with pytest.raises(MissingProduct, match="stop/1001 is not there"):
        products.read("stop/1001")


def test_facts_longer_than_the_first_block_are_read_whole(products: Products) -> None:
    facts = {"shapes": [f"shape_{n}" for n in range(3000)]}
    products.publish("buffers/1001/r00", facts)

    assert Products(products.store, products.job).facts("buffers/1001/r00") == facts


@pytest.mark.parametrize("act", ["read", "facts"])
@pytest.mark.parametrize("content", [b"", b"PENUMBRA", b"\x00" * 5000])
def test_a_damaged_product_is_moved_aside_said_and_can_be_made_anew(
    products: Products, store: LocalStore, caplog: pytest.LogCaptureFixture, act: str, content: bytes
) -> None:
    store.create("s/v001/stop/1001", content)

    with caplog.at_level(logging.WARNING), pytest.raises(ProductError, match="stop/1001"):
        getattr(products, act)("stop/1001")

    assert "moved aside and made anew" in caplog.text
    assert not products.exists("stop/1001")
    assert store.read("damaged/s/v001/stop/1001.0") == content
    assert products.publish("stop/1001", {"round": 0})


def test_a_product_of_another_job_is_moved_aside(products: Products, store: LocalStore) -> None:
    Products(store, job(hash="f" * 64)).publish("stop/1001", {"round": 0})

    with pytest.raises(ProductError, match="of another job"):
        products.read("stop/1001")
    assert not products.exists("stop/1001")


def test_facts_are_forgotten_when_their_product_has_gone(products: Products, store: LocalStore) -> None:
    products.publish("stop/1001", {"round": 0})
    store.delete("s/v001/stop/1001")

    assert not products.exists("stop/1001")
    products.publish("stop/1001", {"round": 3})
    assert products.facts("stop/1001") == {"round": 3}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_product_with_a_number_that_is_not_finite_is_not_published(products: Products, value: float) -> None:
    array = np.zeros((1500, 1000), np.float32)
    array[-1, -1] = value

    with pytest.raises(ProductError, match="'mean' has values that are not finite"):
        products.publish("buffers/1001/r00", {}, {"mean": array})
    with pytest.raises(ProductError, match="p99 is"):
        products.publish("rounds/1001/r00/error", {"p99": value})
    assert not products.exists("buffers/1001/r00") and not products.exists("rounds/1001/r00/error")


def test_a_pass_with_fewer_samples_than_were_asked_for_is_not_published(products: Products) -> None:
    with pytest.raises(ProductError, match="15 samples were taken, 16 were asked for"):
        products.publish("passes/1001/r00.s00", {"samples": 15, "asked": 16})
    assert products.publish("passes/1001/r00.s00", {"samples": 16, "asked": 16})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"slices": None}, "lacks its number of slices"),
        ({"slices": -1}, "lacks its number of slices"),
        ({"slices": 3}, "bounds of 3 slices make no sense"),
        ({"bounds": [0, 4, 3]}, "make no sense"),
        ({"bounds": [1, 3, 6]}, "make no sense"),
        ({"bounds": [0, 3, 7]}, "has 6 pixels"),
        ({"samples": 20}, "and 21 samples"),
    ],
)
def test_a_slice_plan_that_does_not_add_up_is_not_published(
    products: Products, change: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ProductError, match=reason):
        products.publish("samples/1001/r00", PLAN | change, MAP)


def test_a_plan_without_slices_needs_no_bounds(products: Products) -> None:
    assert products.publish("samples/1001/r01", {"slices": 0, "reason": "target reached", "samples": 0})


def test_marks_are_plain_documents_that_are_written_once(products: Products) -> None:
    assert products.record("absent/1003", {"task": "stop/1003"})
    assert not products.record("absent/1003", {})
    assert products.recorded("absent/1003") == {"task": "stop/1003"}
    with pytest.raises(MissingProduct):
        products.recorded("absent/1004")


def test_a_frame_is_listed_with_its_marks_and_without_foreign_files(products: Products, store: LocalStore) -> None:
    mine = {"samples/1001/r00", "passes/1001/r00.s01", "rounds/1001/r00/error", "stop/1001", "absent/1001"}
    marks = {"failures/passes/1001/r00.s00", "failures/frames/1001"}
    for name in mine | marks | {"samples/1002/r00", "failures/report", "passes/1001/notes", "frames/s.1001.exr"}:
        store.create(f"s/v001/{name}", b"")

    assert products.listed(1001) == mine | marks
    assert products.failures() == ["failures/frames/1001", "failures/passes/1001/r00.s00", "failures/report"]


class TestReuse:
    """What an earlier version has made by the same recipe counts as the job's own."""

    @pytest.fixture
    def earlier(self, store: LocalStore) -> Products:
        return Products(store, job(1))

    def later(self, store: LocalStore, *kinds: str, **limits: Any) -> Products:
        base = Base(directory="s/v001", hash=job(1).hash, kinds=kinds, **limits)  # type: ignore[arg-type]
        return Products(store, job(2, bases=(base,)))

    def test_a_product_of_a_kind_that_is_shared_is_read_from_the_earlier_version(
        self, store: LocalStore, earlier: Products
    ) -> None:
        earlier.publish("buffers/1001/r00", {"samples": 5}, {"mean": np.ones(3, np.float32)})
        later = self.later(store, "buffers")

        assert later.exists("buffers/1001/r00")
        assert later.facts("buffers/1001/r00") == {"samples": 5}
        assert later.read("buffers/1001/r00").arrays["mean"].sum() == 3
        assert later.listed(1001) == {"buffers/1001/r00"}

    def test_other_kinds_marks_and_other_frames_are_not_shared(self, store: LocalStore, earlier: Products) -> None:
        earlier.publish("stop/1001", {"round": 0})
        earlier.publish("buffers/1002/r00", {})
        for mark in ("absent/1001", "failures/stop/1001"):
            earlier.record(mark, {})
        later = self.later(store, "buffers", frames=(1001,))

        for name in ("stop/1001", "buffers/1002/r00", "absent/1001", "failures/stop/1001"):
            assert not later.exists(name)
        assert later.listed(1001) == set()

    def test_rounds_beyond_the_shared_ones_are_not_shared(self, store: LocalStore, earlier: Products) -> None:
        for r in range(3):
            earlier.publish(names.buffers(1001, r), {})
        later = self.later(store, "buffers", rounds=2)

        assert [later.exists(names.buffers(1001, r)) for r in range(3)] == [True, True, False]

    def test_a_damaged_product_of_the_earlier_version_is_made_anew_in_the_later_one(
        self, store: LocalStore, earlier: Products
    ) -> None:
        store.create("s/v001/buffers/1001/r00", b"junk")
        later = self.later(store, "buffers")

        with pytest.raises(ProductError):
            later.read("buffers/1001/r00")
        assert later.publish("buffers/1001/r00", {})
        assert store.exists("s/v002/buffers/1001/r00")

    def test_slices_of_two_versions_are_never_mixed(self, store: LocalStore, earlier: Products) -> None:
        earlier.publish("passes/1001/r00.s00", {})
        later = self.later(store, "samples", "passes")
        assert not later.exists("passes/1001/r00.s00")

        earlier.publish("samples/1001/r00", PLAN, MAP)
        assert later.exists("passes/1001/r00.s00")

        later.publish("samples/1001/r00", PLAN | {"slices": 1, "bounds": [0, 6]}, MAP)
        assert not later.exists("passes/1001/r00.s00")
