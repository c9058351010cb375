"""How a shot is sampled: integrator, budget, target, and what guides the rounds."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints, field_validator
from pydantic_core.core_schema import ValidationInfo

from pipeline.config.values import ConfigModel, Integer, Number, PathText

__all__ = ["MAX_SPP", "P99_SLACK", "Sampling"]

P99_SLACK: Final = 3.0
"""A frame is done when its mean predicted error is at the target, and the 99th percentile at most so many times it."""

MAX_SPP = 2**20


class Sampling(ConfigModel):
    """Rounds of samples: `first_spp` everywhere, then each round doubles the total until the target or the cap."""

    integrator: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)] = Field(
        default="path", description="Mitsuba integrator plugin: path, volpath, …"
    )
    max_depth: Integer = Field(
        default=8, ge=-1, le=65536, description="Longest path in segments (1: seen directly; -1: no limit; not 0)."
    )
    rr_depth: Integer = Field(default=5, ge=1, le=65536, description="Depth from which Russian roulette ends paths.")
    first_spp: Integer = Field(
        default=16, ge=1, le=MAX_SPP, description="Samples per pixel of the first round, uniform; 1 … 2^20."
    )
    max_spp: Integer = Field(
        default=256, ge=1, le=MAX_SPP, description="Cap on a frame's mean samples per pixel; first_spp … 2^20."
    )
    budget_spp: Integer | None = Field(
        default=None,
        ge=1,
        le=MAX_SPP,
        description="Mean samples per pixel over all frames of the job, which share them; null: no budget.",
    )
    target_error: Number = Field(
        default=0.02,
        gt=0,
        lt=1,
        description="Rounds stop when the predicted error's mean is at most this, its 99th percentile at most 3×.",
    )
    guide: Literal["variance", "uniform", "error", "oracle"] = Field(
        default="variance", description="What steers samples: relative variance, nothing, predicted or true error."
    )
    metric: Literal["smape"] = Field(default="smape", description="Error that target_error is measured in.")
    combination: Literal["pooled", "unbiased"] = Field(
        default="pooled",
        description="How rounds are averaged: by sample counts (less noise), or one weight per round (unbiased).",
    )
    importance: PathText | None = Field(
        default=None, description="EXR or PNG whose luminance multiplies the guide (an artist's mask); null: none."
    )
    seed: Integer = Field(default=0, ge=0, le=2**31 - 1, description="Seed of all random numbers, 0 … 2^31 - 1.")

    @field_validator("max_depth")
    @classmethod
    def _can_see_something(cls, max_depth: int) -> int:
        if max_depth == 0:
            raise ValueError("must be -1 (no limit) or at least 1: at 0 every picture is black")
        return max_depth

    @field_validator("max_spp", "budget_spp")
    @classmethod
    def _leaves_room_for_the_first_round(cls, spp: int | None, info: ValidationInfo) -> int | None:
        first = info.data.get("first_spp")
        if spp is not None and first is not None and spp < first:
            raise ValueError(f"must be at least first_spp, which is {first}, not {spp}")
        return spp

    @field_validator("importance")
    @classmethod
    def _is_an_image(cls, importance: str | None) -> str | None:
        if importance is not None and not importance.lower().endswith((".exr", ".png")):
            raise ValueError(f"must be an .exr or .png file, not {importance!r:.60}")
        return importance
