"""Errands: work for the farm that is no shot's frames, cut into parts that one task each makes.

    capture    a part for each photograph: its material
    preview    a part for each stretch of a training: the cache as it was then; each goes on from the one before

An errand is a job like any other, with `Job.errand`: claimed, planned, leased, retried, paused, cancelled and shown as
all others are. Its parts are numbered as frames are, and so asked about, skipped and given up as frames are. A part is
a product, `parts/0003`; the files that it is about are the product's arrays, so that they are there whole, with a
digest, or not at all.

Here is what an errand is, and what one shares with another; pure functions. `pipeline.farm.recipes_errand` makes parts,
`pipeline.farm.carry_out` claims errands and fetches what they made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.farm.names import Frame

__all__ = ["Errand", "ErrandKind", "numbered", "same_parts"]

ErrandKind = Literal["capture", "preview"]


class Errand(BaseModel):
    """What is to be done, in `job.json`.

    Attributes:
        kind: of errand.
        settings: what all parts share; JSON values, files by their blobs.
        items: what each part is about, by its number.
        chained: each part goes on from the one before it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ErrandKind
    settings: dict[str, Any]
    items: dict[str, dict[str, Any]] = Field(min_length=1)
    chained: bool = False

    @property
    def parts(self) -> tuple[Frame, ...]:
        """Numbers of all parts, ascending."""
        return tuple(sorted(map(int, self.items)))

    def item(self, part: Frame) -> dict[str, Any]:
        """What a part is about."""
        return self.items[str(part)]


def numbered(items: Sequence[Mapping[str, Any]], earlier: Errand | None = None) -> dict[str, dict[str, Any]]:
    """A number for each item, from 1. One that an earlier errand had keeps its number, so that its part is found again.

    >>> numbered([{"name": "b"}, {"name": "a"}])
    {'1': {'name': 'b'}, '2': {'name': 'a'}}
    >>> numbered([{"name": "c"}, {"name": "a"}], Errand(kind="capture", settings={}, items={"2": {"name": "a"}}))
    {'3': {'name': 'c'}, '2': {'name': 'a'}}
    """
    known = {} if earlier is None else dict(earlier.items)
    following = 1 + max(map(int, known), default=0)
    found: dict[str, dict[str, Any]] = {}
    for item in map(dict, items):
        number = next((number for number, other in known.items() if other == item), None)
        if number is None:
            number, following = str(following), following + 1
        else:
            del known[number]
        found[number] = item
    return found


def same_parts(ours: Errand, theirs: Errand) -> tuple[Frame, ...]:
    """The parts that two errands have in common: what one has made, the other need not make. Of a chain, its beginning.

    Environments and frozen scenes are compared elsewhere.
    """
    if (ours.kind, ours.settings, ours.chained) != (theirs.kind, theirs.settings, theirs.chained):
        return ()
    same = []
    for part in ours.parts:
        if ours.item(part) == theirs.items.get(str(part)):
            same.append(part)
        elif ours.chained:
            break
    return tuple(same)
