"""What of a shot's `overrides` is worked into the scene when it is frozen: textures, and the scene's own camera.

Edits a parsed scene. Needs Mitsuba with a variant set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import mitsuba as mi
import numpy as np

from pipeline.config.overrides import CAMERA
from pipeline.errors import SceneError
from pipeline.scene import nodes
from pipeline.scene.displacement import displacement
from pipeline.scene.names import meant
from pipeline.scene.overrides import PROPERTIES, Overrides

__all__ = ["check", "freeze"]

KEPT_OF_A_BITMAP = ("filter_type", "wrap_mode", "to_uv")


def freeze(source: str, state: nodes.State, config: Mapping[str, Any], directory: Path) -> list[str]:
    """Swaps the textures that `overrides` name, and moves the scene's camera where the shot has none.

    Args:
        source: the scene file, for messages.
        state: named (`frozen_xml.name_nodes`).
        config: the shot config as JSON values.
        directory: of the shot: paths start from it.

    Returns:
        problems, one line each.
    """
    problems = []
    for name, override in (config.get("overrides") or {}).items():
        if override.get("texture") is not None:
            problems += _swap(source, state, name, str((directory / override["texture"]).absolute()))
    if (changed := (config.get("overrides") or {}).get(CAMERA)) and not config.get("camera"):
        problems += _move(source, state, changed)
    return problems


def check(source: str, state: nodes.State, config: Mapping[str, Any], shapes: list[str]) -> list[str]:
    """Overrides of what the scene does not have, in a line each. Files must be there; the state is used up."""
    from pipeline.scene.displacement import with_offsets

    _, values = with_offsets({}, config.get("overrides") or {}, shapes)
    try:
        scene = nodes.instantiate(state)
    except (RuntimeError, ValueError, TypeError):
        return []  # told by whoever makes the scene itself
    known, problems = Overrides(scene), []
    for name, properties in values.items():
        for prop in properties:
            try:
                known.target(name, prop)
            except SceneError as error:
                problems.append(f"overrides.{error} in {source}")
    return problems


def _swap(source: str, state: nodes.State, name: str, file: str) -> list[str]:
    found = [i for i, node in enumerate(state.nodes) if node.props.id() == name and node.type == mi.ObjectType.BSDF]
    bsdfs = {node.props.id() for node in state.nodes if node.type == mi.ObjectType.BSDF and node.props.id()}
    if not found:
        return [f"overrides.{name}.texture: no BSDF of {source} has this id{meant(name, bsdfs)}"]
    places = [
        (bsdf, word)
        for bsdf in _inside(state, found[0])
        for word in PROPERTIES["texture"]
        if word in state.nodes[bsdf].props
    ]
    if not places:
        return [f"overrides.{name}.texture: '{name}' in {source} has no {' or '.join(PROPERTIES['texture'])}"]
    bsdf, word = places[0]
    before = dict(nodes.children(state, bsdf, mi.ObjectType.Texture)).get(word)
    values = {} if before is None else _kept(state, before)
    del state.nodes[bsdf].props[word]
    nodes.add_child(state, bsdf, word, mi.ObjectType.Texture, "bitmap", filename=file, **values)
    return []


def _kept(state: nodes.State, texture: int) -> dict[str, Any]:
    props = state.nodes[texture].props
    return {key: props[key] for key in KEPT_OF_A_BITMAP if key in props}


def _inside(state: nodes.State, bsdf: int) -> Iterator[int]:
    """A BSDF, and those nested in it."""
    yield bsdf
    for _, child in nodes.children(state, bsdf, mi.ObjectType.BSDF):
        yield from _inside(state, child)


def _move(source: str, state: nodes.State, changed: Mapping[str, Any]) -> list[str]:
    sensors = nodes.children(state, kind=mi.ObjectType.Sensor)
    if not sensors:
        return []  # told elsewhere
    index = sensors[0][1]
    props = state.nodes[index].props
    if changed.get("fov") is not None:
        if props.plugin_name() not in ("perspective", "thinlens"):
            return [f"overrides.camera.fov: a '{props.plugin_name()}' sensor ({source}) has none"]
        for key in ("focal_length", "fov", "fov_axis"):
            if key in props:
                del props[key]
        props["fov"], props["fov_axis"] = float(changed["fov"]), "x"
    own = nodes.matrix(state, index)
    moved = displacement(changed, np.array(own[:3, 3])) @ own
    if not np.array_equal(moved, own):
        props["to_world"] = nodes.transform(moved)
    return []
