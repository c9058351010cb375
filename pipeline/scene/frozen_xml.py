"""Writing a parsed scene as XML that parses to the same scene: every id kept, every number exact.

Mitsuba's own writer drops ids that nothing refers to, and takes transforms apart. Needs Mitsuba with a variant set.
"""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import quoteattr

import mitsuba as mi
import numpy as np

from pipeline.errors import SceneError
from pipeline.scene import nodes

__all__ = ["VERSION", "name_nodes", "write"]

VERSION = "3.0.0"
"""Of the format that is written; older scenes were upgraded when they were parsed."""

TAGS = {
    mi.ObjectType.Scene: "scene",
    mi.ObjectType.Sensor: "sensor",
    mi.ObjectType.Film: "film",
    mi.ObjectType.Emitter: "emitter",
    mi.ObjectType.Sampler: "sampler",
    mi.ObjectType.Shape: "shape",
    mi.ObjectType.Texture: "texture",
    mi.ObjectType.Volume: "volume",
    mi.ObjectType.Medium: "medium",
    mi.ObjectType.BSDF: "bsdf",
    mi.ObjectType.Integrator: "integrator",
    mi.ObjectType.PhaseFunction: "phase",
    mi.ObjectType.ReconstructionFilter: "rfilter",
}


def name_nodes(state: nodes.State) -> None:
    """Gives ids to the nodes that need one and lack it: shapes, lights, nodes with several parents, and those of scene
    dicts.

    Keys of a scene dict serve as ids, but are not unique: a nested node is called by its path, `walls.bsdf`. A shape
    or a light without an id is called by its plugin and its number among the nameless, `serialized_2`.
    """
    parents = [0] * len(state.nodes)
    for index in range(len(state.nodes)):
        for _, child in nodes.children(state, index):
            parents[child] += 1
    paths = list(state.node_paths)
    if paths:
        for index in range(1, len(paths)):
            props = state.nodes[index].props
            if props.id() == paths[index].rpartition(".")[2]:
                props.set_id(paths[index])
    lights = {index for _, index in nodes.children(state, kind=mi.ObjectType.Emitter)}
    taken = {node.props.id() for node in state.nodes}
    counts: dict[str, int] = {}
    for index in range(1, len(state.nodes)):
        props = state.nodes[index].props
        named = state.nodes[index].type == mi.ObjectType.Shape or index in lights or parents[index] >= 2
        if props.id() or not named:
            continue
        plugin = props.plugin_name()
        while (name := f"{plugin}_{counts.setdefault(plugin, 1)}") in taken:
            counts[plugin] += 1
        taken.add(name)
        props.set_id(name)


def write(state: nodes.State) -> str:
    """The XML text. Call `name_nodes` first.

    Raises:
        SceneError: a property holds a live object, which XML cannot.
    """
    lines: list[str] = []
    _write_node(state, nodes.ROOT, "", set(), lines, 0)
    return "\n".join(lines) + "\n"


def _write_node(state: nodes.State, index: int, name: str, written: set[int], lines: list[str], depth: int) -> None:
    node, indent = state.nodes[index], "  " * depth
    props = node.props
    named = "" if not name or name.startswith("_arg_") else f" name={_quoted(name)}"
    if index in written:
        lines.append(f"{indent}<ref{named} id={_quoted(props.id())}/>")
        return
    written.add(index)
    tag = TAGS.get(node.type)
    if tag is None:
        place = mi.parser.file_location(state, node)
        raise SceneError(f"{place}: a '{props.plugin_name()}' has no place in a scene file")
    kind = f' version="{VERSION}"' if index == nodes.ROOT else f" type={_quoted(props.plugin_name())}"
    own = f" id={_quoted(props.id())}" if props.id() and index != nodes.ROOT else ""
    lines.append(f"{indent}<{tag}{kind}{own}{named}>")
    for key in list(props.keys()):
        if props.type(key) == mi.Properties.Type.ResolvedReference:
            _write_node(state, props[key].index(), key, written, lines, depth + 1)
        else:
            lines.append(f"{indent}  {_property(state, index, key)}")
    lines.append(f"{indent}</{tag}>")


def _property(state: nodes.State, index: int, key: str) -> str:
    props = state.nodes[index].props
    name, value, kind, types = _quoted(key), props[key], props.type(key), mi.Properties.Type
    if kind == types.Bool:
        return f'<boolean name={name} value="{str(value).lower()}"/>'
    if kind == types.Integer:
        return f'<integer name={name} value="{int(value)}"/>'
    if kind == types.Float:
        return f'<float name={name} value="{float(value)!r}"/>'
    if kind == types.String:
        return f"<string name={name} value={_quoted(value)}/>"
    if kind == types.Color:
        return f'<rgb name={name} value="{_numbers(value)}"/>'
    if kind == types.Vector:
        x, y, z = (repr(number) for number in np.array(value, dtype=np.float64).ravel().tolist())
        return f'<vector name={name} x="{x}" y="{y}" z="{z}"/>'
    if kind == types.Transform:
        return f'<transform name={name}><matrix value="{_numbers(value.matrix)}"/></transform>'
    if kind == types["Spectrum"]:  # a name that the type stubs lack
        return f'<spectrum name={name} value="{_spectrum(value)}"/>'
    place = mi.parser.file_location(state, state.nodes[index])
    raise SceneError(f"{place}: '{key}' is a live {type(value).__name__}, which cannot be kept in XML")


def _spectrum(value: Any) -> str:
    if value.is_uniform():
        return repr(float(value.values[0]))
    return ", ".join(f"{float(w)!r}:{float(v)!r}" for w, v in zip(value.wavelengths, value.values, strict=True))


def _numbers(value: Any) -> str:
    return " ".join(repr(number) for number in np.array(value, dtype=np.float64).ravel().tolist())


def _quoted(text: str) -> str:
    return quoteattr(text, {"\n": "&#10;", "\t": "&#9;", "\r": "&#13;"})
