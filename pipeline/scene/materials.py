"""Captured materials in place of a scene's BSDFs.

A BSDF that the shot names becomes the plugin `captured` with four raw bitmaps, under the same id, so that whatever
referred to it wears the material. Where the old one had a texture that was placed by `to_uv`, the new ones are placed
likewise. Needs Mitsuba with a variant set.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mitsuba as mi

from pipeline.errors import AssetError
from pipeline.scene import captured_asset, nodes

__all__ = ["problems_of", "replace"]


def problems_of(materials: Mapping[str, str], directory: Path) -> list[str]:
    """What is wrong with the assets that a shot names, a line each.

    Args:
        materials: BSDF id → the asset's folder, from the shot's own.
        directory: of the shot.
    """
    problems = []
    for name, folder in materials.items():
        try:
            captured_asset.read(directory / folder)
        except AssetError as error:
            problems.append(f"materials.{name}: {error}")
    return problems


def replace(state: nodes.State, materials: Mapping[str, str], directory: Path) -> None:
    """Puts the assets in place of the BSDFs; ids that the scene lacks are left to others to tell.

    Raises:
        AssetError: an asset cannot be used.
    """
    by_id = {
        state.nodes[index].props.id(): index
        for index in range(len(state.nodes))
        if state.nodes[index].type == mi.ObjectType.BSDF
    }
    for name, folder in materials.items():
        if name in by_id:
            _replace(state, by_id[name], captured_asset.read(directory / folder))
    _forget_nodes_out_of_use(state)


def _replace(state: nodes.State, node: int, asset: captured_asset.CapturedAsset) -> None:
    placed = _to_uv(state, node)
    nodes.clear(state, node)
    state.nodes[node].props.set_plugin_name(captured_asset.PLUGIN)
    values: dict[str, Any] = {} if placed is None else {"to_uv": placed}
    for name, path in asset.maps.items():
        file = str(path.absolute())
        nodes.add_child(state, node, name, mi.ObjectType.Texture, "bitmap", filename=file, raw=True, **values)
    if placed is not None:
        state.nodes[node].props["to_uv"] = placed


def _to_uv(state: nodes.State, node: int) -> Any:
    """Placement of the first texture below a BSDF that has one."""
    for _, child in nodes.children(state, node):
        props = state.nodes[child].props
        if state.nodes[child].type == mi.ObjectType.Texture and "to_uv" in props:
            return props["to_uv"]
        if (found := _to_uv(state, child)) is not None:
            return found
    return None


def _forget_nodes_out_of_use(state: nodes.State) -> None:
    """Nodes that nothing refers to any more lose their files, which must not be kept, and their ids."""
    reached, waiting = {nodes.ROOT}, [nodes.ROOT]
    while waiting:
        for _, child in nodes.children(state, waiting.pop()):
            if child not in reached:
                reached.add(child)
                waiting.append(child)
    for index in range(len(state.nodes)):
        if index not in reached:
            nodes.clear(state, index)
            state.nodes[index].props.set_id("")
