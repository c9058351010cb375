"""Names of products and of the farm's marks. A task is named by the product that it makes.

Every name is a path relative to the job's directory. Functions make names; `parse` is the only reader,
and accepts exactly what the functions make (so that two spellings of one product cannot exist).

>>> passes(1001, 2, 0)
'passes/1001/r02.s00'
>>> parse("rounds/-0003/r10/error")
Name(kind='error', frame=-3, round=10, slice=None, task=None, number=None)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from pipeline.errors import ProductError

__all__ = [
    "FIRST_FAILURE",
    "JOB",
    "QUEUE_KINDS",
    "REPORT",
    "TASK_KINDS",
    "Frame",
    "Kind",
    "Name",
    "Queue",
    "absent",
    "attempt",
    "budget",
    "buffers",
    "control",
    "denoised",
    "draft",
    "error",
    "failure",
    "frame_product",
    "frame_text",
    "log",
    "parse",
    "part",
    "passes",
    "queue",
    "samples",
    "stop",
]

Frame = int
Kind = Literal[
    "samples", "passes", "buffers", "draft", "denoised", "error", "stop", "frames", "report", "budget", "parts",
    "absent", "failures", "attempts", "logs", "control",
]  # fmt: skip
Queue = Literal["light", "render", "denoise", "train"]

JOB: Final = "job.json"
REPORT: Final = "report"
FIRST_FAILURE: Final = "first_failure"
"""What went wrong first in a job: a note for people, which decides nothing."""

QUEUE_KINDS: Final[dict[Kind, Queue]] = {
    "samples": "light",
    "buffers": "light",
    "error": "light",
    "stop": "light",
    "report": "light",
    "budget": "light",
    "passes": "render",
    "draft": "denoise",
    "denoised": "denoise",
    "frames": "denoise",
    "parts": "train",
}
"""Which queue makes which kind of product."""

TASK_KINDS: Final[frozenset[Kind]] = frozenset(QUEUE_KINDS)
"""Kinds that tasks make. The others are marks, written by the farm itself."""


@dataclass(frozen=True, slots=True)
class Name:
    """A parsed name. Marks on a task (`failures`, `attempts`, `logs`) carry the task, its frame, round and slice."""

    kind: Kind
    frame: Frame | None = None
    round: int | None = None
    slice: int | None = None
    task: str | None = None
    number: int | None = None


def frame_text(frame: Frame) -> str:
    """A frame's number as file names have it: at least four digits, the sign before them.

    >>> frame_text(1001), frame_text(-3)
    ('1001', '-0003')
    """
    return f"-{-frame:04d}" if frame < 0 else f"{frame:04d}"


def _count(value: int, what: str, digits: int) -> str:
    if value < 0:
        raise ValueError(f"{what} {value} is negative")
    return f"{value:0{digits}d}"


def _round(r: int) -> str:
    return "r" + _count(r, "round", 2)


def samples(frame: Frame, r: int) -> str:
    """Samples per pixel, and the slice plan, of round r."""
    return f"samples/{frame_text(frame)}/{_round(r)}"


def passes(frame: Frame, r: int, s: int) -> str:
    """Moments of slice s of round r."""
    return f"passes/{frame_text(frame)}/{_round(r)}.s{_count(s, 'slice', 2)}"


def buffers(frame: Frame, r: int) -> str:
    """Moments of a frame over all rounds up to r."""
    return f"buffers/{frame_text(frame)}/{_round(r)}"


def denoised(frame: Frame, r: int) -> str:
    """Denoised components after round r."""
    return f"rounds/{frame_text(frame)}/{_round(r)}/denoised"


def draft(frame: Frame, r: int) -> str:
    """Denoised components after round r from fewer neighbours than `denoised` has: for the guide alone."""
    return f"rounds/{frame_text(frame)}/{_round(r)}/draft"


def error(frame: Frame, r: int) -> str:
    """Predicted error and guide map after round r."""
    return f"rounds/{frame_text(frame)}/{_round(r)}/error"


def stop(frame: Frame) -> str:
    """The decision that a frame needs no more rounds."""
    return f"stop/{frame_text(frame)}"


def budget(r: int) -> str:
    """How many samples each frame gets in round r (from 1): in jobs with a budget."""
    return f"budget/{_round(r)}"


def frame_product(frame: Frame) -> str:
    """The deliverable's manifest."""
    return f"frames/{frame_text(frame)}"


