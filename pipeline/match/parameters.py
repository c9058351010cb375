"""The unknowns of a match: `ID.PROPERTY[:components]` by the ids of the scene, with units, scales and limits.

Factors (intensity, colour, scale) are searched as powers of two, so that steps are stops and no factor turns negative;
all other values as they are. Values are those of the shot's `overrides`, and start from what these say already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.overrides import CAMERA
from pipeline.errors import ConfigError, SceneError
from pipeline.match.minimise import Bounds
from pipeline.scene.names import meant
from pipeline.scene.overrides import Overrides

if TYPE_CHECKING:
    from pipeline.scene.load import FrameScene

__all__ = ["Parameter", "bounds_of", "grouped", "nested", "resolve", "start_of", "value_of"]

Array = NDArray[np.float64]

COMPONENTS = {
    "translate": "xyz",
    "rotate": "xyz",
    "scale": "",
    "intensity": "",
    "color": "rgb",
    "roughness": "",
    "reflectance": "rgb",
    "fov": "",
}
UNITS = {"translate": "world units", "rotate": "degrees", "fov": "degrees"} | dict.fromkeys(
    ("scale", "intensity", "color"), "factor"
)
OF_SHAPES = ("translate", "rotate", "scale")
OF_CAMERA = ("translate", "rotate", "fov")
FACTORS = ("scale", "intensity", "color")

STOPS = 0.5  # scale of a factor: half a stop
MOST_STOPS = 12.0
DEGREES = 15.0  # of a rotation
FOV_DEGREES = 3.0
SHARE = 0.1  # of the picture's width at a shape's distance: scale of its translation
LEAST_SHARE = 0.25  # of the shape's own size
REFLECTANCE = 0.1


@dataclass(frozen=True)
class Parameter:
    """One number that is searched.

    Attributes:
        owner: id in the scene, or `camera`.
        prop: a key of `Override`.
        component: `x`, `y`, `z`, `r`, `g`, `b`, the flat index of a texture's value, or nothing.
        unit: of its value: world units, degrees, factor, or none.
        factor: whether it is searched as a power of two.
        start, scale, lower, upper: in search units (exponents for factors).
    """

    owner: str
    prop: str
    component: str
    unit: str
    factor: bool
    start: float
    scale: float
    lower: float = -np.inf
    upper: float = np.inf

    @property
    def name(self) -> str:
        """`lamp.translate:x`."""
        return f"{self.owner}.{self.prop}" + (f":{self.component}" if self.component else "")


def resolve(
    texts: Sequence[str], scene: FrameScene, overrides: Overrides, given: Mapping[str, Mapping[str, Any]]
) -> list[Parameter]:
    """The parameters that a list such as `["key.translate:xz", "key.intensity"]` names.

    Args:
        texts: as typed.
        scene: of the frame, without the overrides.
        overrides: its parameters.
        given: the shot's `overrides`, without what is null: where the search starts.

    Raises:
        ConfigError: what is named is not there, with a name like it; or is named twice.
    """
    found: list[Parameter] = []
    for item in (part.strip() for part in texts):
        if item:
            found += _resolved(item, scene, overrides, given)
    if not found:
        raise ConfigError("names no parameter; as in lamp.intensity,mug.rotate:y", path="--params")
    names = [parameter.name for parameter in found]
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise ConfigError(f"{twice[0]} is named twice", path="--params")
    return found


def bounds_of(parameters: Sequence[Parameter]) -> Bounds:
    """Scales and limits for the search."""
    columns = np.array([(p.scale, p.lower, p.upper) for p in parameters], dtype=np.float64).T
    return Bounds(*columns)


def start_of(parameters: Sequence[Parameter]) -> Array:
    """Where the search starts, in search units."""
    return np.array([p.start for p in parameters])


def value_of(parameter: Parameter, searched: float) -> float:
    """A parameter's value in its own unit."""
    return float(2.0**searched) if parameter.factor else float(searched)


def nested(parameters: Sequence[Parameter], theta: Array) -> dict[str, Any]:
    """Values as the product tells them: `{"lamp.translate": {"x": 0.3, "z": -0.1}, "lamp.intensity": 1.2}`. Textures
    are left out: they are images."""
    told: dict[str, Any] = {}
    for parameter, searched in zip(parameters, theta, strict=True):
        value = value_of(parameter, float(searched))
        full = f"{parameter.owner}.{parameter.prop}"
        if parameter.prop == "texture":
            continue
        if parameter.component:
            told.setdefault(full, {})[parameter.component] = value
        else:
            told[full] = value
    return told


def grouped(parameters: Sequence[Parameter]) -> dict[tuple[str, str], list[tuple[int, str]]]:
    """(owner, property) → the places of its components in the search vector."""
    groups: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for index, parameter in enumerate(parameters):
        groups.setdefault((parameter.owner, parameter.prop), []).append((index, parameter.component))
    return groups


