"""Orders of frames, requirements, shares, hours, gates and the health of workers: pure, each by itself."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.terms import Terms
from pipeline.errors import ConfigError
from pipeline.farm import control, names, plan, roster
from pipeline.farm.control import AFTER_TASK, Control, ControlState, Record
from pipeline.farm.frame_order import arrange, first_pass
from pipeline.farm.health import Health
from pipeline.farm.hours import Hours
from pipeline.farm.job_plan import JobPlan
from pipeline.farm.requirements import NOTHING, Offer, Requirement, requirement
from pipeline.farm.shares import Claimant, served_first
from pipeline.farm.store import open_store


@given(st.lists(st.integers(-20, 20), unique=True), st.sampled_from(["ascending", "middle-out", "every:3"]))
def test_every_order_has_every_frame_once(frames: list[int], order: str) -> None:
    assert sorted(arrange(frames, order)) == sorted(frames)


def test_the_first_pass_of_every_nth_comes_first() -> None:
    assert first_pass(range(1, 8), "every:3") == (1, 4, 7)
    assert arrange(range(1, 8), "every:3")[:3] == (1, 4, 7)
    assert first_pass(range(1, 8), "middle-out") is None


@pytest.mark.parametrize("order", ["sideways", "every:1", "every:x", "every:"])
def test_an_order_that_makes_no_sense_is_refused(order: str) -> None:
    with pytest.raises(ValueError, match="middle-out"):
        Terms(order=order)


@pytest.mark.parametrize(
    ("wanted", "met"),
    [
        (NOTHING, True),
        (Requirement(pool="film"), False),
        (Requirement(tags=frozenset({"fast"})), True),
        (Requirement(tags=frozenset({"fast", "new"})), False),
        (Requirement(memory=24576), True),
        (Requirement(memory=24577), False),
        (Requirement(avoid=frozenset({"w"})), False),
    ],
)
def test_a_worker_meets_what_it_offers(wanted: Requirement, met: bool) -> None:
    assert wanted.met_by(Offer("w", tags=frozenset({"fast", "quiet"}), memory=24576)) is met
    assert Requirement.from_json(wanted.to_json()) == wanted


def test_a_worker_of_a_pool_takes_no_job_without_one() -> None:
    assert not NOTHING.met_by(Offer("w", pools=frozenset({"film"})))


def test_only_tasks_that_need_memory_ask_for_it() -> None:
    terms = Terms(memory=12.0, tags=("fast",))

    assert requirement(terms, (), "render").memory == 12 * 1024
    assert requirement(terms, (), "light") == Requirement(tags=frozenset({"fast"}))
    assert requirement(Terms(), (), "render").key == ""


def test_a_failed_task_avoids_who_failed_it_while_there_is_another() -> None:
    one, two = Offer("one", memory=8), Offer("two", memory=8)

    assert NOTHING.raised(avoid={"one"}, offers=[one, two]).avoid == {"one"}
    assert NOTHING.raised(avoid={"one"}, offers=[one]).avoid == frozenset()
    assert NOTHING.raised(memory=9, avoid={"one"}, offers=[one, two]) == Requirement(memory=9)


def claim(job: str, show: str = "", priority: int = 5, created: str = "2026") -> Claimant:
    return Claimant(job, show, priority, created)


def test_priority_comes_first_then_the_show_with_least_of_its_share_then_age() -> None:
    old, new = claim("old", "a", created="1"), claim("new", "b", created="2")

    assert served_first([], {}, {}) is None
    assert served_first([old, new, claim("urgent", "a", 9)], {"a": 99}, {}) == claim("urgent", "a", 9)
    assert served_first([old, new], {"a": 3, "b": 2}, {}) == new
    assert served_first([old, new], {"a": 3, "b": 2}, {"a": 2.0}) == old
    assert served_first([new, old], {}, {}) == old


def test_shows_get_slots_in_proportion_to_their_weights() -> None:
    given_out = {"a": 0, "b": 0}
    for _ in range(90):
        chosen = served_first([claim("x", "a"), claim("y", "b")], given_out, {"a": 2.0})
        assert chosen is not None
        given_out[chosen.show] += 1

    assert given_out == {"a": 60, "b": 30}


@pytest.mark.parametrize(
    ("text", "day", "hour", "open_"),
    [
        ("", 16, 12, True),
        ("19:00-08:00", 16, 7, True),  # Monday, of Sunday's night
        ("mon-fri 19:00-08:00", 16, 7, False),
        ("mon-fri 19:00-08:00", 21, 7, True),  # Saturday, of Friday's night
        ("mon-fri 19:00-08:00, sat-sun", 21, 12, True),
        ("sat-mon", 16, 12, True),
        ("sat-mon", 17, 12, False),
        ("9:00-17:00", 17, 16, True),
        ("9:00-17:00", 17, 17, False),
    ],
)
def test_hours_hold_or_not(text: str, day: int, hour: int, open_: bool) -> None:
    assert Hours.parse(text).hold(datetime(2026, 11, day, hour)) is open_


@pytest.mark.parametrize("text", ["noon", "25:00-26:00", "mon-xyz", "8:00-8:00", "9:75-10:00", "mon 9-17"])
def test_hours_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="are not hours"):
        Hours.parse(text)


def test_a_worker_that_fails_what_others_make_is_kept_off_and_then_taken_out() -> None:
    health = Health(bar_failures=2, out_jobs=2)
    assert not health.failed("j", "render", "bad", "t1")
    assert not health.failed("j", "render", "bad", "t2")  # nobody has made any: the job may be at fault
    assert health.made("j", "render", "good") == ["bad"]
    assert health.failed("j", "render", "bad", "t3")
    assert not health.barred("j", "bad")
    assert health.barred("k", "bad")


def test_a_worker_that_makes_something_in_between_is_not_kept_off() -> None:
    health = Health(bar_failures=2, out_jobs=1)
    health.made("j", "render", "good")
    health.failed("j", "render", "unlucky", "t1")
    health.made("j", "render", "unlucky")

    assert not health.failed("j", "render", "unlucky", "t2")


def test_the_same_task_again_is_one_failure_of_a_worker() -> None:
    health = Health(bar_failures=2, out_jobs=1)
    health.made("j", "render", "good")

    assert not any(health.failed("j", "render", "w", "t1") for _ in range(5))


def test_a_worker_that_is_allowed_again_begins_anew() -> None:
    health = Health(bar_failures=2, out_jobs=2)
    health.made("j", "render", "good")
    health.failed("j", "render", "bad", "t1")
    health.barred("j", "bad")
    health.allowed("j", "bad")

    assert not health.failed("j", "render", "bad", "t2")
    assert not health.barred("k", "bad")


def test_a_pause_after_the_task_starts_nothing_and_stops_nothing() -> None:
    task = "passes/0001/r00.s00"
    now, later = ControlState.of([Record("pause")]), ControlState.of([Record("pause", AFTER_TASK)])

    assert (now.holds(task), now.stops(task)) == (True, True)
    assert (later.holds(task), later.stops(task)) == (True, False)
    assert ControlState.of([Record("cancel", AFTER_TASK), Record("resume")]) == ControlState(records=2)


def test_another_gate_asks_for_another_approval() -> None:
    approved = ControlState.of([Record("approve")])

    assert approved.approved
    assert approved.after(Record("terms", {"order": "middle-out"})).approved
    assert not approved.after(Record("terms", {"approve": "round"})).approved


def test_workers_are_kept_off_a_job_by_records_and_let_in_by_others(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    control.write(store, "s/v001", "bar", "w", by="farm")
    reader = Control(store, "s/v001")

    assert reader.look().barred == {"w"}
    control.write(store, "s/v001", "allow", "w")
    assert reader.look().barred == frozenset()


def test_the_newest_order_to_a_worker_counts_and_says_by_whom_and_why(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    assert roster.standing(store, "w").order == "in"
    first = roster.order(store, "w", "out", reason="fails all", by="farm")
    assert roster.standing(store, "w") == first
    roster.order(store, "w", "in")

    assert roster.standing(store, "w", first).order == "in"
    assert [found.order for found in roster.orders(store).values()] == ["in"]


class Nothing:
    """A store in which some products are there."""

    def __init__(self, *there: str, **facts: object) -> None:
        self.there, self.told = set(there), {"samples/0001/r00": {"slices": 1}, "samples/0002/r00": {"slices": 1}}

    def exists(self, name: str) -> bool:
        return name in self.there

    def facts(self, name: str) -> dict[str, int]:
        return self.told[name]


def round_of(frame: int) -> list[str]:
    return [f"{kind}/000{frame}/r00" for kind in ("samples", "buffers")] + [f"rounds/000{frame}/r00/error"]


def test_a_gate_after_the_first_round_lets_round_zero_through_and_nothing_more() -> None:
    job = JobPlan((1, 2), 3, gate=1)
    there = Nothing(*round_of(1), *round_of(2))

    assert plan.runnable(job, Nothing()) == ["samples/0001/r00", "samples/0002/r00"]
    assert plan.runnable(job, there) == []
    assert plan.is_at_gate(job, there) and not plan.is_at_gate(job, Nothing())
    assert plan.runnable(JobPlan((1, 2), 3), there) == ["samples/0001/r01", "samples/0002/r01"]
    assert plan.after(job, "rounds/0001/r00/error", there) == []


@pytest.mark.parametrize("shape", [{}, {"radius": 1, "every_round": True}, {"radius": 1, "budget": True}])
def test_all_of_the_first_round_is_made_before_a_gate(shape: dict[str, Any]) -> None:
    job, made = JobPlan((1, 2), 3, gate=1, **shape), Nothing()
    while ready := plan.runnable(job, made):
        assert not plan.is_at_gate(job, made)
        for task in ready:
            made.there.add(task)
            assert set(plan.after(job, task, made)) <= set(plan.runnable(job, made))

    errors = {"rounds/0001/r00/error", "rounds/0002/r00/error"}
    assert plan.is_at_gate(job, made) and errors <= made.there
    assert {names.parse(task).round for task in made.there} == {0}


def test_frames_that_are_held_are_made_only_where_others_need_them() -> None:
    alone = JobPlan((1, 2), 1, held=frozenset({2}))
    beside = JobPlan((1, 2), 1, radius=1, every_round=True, held=frozenset({2}))

    assert plan.runnable(alone, Nothing()) == ["samples/0001/r00"]
    assert plan.runnable(beside, Nothing(*round_of(1)[:2])) == ["samples/0002/r00"]
