"""Mapping files: which channels of an EXR hold which layer, and which channels take the denoised ones.

    recognise: ["*.Combined.R"]        # without --mapping: any of these channels, and the file is taken for one of ours
    read:
      beauty: ["*.Noisy Image.{R,G,B}", "*.Combined.{R,G,B}"]            # alternatives, the best first
      diffuse: {sum: ["*.DiffDir.{R,G,B}", "*.DiffInd.{R,G,B}"], times: "*.DiffCol.{R,G,B}"}
      backward: {sum: ["*.Vector.{X,Y}"], scale: [1, -1]}
    write:
      beauty: "*.Combined.{R,G,B}"

`{R,G,B}` names one channel after another; `*` stands for a prefix (a view layer), the same in the whole file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from pipeline.config.problems import nearest, problems_of
from pipeline.config.values import ConfigModel, Number
from pipeline.config.yaml_file import read_yaml
from pipeline.errors import ConfigError

__all__ = ["PACKAGED", "ChannelMapping", "Read", "Recipe", "Write", "channels", "load"]

PACKAGED = ("penumbra", "cycles", "renderman", "arnold", "plain")
"""The mappings that come with the package, in the order in which they are tried on a file."""

_BRACES = re.compile(r"\{([^{}]+)\}")


def channels(pattern: str) -> tuple[str, ...]:
    """The channels that a pattern names, in the order of the layer's axes; `*` is left in.

    >>> channels("*.Combined.{R,G,B}")
    ('*.Combined.R', '*.Combined.G', '*.Combined.B')
    >>> channels("Z")
    ('Z',)
    """
    match = _BRACES.search(pattern)
    if match is None:
        return (pattern,)
    return tuple(pattern[: match.start()] + axis.strip() + pattern[match.end() :] for axis in match[1].split(","))


class Recipe(ConfigModel):
    """A layer as a file brings it: `scale` × (the sum of some channels) × other channels.

    A file brings it only if it has every channel that is named.
    """

    sum: list[str] = Field(min_length=1)
    times: str | None = None
    scale: list[Number] | None = Field(default=None, min_length=1)

    @property
    def patterns(self) -> list[str]:
        return [*self.sum, *([self.times] if self.times else [])]


def _alternatives(value: Any) -> Any:
    """One alternative or a list of them; text stands for its channels as they are."""
    listed = value if isinstance(value, list) else [value]
    return [{"sum": [item]} if isinstance(item, str) else item for item in listed]


def _of_width(*widths: int) -> AfterValidator:
    def check(recipes: list[Recipe]) -> list[Recipe]:
        for recipe in recipes:
            for pattern in recipe.patterns:
                _require_width(pattern, widths)
            if recipe.scale is not None and len(recipe.scale) not in (1, len(channels(recipe.sum[0]))):
                raise ValueError(f"scale has {len(recipe.scale)} numbers; one, or one per channel, is expected")
        return recipes

    return AfterValidator(check)


def _require_width(pattern: str, widths: tuple[int, ...]) -> str:
    if len(channels(pattern)) not in widths:
        wanted = " or ".join(map(str, widths))
        raise ValueError(f"{pattern!r} names {len(channels(pattern))} channels; this layer has {wanted}")
    return pattern


def _single(width: int) -> AfterValidator:
    return AfterValidator(lambda pattern: _require_width(pattern, (width,)))


Scalar = Annotated[list[Recipe], BeforeValidator(_alternatives), _of_width(1)]
Vector2 = Annotated[list[Recipe], BeforeValidator(_alternatives), _of_width(2)]
Vector3 = Annotated[list[Recipe], BeforeValidator(_alternatives), _of_width(3)]
Spread = Annotated[list[Recipe], BeforeValidator(_alternatives), _of_width(1, 3)]
"""A variance: of the luminance or the mean over axes; or one per axis, from which that is computed."""


class Read(ConfigModel):
    """Layers of a `Frame` by name; empty where this renderer has none. Only `beauty` must be in a file."""

    beauty: Vector3 = Field(min_length=1)
    diffuse: Vector3 = Field(default_factory=list)
    specular: Vector3 = Field(default_factory=list)
    emission: Vector3 = Field(default_factory=list)
    albedo: Vector3 = Field(default_factory=list)
    normal: Vector3 = Field(default_factory=list)
    depth: Scalar = Field(default_factory=list)
    alpha: Scalar = Field(default_factory=list)
    forward: Vector2 = Field(default_factory=list)
    backward: Vector2 = Field(default_factory=list)
    forward_valid: Scalar = Field(default_factory=list)
    backward_valid: Scalar = Field(default_factory=list)
    count: Scalar = Field(default_factory=list)
    beauty_variance: Spread = Field(default_factory=list)
    albedo_variance: Spread = Field(default_factory=list)
    normal_variance: Spread = Field(default_factory=list)

    def layers(self) -> dict[str, list[Recipe]]:
        """Alternatives by the name of the layer, of those that have any."""
        named = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: recipes for name, recipes in named.items() if recipes}


class Write(ConfigModel):
    """Channels that take denoised layers, where they are not those that the layer was read from."""

    beauty: Annotated[str, _single(3)] | None = None
    diffuse: Annotated[str, _single(3)] | None = None
    specular: Annotated[str, _single(3)] | None = None
    emission: Annotated[str, _single(3)] | None = None
    alpha: Annotated[str, _single(1)] | None = None
    lambda_: Annotated[str, _single(1)] | None = Field(default=None, alias="lambda")

    @model_validator(mode="after")
    def _components_go_together(self) -> Write:
        given = [self.diffuse, self.specular, self.emission]
        if any(given) and not all(given):
            raise ValueError("diffuse, specular and emission are written together or not at all")
        return self


class ChannelMapping(ConfigModel):
    """One mapping file."""

    recognise: list[str] = Field(default_factory=list)
    read: Read
    write: Write = Field(default_factory=Write)

    @model_validator(mode="after")
    def _beauty_can_be_written(self) -> ChannelMapping:
        if self.write.beauty is None and any(len(r.patterns) > 1 or r.scale for r in self.read.beauty):
            raise ValueError("a beauty that is computed cannot be written back; say where under write: beauty:")
        return self


def load(name: str) -> ChannelMapping:
    """A mapping by its name in the package, or from a YAML file.

    Raises:
        ConfigError: there is none of that name, or the file cannot be read or is wrong; with the line.
    """
    if name in PACKAGED:
        return _read(Path(__file__).parent / "mappings" / f"{name}.yaml")
    if Path(name).suffix.lower() in (".yaml", ".yml"):
        return _read(Path(name))
    hint = nearest(name, PACKAGED) or f"{', '.join(PACKAGED)}, or a YAML file"
    raise ConfigError(f"unknown mapping `{name}`", path="--mapping", suggestion=hint)


def _read(path: Path) -> ChannelMapping:
    file = read_yaml(path)
    try:
        return ChannelMapping.model_validate(file.data)
    except ValidationError as error:
        raise file.source.error(problems_of(error, ChannelMapping)) from error
