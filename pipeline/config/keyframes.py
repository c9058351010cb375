"""Keyframes of shapes: what `animate` says about one shape at one frame."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator

from pipeline.config.values import ConfigModel, Number, Vector

__all__ = ["Rotation", "ShapeKeyframe"]


def _scale(value: Any) -> tuple[float, float, float]:
    factors = value if isinstance(value, (list, tuple)) else (value, value, value)
    if len(factors) != 3 or not all(
        isinstance(x, (int, float)) and not isinstance(x, bool) and 1e-12 < abs(x) <= 1e30 for x in factors
    ):
        raise ValueError(f"must be a number other than 0, or three of them, not {value!r:.60}")
    x, y, z = factors
    return float(x), float(y), float(z)


Scale = Annotated[
    tuple[float, float, float],
    BeforeValidator(_scale),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "array", "items": {"type": "number"}}]}),
]


class Rotation(ConfigModel):
    """A turn about an axis through the shape's pivot, right-handed."""

    axis: Vector = Field(description="Direction of the axis in world space; its length does not matter, but is not 0.")
    angle: Number = Field(description="Angle in degrees; may be negative or more than a full turn.")

    @field_validator("axis")
    @classmethod
    def _has_a_direction(cls, axis: tuple[float, float, float]) -> tuple[float, float, float]:
        if not any(abs(x) > 1e-12 for x in axis):
            raise ValueError("has no direction: an axis must not be [0, 0, 0]")
        return axis


class ShapeKeyframe(ConfigModel):
    """Where a shape is at one frame, on top of its own `to_world`.

    Scale, then rotation, both about the pivot; then the translation. Between keyframes translation and scale are
    linear and the rotation spherical; before the first and after the last keyframe the shape holds.
    """

    translate: Vector = Field(default=(0.0, 0.0, 0.0), description="Offset in world units, [x, y, z].")
    rotate: Rotation | None = Field(default=None, description="Rotation: {axis: [x, y, z], angle: degrees}.")
    scale: Scale = Field(
        default=(1.0, 1.0, 1.0), description="Factor, one number or [x, y, z], about the pivot; not 0. Kept as three."
    )
    pivot: Vector | None = Field(
        default=None, description="Centre of scale and rotation, world units; null: that of the bounding box as loaded."
    )
