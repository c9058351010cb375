"""`overrides` of a shot: values of its scene's parameters that differ from the scene file, by id.

`pipeline match` writes them; they may be written by hand as well.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from pipeline.config.values import ConfigModel, Number, PathText, Vector

__all__ = ["CAMERA", "Override"]

CAMERA = "camera"
"""The name under which the shot's camera is overridden."""


def _not_negative(value: tuple[float, float, float]) -> tuple[float, float, float]:
    if min(value) < 0.0:
        raise ValueError(f"must not be negative, not {list(value)!r:.60}")
    return value


def _albedo(value: tuple[float, float, float]) -> tuple[float, float, float]:
    if not all(0.0 <= x <= 1.0 for x in value):
        raise ValueError(f"must lie between 0 and 1, not {list(value)!r:.60}")
    return value


class Override(ConfigModel):
    """What is changed of one object of the scene; null leaves what the scene says.

    Shapes: `translate`, `rotate`, `scale`, on top of the scene and of `animate`. Lights, and shapes that emit:
    `intensity`, `color`, `translate`. BSDFs: `roughness`, `reflectance`, `texture`. The camera, named `camera`:
    `translate`, `rotate`, `fov`.
    """

    translate: Vector | None = Field(default=None, description="Offset, world units, [x, y, z].")
    rotate: Vector | None = Field(
        default=None,
        description="Degrees about the world's x, then y, then z axis; through the shape's centre, or the camera.",
    )
    scale: Number | None = Field(default=None, gt=0, description="Factor about the shape's centre.")
    intensity: Number | None = Field(default=None, ge=0, description="Factor on what a light emits.")
    color: Annotated[Vector, AfterValidator(_not_negative)] | None = Field(
        default=None, description="Factors on what a light emits, [r, g, b], linear Rec. 709."
    )
    roughness: Number | None = Field(default=None, ge=0, le=1, description="As the BSDF's plugin takes it.")
    reflectance: Annotated[Vector, AfterValidator(_albedo)] | None = Field(
        default=None, description="Of a BSDF, [r, g, b], linear Rec. 709."
    )
    texture: PathText | None = Field(default=None, description="Image in place of the BSDF's reflectance.")
    fov: Number | None = Field(default=None, gt=0, lt=180, description="Of the camera: horizontal, degrees.")
