"""The camera of a shot: replaces the scene's first sensor."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core.core_schema import ValidationInfo

from pipeline.config.values import ConfigModel, Keyframes, Number, Vector

__all__ = ["Camera", "CameraKeyframe"]

# Below this sine between two directions a look-at matrix in 32-bit floats is noise.
_MIN_SINE = 1e-5


class CameraKeyframe(ConfigModel):
    """Where the camera stands and looks at one frame."""

    origin: Vector = Field(description="Position of the camera, world units.")
    target: Vector = Field(description="Point that it looks at, world units; differs from the origin.")
    up: Vector = Field(default=(0.0, 1.0, 0.0), description="Direction that is up in the picture; not along the view.")

    @model_validator(mode="after")
    def _spans_a_frame(self) -> CameraKeyframe:
        view = tuple(t - o for t, o in zip(self.target, self.origin, strict=True))
        distance, reach = math.hypot(*view), max(1.0, *(abs(x) for x in (*self.origin, *self.target)))
        if distance <= 1e-7 * reach:
            raise ValueError("the camera's origin equals its target, so that it looks nowhere")
        length = math.hypot(*self.up)
        if length <= 1e-12:
            raise ValueError("up must not be [0, 0, 0]")
        (ax, ay, az), (bx, by, bz) = (tuple(x / distance for x in view), tuple(x / length for x in self.up))
        if math.hypot(ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx) < _MIN_SINE:
            raise ValueError("up is parallel to the view from origin to target")
        return self


class Camera(ConfigModel):
    """A perspective camera with keyframes, and a thin lens where an aperture is given."""

    fov: Number = Field(gt=0, lt=180, description="Field of view in degrees, 0 … 180 (both excluded).")
    fov_axis: Literal["x", "y", "diagonal", "smaller", "larger"] = Field(
        default="x", description="Side of the picture that `fov` spans."
    )
    keyframes: Keyframes[CameraKeyframe] = Field(
        description="Camera by frame; linear in origin, target and up between them, held outside of them."
    )
    aperture_radius: Number | None = Field(
        default=None, gt=0, description="Radius of the thin lens in world units; null: pinhole, all is sharp."
    )
    focus_distance: Number | None = Field(
        default=None,
        gt=0,
        description="Distance of the plane in focus along the view, world units; with aperture_radius, and only then.",
    )

    @field_validator("focus_distance")
    @classmethod
    def _goes_with_an_aperture(cls, focus: float | None, info: ValidationInfo) -> float | None:
        if focus is not None and info.data.get("aperture_radius", 0.0) is None:
            raise ValueError("has no effect without aperture_radius")
        return focus

    @model_validator(mode="after")
    def _aperture_has_a_focus(self) -> Camera:
        if self.aperture_radius is not None and self.focus_distance is None:
            raise ValueError("aperture_radius needs a focus_distance")
        return self
