"""The types of configuration values: strict, finite, and spelled the same in YAML and in JSON."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    AfterValidator,
    AllowInfNan,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    Strict,
    StringConstraints,
    WithJsonSchema,
)

from pipeline.config.frame_rate import frame_rate, frame_rate_text
from pipeline.config.frames import FRAME_LIMIT, FrameRange
from pipeline.errors import ConfigError

__all__ = [
    "LAMBDA_RANGE",
    "ConfigModel",
    "Frames",
    "Id",
    "Integer",
    "Keyframes",
    "Lambda",
    "Number",
    "PathText",
    "Rate",
    "ShotName",
    "Vector",
]


class ConfigModel(BaseModel):
    """Base of all configuration: immutable, no unknown keys, dumped under the names that YAML uses."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_alias=True, validate_by_name=False, serialize_by_alias=True
    )


def _frames(value: Any) -> FrameRange:
    if isinstance(value, FrameRange):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(f"must be a frame range such as 1001-1008, not {value!r:.40}")
    try:
        return FrameRange.parse(value)
    except ConfigError as error:
        # Inside pydantic a ValueError is what gets the file, the line and the key.
        raise ValueError(str(error)) from error


def _frame_number(value: Any) -> int:
    text = value.strip() if isinstance(value, str) else value
    if isinstance(text, str) and re.fullmatch(r"-?[0-9]{1,12}", text):
        text = int(text)
    if not isinstance(text, int) or isinstance(text, bool) or abs(text) > FRAME_LIMIT:
        raise ValueError(f"must be a frame number, not {value!r:.40}")
    return text


def _vector(value: Any) -> tuple[float, float, float]:
    if (
        not isinstance(value, (list, tuple))
        or len(value) != 3
        or not all(isinstance(x, (int, float)) and not isinstance(x, bool) and abs(x) <= 1e30 for x in value)
    ):
        raise ValueError(f"must be three finite numbers [x, y, z], not {value!r:.60}")
    x, y, z = value
    return float(x), float(y), float(z)


def _rate_json(rate: Fraction) -> int | str:
    return rate.numerator if rate.denominator == 1 else frame_rate_text(rate)


def _shot_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", value) or len(value) > 128:
        raise ValueError(f"{value!r:.60} is not a shot name: letters, digits, _ . - only, and a letter or digit first")
    return value


def _one_line(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError(f"must be a path, not {value!r:.60}")
    return value


def _sorted_by_frame(keyframes: dict[int, Any]) -> dict[int, Any]:
    return dict(sorted(keyframes.items()))


T = TypeVar("T")

Integer = Annotated[int, Strict()]
Number = Annotated[float, Strict(), AllowInfNan(False)]
LAMBDA_RANGE: Final = (1.0, 10.0)
Lambda = Annotated[Number, Field(ge=LAMBDA_RANGE[0], le=LAMBDA_RANGE[1])]
"""λ of the denoiser: 1 is neutral, above 1 keeps more detail and more noise. Dimensionless, 1 … 10."""

Vector = Annotated[
    tuple[float, float, float],
    BeforeValidator(_vector),
    WithJsonSchema({"type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3}),
]
Id = Annotated[str, StringConstraints(min_length=1, max_length=256)]
"""An id of the Mitsuba scene."""

PathText = Annotated[str, AfterValidator(_one_line)]
"""A path as it is written: absolute, or relative to the directory of the file that it stands in."""

ShotName = Annotated[str, AfterValidator(_shot_name)]
Frames = Annotated[
    FrameRange, PlainValidator(_frames), PlainSerializer(str, return_type=str), WithJsonSchema({"type": "string"})
]
Rate = Annotated[
    Fraction,
    PlainValidator(frame_rate),
    PlainSerializer(_rate_json, return_type=int | str),
    WithJsonSchema({"type": ["number", "string"]}),
]
Keyframes = Annotated[
    dict[Annotated[int, BeforeValidator(_frame_number)], T], Field(min_length=1), AfterValidator(_sorted_by_frame)
]
"""Values by frame, in ascending order, at least one."""
