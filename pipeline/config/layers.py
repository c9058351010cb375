"""`layers` in `shot.yaml`: what is delivered beside the picture and its features."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, field_validator

from pipeline.config.values import ConfigModel, Id

__all__ = ["AOVS", "OTHERS", "Layers"]

OTHERS: Final = "others"
"""The group of the lights that no group names."""

Matte = Literal["object", "material", "asset"]
AOVS: Final = ("position", "uv", "geo_normal", "sh_normal", "dp_du", "dp_dv", "duv_dx", "duv_dy")
"""Kinds of Mitsuba's `aov` integrator whose average over a pixel means something."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")


def _group(name: str) -> str:
    if not _NAME.fullmatch(name) or name == OTHERS:
        raise ValueError(f"a group is called by letters, digits and _, and not `{OTHERS}`; not {name!r:.60}")
    return name


class Layers(ConfigModel):
    """More layers of the deliverable."""

    lights: dict[Annotated[str, AfterValidator(_group)], tuple[Id, ...]] = Field(
        default_factory=dict,
        description="Groups of lights, each a layer: name → ids of emitters, or of shapes that emit. The rest: others.",
    )
    cryptomatte: tuple[Matte, ...] = Field(
        default=(), description="Mattes by name, Cryptomatte 1.2: object, material, asset."
    )
    aovs: tuple[str, ...] = Field(default=(), description="Of Mitsuba's `aov` integrator: position, uv, geo_normal, …")

    @field_validator("lights")
    @classmethod
    def _each_light_is_in_one_group(cls, lights: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        seen: dict[str, str] = {}
        for group, ids in lights.items():
            if not ids:
                raise ValueError(f"{group} names no light")
            for light in ids:
                if seen.setdefault(light, group) != group:
                    raise ValueError(f"{light} is in {seen[light]} and in {group}: the sum would count it twice")
        return lights

    @field_validator("aovs")
    @classmethod
    def _are_known(cls, aovs: tuple[str, ...]) -> tuple[str, ...]:
        for name in aovs:
            if name in ("prim_index", "shape_index", "boundary_test"):
                raise ValueError(f"{name} does not average over a pixel; layers.cryptomatte tells objects apart")
            if name not in AOVS:
                raise ValueError(f"{name!r:.40} is none of {', '.join(AOVS)}")
        if len(set(aovs)) != len(aovs):
            raise ValueError("an AOV is named twice")
        return aovs
