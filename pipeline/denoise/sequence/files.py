"""Which files are the frames of a sequence: names on the command line → paths by frame number."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from fileseq.filesequence import FileSequence

from pipeline.config.frames import MAX_FRAMES, FrameRange
from pipeline.errors import ConfigError

__all__ = ["find", "gaps", "number_of"]

_PATTERN = re.compile(r"[#@]|%\d*d|\$F\d*")
# The number stands last in the stem (`shot.1001`, `render0001`), or is its last one (`shot.1001.beauty`). A hyphen is a
# sign only where a separator stands before it: `shot.-0003` is frame −3, `shot-1001` is frame 1001.
_NUMBER = re.compile(r"(?:(?:(?<=[._])|^)-)?\d+(?=\D*$)")


def find(inputs: Sequence[str], warn: Callable[[str], None]) -> dict[int, Path]:
    """Frames by number, ascending.

    Args:
        inputs: files, folders (every `*.exr` in them), patterns as `shot.#.exr` or `shot.%04d.exr`, with a range
            (`shot.1001-1008#.exr`) or without one (every number that is there). A single file needs no number.
        warn: told of frames that a pattern names and that are not there.

    Raises:
        ConfigError: no frame is there, files of several sequences, two files with one number, a file without one.
    """
    paths = list(dict.fromkeys(path for text in inputs for path in _expanded(text, warn)))
    if not paths:
        raise ConfigError(f"no EXR frames are there: {', '.join(inputs)}")
    if len(paths) == 1:
        return {number_of(paths[0]) or 0: paths[0]}
    frames: dict[int, Path] = {}
    for path in paths:
        number = number_of(path)
        if number is None:
            raise ConfigError("has no frame number in its name", path=path, suggestion="denoise stills one at a time")
        if number in frames:
            raise ConfigError(
                f"is frame {number}, and so is {frames[number]}", path=path, suggestion="name one of them"
            )
        frames[number] = path
    _require_one_sequence(paths)
    return dict(sorted(frames.items()))


def number_of(path: Path) -> int | None:
    """The frame number in a file's name.

    >>> number_of(Path("shot_010.1001.exr")), number_of(Path("a.-0003.exr")), number_of(Path("a-12.exr"))
    (1001, -3, 12)
    >>> number_of(Path("still.exr"))
    """
    match = _NUMBER.search(path.stem)
    return None if match is None else int(match[0])


def gaps(frames: Iterable[int]) -> FrameRange | None:
    """Numbers that are missing between the first and the last one.

    >>> gaps([1, 2, 4, 7])
    FrameRange('3,5-6')
    >>> gaps([1, 2]) is None
    True
    """
    there = sorted(frames)
    missing: list[int] = []
    for before, after in pairwise(there):
        missing.extend(range(before + 1, min(after, before + MAX_FRAMES)))
    return FrameRange.of(missing[:MAX_FRAMES]) if missing else None


def _expanded(text: str, warn: Callable[[str], None]) -> Iterator[Path]:
    path = Path(text)
    if path.is_dir():
        yield from sorted(p for p in path.iterdir() if p.suffix.lower() == ".exr" and not p.name.startswith("."))
    elif path.exists():
        yield path
    elif _PATTERN.search(path.name):
        yield from _matching(text, warn)
    else:
        raise ConfigError("no such file or folder", path=text)


def _matching(pattern: str, warn: Callable[[str], None]) -> list[Path]:
    """Files that a Fileseq pattern names and that are there."""
    try:
        sequence = FileSequence(pattern)
        frames = sequence.frameSet()
    except ValueError as error:
        raise ConfigError(f"is not a pattern of frames: {error}", path=pattern) from error
    if frames:
        named = {int(frame): Path(sequence.frame(frame)) for frame in frames}
        absent = [frame for frame, path in named.items() if not path.is_file()]
        if 0 < len(absent) < len(named):
            warn(f"{pattern}: frames {FrameRange.of(absent)} are not there")
        return [path for path in named.values() if path.is_file()]
    folder = Path(sequence.dirname() or ".")
    name = re.compile(re.escape(sequence.basename()) + r"(-?\d+)" + re.escape(sequence.extension()))
    return sorted(path for path in folder.iterdir() if name.fullmatch(path.name)) if folder.is_dir() else []


def _require_one_sequence(paths: list[Path]) -> None:
    """Neighbours are found by number: files that belong to two sequences would be each other's neighbours."""
    names: dict[str, Path] = {}
    for path in paths:
        names.setdefault(_NUMBER.sub("#", path.stem), path)
    if len(names) > 1:
        first, second, *_ = names.values()
        raise ConfigError(
            f"{first.name} and {second.name} are of different sequences",
            suggestion=f"name one of them, as {first.with_stem(_NUMBER.sub('#', first.stem))}",
        )