def part(number: Frame) -> str:
    """A part of an errand: see `pipeline.farm.errands`. Parts are numbered as frames are."""
    return f"parts/{frame_text(number)}"


def absent(frame: Frame) -> str:
    """The mark of a frame that cannot be made."""
    return f"absent/{frame_text(frame)}"


def failure(task: str) -> str:
    """The mark of a parked task."""
    return f"failures/{task}"


def attempt(task: str, n: int) -> str:
    """Written before the n-th start of a task (from 0)."""
    return f"attempts/{task}/{_count(n, 'attempt', 1)}"


def log(task: str, n: int) -> str:
    """What the n-th attempt at a task said."""
    return f"logs/{task}/{_count(n, 'attempt', 1)}.log"


def control(n: int) -> str:
    """The n-th control record of a job (from 0)."""
    return f"control/{_count(n, 'control record', 4)}"


def queue(task: str) -> Queue:
    """The queue that serves a task.

    Raises:
        ProductError: the name is not a task's.
    """
    kind = parse(task).kind
    if kind not in QUEUE_KINDS:
        raise ProductError(f"{task}: this is a mark of the farm, not a task")
    return QUEUE_KINDS[kind]


_FRAME = r"(?P<frame>-?(?:[0-9]{4}|[1-9][0-9]{4,}))"
_ROUND = r"r(?P<round>[0-9]{2}|[1-9][0-9]{2,})"
_SLICE = r"s(?P<slice>[0-9]{2}|[1-9][0-9]{2,})"
_NUMBER = r"(?P<number>0|[1-9][0-9]*)"
_EXPRESSIONS: Final[dict[Kind, str]] = {
    "passes": rf"passes/{_FRAME}/{_ROUND}\.{_SLICE}",
    "samples": rf"samples/{_FRAME}/{_ROUND}",
    "buffers": rf"buffers/{_FRAME}/{_ROUND}",
    "denoised": rf"rounds/{_FRAME}/{_ROUND}/denoised",
    "draft": rf"rounds/{_FRAME}/{_ROUND}/draft",
    "error": rf"rounds/{_FRAME}/{_ROUND}/error",
    "stop": rf"stop/{_FRAME}",
    "frames": rf"frames/{_FRAME}",
    "parts": rf"parts/{_FRAME}",
    "absent": rf"absent/{_FRAME}",
    "report": REPORT,
    "budget": rf"budget/{_ROUND}",
    "control": r"control/(?P<number>[0-9]{4}|[1-9][0-9]{4,})",
    "failures": r"failures/(?P<task>.+)",
    "attempts": rf"attempts/(?P<task>.+)/{_NUMBER}",
    "logs": rf"logs/(?P<task>.+)/{_NUMBER}\.log",
}
_PATTERNS: Final = tuple((kind, re.compile(expression)) for kind, expression in _EXPRESSIONS.items())


@lru_cache(maxsize=1 << 16)
def parse(name: str) -> Name:
    """Read a name.

    Raises:
        ProductError: no function of this module makes this name.
    """
    found = ((kind, match) for kind, pattern in _PATTERNS if (match := pattern.fullmatch(name)) is not None)
    kind, match = next(found, (None, None))
    if kind is None or match is None:
        raise ProductError(f"{name!r} is not the name of a product")
    fields = match.groupdict()
    if fields.get("frame") == "-0000":
        raise ProductError(f"{name!r} is not the name of a product (frame 0 has no sign)")
    number = _optional_int(fields.get("number"))
    task = fields.get("task")
    if task is None:
        frame, r, s = (_optional_int(fields.get(key)) for key in ("frame", "round", "slice"))
        return Name(kind, frame, r, s, None, number)
    made = parse(task)
    if made.kind not in TASK_KINDS:
        raise ProductError(f"{name!r} is not the name of a product ({task!r} is not a task)")
    return Name(kind, made.frame, made.round, made.slice, task, number)


def _optional_int(text: str | None) -> int | None:
    return None if text is None else int(text)
