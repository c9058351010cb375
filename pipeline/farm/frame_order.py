"""In which order the frames of a job are made.

>>> arrange(range(1, 8), "middle-out")
(4, 5, 3, 6, 2, 7, 1)
>>> arrange(range(1, 8), "every:3")
(1, 4, 7, 2, 3, 5, 6)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.farm.names import Frame

__all__ = ["arrange", "first_pass"]


def arrange(frames: Iterable[Frame], order: str) -> tuple[Frame, ...]:
    """Frames in the order in which they are to be made.

    Args:
        frames: in the order of their submission.
        order: as `Terms.order`: `ascending` leaves that order, `middle-out` begins in the middle of the range,
            `every:N` takes each Nth frame first and then the others.
    """
    given = tuple(frames)
    if order == "middle-out":
        middle = len(given) // 2
        return tuple(sorted_by_distance(given, middle))
    first = first_pass(given, order)
    if first is None:
        return given
    chosen = set(first)
    return (*first, *(frame for frame in given if frame not in chosen))


def first_pass(frames: Sequence[Frame], order: str) -> tuple[Frame, ...] | None:
    """The frames that `every:N` takes first; None for other orders."""
    kind, _, step = order.partition(":")
    return tuple(frames[:: int(step)]) if kind == "every" else None


def sorted_by_distance(frames: Sequence[Frame], middle: int) -> list[Frame]:
    """Frames by how far their places are from one place; of two that are as far, the later one first."""
    places = sorted(range(len(frames)), key=lambda place: (abs(place - middle), -place))
    return [frames[place] for place in places]
