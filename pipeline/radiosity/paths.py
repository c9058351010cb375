"""Camera paths of previews: around what the shot looks at, along the shot, or as a file says. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from pipeline.config.camera import CameraKeyframe
from pipeline.config.problems import problems_of
from pipeline.config.values import ConfigModel, Keyframes, Number
from pipeline.config.yaml_file import read_yaml
from pipeline.errors import ConfigError
from pipeline.radiosity.cameras import View
from pipeline.scene.animation import camera_to_world, look_at, rotation_about

__all__ = ["PathFile", "Stop", "from_file", "orbit"]


@dataclass(frozen=True)
class Stop:
    """One picture of a path.

    Attributes:
        frame: of the shot, whose scene is shown.
        view: from where.
    """

    frame: int
    view: View


class PathFile(ConfigModel):
    """A camera path: keyframes as a shot has them; frames count pictures, not frames of the shot."""

    fov: Number | None = Field(
        default=None, gt=0, lt=180, description="Horizontal field of view, degrees; null: the shot's."
    )
    keyframes: Keyframes[CameraKeyframe] = Field(description="Camera by number of the picture; linear between them.")


def orbit(view: View, distance: float, frame: int, count: int, *, up: Sequence[float] = (0.0, 1.0, 0.0)) -> list[Stop]:
    """Once around the point that a view looks at, beginning with the view.

    Args:
        view: where it begins.
        distance: of that point, world units.
        frame: of the shot.
        count: pictures.
        up: the axis.
    """
    target = view.origin + distance * view.forward
    arm = view.origin - target
    stops = []
    for k in range(count):
        turned: NDArray[np.float64] = rotation_about(up, 360.0 * k / count)[:3, :3] @ arm
        axis = up if np.linalg.norm(np.cross(up, turned)) > 1e-6 * distance else view.to_world[:3, 1]
        stops.append(Stop(frame, View(look_at(target + turned, target, axis), view.fov, view.width, view.height)))
    return stops


def from_file(path: Path, view: View, frame: int) -> list[Stop]:
    """The pictures of a path file, from its first keyframe to its last.

    Args:
        path: YAML: `keyframes`, and `fov`.
        view: that gives size and field of view.
        frame: of the shot.

    Raises:
        ConfigError: the file cannot be read, or is wrong; with the line.
    """
    file = read_yaml(path)
    try:
        said = PathFile.model_validate(file.data)
    except ValidationError as error:
        raise file.source.error(problems_of(error, PathFile)) from error
    keys = {number: key.model_dump() for number, key in said.keyframes.items()}
    stops = []
    for number in range(min(keys), max(keys) + 1):
        try:
            to_world = camera_to_world(keys, number)
        except ValueError as error:
            raise ConfigError(f"picture {number}: {error}", path=path, key="keyframes") from error
        stops.append(Stop(frame, View(to_world, said.fov or view.fov, view.width, view.height)))
    return stops
