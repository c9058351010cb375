"""The states of jobs, frames and tasks, and every way from one to another.

No state is stored. Each is a function of signs: of the products and marks that exist, of the control records, and (for
tasks) of who holds a lease. So states cannot disagree with the store, and survive the loss of everything else. The
tables of transitions say which changes can be seen at all, and what causes them; a test bears each one's name.

What workers report is fenced by the number of the attempt that it is about: see `pipeline.farm.attempts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, TypeVar

__all__ = [
    "FRAME_TRANSITIONS",
    "JOB_TRANSITIONS",
    "TASK_TRANSITIONS",
    "Cause",
    "FrameSigns",
    "FrameState",
    "JobSigns",
    "JobState",
    "TaskSigns",
    "TaskState",
    "Transition",
    "frame_state",
    "job_state",
    "task_state",
]

S = TypeVar("S", bound=StrEnum)


class TaskState(StrEnum):
    """Where the making of one product stands."""

    UNWANTED = "unwanted"  # no goal needs it, or its frame is skipped
    WAITING = "waiting"  # some of its inputs are missing
    HELD = "held"  # it could start, but its job is paused or cancelled
    DELAYED = "delayed"  # it failed, or lacks a licence, and is tried again in a while
    READY = "ready"  # it can start
    RUNNING = "running"  # somebody holds its lease
    PARKED = "parked"  # it failed too often
    DONE = "done"  # the product is there


class FrameState(StrEnum):
    """Where a frame stands."""

    WAITING = "waiting"  # nothing of it is made
    HELD = "held"  # it waits for an approval, or for another job
    RENDERING = "rendering"  # it may get more rounds
    DENOISING = "denoising"  # its samples are taken
    PARKED = "parked"  # a task that it needs failed too often
    ABSENT = "absent"  # it was given up; its neighbours go on without it
    SKIPPED = "skipped"  # it is not wanted any more
    DONE = "done"  # the deliverable is there


class JobState(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"  # nothing of it is made
    BLOCKED = "blocked"  # all that is left waits for other jobs
    RUNNING = "running"
    REVIEW = "review"  # its first passes are there and wait for an approval
    PAUSED = "paused"
    CANCELLED = "cancelled"
    FAILED = "failed"  # it ended without some of its frames, or cannot end
    DONE = "done"


class Cause(StrEnum):
    """What changes a state."""

    # products
    STARTED = "somebody has begun"
    PUBLISHED = "the product was made"
    DAMAGED = "a product was damaged, and moved aside"
    INPUTS_MADE = "the last input was made"
    INPUT_LOST = "an input was damaged, and moved aside"
    SAMPLED = "its last round is rendered"
    REPORTED = "the report was made"
    # marks of the farm
    LEFT = "the attempt ended without a product, or its lease ran out"
    FAILED = "an attempt failed"
    REJOINED = "a lease that had vanished was written anew"
    PARKED = "it failed too often"
    GIVEN_UP = "a task that it needs is parked"
    RETRIED = "somebody asked for another try"
    ELAPSED = "the delay is over"
    # control records
    ASKED = "somebody asked for it"
    SKIPPED = "somebody skipped it"
    HELD = "somebody paused or cancelled the job"
    PAUSED = "somebody paused the job"
    CANCELLED = "somebody cancelled the job"
    RESUMED = "somebody resumed the job"
    GATED = "its first passes are made, and wait for an approval"
    APPROVED = "somebody approved the first passes"
    # other jobs
    BLOCKED = "it is to wait for another job"
    UNBLOCKED = "the other job has made what it waits for"


@dataclass(frozen=True, slots=True)
class Transition(Generic[S]):
    """One change that can be seen, and its cause."""

    before: S
    after: S
    cause: Cause


# --- signs, and what follows from them ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TaskSigns:
    """What a task's state follows from.

    Attributes:
        made: its product exists.
        leased: a lease of its newest attempt lives.
        wanted: a goal needs it, and its frame is not skipped.
        parked: `failures/<task>` exists.
        complete: all of its inputs exist.
        held: its job is paused or cancelled.
        delayed: it is to be tried again, but not yet.
    """

    made: bool = False
    leased: bool = False
    wanted: bool = True
    parked: bool = False
    complete: bool = False
    held: bool = False
    delayed: bool = False


def task_state(signs: TaskSigns) -> TaskState:
    """Where the making of a product stands. A task that runs goes on running while its job is paused after the task."""
    if signs.made:
        return TaskState.DONE
    if signs.leased:
        return TaskState.RUNNING
    if not signs.wanted:
        return TaskState.UNWANTED
    if signs.parked:
        return TaskState.PARKED
    if not signs.complete:
        return TaskState.WAITING
    if signs.held:
        return TaskState.HELD
    return TaskState.DELAYED if signs.delayed else TaskState.READY


@dataclass(frozen=True, slots=True)
class FrameSigns:
    """What a frame's state follows from.

    Attributes:
        skipped: a control record says so.
        delivered: `frames/f` exists.
        absent: `absent/f` exists.
        parked: a task of the frame is parked.
        stopped: `stop/f` exists.
        held: it waits for an approval, or for another job.
        begun: a product of it exists.
    """

    skipped: bool = False
    delivered: bool = False
    absent: bool = False
    parked: bool = False
    stopped: bool = False
    held: bool = False
    begun: bool = False


def frame_state(signs: FrameSigns) -> FrameState:
    """Where a frame stands."""
    if signs.skipped:
        return FrameState.SKIPPED
    if signs.delivered:
        return FrameState.DONE
    if signs.absent:
        return FrameState.ABSENT
    if signs.parked:
        return FrameState.PARKED
    if signs.stopped:
        return FrameState.DENOISING
    if signs.held:
        return FrameState.HELD
    return FrameState.RENDERING if signs.begun else FrameState.WAITING


@dataclass(frozen=True, slots=True)
class JobSigns:
    """What a job's state follows from.

    Attributes:
        reported: the report exists and speaks of every frame.
        absent: a frame was given up.
        stuck: the report itself is parked.
        cancelled, paused: control records say so.
        gated: all that may be made before the approval is made, and nobody has approved.
        blocked: every frame that is left waits for other jobs.
        begun: a product exists.
    """

    reported: bool = False
    absent: bool = False
    stuck: bool = False
    cancelled: bool = False
    paused: bool = False
    gated: bool = False
    blocked: bool = False
    begun: bool = False


def job_state(signs: JobSigns) -> JobState:
    """Where a job stands. What was paused after its last task is done all the same."""
    if signs.reported:
        return JobState.FAILED if signs.absent else JobState.DONE
    if signs.stuck:
        return JobState.FAILED
    if signs.cancelled:
        return JobState.CANCELLED
    if signs.paused:
        return JobState.PAUSED
    if signs.gated:
        return JobState.REVIEW
    if signs.blocked:
        return JobState.BLOCKED
    return JobState.RUNNING if signs.begun else JobState.WAITING


# --- the transitions ----------------------------------------------------------------------------------------------


def _table(causes: Mapping[Cause, Iterable[tuple[S, S]]]) -> frozenset[Transition[S]]:
    return frozenset(Transition(before, after, cause) for cause, pairs in causes.items() for before, after in pairs)


_T, _F, _J = TaskState, FrameState, JobState

TASK_TRANSITIONS: Final[frozenset[Transition[TaskState]]] = _table(
    {
        Cause.STARTED: [(_T.READY, _T.RUNNING)],
        # Whoever makes the product, also one that was believed dead, is welcome.
        Cause.PUBLISHED: [(state, _T.DONE) for state in _T if state is not _T.DONE],
        Cause.DAMAGED: [
            (_T.DONE, after) for after in (_T.WAITING, _T.HELD, _T.DELAYED, _T.READY, _T.UNWANTED, _T.PARKED)
        ],
        Cause.INPUTS_MADE: [(_T.WAITING, after) for after in (_T.READY, _T.HELD, _T.DELAYED)],
        Cause.INPUT_LOST: [(before, _T.WAITING) for before in (_T.READY, _T.HELD, _T.DELAYED)],
        Cause.LEFT: [(_T.RUNNING, after) for after in (_T.READY, _T.HELD, _T.WAITING, _T.UNWANTED)],
        Cause.FAILED: [(_T.RUNNING, after) for after in (_T.DELAYED, _T.HELD, _T.WAITING, _T.UNWANTED)],
        Cause.PARKED: [(before, _T.PARKED) for before in (_T.RUNNING, _T.READY, _T.DELAYED, _T.HELD, _T.WAITING)],
        Cause.REJOINED: [
            (before, _T.RUNNING)
            for before in (_T.READY, _T.HELD, _T.DELAYED, _T.WAITING, _T.UNWANTED, _T.PARKED)
        ],
        Cause.RETRIED: [(_T.PARKED, after) for after in (_T.READY, _T.HELD, _T.WAITING, _T.DELAYED)],
        Cause.ELAPSED: [(_T.DELAYED, _T.READY)],
        Cause.HELD: [(_T.READY, _T.HELD), (_T.DELAYED, _T.HELD)],
        Cause.RESUMED: [(_T.HELD, _T.READY), (_T.HELD, _T.DELAYED)],
        Cause.SKIPPED: [
            (before, _T.UNWANTED) for before in (_T.WAITING, _T.HELD, _T.DELAYED, _T.READY, _T.PARKED)
        ],
        Cause.ASKED: [(_T.UNWANTED, after) for after in (_T.WAITING, _T.HELD, _T.DELAYED, _T.READY, _T.PARKED)],
    }
)  # fmt: skip
"""Every change of a task's state."""

