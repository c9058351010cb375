"""Mitsuba's parsed scenes: reading them, and editing them node by node before anything is instantiated.

Needs Mitsuba with a variant set.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ROOT",
    "add_child",
    "child",
    "children",
    "clear",
    "instantiate",
    "matrix",
    "parse_dict",
    "parse_file",
    "parse_text",
    "parser_config",
    "transform",
]

State = Any
"""`mi.parser.ParserState`. Its nodes are named by index here: adding one moves all of them in memory."""

ROOT = 0


def parser_config(*, strict: bool = False) -> Any:
    """Parser settings that keep every node and its id, and instantiate in one fixed order.

    Instantiating in parallel makes the numbers under which Dr.Jit knows the objects, and with them the kernels, differ
    from run to run, and was not quicker on the scenes that were measured.

    Args:
        strict: a property that no plugin asked for is an error, not silence.
    """
    import pipeline.scene.captured  # noqa: F401  (its import registers the plugin, and needs the variant)

    config = mi.parser.ParserConfig(mi.variant() or "")
    config.merge_equivalent = config.merge_meshes = config.parallel = False
    config.unused_properties = config.unused_parameters = mi.LogLevel.Error if strict else mi.LogLevel.Debug
    return config


def parse_file(path: Path) -> State:
    """Parses, upgrades and resolves an XML scene. RuntimeError as Mitsuba words it."""
    config = parser_config()
    return _resolved(config, mi.parser.parse_file(config, str(path)))


def parse_text(text: str) -> State:
    """As `parse_file`, of XML text."""
    config = parser_config()
    return _resolved(config, mi.parser.parse_string(config, text))


def parse_dict(scene: dict[str, Any]) -> State:
    """As `parse_file`, of a scene dict. It must hold no None: Mitsuba would end the process."""
    config = parser_config()
    return _resolved(config, mi.parser.parse_dict(config, scene))


def _resolved(config: Any, state: State) -> State:
    mi.parser.transform_all(config, state)
    return state


def instantiate(state: State, *, strict: bool = False) -> Any:
    """The object that a parsed state describes. The state is used up: its nodes hold the made objects afterwards."""
    made = mi.parser.instantiate(parser_config(strict=strict), state)
    return made[0] if isinstance(made, list) else made


def children(state: State, parent: int = ROOT, kind: Any = None) -> list[tuple[str, int]]:
    """(property name, node) of the children of a node, optionally only those of one `mi.ObjectType`."""
    props = state.nodes[parent].props
    named = [
        (name, props[name].index())
        for name in list(props.keys())
        if props.type(name) == mi.Properties.Type.ResolvedReference
    ]
    return [(name, index) for name, index in named if kind is None or state.nodes[index].type == kind]


def child(state: State, parent: int, kind: Any) -> int | None:
    """The first child of that kind, or None."""
    return next((index for _, index in children(state, parent, kind)), None)


def add_child(state: State, parent: int, name: str, kind: Any, plugin: str, **values: Any) -> int:
    """Adds a node to `parent` as its property `name`, and returns it."""
    node = mi.parser.SceneNode()
    node.type = kind
    node.props.set_plugin_name(plugin)
    for key, value in values.items():
        node.props[key] = value
    state.nodes.append(node)
    index = len(state.nodes) - 1
    state.nodes[parent].props[name] = mi.Properties.ResolvedReference(index)
    return index


def clear(state: State, node: int, *, keep: tuple[str, ...] = ()) -> None:
    """Removes all properties of a node but those named. A child that nothing refers to is never instantiated."""
    props = state.nodes[node].props
    for name in list(props.keys()):
        if name not in keep:
            del props[name]


def matrix(state: State, node: int, name: str = "to_world") -> NDArray[np.float64]:
    """A transform property as 4×4 float64; the identity where it is not set."""
    props = state.nodes[node].props
    if name not in props:
        return np.eye(4)
    return np.array(props[name].matrix, dtype=np.float64).reshape(4, 4)


def transform(values: NDArray[np.float64]) -> Any:
    """4×4 float64 → a transform property."""
    return mi.ScalarAffineTransform4d(values)
