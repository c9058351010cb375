"""A frozen scene taken apart for a match: what stands still, and each shape or light that is moved by itself.

Needs Mitsuba with a variant set. What loads scenes is imported when the first one is: it registers plugins with the
variant.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, SceneError
from pipeline.match.wavefront import Mover
from pipeline.scene import animation, blobs, frozen_xml, nodes
from pipeline.scene.overrides import Overrides
from pipeline.scene.spec import SceneSpec

if TYPE_CHECKING:
    from pipeline.scene.load import FrameScene

__all__ = ["applied", "film", "moved_apart", "plain_surfaces", "without"]

Array = NDArray[np.float64]


def film(spec: SceneSpec, directory: Path) -> tuple[int, int]:
    """(width, height) that a frame is rendered at: the shot's resolution, or that of the scene's own film."""
    from pipeline.scene.load import DEFAULT_SIZE, film_size

    if spec.resolution is not None:
        return spec.resolution
    state = _parsed(spec, directory)
    sensors = nodes.children(state, kind=mi.ObjectType.Sensor)
    return film_size(state, sensors[0][1]) if sensors else DEFAULT_SIZE


def without(spec: SceneSpec, names: Collection[str], frame: int, directory: Path) -> FrameScene:
    """The scene without some of its shapes and lights; values of `overrides` are left to `applied`.

    Args:
        spec: of the whole scene.
        names: ids of what is left out.
        frame: frame number.
        directory: of the blobs; the part's XML is put there.
    """
    from pipeline.scene.load import load

    state = _parsed(spec, directory)
    props = state.nodes[nodes.ROOT].props
    for kind in (mi.ObjectType.Shape, mi.ObjectType.Emitter):
        for key, index in nodes.children(state, kind=kind):
            if state.nodes[index].props.id() in names:
                del props[key]
    animate = {name: keys for name, keys in spec.animate.items() if name not in names}
    return load(_part(spec, state, directory, animate), frame, directory)


def moved_apart(spec: SceneSpec, name: str, frame: int, directory: Path) -> tuple[Mover, Array]:
    """One shape or light in a scene of its own, where the frame has it; and the centre that it is turned about.

    Raises:
        ConfigError: the scene has no such shape or light outside of a group.
    """
    from pipeline.scene.load import load

    state = _parsed(spec, directory)
    found = [
        (key, index)
        for kind in (mi.ObjectType.Shape, mi.ObjectType.Emitter)
        for key, index in nodes.children(state, kind=kind)
        if state.nodes[index].props.id() == name
    ]
    if not found:
        raise ConfigError(f"{name}: is part of a shape group; move the instance", path="--params")
    key, index = found[0]
    solid = state.nodes[index].type == mi.ObjectType.Shape
    kept = [
        own for kind in (mi.ObjectType.Sensor, mi.ObjectType.Integrator) for own, _ in nodes.children(state, kind=kind)
    ]
    nodes.clear(state, nodes.ROOT, keep=(key, *kept))
    alone = _part(spec, state, directory, {})
    fs = load(alone, frame, directory)
    centre = np.zeros(3)
    if solid:
        box = fs.scene.shapes()[0].bbox()
        centre = (np.array(box.min, dtype=np.float64).ravel() + np.array(box.max, dtype=np.float64).ravel()) / 2.0
        if keyframes := spec.animate.get(name):
            posed = animation.pose(keyframes, frame, centre)
            fs, centre = load(replace(alone, animate={name: keyframes}), frame, directory), (posed @ [*centre, 1.0])[:3]
    return Mover(name, fs.scene, len(fs.scene.emitters()), solid), centre


def applied(parts: Collection[Overrides], values: Mapping[str, Mapping[str, Any]]) -> None:
    """Sets parameters in every part that has them: a BSDF may be in several.

    Raises:
        SceneError: none of the parts has one of them.
    """
    for name, properties in values.items():
        for prop, value in properties.items():
            holders = [part for part in parts if part.has(name, prop)]
            if not holders:
                raise SceneError(f"{name}.{prop}: the scene has no such parameter")
            for part in holders:
                part.apply({name: {prop: value}})


def plain_surfaces(parts: Collection[Overrides], owner: str) -> list[Any]:
    """The BSDFs of a reflectance, if what they scatter is proportional to it: diffuse ones of one colour. Else none.

    Args:
        owner: id of a BSDF, or of a shape whose BSDF has none.
    """
    found: list[Any] = []
    for part in parts:
        if not part.has(owner, "reflectance"):
            continue
        target = part.target(owner, "reflectance")
        shapes = [part.shapes[owner]] if owner in part.shapes else part.shapes.values()
        bsdfs = [shape.bsdf() for shape in shapes if shape.bsdf() is not None]
        bsdfs = [bsdf for bsdf in bsdfs if owner in part.shapes or bsdf.id() == owner]
        if len(target.keys) != 1 or target.base[0].shape != (3,) or not bsdfs:
            return []
        if any(mi.has_flag(bsdf.flags(), lobe) for bsdf in bsdfs for lobe in _other_lobes()):
            return []
        found += bsdfs
    return found


def _other_lobes() -> tuple[Any, ...]:
    """All but diffuse reflection."""
    F = mi.BSDFFlags
    return (F.Null, F.DiffuseTransmission, F.Glossy, F.Delta, F.Delta1D)


def _parsed(spec: SceneSpec, directory: Path) -> nodes.State:
    """The frozen XML as it is: files in it stay named by their blobs."""
    return nodes.parse_text(blobs.resolve(directory, spec.xml, {}).read_text(encoding="utf-8"))


def _part(spec: SceneSpec, state: nodes.State, directory: Path, animate: Mapping[str, Any]) -> SceneSpec:
    xml = blobs.put_text(directory, frozen_xml.write(state), "xml")
    return replace(spec, xml=xml, previous=xml, next=xml, animate=dict(animate), overrides={})
