"""`shutter` and `film` in `shot.yaml`: what gathers the light of a pixel, and when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from pipeline.config.values import ConfigModel, Integer, Number

__all__ = ["Film", "Shutter", "Window", "rendered_size"]

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


def _four(value: Any) -> tuple[int, int, int, int]:
    sides = (value,) * 4 if isinstance(value, int) and not isinstance(value, bool) else value
    if (
        not isinstance(sides, (list, tuple))
        or len(sides) != 4
        or not all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n <= 32768 for n in sides)
    ):
        raise ValueError(f"must be four whole numbers of pixels, from 0, not {value!r:.60}")
    left, top, right, bottom = sides
    return left, top, right, bottom


Four = Annotated[
    tuple[int, int, int, int],
    BeforeValidator(_four),
    WithJsonSchema({"type": "array", "items": {"type": "integer"}, "minItems": 4, "maxItems": 4}),
]


class Window(NamedTuple):
    """The part of the picture plane that is rendered: its corner in pixels of the frame, and its size."""

    x: int
    y: int
    width: int
    height: int


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
    crop: Four | None = Field(
        default=None, description="[left, top, right, bottom] in pixels of the frame: nothing outside is rendered."
    )
    overscan: Four = Field(
        default=(0, 0, 0, 0), description="Pixels beyond the frame's sides, one number or [left, top, right, bottom]."
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

    @model_validator(mode="after")
    def _has_one_window(self) -> Film:
        if self.crop is not None:
            left, top, right, bottom = self.crop
            if not (left < right and top < bottom):
                raise ValueError(f"crop: nothing lies within {list(self.crop)}: [left, top, right, bottom]")
            if any(self.overscan):
                raise ValueError("overscan goes beyond the frame and crop within it: one of both")
        return self

    def window(self, width: int, height: int) -> Window:
        """What is rendered of a frame of this size.

        Raises:
            ValueError: the crop reaches out of the frame.
        """
        if self.crop is not None:
            left, top, right, bottom = self.crop
            if right > width or bottom > height:
                raise ValueError(f"crop {list(self.crop)} reaches out of the frame, which is {width}×{height}")
            return Window(left, top, right - left, bottom - top)
        left, top, right, bottom = self.overscan
        return Window(-left, -top, width + left + right, height + top + bottom)

    @property
    def radius(self) -> float:
        """`filter_radius`, or the filter's own; pixels."""
        return _RADIUS[self.filter] if self.filter_radius is None else self.filter_radius


def rendered_size(config: Mapping[str, Any]) -> tuple[int, int] | None:
    """(width, height) of what a shot's config, as JSON values, has rendered; None where its scene's film says it."""
    if not config.get("resolution"):
        return None
    width, height = config["resolution"]
    window = Film.model_validate(config.get("film") or {}).window(width, height)
    return window.width, window.height
