"""`shutter` and `film` in `shot.yaml`: what gathers the light of a pixel, and when."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator

from pipeline.config.values import ConfigModel, Integer, Number

__all__ = ["Film", "Shutter"]

_RADIUS: Final = {"box": 0.5, "tent": 1.0, "gaussian": 2.0, "blackman_harris": 1.5}
_NEGATIVE: Final = ("mitchell", "catmullrom", "lanczos")


def _shutter(value: Any) -> tuple[float, float]:
    if (
        not isinstance(value, (list, tuple))
        or len(value) != 2
        or not all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in value)
    ):
        raise ValueError(f"must be two numbers [open, close], not {value!r:.60}")
    opens, closes = (float(x) for x in value)
    if not all(-1.0 <= x <= 1.0 for x in (opens, closes)):
        raise ValueError(f"opens and closes within a frame of the frame's time, -1 … 1, not {list(value)!r:.60}")
    if not opens < closes:
        raise ValueError(f"must open before it closes, not {list(value)!r:.60}")
    return opens, closes


Shutter = Annotated[
    tuple[float, float],
    BeforeValidator(_shutter),
    WithJsonSchema({"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}),
]
"""When the shutter opens and closes, frames from the frame's own time."""


class Film(ConfigModel):
    """What a pixel gathers."""

    filter: Literal["box", "tent", "gaussian", "blackman_harris"] = Field(
        default="box", description="Weight of light by its distance to the pixel's centre: box, tent, gaussian, …"
    )
    filter_radius: Number | None = Field(
        default=None,
        ge=0.25,
        le=16,
        description="Where the filter ends, pixels; null: box 0.5, tent 1, gaussian 2 (4 σ), blackman_harris 1.5.",
    )
    shutter_steps: Integer = Field(
        default=64, ge=2, le=1024, description="Instants of the shutter that samples are spread over; a power of two."
    )

    @field_validator("filter", mode="before")
    @classmethod
    def _has_no_negative_lobes(cls, name: Any) -> Any:
        if name in _NEGATIVE:
            raise ValueError(f"{name} has negative lobes, whose samples would take light away and add noise: gaussian")
        return name

    @field_validator("shutter_steps")
    @classmethod
    def _is_a_power_of_two(cls, steps: int) -> int:
        if steps & (steps - 1):
            raise ValueError(f"must be a power of two, 2 … 1024, not {steps}")
        return steps

    @property
    def radius(self) -> float:
        """`filter_radius`, or the filter's own; pixels."""
        return _RADIUS[self.filter] if self.filter_radius is None else self.filter_radius
