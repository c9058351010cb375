"""The library: captured materials below folders, with what their records say."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import AssetError
from pipeline.scene.captured_asset import CapturedAsset, is_asset, read

__all__ = ["Entry", "find"]

DEPTH = 4
"""Folders below those that are searched."""


@dataclass(frozen=True)
class Entry:
    """An asset, or what is wrong with it."""

    directory: Path
    asset: CapturedAsset | None
    problem: str = ""


def find(folders: Sequence[Path]) -> Iterator[Entry]:
    """All assets at or below the folders, by name.

    Raises:
        AssetError: a folder is missing.
    """
    for folder in folders:
        if not folder.is_dir():
            raise AssetError(f"{folder}: there is no such folder")
        for directory in sorted(_below(folder)):
            try:
                yield Entry(directory, read(directory))
            except AssetError as error:
                yield Entry(directory, None, str(error))


def _below(folder: Path) -> Iterator[Path]:
    for path, folders, _ in os.walk(folder):
        here = Path(path)
        folders[:] = [] if len(here.relative_to(folder).parts) >= DEPTH else [f for f in folders if f[:1] != "."]
        if is_asset(here):
            folders.clear()
            yield here