FRAME_TRANSITIONS: Final[frozenset[Transition[FrameState]]] = _table(
    {
        Cause.STARTED: [(_F.WAITING, _F.RENDERING)],
        Cause.SAMPLED: [(_F.RENDERING, _F.DENOISING), (_F.HELD, _F.DENOISING)],
        Cause.PUBLISHED: [
            (before, _F.DONE) for before in (_F.DENOISING, _F.PARKED, _F.ABSENT, _F.RENDERING, _F.WAITING, _F.HELD)
        ],
        Cause.DAMAGED: [
            (_F.DONE, after) for after in (_F.DENOISING, _F.RENDERING, _F.WAITING, _F.HELD, _F.PARKED, _F.ABSENT)
        ]
        + [(_F.DENOISING, _F.RENDERING), (_F.DENOISING, _F.WAITING), (_F.DENOISING, _F.HELD)]
        + [(_F.RENDERING, _F.WAITING)],
        Cause.PARKED: [
            (before, _F.PARKED) for before in (_F.WAITING, _F.RENDERING, _F.DENOISING, _F.HELD)
        ],
        Cause.GIVEN_UP: [
            (before, _F.ABSENT) for before in (_F.PARKED, _F.WAITING, _F.RENDERING, _F.DENOISING, _F.HELD)
        ],
        Cause.RETRIED: [
            (before, after)
            for before in (_F.ABSENT, _F.PARKED)
            for after in (_F.WAITING, _F.RENDERING, _F.DENOISING, _F.HELD)
        ],
        Cause.GATED: [(_F.RENDERING, _F.HELD), (_F.WAITING, _F.HELD)],
        Cause.APPROVED: [(_F.HELD, _F.RENDERING), (_F.HELD, _F.WAITING)],
        Cause.BLOCKED: [(_F.RENDERING, _F.HELD), (_F.WAITING, _F.HELD)],
        Cause.UNBLOCKED: [(_F.HELD, _F.RENDERING), (_F.HELD, _F.WAITING)],
        Cause.SKIPPED: [(before, _F.SKIPPED) for before in _F if before is not _F.SKIPPED],
        Cause.ASKED: [(_F.SKIPPED, after) for after in _F if after is not _F.SKIPPED],
    }
)  # fmt: skip
"""Every change of a frame's state."""

