"""`shot.yaml`: what a shot is, and how it is to be rendered."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr, field_validator
from pydantic_core.core_schema import ValidationInfo

from pipeline.config.camera import Camera
from pipeline.config.colour import Colour
from pipeline.config.denoise import Denoise
from pipeline.config.film import Film, Shutter
from pipeline.config.keyframes import ShapeKeyframe
from pipeline.config.layers import Layers
from pipeline.config.output import Output
from pipeline.config.overrides import Override
from pipeline.config.preview import Preview
from pipeline.config.sampling import Sampling
from pipeline.config.terms import Terms
from pipeline.config.values import ConfigModel, Frames, Id, Integer, Keyframes, PathText, Rate, ShotName
from pipeline.errors import ConfigError

__all__ = ["MAX_RESOLUTION", "Shot"]

MAX_RESOLUTION = 32768

_FRAME_PATTERN = re.compile(r"%0?\d?d")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Shot(ConfigModel):
    """A shot as configured. Immutable; equal when it says the same, wherever it was read from.

    A shot that was loaded from a file also knows that file's directory, which relative paths start from. The
    directory is no part of the shot's data: it is neither dumped nor compared.
    """

    shot: ShotName = Field(description="Name: letters, digits, _ . -; names the directory of its renders.")
    show: str = Field(default="", description="Name of the show, for templates of paths; set in show.yaml.")
    sequence: str = Field(default="", description="Name of the sequence; set in sequence.yaml.")
    scene: PathText = Field(
        description="Mitsuba scene: .xml, .py with build(frame) -> dict, or a file per frame, scene.%04d.xml."
    )
    frames: Frames = Field(description="Frames to render, Fileseq syntax: 1001-1008, 1-10x2, 1,3,5-7.")
    fps: Rate = Field(default=Fraction(24), description='Frames per second, exact: 24, 23.976 or "24000/1001".')
    resolution: tuple[Integer, Integer] | None = Field(
        default=None, description="[width, height] in pixels, 1 … 32768 each; null: the size of the scene's film."
    )
    camera: Camera | None = Field(default=None, description="Replaces the scene's first sensor; null: the scene's own.")
    shutter: Shutter | None = Field(
        default=None,
        description="[open, close] in frames from the frame's time, -1 … 1: motion blur; null: an instant.",
    )
    film: Film = Field(default_factory=Film, description="Filter of the pixels, window, steps of the shutter.")
    colour: Colour = Field(default_factory=Colour, description="Spaces of light, EXRs and textures.")
    layers: Layers = Field(default_factory=Layers, description="Groups of lights, mattes, AOVs.")
    animate: dict[Id, Keyframes[ShapeKeyframe]] = Field(
        default_factory=dict, description="Keyframes by the id of a shape in the scene, by frame."
    )
    materials: dict[Id, PathText] = Field(
        default_factory=dict, description="Directory of a captured material by the id of the BSDF that it replaces."
    )
    overrides: dict[Id, Override] = Field(
        default_factory=dict,
        description="Changed values by the id of a shape, light or BSDF, or `camera`; `pipeline match` writes them.",
    )
    sampling: Sampling = Field(default_factory=Sampling, description="Integrator, samples and when to stop.")
    denoise: Denoise = Field(default_factory=Denoise, description="Denoiser and λ.")
    preview: Preview = Field(default_factory=Preview, description="How the shot is shown while it is being lit.")
    output: Output = Field(default_factory=Output, description="Where else frames are put, by templates.")
    priority: Integer = Field(default=5, ge=0, le=9, description="0 (last) … 9 (first).")
    farm: Terms = Field(default_factory=Terms, description="Terms on which a farm makes the shot.")

    _directory: Path | None = PrivateAttr(default=None)

    @field_validator("show", "sequence")
    @classmethod
    def _is_a_name_or_nothing(cls, name: str) -> str:
        if name and not _NAME.fullmatch(name):
            raise ValueError(f"{name!r:.70} is not a name: up to 64 letters, digits, _ . -; a letter or digit first")
        return name

    @field_validator("resolution", mode="before")
    @classmethod
    def _is_width_and_height(cls, resolution: Any) -> Any:
        if resolution is None:
            return None
        if (
            not isinstance(resolution, (list, tuple))
            or len(resolution) != 2
            or not all(isinstance(n, int) and not isinstance(n, bool) for n in resolution)
        ):
            raise ValueError(f"must be two whole numbers [width, height], not {resolution!r:.40}")
        if not all(1 <= n <= MAX_RESOLUTION for n in resolution):
            raise ValueError(f"width and height must lie between 1 and {MAX_RESOLUTION}, not {list(resolution)!r:.40}")
        return resolution

    @field_validator("film")
    @classmethod
    def _fits_the_picture(cls, film: Film, info: ValidationInfo) -> Film:
        resolution = info.data.get("resolution")
        if resolution is not None and 2 * film.radius > min(resolution):
            raise ValueError(f"filter_radius: a filter {2 * film.radius:g} pixels wide is wider than the picture")
        if resolution is not None:
            film.window(*resolution)
        return film

    @field_validator("scene")
    @classmethod
    def _is_a_scene_file(cls, scene: str) -> str:
        if not scene.lower().endswith((".xml", ".py")):
            raise ValueError(f"must be an .xml or a .py file, not {scene!r:.60}")
        if len(_FRAME_PATTERN.findall(Path(scene).name)) > 1 or _FRAME_PATTERN.search(str(Path(scene).parent)):
            raise ValueError(f"may have one frame pattern such as %04d, in the file's name, not {scene!r:.60}")
        return scene

    @property
    def directory(self) -> Path:
        """Directory of the file that the shot was loaded from.

        Raises:
            ConfigError: it was made from plain data.
        """
        if self._directory is None:
            raise ConfigError(f"shot {self.shot} was not loaded from a file, so that its relative paths lead nowhere")
        return self._directory

    def at(self, directory: Path) -> Shot:
        """The same shot, whose relative paths start from `directory`."""
        moved = self.model_copy()
        moved._directory = directory
        return moved

    def resolve(self, path: str) -> Path:
        """`path` as written in the shot, from the shot's directory unless it is absolute."""
        return Path(path) if Path(path).is_absolute() else self.directory / path

    @property
    def rendered_size(self) -> tuple[int, int] | None:
        """(width, height) of what is rendered: the frame, its crop, or with its overscan. None: as the scene says."""
        if self.resolution is None:
            return None
        window = self.film.window(*self.resolution)
        return window.width, window.height

    @property
    def scene_per_frame(self) -> bool:
        """Whether `scene` is a pattern that names one file per frame."""
        return _FRAME_PATTERN.search(self.scene) is not None

    def scene_path(self, frame: int) -> Path:
        """The scene file of a frame: `scene`, with `%04d` replaced (as printf does) where it has one."""
        return self.resolve(_FRAME_PATTERN.sub(lambda pattern: pattern[0] % frame, self.scene))

    @property
    def frame_list(self) -> list[int]:
        """Frames in ascending order."""
        return list(self.frames)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shot) and self.model_dump() == other.model_dump()

    def __hash__(self) -> int:
        return hash(self.model_dump_json())