def _resolved(
    item: str, scene: FrameScene, overrides: Overrides, given: Mapping[str, Mapping[str, Any]]
) -> list[Parameter]:
    head, _, wanted = item.partition(":")
    owner, _, prop = head.rpartition(".")
    if not owner:
        raise ConfigError(f"{item} is not ID.PROPERTY, as in lamp.intensity", path="--params")
    if prop != "texture" and prop not in COMPONENTS:
        known = {*COMPONENTS, "texture"}
        hint = meant(prop, known) or f" (one of {', '.join(sorted(known))})"
        raise ConfigError(f"{item}: there is no property '{prop}'{hint}", path="--params")
    _require_owner(item, owner, prop, overrides)
    if prop == "texture":
        return _texture(owner, overrides)
    every = COMPONENTS[prop]
    components = wanted or every
    if any(c not in every for c in components) or (wanted and not every):
        what = f"has the components {every}" if every else "has no components"
        raise ConfigError(f"{item}: {prop} {what}", path="--params")
    now = given.get(owner, {}).get(prop)
    return [_parameter(owner, prop, component, scene, overrides, now) for component in components or [""]]


def _require_owner(item: str, owner: str, prop: str, overrides: Overrides) -> None:
    """Raises ConfigError where the scene has no such parameter."""
    shapes = [*overrides.shapes]
    if owner == CAMERA and prop in OF_CAMERA:
        return
    if prop in OF_SHAPES and owner in shapes:
        return
    if prop == "fov":
        raise ConfigError(f"{item}: only the camera has a fov", path="--params", suggestion="camera.fov")
    known = {*shapes, *overrides.emitters(), *overrides.bsdfs(), CAMERA}
    if owner not in known:
        hint = meant(owner, known) or f" (there are {', '.join(sorted(known)):.200})"
        raise ConfigError(f"{item}: the scene has no '{owner}'{hint}", path="--params")
    try:
        overrides.target(owner, prop)
    except SceneError as error:
        raise ConfigError(str(error), path="--params") from error


def _texture(owner: str, overrides: Overrides) -> list[Parameter]:
    base = overrides.target(owner, "texture").base[0]
    return [
        Parameter(owner, "texture", str(index), "", False, float(value), REFLECTANCE, 0.0, 1.0)
        for index, value in enumerate(base.ravel())
    ]


def _parameter(owner: str, prop: str, component: str, scene: FrameScene, overrides: Overrides, now: Any) -> Parameter:
    place = max("xyz".find(component), "rgb".find(component)) if component else 0
    value = None if now is None else float(np.ravel(now)[place])
    unit = UNITS.get(prop, "")
    if prop in FACTORS:
        start = 0.0 if value is None else float(np.log2(max(value, 2.0**-MOST_STOPS)))
        return Parameter(owner, prop, component, unit, True, start, STOPS, -MOST_STOPS, MOST_STOPS)
    if prop == "rotate":
        return Parameter(owner, prop, component, unit, False, value or 0.0, DEGREES)
    if prop == "fov":
        return Parameter(owner, prop, component, unit, False, value or _fov(scene), FOV_DEGREES, 1.0, 175.0)
    if prop == "translate":
        return Parameter(owner, prop, component, unit, False, value or 0.0, _reach(owner, scene, overrides))
    base = overrides.target(owner, prop).base[0]
    if value is None:
        value = float(base.reshape(-1, base.shape[-1])[:, min(place, base.shape[-1] - 1)].mean())
    return Parameter(owner, prop, component, unit, False, value, REFLECTANCE, 1e-3 if prop == "roughness" else 0.0, 1.0)


def _fov(scene: FrameScene) -> float:
    camera = scene.cameras.current
    if camera is None:
        raise ConfigError("camera.fov: the sensor is not a perspective one", path="--params")
    return camera.fov


def _reach(owner: str, scene: FrameScene, overrides: Overrides) -> float:
    """Scale of a translation: a tenth of what the picture is wide at that distance, or a quarter of the shape."""
    if owner == CAMERA:
        centre, size = _middle(scene.scene.bbox())
    elif owner in overrides.shapes:
        centre, size = _middle(overrides.shapes[owner].bbox())
    else:
        base = overrides.target(owner, "translate").base[0]
        centre, size = (base[:3, 3] if base.shape == (4, 4) else base), 0.0
    camera = scene.cameras.current
    if camera is None:
        return max(size * LEAST_SHARE, 1e-6)
    width = 2.0 * float(np.linalg.norm(centre - camera.origin)) * np.tan(np.radians(camera.fov) / 2.0)
    return float(max(SHARE * width, LEAST_SHARE * size if owner != CAMERA else 0.0, 1e-6))


def _middle(box: Any) -> tuple[Array, float]:
    low, high = (np.array(corner, dtype=np.float64).ravel() for corner in (box.min, box.max))
    return (low + high) / 2.0, float(np.linalg.norm(high - low))
