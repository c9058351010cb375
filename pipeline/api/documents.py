"""What the API takes and gives: the schemas of its OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from pipeline.farm.attempts import Failure
from pipeline.farm.forecast import Interval
from pipeline.farm.job import Job
from pipeline.farm.progress import FrameSnapshot, JobSnapshot
from pipeline.farm.usage import Usage

__all__ = [
    "Changes",
    "FrameDocument",
    "JobDocument",
    "JobSummary",
    "LogDocument",
    "LogLine",
    "Problem",
    "Submission",
    "Submitted",
    "TermsDocument",
    "Told",
    "UsageDocument",
    "WorkerDocument",
]

Source = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Problem(_Document):
    """What went wrong, in one line for people."""

    detail: str


class Submission(_Document):
    """Shots to render."""

    sources: list[Source] = Field(
        min_length=1,
        max_length=100,
        description="Names of shots below `shots/` of the server's project, or .otio edits in it.",
    )
    overrides: dict[str, Any] = Field(
        default_factory=dict,
        max_length=50,
        description="Values by dotted key that stand above the shots' files: `sampling.max_spp`, `frames`, `priority`."
        " Keys that name files are refused.",
    )


class Submitted(_Document):
    """A job that was enqueued, or attached to."""

    job: str
    shot: str
    version: int
    state: str
    directory: str
    frames: dict[str, str] = Field(description="Path of the deliverable by frame, of those that are there.")
    warnings: list[str]


class TermsDocument(_Document):
    """Terms of a job that are to be changed; those that are left out stay. What they mean stands in `Terms`."""

    pool: str | None = None
    tags: list[str] | None = None
    memory: float | None = Field(default=None, description="GiB.")
    licences: list[str] | None = None
    max_tasks: int | None = Field(default=None, description="null: no limit.")
    order: str | None = Field(default=None, description="ascending, middle-out or every:N.")
    approve: str | None = Field(default=None, description="no, round or frames.")
    after: list[str] | None = Field(default=None, description="shot_010.v002, or shot_010.v002:frames.")


class Changes(_Document):
    """Values that a new version of a job is to have."""

    overrides: dict[str, Any] = Field(
        min_length=1,
        max_length=50,
        description="By dotted key: `denoise.lambda`, `sampling.target_error`. Keys that name files are refused.",
    )


class Told(_Document):
    """What became of a request to a job, or to a worker."""

    told: str
    job: str | None = None
    worker: str | None = None


class Range(_Document):
    """A guess, and the interval that holds it in 80 % of cases."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, interval: Interval) -> Range:
        return cls(low=interval.low, middle=interval.middle, high=interval.high)


class FailureDocument(_Document):
    """A task that is parked."""

    task: str
    kind: str
    reason: str
    attempts: int
    hosts: list[str]
    log: list[str]

    @classmethod
    def of(cls, failure: Failure) -> FailureDocument:
        return cls(
            task=failure.task,
            kind=failure.kind,
            reason=failure.reason,
            attempts=failure.attempts,
            hosts=failure.hosts,
            log=failure.log,
        )


class FrameDocument(_Document):
    """One frame."""

    frame: int
    state: str
    round: int | None = Field(description="The last round whose sums exist; null before the first.")
    samples_per_pixel: float | None
    error: float | None = Field(description="Predicted, of the last round.")
    error_p99: float | None
    samples: int
    seconds: float = Field(description="Device time of rendering.")
    degraded: bool
    path: str | None = Field(description="The deliverable, relative to the job's directory.")

    @classmethod
    def of(cls, frame: FrameSnapshot) -> FrameDocument:
        return cls(
            frame=frame.frame,
            state=frame.state,
            round=frame.round,
            samples_per_pixel=frame.spp,
            error=frame.error,
            error_p99=frame.error_p99,
            samples=frame.samples,
            seconds=frame.seconds,
            degraded=frame.degraded,
            path=frame.path,
        )


class JobSummary(_Document):
    """A job in a list."""

    job: str
    shot: str
    version: int
    state: str
    priority: int
    owner: str
    created: str
    frames: int
    done: int
    absent: int
    fraction: float
    failures: int

    @classmethod
    def of(cls, job: Job, seen: JobSnapshot) -> JobSummary:
        return cls(**_summary(job, seen))


class JobDocument(JobSummary):
    """A job, frame by frame."""

    rounds: int = Field(description="Of a frame, at most.")
    samples: int
    expected: float | None
    seconds: float
    remaining_seconds: Range | None
    cost: Range | None = Field(description="Of what is left, in the farm's money.")
    frame_list: list[FrameDocument]
    failed: list[FailureDocument]
    waits: list[str] = Field(description="What the job waits for beside its own tasks, one line each.")

    @classmethod
    def whole(cls, job: Job, seen: JobSnapshot, failed: list[FailureDocument], waits: list[str]) -> JobDocument:
        """The document of a job."""
        told = seen.forecast
        return cls(
            **_summary(job, seen),
            rounds=seen.rounds,
            samples=seen.samples,
            expected=seen.expected,
            seconds=seen.seconds,
            remaining_seconds=None if told is None else Range.of(told.seconds),
            cost=None if told is None or told.cost is None else Range.of(told.cost),
            frame_list=[FrameDocument.of(frame) for frame in seen.frames],
            failed=failed,
            waits=waits,
        )


class LogLine(_Document):
    """One line of a task's log."""

    at: float
    level: str
    text: str
    facts: dict[str, Any]


class LogDocument(_Document):
    """The log of one attempt at a task."""

    name: str
    task: str
    attempt: int
    lines: list[LogLine]


class UsageDocument(_Document):
    """What a job has used."""

    job: str
    seconds: float = Field(description="Device time of all attempts that ended.")
    in_vain: float = Field(description="Of it, what made nothing.")
    cost: float | None
    by_kind: dict[str, dict[str, float]]
    stored: dict[str, int] = Field(description="Bytes in the store.")

    @classmethod
    def of(cls, used: Usage) -> UsageDocument:
        by_kind = {
            kind: {
                "attempts": spent.attempts,
                "seconds": round(spent.seconds, 3),
                "in_vain": round(spent.in_vain, 3),
                "lost": spent.lost,
            }
            for kind, spent in used.by_kind.items()
        }
        return cls(
            job=used.job,
            seconds=used.seconds,
            in_vain=used.in_vain,
            cost=used.cost,
            by_kind=by_kind,
            stored=used.stored,
        )


class WorkerDocument(_Document):
    """A worker."""

    name: str
    host: str
    state: str = Field(description="working, resting, out, draining; `out, gone` of one that is not there.")
    device: str
    slots: int
    memory: int = Field(description="Of its device, MiB for each slot; 0: unknown.")
    started: float
    pools: list[str]
    tags: list[str]
    tasks: list[str] = Field(description="At work: job and task.")
    reason: str = Field(description="Why it does not work, or what it was asked.")


def _summary(job: Job, seen: JobSnapshot) -> dict[str, Any]:
    return {
        "job": seen.job,
        "shot": seen.shot,
        "version": seen.version,
        "state": seen.state,
        "priority": seen.priority,
        "owner": job.owner,
        "created": job.created,
        "frames": len(seen.frames),
        "done": seen.done,
        "absent": seen.absent,
        "fraction": round(seen.fraction, 4),
        "failures": len(seen.failures),
    }
