"""Names on the command line become frames by number."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config.frames import FrameRange
from pipeline.denoise.sequence.files import find, gaps, number_of
from pipeline.errors import ConfigError


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    """A folder with frames 998, 1000, 1001 and 1003 of a shot, in no order of names, and what is not a frame."""
    for number in (1003, 998, 1000, 1001):
        (tmp_path / f"shot.{number}.exr").touch()
    for other in (".shot.1002.exr.7.part", ".shot.1002.exr", "notes.txt"):
        (tmp_path / other).touch()
    return tmp_path


def never(line: str) -> None:
    raise AssertionError(line)


@pytest.mark.parametrize("pattern", ["", "shot.#.exr", "shot.%04d.exr", "shot.@@@@.exr", "shot.$F4.exr"])
def test_a_folder_and_every_pattern_name_its_frames_in_the_order_of_their_numbers(shot: Path, pattern: str) -> None:
    frames = find([str(shot / pattern)], never)

    assert list(frames) == [998, 1000, 1001, 1003]
    assert frames[1001] == shot / "shot.1001.exr"


def test_a_range_names_its_frames_alone_and_says_which_are_not_there(shot: Path) -> None:
    told: list[str] = []

    frames = find([str(shot / "shot.1000-1004#.exr")], told.append)

    assert list(frames) == [1000, 1001, 1003]
    assert told == [f"{shot}/shot.1000-1004#.exr: frames 1002,1004 are not there"]


def test_files_are_taken_as_they_are_named_once_each(shot: Path) -> None:
    named = [str(shot / f"shot.{number}.exr") for number in (1003, 998, 1003)]

    assert list(find(named, never)) == [998, 1003]


@pytest.mark.parametrize(
    ("name", "number"),
    [("a.1001.exr", 1001), ("0007.exr", 7), ("render0042.exr", 42), ("a.-0003.exr", -3), ("a-12.exr", 12),
     ("shot_010_v2.1001.exr", 1001), ("a.1001.beauty.exr", 1001), ("still.exr", None)],
)  # fmt: skip
def test_the_number_is_the_last_one_in_the_name(name: str, number: int | None) -> None:
    assert number_of(Path(name)) == number


def test_a_single_file_needs_no_number(tmp_path: Path) -> None:
    (tmp_path / "still.exr").touch()

    assert find([str(tmp_path / "still.exr")], never) == {0: tmp_path / "still.exr"}


@pytest.mark.parametrize(
    ("files", "asked", "message"),
    [
        ((), "", "no EXR frames are there"),
        ((), "a.#.exr", "no EXR frames are there"),
        ((), "a.1-4#.exr", "no EXR frames are there"),
        ((), "b.exr", "no such file or folder"),
        ((), "a.1-99999999999#.exr", "is not a pattern of frames"),
        (("a.1.exr", "b.2.exr"), "", "are of different sequences"),
        (("a.1.exr", "b.1.exr"), "", "is frame 1, and so is"),
        (("a.exr", "b.exr"), "", "has no frame number in its name"),
    ],
)
def test_what_is_no_sequence_is_refused(tmp_path: Path, files: tuple[str, ...], asked: str, message: str) -> None:
    for name in files:
        (tmp_path / name).touch()

    with pytest.raises(ConfigError, match=message) as caught:
        find([str(tmp_path / asked)], never)

    assert "\n" not in str(caught.value)


def test_gaps_are_the_numbers_between() -> None:
    assert gaps([1001, 1002, 1005, 1007]) == FrameRange.parse("1003-1004,1006")
    assert gaps([3]) is None
