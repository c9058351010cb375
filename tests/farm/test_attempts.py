"""When to stop trying: verdicts on attempts, failures with their log, retry."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config.farm import Farm
from pipeline.farm import attempts, names
from pipeline.farm.attempts import Attempt, Line, Outcome
from pipeline.farm.store import Store, open_store

LIMITS = Farm(max_raises=3, max_losses=5, loss_hosts=2)
TASK = "passes/1001/r00.s00"
PLACE = "shot/v001"


def tried(*outcomes: Outcome | None, hosts: str = "a") -> list[Attempt]:
    return [
        Attempt(n, hosts[n % len(hosts)], 1, "w", 0.0, outcome, f"because {n}") for n, outcome in enumerate(outcomes)
    ]


@pytest.mark.parametrize(
    ("attempted", "kind"),
    [
        (tried("raised", "raised"), None),
        (tried("raised", "raised", "raised"), "raised"),
        (tried("raised", "crashed", "crashed"), "crashed"),
        (tried("raised", None, "raised", "cancelled", "raised"), "raised"),
        (tried("cancelled", "cancelled", "cancelled", "cancelled"), None),
        (tried(None, None, None, None, hosts="ab"), None),
        (tried(None, None, None, None, None, hosts="ab"), "lost"),
        (tried(*[None] * 9, hosts="a"), None),
        (tried(*[None] * 10, hosts="a"), "lost"),
    ],
)
def test_a_task_is_parked_after_its_own_faults_and_later_after_losses(
    attempted: list[Attempt], kind: str | None
) -> None:
    found = attempts.verdict(attempted, LIMITS)

    assert (None if found is None else found[0]) == kind


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

    assert attempts.conclude(store, PLACE, TASK, LIMITS)
    failure = attempts.failure(store, PLACE, TASK)
    assert (failure.kind, failure.reason, failure.attempts) == ("raised", "no light", 3)
    assert len(failure.log) == attempts.LOG_TAIL
    assert "line 99 of 2" in failure.log[-2]


def test_a_task_with_few_failures_is_not_parked(store: Store) -> None:
    attempts.begin(store, PLACE, TASK, worker="w")
    attempts.end(store, PLACE, TASK, 0, outcome="raised")

    assert not attempts.conclude(store, PLACE, TASK, LIMITS)
    assert not store.exists(f"{PLACE}/{names.failure(TASK)}")


def test_retry_removes_failures_attempts_and_absent_frames_and_leaves_products(store: Store) -> None:
    attempts.begin(store, PLACE, TASK, worker="w")
    attempts.end(store, PLACE, TASK, 0, outcome="raised")
    attempts.park(store, PLACE, TASK, attempts.history(store, PLACE, TASK), kind="raised", reason="x")
    for name in (names.absent(1001), "report", "frames/1002"):
        store.create(f"{PLACE}/{name}", b"{}")

    assert attempts.retry(store, PLACE) == [TASK]
    assert store.list(PLACE) == [f"{PLACE}/frames/1002"]


def test_a_log_is_read_as_it_was_written() -> None:
    line = Line(12.5, "warning", "caf\u00e9", {"took": 1.5})

    assert attempts.read_log(line.to_json().encode()) == [line]
    assert str(line) == "1970-01-01 00:00:12 warning café took=1.5"
