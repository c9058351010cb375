"""Movies: decoded again, they have the shot's rate, length, size and colours; without ffmpeg there is a note."""

from __future__ import annotations

import re
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import ProductError
from pipeline.images import movie

FFMPEG = movie.find_ffmpeg()
needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="no ffmpeg")

RED, GREEN, BLUE = (200, 30, 30), (30, 180, 40), (30, 40, 190)


def png(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (32, 16)) -> Path:
    Image.new("RGB", size, colour).save(path)
    return path


def decoded(path: Path, width: int, height: int) -> np.ndarray:
    assert FFMPEG is not None
    raw = subprocess.run(
        [FFMPEG, "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        check=True,
        capture_output=True,
    ).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)


def described(path: Path) -> str:
    assert FFMPEG is not None
    return subprocess.run([FFMPEG, "-hide_banner", "-i", str(path)], capture_output=True, text=True).stderr


@needs_ffmpeg
def test_gaps_hold_the_picture_before_and_leading_gaps_the_first(tmp_path: Path) -> None:
    red, green = png(tmp_path / "1.png", RED), png(tmp_path / "2.png", GREEN)
    blue = png(tmp_path / "3.png", BLUE)

    made = movie.write(tmp_path / "m.mp4", [None, red, None, green, blue, None], fps=Fraction(24))

    assert made == movie.Movie(tmp_path / "m.mp4", None, held=3)
    means = decoded(tmp_path / "m.mp4", 32, 16).mean(axis=(1, 2))
    assert np.abs(means - np.array([RED, RED, RED, GREEN, BLUE, BLUE])).max() < 4


@needs_ffmpeg
def test_the_rate_stays_rational(tmp_path: Path) -> None:
    pictures: list[Path | None] = [png(tmp_path / "1.png", RED)] * 24

    movie.write(tmp_path / "m.mp4", pictures, fps=Fraction(24000, 1001))

    assert re.search(r"23\.98 fps", described(tmp_path / "m.mp4"))
    assert "bt709" in described(tmp_path / "m.mp4")


@needs_ffmpeg
def test_odd_sizes_are_padded_to_even_ones(tmp_path: Path) -> None:
    made = movie.write(tmp_path / "m.mp4", [png(tmp_path / "1.png", RED, (31, 17))], fps=Fraction(25))

    assert made.path is not None
    assert decoded(tmp_path / "m.mp4", 32, 18).shape == (1, 18, 32, 3)


@needs_ffmpeg
def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    frames: list[Path | None] = [png(tmp_path / f"{i}.png", colour) for i, colour in enumerate((RED, GREEN, BLUE))]

    movie.write(tmp_path / "a.mp4", frames, fps=Fraction(24))
    movie.write(tmp_path / "b.mp4", frames, fps=Fraction(24))

    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@needs_ffmpeg
def test_a_picture_of_another_size_is_refused_and_nothing_half_made_stays(tmp_path: Path) -> None:
    frames: list[Path | None] = [png(tmp_path / "1.png", RED), png(tmp_path / "2.png", RED, (64, 16))]

    with pytest.raises(ProductError, match=r"2\.png: 64×16, the movie is 32×16"):
        movie.write(tmp_path / "m.mp4", frames, fps=Fraction(24))
    assert not (tmp_path / "m.mp4").exists()


@needs_ffmpeg
def test_when_ffmpeg_fails_its_last_line_is_the_note(tmp_path: Path) -> None:
    made = movie.write(tmp_path / "nowhere" / "m.mp4", [png(tmp_path / "1.png", RED)], fps=Fraction(24))

    assert made.path is None
    assert made.note is not None
    assert made.note.startswith("no movie: ffmpeg failed: ")


def test_without_ffmpeg_the_note_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(movie, "find_ffmpeg", lambda: None)

    made = movie.write(tmp_path / "m.mp4", [png(tmp_path / "1.png", RED)], fps=Fraction(24))

    assert made == movie.Movie(None, "no movie: ffmpeg is missing (pip install imageio-ffmpeg)")


def test_a_program_that_cannot_be_started_is_a_note(tmp_path: Path) -> None:
    made = movie.write(tmp_path / "m.mp4", [png(tmp_path / "1.png", RED)], fps=Fraction(24), ffmpeg="no-such-ffmpeg")

    assert made.note is not None
    assert "no-such-ffmpeg cannot be started" in made.note


def test_a_shot_without_any_frame_makes_no_movie(tmp_path: Path) -> None:
    made = movie.write(tmp_path / "m.mp4", [None, None], fps=Fraction(24), ffmpeg="unused")

    assert made == movie.Movie(None, "no movie: there are no frames")
