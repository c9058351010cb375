"""Each transition of the state machine has a test of its own name; and nothing that can happen leads beside the table.

A test of a transition changes the signs as its cause does, and looks for the state that follows. Which signs make a
state, and what a cause does to them, is said here once more, in another form than in the module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from itertools import product
from typing import Any

import pytest

from pipeline.farm.states import (
    FRAME_TRANSITIONS,
    JOB_TRANSITIONS,
    TASK_TRANSITIONS,
    Cause,
    FrameSigns,
    JobSigns,
    TaskSigns,
    Transition,
    frame_state,
    job_state,
    task_state,
)

Event = Callable[[Any], Iterable[Any]]
"""What a cause makes of signs: every way in which it can go; none where it cannot happen."""


def sets(**values: bool) -> Event:
    """The cause changes these signs, where they are not so already."""

    def event(signs: Any) -> Iterable[Any]:
        changed = replace(signs, **values)
        return [changed] if changed != signs else []

    return event


def where(event: Event, **needed: bool) -> Event:
    """The event, if these signs are so before it."""
    return lambda signs: event(signs) if all(getattr(signs, key) == is_ for key, is_ in needed.items()) else []


def either(*events: Event) -> Event:
    return lambda signs: [after for event in events for after in event(signs)]


TASK_EVENTS: dict[Cause, Event] = {
    # A task starts when nothing stands in its way; its newest attempt holds the lease.
    Cause.STARTED: where(
        sets(leased=True), made=False, wanted=True, parked=False, complete=True, held=False, delayed=False
    ),
    # Who has made a product has given its lease back by the time that others look; a mark of failure stays.
    Cause.PUBLISHED: either(sets(made=True), sets(made=True, leased=False)),
    Cause.DAMAGED: where(sets(made=False), leased=False),
    Cause.INPUTS_MADE: sets(complete=True),
    Cause.INPUT_LOST: sets(complete=False),
    Cause.LEFT: where(sets(leased=False), made=False, parked=False, delayed=False),
    Cause.FAILED: where(sets(leased=False, delayed=True), leased=True, made=False, parked=False),
    Cause.PARKED: where(sets(parked=True, leased=False, delayed=False), made=False, wanted=True),
    Cause.REJOINED: where(sets(leased=True), made=False),
    Cause.RETRIED: where(sets(parked=False), parked=True, leased=False),
    Cause.ELAPSED: sets(delayed=False),
    Cause.HELD: sets(held=True),
    Cause.RESUMED: sets(held=False),
    Cause.SKIPPED: sets(wanted=False),
    Cause.ASKED: sets(wanted=True),
}

FRAME_EVENTS: dict[Cause, Event] = {
    Cause.STARTED: where(sets(begun=True), held=False),
    Cause.SAMPLED: where(sets(stopped=True), begun=True),
    Cause.PUBLISHED: sets(delivered=True),
    Cause.DAMAGED: either(
        sets(delivered=False), where(sets(stopped=False), delivered=False),
        where(sets(begun=False), delivered=False, stopped=False, held=False),
        where(sets(stopped=False, begun=False), delivered=False, held=False),
    ),
    Cause.PARKED: where(sets(parked=True), delivered=False, absent=False),
    Cause.GIVEN_UP: where(sets(absent=True), delivered=False),
    Cause.RETRIED: where(sets(absent=False, parked=False), delivered=False),
    Cause.GATED: sets(held=True),
    Cause.APPROVED: sets(held=False),
    Cause.BLOCKED: sets(held=True),
    Cause.UNBLOCKED: sets(held=False),
    Cause.SKIPPED: sets(skipped=True),
    Cause.ASKED: sets(skipped=False),
}  # fmt: skip

JOB_EVENTS: dict[Cause, Event] = {
    Cause.STARTED: where(sets(begun=True), gated=False, blocked=False),
    Cause.REPORTED: where(
        either(sets(reported=True), sets(reported=True, absent=True)), stuck=False, reported=False
    ),
    Cause.DAMAGED: either(
        where(sets(reported=False), stuck=False),
        where(sets(begun=False), reported=False, gated=False),
        where(either(sets(gated=False), sets(gated=False, begun=False)), reported=False, blocked=False),
    ),
    Cause.PARKED: where(sets(stuck=True), reported=False),
    Cause.RETRIED: either(
        where(sets(stuck=False), stuck=True),
        where(either(sets(absent=False, reported=False), sets(absent=False)), absent=True, reported=True),
    ),
    Cause.GATED: sets(gated=True),
    Cause.APPROVED: sets(gated=False),
    Cause.BLOCKED: where(sets(blocked=True), gated=False),
    Cause.UNBLOCKED: where(sets(blocked=False), gated=False),
    Cause.PAUSED: sets(paused=True),
    Cause.CANCELLED: sets(cancelled=True),
    Cause.RESUMED: sets(paused=False, cancelled=False),
    Cause.ASKED: where(sets(reported=False), stuck=False),
    Cause.SKIPPED: either(
        where(either(sets(gated=True), sets(blocked=True)), reported=False, stuck=False),
        where(sets(absent=False), reported=True),
    ),
}  # fmt: skip


def every(kind: type) -> list[Any]:
    """Every combination of signs."""
    names = [each.name for each in fields(kind)]
    return [kind(**dict(zip(names, values, strict=True))) for values in product((False, True), repeat=len(names))]


def changes(kind: type, state: Callable[[Any], Any], events: dict[Cause, Event]) -> set[Transition[Any]]:
    """Every change of state that any cause brings about, from any signs."""
    return {
        Transition(state(signs), state(after), cause)
        for signs in every(kind)
        for cause, event in events.items()
        for after in event(signs)
        if state(signs) is not state(after)
    }


TASKS = changes(TaskSigns, task_state, TASK_EVENTS)
FRAMES = changes(FrameSigns, frame_state, FRAME_EVENTS)
JOBS = changes(JobSigns, job_state, JOB_EVENTS)


def named(transition: Transition[Any]) -> str:
    return f"{transition.before} > {transition.after}: {transition.cause}"


def in_order(transitions: Iterable[Transition[Any]]) -> list[Transition[Any]]:
    return sorted(transitions, key=named)


@pytest.mark.parametrize("transition", in_order(TASK_TRANSITIONS), ids=named)
def test_task(transition: Transition[Any]) -> None:
    assert transition in TASKS


@pytest.mark.parametrize("transition", in_order(FRAME_TRANSITIONS), ids=named)
def test_frame(transition: Transition[Any]) -> None:
    assert transition in FRAMES


@pytest.mark.parametrize("transition", in_order(JOB_TRANSITIONS), ids=named)
def test_job(transition: Transition[Any]) -> None:
    assert transition in JOBS


@pytest.mark.parametrize(
    ("seen", "table"),
    [(TASKS, TASK_TRANSITIONS), (FRAMES, FRAME_TRANSITIONS), (JOBS, JOB_TRANSITIONS)],
    ids=["task", "frame", "job"],
)
def test_nothing_that_can_happen_leads_beside_the_table(seen: set[Any], table: frozenset[Any]) -> None:
    assert [named(each) for each in in_order(seen - table)] == []
