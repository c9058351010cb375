"""`farm:` in `shot.yaml`: the terms on which a farm makes a shot. None of them changes a pixel."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from pipeline.config.values import ConfigModel, Integer, Number

__all__ = ["Terms"]

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_ORDER = re.compile(r"ascending|middle-out|every:([2-9]|[1-9][0-9]{1,3})")


def _word(value: str) -> str:
    if not _WORD.fullmatch(value):
        raise ValueError(f"must be a word of letters, digits, _ . -, not {value!r:.60}")
    return value


def _word_or_nothing(value: str) -> str:
    return _word(value) if value else value


Word = Annotated[str, AfterValidator(_word)]
Words = tuple[Word, ...]


class Terms(ConfigModel):
    """What a job asks of a farm. May be changed while the job runs: `pipeline adjust`."""

    pool: Annotated[str, AfterValidator(_word_or_nothing)] = Field(
        default="", description="Workers of this pool alone take the job. Empty: those that are in no pool."
    )
    tags: Words = Field(default=(), description="Tags that a worker must have, all of them.")
    memory: Number = Field(
        default=0.0, ge=0, le=4096, description="Memory that the device must have, GiB: of the GPU, or of the machine."
    )
    licences: Words = Field(
        default=(), description="Limits of the farm profile of which each render task holds one: licences."
    )
    max_tasks: Integer | None = Field(
        default=None, ge=1, description="Render and denoise tasks of the job at a time, at most; null: no limit."
    )
    order: str = Field(
        default="ascending", description="Which frames come first: ascending, middle-out, or every:N (each Nth first)."
    )
    approve: Literal["no", "round", "frames"] = Field(
        default="no",
        description="Wait for `pipeline approve` after the first round of all frames, or the first frames of every:N.",
    )
    after: tuple[str, ...] = Field(
        default=(),
        description="Jobs to wait for, shot_010.v002; with :frames, each frame waits for the same frame of that job.",
    )

    @field_validator("order")
    @classmethod
    def _is_an_order(cls, order: str) -> str:
        if not _ORDER.fullmatch(order):
            raise ValueError(f"must be ascending, middle-out or every:N with N from 2 to 9999, not {order!r:.60}")
        return order

    @field_validator("after")
    @classmethod
    def _are_jobs(cls, after: tuple[str, ...]) -> tuple[str, ...]:
        for each in after:
            job, _, how = each.partition(":")
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*\.v[0-9]{3,}", job) or how not in ("", "frames"):
                raise ValueError(f"must be ids of jobs such as shot_010.v002 or shot_010.v002:frames, not {each!r:.80}")
        return after
