"""Neural maps that a scene names as files, decoded into pixels when the scene is loaded.

A bitmap or an environment light whose file name ends in `.neural` gets the pixels in place of the name. Frozen scenes
and their blobs keep the small file. Needs Mitsuba with a variant set.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import SceneError
from pipeline.images import neural_map
from pipeline.scene import nodes

__all__ = ["PLUGINS", "decode_all"]

PLUGINS = ("bitmap", "envmap")
"""Plugins that take pixels in place of a file."""


def decode_all(state: nodes.State) -> None:
    """Replaces the neural maps of a parsed scene by their pixels; file names must be paths by now.

    Raises:
        SceneError: a plugin of another kind names one.
        AssetError: a file is damaged.
    """
    for index in range(len(state.nodes)):
        props = state.nodes[index].props
        if "filename" not in props or not str(props["filename"]).endswith(neural_map.SUFFIX):
            continue
        if props.plugin_name() not in PLUGINS:
            plugins = " and ".join(PLUGINS)
            raise SceneError(f"{props['filename']}: a neural map is read by {plugins}, not by '{props.plugin_name()}'")
        path = Path(props["filename"])
        pixels, encoded = _pixels(path, path.stat().st_mtime_ns)
        del props["filename"]
        props["bitmap"] = _bitmap(pixels, encoded)


@functools.lru_cache(maxsize=8)
def _pixels(path: Path, changed: int) -> tuple[NDArray[Any], bool]:
    """H×W×C, and whether they are display-encoded; decoded once per process while the file does not change."""
    stored = neural_map.read(path)
    codes = neural_map.decode(stored)
    return (codes, True) if stored.coding == "display" else (codes.view(np.float16), False)


def _bitmap(pixels: NDArray[Any], encoded: bool) -> Any:
    """What reading a file of these pixels would give: the plugin's own `raw` says what becomes of the encoding."""
    bitmap = mi.Bitmap(np.ascontiguousarray(pixels))
    bitmap.set_srgb_gamma(encoded)
    return bitmap