_OPEN = (_J.WAITING, _J.BLOCKED, _J.RUNNING, _J.REVIEW)
"""A job that goes on by itself, or as soon as somebody approves."""
_STOPPED = (_J.PAUSED, _J.CANCELLED)
_ENDED = (_J.DONE, _J.FAILED)

JOB_TRANSITIONS: Final[frozenset[Transition[JobState]]] = _table(
    {
        Cause.STARTED: [(_J.WAITING, _J.RUNNING)],
        Cause.REPORTED: [(before, after) for before in (*_OPEN, *_STOPPED) for after in _ENDED],
        Cause.DAMAGED: [(before, after) for before in _ENDED for after in (*_OPEN, *_STOPPED)]
        + [(_J.RUNNING, _J.WAITING), (_J.REVIEW, _J.RUNNING), (_J.REVIEW, _J.WAITING)],
        Cause.PARKED: [(before, _J.FAILED) for before in (*_OPEN, *_STOPPED)],
        Cause.RETRIED: [(_J.FAILED, after) for after in (*_OPEN, *_STOPPED, _J.DONE)],
        Cause.GATED: [(before, _J.REVIEW) for before in (_J.RUNNING, _J.WAITING, _J.BLOCKED)],
        Cause.APPROVED: [(_J.REVIEW, after) for after in (_J.RUNNING, _J.WAITING, _J.BLOCKED)],
        Cause.BLOCKED: [(_J.RUNNING, _J.BLOCKED), (_J.WAITING, _J.BLOCKED)],
        Cause.UNBLOCKED: [(_J.BLOCKED, _J.RUNNING), (_J.BLOCKED, _J.WAITING)],
        Cause.PAUSED: [(before, _J.PAUSED) for before in _OPEN],
        Cause.CANCELLED: [(before, _J.CANCELLED) for before in (*_OPEN, _J.PAUSED)],
        Cause.RESUMED: [(before, after) for before in _STOPPED for after in _OPEN],
        # Frames are added to a job that has ended, or those that it could not make are skipped.
        Cause.ASKED: [(before, after) for before in _ENDED for after in (*_OPEN, *_STOPPED)],
        # What is left may all wait for an approval, or for other jobs.
        Cause.SKIPPED: [(before, _J.REVIEW) for before in (_J.RUNNING, _J.WAITING, _J.BLOCKED)]
        + [(_J.RUNNING, _J.BLOCKED), (_J.WAITING, _J.BLOCKED)]
        + [(_J.FAILED, _J.DONE)],
    }
)  # fmt: skip
"""Every change of a job's state."""
