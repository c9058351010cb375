"""Files that a USD stage names: read where they lie below the folder that is allowed, or in a package."""

from __future__ import annotations

import zipfile
from pathlib import Path

from pxr import Ar, Sdf, Usd

from pipeline.errors import SceneError

__all__ = ["Assets"]


class Assets:
    """The files of a stage.

    Args:
        root: folder that everything must lie in.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def require_inside(self, stage: Usd.Stage) -> None:
        """Raises SceneError: a layer of the stage lies elsewhere."""
        for layer in stage.GetUsedLayers():
            if layer.realPath and not self._is_inside(_outer(layer.realPath)[0]):
                raise SceneError(
                    f"{layer.realPath}: lies outside of {self.root}; name a folder that holds all with --root"
                )

    def read(self, asset: Sdf.AssetPath) -> bytes | None:
        """A file's bytes; None where it is not found, or lies elsewhere."""
        file, inner = _outer(asset.resolvedPath)
        if not file or not self._is_inside(file):
            return None
        try:
            if not inner:
                return Path(file).read_bytes()
            with zipfile.ZipFile(file) as package:
                return package.read(inner)
        except (OSError, KeyError, zipfile.BadZipFile):
            return None

    def _is_inside(self, file: str) -> bool:
        return Path(file).resolve().is_relative_to(self.root)


def _outer(path: str) -> tuple[str, str]:
    """The file of a path, and what is meant in it where it is a package: `a.usdz[wood.png]`."""
    if not Ar.IsPackageRelativePath(path):
        return path, ""
    outer, inner = Ar.SplitPackageRelativePathOuter(path)
    return str(outer), str(inner)
