"""A scene of another program, read by what its file is."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from pipeline.errors import ConfigError
from pipeline.interchange.description import Description

__all__ = ["read_scene"]

_GLTF: Final = (".gltf", ".glb")
_USD: Final = (".usd", ".usda", ".usdc", ".usdz")


def read_scene(path: Path, *, root: Path | None = None, frame: float | None = None) -> Description:
    """What was understood of a scene, and what was not.

    Args:
        path: `.gltf`, `.glb`, `.usd`, `.usda`, `.usdc` or `.usdz`.
        root: folder that all of its files lie in; None: the file's own.
        frame: time code of which everything is taken, of USD; None: the first.

    Raises:
        ConfigError: a file of another kind, or USD is not installed.
        SceneError: it cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix in _GLTF:
        if frame is not None:
            raise ConfigError("glTF is taken in the pose of its file", path="--frame")
        from pipeline.interchange.gltf import read_gltf

        return read_gltf(path, root=root)
    if suffix in _USD:
        if find_spec("pxr") is None:
            raise ConfigError("USD is not installed", path=path, suggestion="pip install 'penumbra-pipeline[usd]'")
        from pipeline.interchange.usd import read_usd

        return read_usd(path, root=root, frame=frame)
    raise ConfigError("is neither glTF nor USD", path=path, suggestion="export it as .glb or .usd")
