"""A frozen scene taken apart for a match: what stands still, and each shape or light that is moved by itself.

Needs Mitsuba with a variant set.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, SceneError
from pipeline.match.wavefront import Mover
from pipeline.scene import animation, blobs, frozen_xml, nodes
from pipeline.scene.load import FrameScene, load
from pipeline.scene.overrides import Overrides
from pipeline.scene.spec import SceneSpec

__all__ = ["applied", "moved_apart", "without"]

Array = NDArray[np.float64]


def without(spec: SceneSpec, names: Collection[str], frame: int, directory: Path) -> FrameScene:
    """The scene without some of its shapes and lights; values of `overrides` are left to `applied`.

    Args:
        spec: of the whole scene.
        names: ids of what is left out.
        frame: frame number.
        directory: of the blobs; the part's XML is put there.
    """
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


def _parsed(spec: SceneSpec, directory: Path) -> nodes.State:
    """The frozen XML as it is: files in it stay named by their blobs."""
    return nodes.parse_text(blobs.resolve(directory, spec.xml, {}).read_text(encoding="utf-8"))


def _part(spec: SceneSpec, state: nodes.State, directory: Path, animate: Mapping[str, Any]) -> SceneSpec:
    xml = blobs.put_text(directory, frozen_xml.write(state), "xml")
    return replace(spec, xml=xml, previous=xml, next=xml, animate=dict(animate), overrides={})
