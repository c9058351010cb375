"""Attempts are numbered for good, and their reports are fenced by their numbers; failures with their log; retry."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.farm import attempts, names
from pipeline.farm.attempts import Line, Trouble
from pipeline.farm.store import Store, open_store

TASK = "passes/1001/r00.s00"
PLACE = "shot/v001"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def test_attempts_are_numbered_and_their_ends_are_known_from_their_logs(store: Store) -> None:
    numbers = [attempts.begin(store, PLACE, TASK, worker="w") for _ in range(3)]
    attempts.end(store, PLACE, TASK, 0, outcome="raised", reason="no light")
    attempts.end(store, PLACE, TASK, 2, outcome="cancelled")

    assert numbers == [0, 1, 2]
    found = attempts.history(store, PLACE, TASK)
    assert [(attempt.outcome, attempt.reason) for attempt in found] == [
        ("raised", "no light"), (None, ""), ("cancelled", "")
    ]  # fmt: skip


def test_an_end_that_was_told_is_not_changed_by_a_later_one(store: Store) -> None:
    attempts.begin(store, PLACE, TASK, worker="w")

    assert attempts.end(store, PLACE, TASK, 0, outcome="made")
    assert not attempts.end(store, PLACE, TASK, 0, outcome="crashed")
    assert attempts.history(store, PLACE, TASK)[0].outcome == "made"


def test_an_attempt_that_is_taken_back_does_not_count(store: Store) -> None:
    attempts.begin(store, PLACE, TASK, worker="w")
    attempts.forget(store, PLACE, TASK, 0)

    assert attempts.history(store, PLACE, TASK) == []


def test_a_parked_task_says_why_with_the_tail_of_its_last_log(store: Store) -> None:
    for number in range(3):
        attempts.begin(store, PLACE, TASK, worker="w")
        lines = [Line(0.0, "info", f"line {n} of {number}") for n in range(100)]
        attempts.end(store, PLACE, TASK, number, outcome="raised", reason="no light", log=lines)

    assert attempts.park(store, PLACE, TASK, attempts.history(store, PLACE, TASK), kind="raised", reason="no light")
    failure = attempts.failure(store, PLACE, TASK)
    assert (failure.kind, failure.reason, failure.attempts) == ("raised", "no light", 3)
    assert len(failure.log) == attempts.LOG_TAIL
    assert "line 99 of 2" in failure.log[-2]


def test_retry_removes_failures_and_absent_frames_and_leaves_products(store: Store) -> None:
    attempts.begin(store, PLACE, TASK, worker="w")
    attempts.end(store, PLACE, TASK, 0, outcome="raised")
    attempts.park(store, PLACE, TASK, attempts.history(store, PLACE, TASK), kind="raised", reason="x")
    for name in (names.absent(1001), "report", "frames/1002"):
        store.create(f"{PLACE}/{name}", b"{}")

    assert attempts.retry(store, PLACE) == [TASK]
    left = [name for name in store.list(PLACE) if not name.startswith((f"{PLACE}/attempts", f"{PLACE}/logs"))]
    assert left == [f"{PLACE}/frames/1002"]


def test_retry_can_mean_one_task_alone(store: Store) -> None:
    for task in (TASK, "passes/1002/r00.s00"):
        attempts.park(store, PLACE, task, [], kind="raised", reason="x")

    assert attempts.retry(store, PLACE, [TASK]) == [TASK]
    assert store.list(f"{PLACE}/failures") == [f"{PLACE}/failures/passes/1002/r00.s00"]


def test_a_retry_forgives_what_was_before_and_numbers_go_on(store: Store) -> None:
    attempts.begin(store, PLACE, TASK, worker="w")
    attempts.end(store, PLACE, TASK, 0, outcome="raised")
    attempts.park(store, PLACE, TASK, attempts.history(store, PLACE, TASK), kind="raised", reason="x")
    attempts.retry(store, PLACE)

    assert attempts.history(store, PLACE, TASK) == []
    assert attempts.begin(store, PLACE, TASK, worker="w") == 2


def test_who_is_still_at_an_attempt_before_a_retry_cannot_speak_for_one_after_it(store: Store) -> None:
    stale = attempts.begin(store, PLACE, TASK, worker="stopped")
    attempts.park(store, PLACE, TASK, attempts.history(store, PLACE, TASK), kind="lost", reason="x")
    attempts.retry(store, PLACE)
    attempts.begin(store, PLACE, TASK, worker="new")
    attempts.end(store, PLACE, TASK, stale, outcome="raised", reason="long ago")

    (newest,) = attempts.history(store, PLACE, TASK)
    assert (newest.worker, newest.outcome) == ("new", None)
    assert attempts.superseded(store, PLACE, TASK, stale)
    assert not attempts.superseded(store, PLACE, TASK, newest.n)


def test_the_first_failure_of_a_job_is_kept_with_the_tail_of_its_log(store: Store) -> None:
    said = [f"line {n}" for n in range(100)]
    first = Trouble(TASK, 0, "w", "host", "raised", "no light", said, 12.5)

    assert attempts.first_trouble(store, PLACE) is None
    assert attempts.note_trouble(store, PLACE, first)
    assert not attempts.note_trouble(store, PLACE, Trouble("report", 3, "v", "host", "memory", "later", [], 13.5))
    found = attempts.first_trouble(store, PLACE)
    assert found is not None and (found.task, found.reason) == (TASK, "no light")
    assert found.log == said[-attempts.LOG_TAIL :]


def test_a_log_is_read_as_it_was_written() -> None:
    line = Line(12.5, "warning", "caf\u00e9", {"took": 1.5})

    assert attempts.read_log(line.to_json().encode()) == [line]
    assert str(line) == "1970-01-01 00:00:12 warning café took=1.5"
