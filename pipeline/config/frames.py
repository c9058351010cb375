"""Frame ranges in Fileseq syntax, as an immutable value: `1001-1008`, `1-10x2`, `1,3,5-7`, `-5--1`."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fileseq.frameset import FrameSet

from pipeline.errors import ConfigError

__all__ = ["FRAME_LIMIT", "MAX_FRAMES", "FrameRange"]

FRAME_LIMIT = 2**31 - 1
"""Largest magnitude of a frame number: random numbers take the frame as 32 bits."""

MAX_FRAMES = 100_000
"""Most frames that one range may name; a slip of the keyboard (`1-10000000`) is refused, not expanded."""

# Fileseq's own grammar also knows decimal frames, non-ASCII digits and trailing padding; a render has none of these.
_PART = re.compile(r"(-?[0-9]{1,12})(?:-(-?[0-9]{1,12})(?:([xy:])([0-9]{1,12}))?)?")


@dataclass(frozen=True, slots=True, repr=False)
class FrameRange:
    """The frames of a shot: unique, ascending, never empty.

    >>> FrameRange.parse("1001-1008")
    FrameRange('1001-1008')
    >>> list(FrameRange.parse("1-10x3, 2"))
    [1, 2, 4, 7, 10]
    >>> list(FrameRange.parse("-2-2"))
    [-2, -1, 0, 1, 2]
    >>> FrameRange.parse("1-4") | FrameRange.parse("4-6")
    FrameRange('1-6')
    >>> FrameRange.parse("1001-1004").widened(2)
    FrameRange('999-1006')
    >>> 1003 in FrameRange.parse("1001-1007x2"), 1004 in FrameRange.parse("1001-1007x2")
    (True, False)
    >>> FrameRange.parse("1008-1001")
    Traceback (most recent call last):
    ...
    pipeline.errors.ConfigError: frame range 1008-1001 runs backwards (did you mean 1001-1008?)

    Order is not kept: `5,1` is `1,5`, and `1-10:3` (Fileseq's interleaving) is `1-10`.
    """

    frames: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.frames:
            raise ConfigError("frame range is empty")
        if any(a >= b for a, b in zip(self.frames, self.frames[1:], strict=False)):
            raise ValueError("frames must be unique and ascending; FrameRange.of() sorts them")
        if max(abs(self.first), abs(self.last)) > FRAME_LIMIT:
            raise ConfigError(f"frame numbers must lie within ±{FRAME_LIMIT}")
        if len(self.frames) > MAX_FRAMES:
            raise ConfigError(f"{len(self.frames)} frames are more than the {MAX_FRAMES} that one shot may have")

    @classmethod
    def parse(cls, text: str) -> FrameRange:
        """Frames named by `text`, in Fileseq syntax.

        Raises:
            ConfigError: not a frame range, backwards, empty, or too many frames; without file or line, which only
                the caller knows.
        """
        parts = [part.strip() for part in text.split(",")]
        if not any(parts):
            raise ConfigError("frame range is empty", suggestion="write 1001, 1001-1008 or 1001-1008x2")
        count = sum(_checked_size(part) for part in parts)
        if count > MAX_FRAMES:
            raise ConfigError(f"frame range {text.strip()} names {count} frames; at most {MAX_FRAMES} are possible")
        return cls.of(int(frame) for frame in FrameSet(",".join(parts)))

    @classmethod
    def of(cls, frames: Iterable[int]) -> FrameRange:
        """The frames given, sorted and without repetition.

        Raises:
            ConfigError: there are none, or too many.
        """
        return cls(tuple(sorted(set(frames))))

    @property
    def first(self) -> int:
        return self.frames[0]

    @property
    def last(self) -> int:
        return self.frames[-1]

    def widened(self, handles: int) -> FrameRange:
        """The range with `handles` more consecutive frames before its first and after its last one."""
        head = range(self.first - handles, self.first)
        tail = range(self.last + 1, self.last + 1 + handles)
        return FrameRange((*head, *self.frames, *tail))

    def __or__(self, other: FrameRange) -> FrameRange:
        return FrameRange.of((*self.frames, *other.frames))

    def __contains__(self, frame: object) -> bool:
        if not isinstance(frame, int):
            return False
        index = bisect_left(self.frames, frame)
        return index < len(self.frames) and self.frames[index] == frame

    def __iter__(self) -> Iterator[int]:
        return iter(self.frames)

    def __len__(self) -> int:
        return len(self.frames)

    def __str__(self) -> str:
        """Shortest Fileseq spelling; `FrameRange.parse(str(r)) == r`."""
        return str(FrameSet.from_iterable(self.frames).frange)

    def __repr__(self) -> str:
        return f"FrameRange({str(self)!r})"


def _checked_size(part: str) -> int:
    """Upper bound on the frames of one comma-separated part, found without expanding it."""
    match = _PART.fullmatch(part)
    if match is None:
        raise ConfigError(
            f"{_shortened(part)!r} is not a frame range" if part else "a comma stands without a frame range beside it",
            suggestion="write 1001, 1001-1008 or 1001-1008x2",
        )
    first, last = int(match[1]), int(match[2] or match[1])
    step = int(match[4] or 1)
    if max(abs(first), abs(last)) > FRAME_LIMIT:
        raise ConfigError(f"frame range {part}: frame numbers must lie within ±{FRAME_LIMIT}")
    if last < first:
        raise ConfigError(f"frame range {part} runs backwards", suggestion=f"did you mean {last}-{first}?")
    if step == 0:
        raise ConfigError(f"frame range {part}: a step of 0 goes nowhere")
    # `y` leaves out every step-th frame and `:` fills in, so that only `x` names fewer than all.
    return (last - first) // step + 1 if match[3] == "x" else last - first + 1


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"
