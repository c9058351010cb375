"""Live values in scene dicts (bitmaps, arrays, grids, meshes) written to files, so that the scene can be frozen.

Needs Mitsuba with a variant set.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import mitsuba as mi
import numpy as np

from pipeline.errors import SceneError
from pipeline.scene import blobs, nodes

__all__ = ["write_out"]

IMAGES = ("bitmap", "envmap")
"""Plugins that take pixels as `bitmap` (an `mi.Bitmap`) or `data` (a tensor) in place of `filename`."""


def write_out(source: str, state: nodes.State, directory: Path, files: dict[str, str]) -> list[str]:
    """Replaces live values by blobs.

    Args:
        source: the scene file.
        state: a parsed dict; changed in place.
        directory: of the blobs.
        files: blob → where it came from; added to.

    Returns:
        What cannot be kept, one line each.
    """
    problems = []
    with tempfile.TemporaryDirectory(prefix="penumbra-live-") as folder:
        for index, key in _live(state):
            above = state.node_paths[index]
            where = key if index == nodes.ROOT else f"{above}.{key}"
            try:
                path = _write(state, index, key, state.nodes[index].props[key], Path(folder))
            except SceneError as error:
                problems.append(f"{source}: {where} {error}")
                continue
            name = blobs.put(directory, path)
            files[name] = f"{Path(source).name}: {where}"
            _name_file(state, index, key, name)
    return problems


def _live(state: nodes.State) -> list[tuple[int, str]]:
    """(node, property) of all live values."""
    kinds = (mi.Properties.Type.Object, mi.Properties.Type.Any)
    return [
        (index, key)
        for index in range(len(state.nodes))
        for key in list(state.nodes[index].props.keys())
        if state.nodes[index].props.type(key) in kinds
    ]


def _write(state: nodes.State, index: int, key: str, value: Any, folder: Path) -> Path:
    """Writes one value to a file.

    Raises:
        SceneError: it cannot be.
    """
    props = state.nodes[index].props
    plugin = props.plugin_name()
    if plugin in IMAGES and key in ("bitmap", "data"):
        path = folder / "image.exr"
        bitmap = mi.Bitmap(value) if isinstance(value, mi.Bitmap) else _bitmap(value)
        if bool(props.get("raw", False)):
            bitmap.set_srgb_gamma(False)  # raw pixels are numbers: no curve is taken off them
        sample = bitmap.component_format()
        wanted = sample if sample in (mi.Struct.Type.Float16, mi.Struct.Type.Float32) else mi.Struct.Type.Float32
        bitmap.convert(bitmap.pixel_format(), wanted, False).write(str(path))
        return path
    if plugin == "gridvolume" and isinstance(value, mi.VolumeGrid):
        path = folder / "grid.vol"
        value.write(str(path))
        return path
    if isinstance(value, mi.Mesh):
        return _mesh(value, folder / "mesh.ply")
    what = value.class_name() if isinstance(value, mi.Object) else type(value).__name__
    raise SceneError(
        f"is a live {what}, which cannot be kept in a file; build it from plain values, or write a file and name that"
    )


def _bitmap(value: Any) -> Any:
    pixels = np.array(value, dtype=np.float32)
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4) or 0 in pixels.shape:
        raise SceneError(f"pixels of shape {tuple(pixels.shape)} are not height × width × 1, 3 or 4 channels")
    return mi.Bitmap(np.ascontiguousarray(pixels))


def _mesh(mesh: Any, path: Path) -> Path:
    """A live mesh keeps its geometry only, so it must not have more."""
    plain = mi.load_dict({"type": "cube"}).bsdf()
    if mesh.emitter() is not None or str(mesh.bsdf()) != str(plain):
        raise SceneError(
            "a live mesh with a BSDF or an emitter of its own cannot be kept; write it with write_ply() and name "
            'the file: {"type": "ply", "filename": …, "bsdf": …}'
        )
    mesh.write_ply(str(path))
    return path


def _name_file(state: nodes.State, index: int, key: str, name: str) -> None:
    props = state.nodes[index].props
    if props.plugin_name() in (*IMAGES, "gridvolume"):
        del props[key]
        props["filename"] = name
        return
    parent = "" if index == nodes.ROOT else f"{props.id()}."  # read before the nodes move
    mesh = nodes.add_child(state, index, key, mi.ObjectType.Shape, "ply", filename=name)
    state.nodes[mesh].props.set_id(f"{parent}{key}")
