"""Pictures and movies of a preview, as files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import OpenEXR
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import ConfigError, StoreError
from pipeline.images import movie
from pipeline.images.viewing import to_png
from pipeline.radiosity.render import Answers

__all__ = ["ENDINGS", "Blend", "require_ending", "write_movie", "write_picture"]

STILLS, MOVIES = (".exr", ".png"), (".mp4",)
ENDINGS = (*STILLS, *MOVIES)


@dataclass(frozen=True)
class Blend:
    """A cache between two key frames: (1 − w) · before + w · after."""

    before: Answers
    after: Answers
    weight: float

    def answer(self, asked: Tensor) -> Tensor:
        """S without a gradient: 12×N → N×3."""
        if self.weight == 0:
            return self.before.answer(asked)
        return (1 - self.weight) * self.before.answer(asked) + self.weight * self.after.answer(asked)


def require_ending(path: Path, *, moving: bool) -> None:
    """Refuses a file whose ending does not fit what it is to hold.

    Raises:
        ConfigError: with what would fit.
    """
    wanted = MOVIES if moving else STILLS
    if path.suffix.lower() not in wanted:
        what = "a camera path makes a movie" if moving else "one view makes a picture"
        raise ConfigError(f"{path}: {what}: the file must end in {' or '.join(wanted)}", path="--out")


def write_picture(path: Path, picture: NDArray[np.float32], *, exposure: float = 0.0) -> None:
    """Writes an H×W×3 linear picture: `.exr` as it is, `.png` as a display shows it.

    Raises:
        StoreError: the file cannot be written.
    """
    with _in_place(path) as temporary:
        if path.suffix.lower() == ".png":
            to_png(picture, temporary, exposure=exposure)
            return
        header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
        pixels = np.ascontiguousarray(picture, dtype=np.float32)
        with OpenEXR.File(header, {"RGB": pixels}) as file:
            file.write(str(temporary))


def write_movie(
    path: Path,
    pictures: Iterator[NDArray[np.float32]],
    *,
    fps: Fraction,
    exposure: float = 0.0,
    on_picture: Callable[[int], None] = lambda done: None,
) -> int:
    """Writes pictures as an H.264 movie.

    Args:
        path: of the movie.
        pictures: H×W×3, linear, of one size; taken one by one.
        fps: pictures a second.
        exposure: stops.
        on_picture: told how many there are.

    Returns:
        how many there were.

    Raises:
        StoreError: the movie cannot be written, or there is no ffmpeg.
    """
    with tempfile.TemporaryDirectory(prefix="penumbra-preview-") as folder:
        files: list[Path] = []
        for picture in pictures:
            files.append(Path(folder) / f"{len(files):06}.png")
            to_png(picture, files[-1], exposure=exposure)
            on_picture(len(files))
        with _in_place(path) as temporary:
            made = movie.write(temporary, files, fps=fps)
            if made.path is None:
                raise StoreError(f"{path}: {made.note}")
    return len(files)


@contextmanager
def _in_place(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`, which takes its place once it is whole."""
    temporary = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
