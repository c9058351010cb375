"""What is rendered of a training scene, and what makes the scenes. Light: nothing here imports Mitsuba."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pipeline.scene.spec import SceneSpec

__all__ = ["RENDERS", "SUB_BUFFERS", "Recipe", "Scenes", "Take"]

RENDERS = 3
"""Independent renders of the centre frame, for the reference."""

SUB_BUFFERS = (4, 4, 8, 16, 32)
"""Samples per pixel of each. Their sums are all multiples of 4 up to 64; the sum of the first k doubles with each k."""


@dataclass(frozen=True)
class Take:
    """What is rendered of every scene.

    Attributes:
        radius: frames on either side of the centre.
        size: width and height, pixels.
        reference_spp: samples per pixel of each of the three renders behind the reference.
        sub_buffers: samples per pixel of each, 2 or more.
    """

    radius: int = 1
    size: int = 128
    reference_spp: int = 96
    sub_buffers: tuple[int, ...] = SUB_BUFFERS

    @property
    def frames(self) -> int:
        """Of a sequence."""
        return 2 * self.radius + 1


class Recipe(Protocol):
    """What a scene is made by."""

    @property
    def kind(self) -> str:
        """Of scene, one word."""
        ...

    @property
    def tags(self) -> Mapping[str, Any]:
        """What the scene is like; JSON values."""
        ...


class Scenes(Protocol):
    """Makes scenes; a module may be one."""

    def recipe(self, seed: int, *, resolution: tuple[int, int], frames: int) -> Any:
        """A pure function: the `Recipe` of a scene whose frames are numbered from 1."""
        ...

    def place(self, recipe: Any, blobs_directory: Path) -> SceneSpec:
        """Writes the scene's files."""
        ...
