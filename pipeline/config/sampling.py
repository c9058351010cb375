"""How a shot is sampled: integrator, budget, target, and what guides the rounds."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, get_args

from pydantic import Field, StringConstraints, field_validator
from pydantic_core.core_schema import ValidationInfo

from pipeline.config.values import ConfigModel, Integer, Number, PathText

__all__ = ["MAX_SPP", "METRICS", "NOISY_METRICS", "P99_SLACK", "Metric", "Sampling"]

P99_SLACK: Final = 3.0
"""A frame is done when its mean predicted error is at the target, and the 99th percentile at most so many times it."""

MAX_SPP = 2**20

Metric = Literal["smape", "mrse", "dssim", "ms_dssim"]
METRICS: Final[tuple[Metric, ...]] = get_args(Metric)
"""What an error may be measured in: `pipeline.images.metrics` defines each."""

NOISY_METRICS: Final[tuple[Metric, ...]] = ("smape", "mrse")
"""Those whose value for a noisy picture follows from its variance, so that no network has to predict it."""

_FRAME_PATTERN = re.compile(r"%0?\d?d")


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
    guide: Literal["auto", "variance", "uniform", "error", "oracle"] = Field(
        default="auto",
        description="What steers samples: relative variance, nothing, predicted or true error. "
        "auto: error where the denoiser's is predicted, else variance.",
    )
    metric: Metric = Field(
        default="smape",
        description="What errors are measured in, target_error too. Guides variance and uniform: smape or mrse.",
    )
    reference: PathText | None = Field(
        default=None,
        validate_default=True,
        description="EXR per frame, path.%04d.exr, that guide oracle takes for the truth: for studies; null: none.",
    )
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

    @field_validator("metric")
    @classmethod
    def _is_known_to_the_guide(cls, metric: Metric, info: ValidationInfo) -> Metric:
        guide = info.data.get("guide")
        if guide in ("variance", "uniform") and metric not in NOISY_METRICS:
            raise ValueError(f"guide {guide} knows the metrics {' and '.join(NOISY_METRICS)}, not {metric}")
        return metric

    @field_validator("reference")
    @classmethod
    def _has_one_frame_pattern(cls, reference: str | None) -> str | None:
        if reference is not None:
            folder, _, name = reference.rpartition("/")
            if len(_FRAME_PATTERN.findall(name)) > 1 or _FRAME_PATTERN.search(folder):
                raise ValueError(f"may have one frame pattern such as %04d, in the file's name, not {reference!r:.60}")
        return reference

    @field_validator("reference")
    @classmethod
    def _is_there_for_the_oracle(cls, reference: str | None, info: ValidationInfo) -> str | None:
        if reference is None and info.data.get("guide") == "oracle":
            raise ValueError("guide oracle needs a reference, such as reference.%04d.exr")
        return reference

    @field_validator("importance")
    @classmethod
    def _is_an_image(cls, importance: str | None) -> str | None:
        if importance is not None and not importance.lower().endswith((".exr", ".png")):
            raise ValueError(f"must be an .exr or .png file, not {importance!r:.60}")
        return importance

    def reference_of(self, frame: int) -> str | None:
        """The reference of a frame as written in the shot: `%04d` is replaced as printf does."""
        return None if self.reference is None else _FRAME_PATTERN.sub(lambda found: found[0] % frame, self.reference)
