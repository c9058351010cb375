"""What a pass records beside radiance and features where a shot asks for it: light groups, AOVs, more ballots.

A shot that asks for nothing traces the same kernels as if none of this were there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from pipeline.config.layers import Layers as Wanted
from pipeline.errors import SceneError
from pipeline.render import channels
from pipeline.render.channels import Block
from pipeline.scene.load import FrameScene

__all__ = ["LightTable", "Outputs", "credit", "light_of", "matte_names", "outputs_of"]


class LightTable:
    """Which group a light belongs to. No dataclass: Dr.Jit would take that for a variable of its loops.

    Attributes:
        groups: names, in the order of the layers; what is in none is what they leave of the beauty.
        lookup: Dr.Jit's number of an emitter → index into `groups`, or their number.
    """

    def __init__(self, groups: tuple[str, ...], lookup: mi.UInt32) -> None:
        self.groups, self.lookup = groups, lookup


@dataclass(frozen=True)
class Outputs:
    """What is recorded beside the usual."""

    lights: LightTable | None = None
    aovs: Any = None  # Mitsuba's `aov` integrator
    aov_names: tuple[str, ...] = ()
    votes: int = channels.VOTES

    @property
    def colour(self) -> tuple[Block, ...]:
        """Blocks that every round records."""
        return () if self.lights is None else (Block("lights", 3 * len(self.lights.groups), channels.RADIANCE),)

    @property
    def features(self) -> tuple[Block, ...]:
        """Blocks that the first round records."""
        return () if self.aovs is None else (Block("aovs", len(self.aov_names), channels.RADIANCE),)


def outputs_of(fs: FrameScene) -> Outputs:
    """What a frame's scene is asked for.

    Raises:
        SceneError: a group names what is no light, or the integrator does not tell lights apart.
    """
    wanted = fs.layers
    aovs = None
    if wanted.aovs:
        aovs = mi.load_dict({"type": "aov", "aovs": ",".join(f"{kind}:{kind}" for kind in wanted.aovs)})
    return Outputs(
        lights=_light_table(fs, wanted) if wanted.lights else None,
        aovs=aovs,
        aov_names=tuple(aovs.aov_names()) if aovs is not None else (),
        votes=channels.MATTE_VOTES if wanted.cryptomatte else channels.VOTES,
    )


def _light_table(fs: FrameScene, wanted: Wanted) -> LightTable:
    if fs.integrator_name != "path":
        raise SceneError(f"layers.lights: the integrator `{fs.integrator_name}` does not tell lights apart; use path")
    numbers: dict[str, list[int]] = {}
    largest = 0
    for emitter in fs.scene.emitters():
        number = int(dr.reinterpret_array(mi.UInt32, mi.EmitterPtr(emitter))[0])
        largest = max(largest, number)
        shape = emitter.get_shape()
        for name in {emitter.id(), "" if shape is None else shape.id()} - {""}:
            numbers.setdefault(name, []).append(number)
    groups = tuple(wanted.lights)
    lookup = np.full(largest + 1, len(groups), np.uint32)
    for index, group in enumerate(groups):
        for light in wanted.lights[group]:
            if light not in numbers:
                known = ", ".join(sorted(numbers)) or "none has an id"
                raise SceneError(f"layers.lights.{group}: {light} is no light of the scene ({known})")
            lookup[numbers[light]] = index
    table = mi.UInt32(lookup)
    dr.make_opaque(table)
    return LightTable(groups, table)


def light_of(lights: LightTable | None) -> list[mi.Color3f]:
    """Radiance by group, to begin with: none at all where there are no groups."""
    return [] if lights is None else [mi.Color3f(0) for _ in lights.groups]


def credit(
    sums: Sequence[mi.Color3f], lights: LightTable | None, emitter: mi.EmitterPtr, value: mi.Color3f
) -> list[mi.Color3f]:
    """`sums` with `value` added to the group of the light that it came from. A null pointer must come with zeros."""
    if lights is None:
        return list(sums)
    number = dr.reinterpret_array(mi.UInt32, emitter)
    group = dr.gather(mi.UInt32, lights.lookup, number, emitter != None)  # noqa: E711
    return [total + dr.select(group == index, value, 0) for index, total in enumerate(sums)]


def matte_names(fs: FrameScene) -> Mapping[str, Sequence[str]]:
    """By kind of matte, the name of each shape of `fs.shape_names`.

    An object is a shape or an instance; its material the id of its BSDF; its asset what stands before the last `/`, `:`
    or `.` of its id. What has no such name goes by its id.
    """
    found: dict[str, list[str]] = {"object": list(fs.shape_names), "material": [], "asset": []}
    for name, shape in zip(fs.shape_names, fs.scene.shapes(), strict=True):
        bsdf = shape.bsdf()
        found["material"].append((bsdf.id() if bsdf is not None else "") or name)
        cut = max(name.rfind(separator) for separator in "/:.")
        found["asset"].append(name[:cut] if cut > 0 else name)
    return found
