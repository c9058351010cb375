"""The movie of a shot: its viewing PNGs as H.264, at the shot's exact rate, holding the last picture over gaps.

A movie is a convenience: where there is no ffmpeg, or it fails, the frames stand and a note says what is missing.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import ProductError

__all__ = ["Movie", "find_ffmpeg", "write"]

Pixels = NDArray[np.uint8]

_CRF = "16"  # visually lossless: what is seen is the render, not the codec
_THREADS = "2"  # x264's output depends on the number of threads: a fixed one keeps the bytes the same everywhere


@dataclass(frozen=True)
class Movie:
    """What came of it: a path, or the note that says why there is none; `held` counts frames that repeat another."""

    path: Path | None
    note: str | None = None
    held: int = 0


def find_ffmpeg() -> str | None:
    """The ffmpeg that `imageio-ffmpeg` carries, else the one on the PATH, else None."""
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):  # RuntimeError: the package carries none for this platform
        return shutil.which("ffmpeg")


def write(
    path: Path,
    frames: Sequence[Path | None],
    *,
    fps: Fraction,
    ffmpeg: str | None = None,
    slate: Callable[[tuple[int, int]], Pixels] | None = None,
    label: Callable[[int, Pixels], Pixels] | None = None,
) -> Movie:
    """Writes an MP4 (H.264, yuv420p, Rec. 709), overwriting `path`.

    Args:
        frames: the viewing PNG of each frame of the range in order, all of one size; None where there is none: the
            picture before is held, and before the first one the first.
        fps: exact; 24000/1001 stays 24000/1001.
        ffmpeg: the program; None looks for it.
        slate: makes a picture of (H, W) that is shown for a second before the first frame; None: no slate.
        label: puts its text into the picture of a frame, by its place in `frames`; None leaves pictures as they are.

    Returns:
        the movie, or a note where nothing can be written. Odd sizes are padded by one repeated row or column.

    Raises:
        ProductError: a picture cannot be read, or is of another size than the first.
    """
    program = ffmpeg or find_ffmpeg()
    if program is None:
        return Movie(None, "no movie: ffmpeg is missing (pip install imageio-ffmpeg)")
    pictures = _held(frames)
    if not pictures:
        return Movie(None, "no movie: there are no frames")
    height, width = _even(_read(pictures[0])).shape[:2]
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(
                _command(program, path, width, height, fps),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        except OSError as error:
            return Movie(None, f"no movie: {program} cannot be started: {error.strerror or error}")
        try:
            _feed(process, _stream(pictures, (height, width), fps, slate, label))
        except BaseException:
            process.kill()
            process.wait()
            path.unlink(missing_ok=True)
            raise
        if process.wait() != 0:
            log.seek(0)
            lines = log.read().decode(errors="replace").strip().splitlines()
            path.unlink(missing_ok=True)
            return Movie(None, f"no movie: ffmpeg failed: {lines[-1] if lines else f'exit {process.returncode}'}")
    return Movie(path, held=sum(frame is None for frame in frames))


def _command(program: str, path: Path, width: int, height: int, fps: Fraction) -> list[str]:
    rate = f"{fps.numerator}/{fps.denominator}"
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", rate, "-i", "-"]
    codec = ["-c:v", "libx264", "-preset", "medium", "-crf", _CRF, "-threads", _THREADS, "-pix_fmt", "yuv420p"]
    colour = ["-vf", "scale=out_color_matrix=bt709:out_range=tv"]
    colour += ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "iec61966-2-1", "-color_range", "tv"]
    # bitexact: no encoder version and no creation time in the file; faststart: browsers play it while it loads.
    container = ["-r", rate, "-fflags", "+bitexact", "-flags:v", "+bitexact", "-movflags", "+faststart", "-f", "mp4"]
    return [program, "-y", "-v", "error", *source, *colour, *codec, *container, str(path)]


def _held(frames: Sequence[Path | None]) -> list[Path]:
    """Each frame's picture, or the last one before it; before the first one, the first. Empty when there are none."""
    current = next((frame for frame in frames if frame is not None), None)
    if current is None:
        return []
    pictures = []
    for frame in frames:
        current = frame or current
        pictures.append(current)
    return pictures


def _stream(
    pictures: Sequence[Path],
    shape: tuple[int, int],
    fps: Fraction,
    slate: Callable[[tuple[int, int]], Pixels] | None,
    label: Callable[[int, Pixels], Pixels] | None,
) -> Iterator[bytes]:
    if slate is not None:
        first = slate(shape).tobytes()
        for _ in range(max(round(fps), 1)):
            yield first
    for place, picture in enumerate(pictures):
        pixels = _even(_read(picture))
        if pixels.shape[:2] != shape:
            raise ProductError(f"{picture}: {pixels.shape[1]}×{pixels.shape[0]}, the movie is {shape[1]}×{shape[0]}")
        yield (pixels if label is None else label(place, pixels)).tobytes()


def _feed(process: subprocess.Popen[bytes], data: Iterator[bytes]) -> None:
    assert process.stdin is not None  # it was opened with PIPE
    try:
        with process.stdin as pipe:
            for chunk in data:
                pipe.write(chunk)
    except BrokenPipeError:
        pass  # ffmpeg has ended; its exit code and its log say why


def _read(picture: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(picture) as opened:
            return np.asarray(opened.convert("RGB"))
    except OSError as error:
        raise ProductError(f"{picture}: the viewing image cannot be read: {error}") from error


def _even(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    # yuv420p halves both sides
    return np.pad(pixels, ((0, pixels.shape[0] % 2), (0, pixels.shape[1] % 2), (0, 0)), mode="edge")
