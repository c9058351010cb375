"""What changed between two edits: clips that were added, removed, trimmed, retimed or moved, and frames to render.

A clip of the new edit is the clip of the old one that names the same shot and bears the same name on the same track,
else the same name, else it is the next one of the shot in the order of the edit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from pipeline.config.frame_rate import frame_rate_text
from pipeline.config.frames import FrameRange
from pipeline.editorial.clips import EditClip
from pipeline.editorial.timeline import Edit

__all__ = ["Change", "EditDiff", "Kind", "ShotFrames", "compare"]

Kind = Literal["added", "removed", "trimmed", "retimed", "handles", "moved"]


@dataclass(frozen=True)
class Change:
    """One change of a clip.

    Attributes:
        kind: what was done to it.
        shot, clip, track: where, by the new edit's names; of a removed clip by the old one's.
        before, after: what is told of it: frames, speed and rate, handles, or its place in the edit; empty where the
            clip is not there.
    """

    kind: Kind
    shot: str
    clip: str
    track: str
    before: str
    after: str


@dataclass(frozen=True)
class ShotFrames:
    """What the change of the edit means for a shot.

    Attributes:
        shot: its name.
        added: frames that the new edit shows and the old one did not; None where there are none.
        dropped: frames that the old edit showed and the new one does not.
        kept: frames of both.
    """

    shot: str
    added: FrameRange | None
    dropped: FrameRange | None
    kept: FrameRange | None


@dataclass(frozen=True)
class EditDiff:
    """All that changed.

    Attributes:
        changes: by shot, in the order of the new edit, shots that are gone last.
        shots: frames of every shot of either edit.
    """

    changes: tuple[Change, ...]
    shots: tuple[ShotFrames, ...]


def compare(old: Edit, new: Edit) -> EditDiff:
    """What changed from one edit to another.

    Raises:
        ConfigError: one of them has problems, so that its frames are not known.
    """
    old.require_sound()
    new.require_sound()
    before = {shot.name: shot for shot in old.shots}
    after = {shot.name: shot for shot in new.shots}
    changes: list[Change] = []
    shots: list[ShotFrames] = []
    for name in [*after, *(name for name in before if name not in after)]:
        olds = before[name].clips if name in before else ()
        news = after[name].clips if name in after else ()
        changes += _changes(olds, news)
        had = set(before[name].frames) if name in before else set()
        has = set(after[name].frames) if name in after else set()
        shots.append(ShotFrames(name, _range(has - had), _range(had - has), _range(had & has)))
    return EditDiff(tuple(changes), tuple(shots))


def _changes(olds: Sequence[EditClip], news: Sequence[EditClip]) -> Iterator[Change]:
    pairs, gone, come = _paired(olds, news)
    for new in come:
        yield _change("added", new, "", str(new.frames))
    for old, new in pairs:
        yield from _between(old, new)
    for old in gone:
        yield _change("removed", old, str(old.frames), "")


def _between(old: EditClip, new: EditClip) -> Iterator[Change]:
    if (old.speed, old.rate) != (new.speed, new.rate):
        yield _change("retimed", new, _timing(old), _timing(new))
    if old.handles != new.handles:
        yield _change("handles", new, str(old.handles), str(new.handles))
    seen = [_seen(clip) for clip in (old, new)]
    if old.frames != new.frames and seen[0] != seen[1]:
        yield _change("trimmed", new, str(old.frames), str(new.frames))
    if old.offset != new.offset and None not in (old.offset, new.offset):
        yield _change("moved", new, _place(old.offset), _place(new.offset))


def _paired(
    olds: Sequence[EditClip], news: Sequence[EditClip]
) -> tuple[list[tuple[EditClip, EditClip]], list[EditClip], list[EditClip]]:
    """Clips that are the same one, those of the old edit that are gone, and those that have come."""
    gone, come = list(olds), list(news)
    found: dict[int, EditClip] = {}
    keys: tuple[Callable[[EditClip], Any], ...] = (
        lambda clip: (clip.name, clip.track, clip.frames),
        lambda clip: (clip.name, clip.track),
        lambda clip: clip.name,
        lambda clip: None,
    )
    for key in keys:
        for new in list(come):
            old = next((each for each in gone if key(each) == key(new)), None)
            if old is not None:
                found[id(new)] = old
                gone.remove(old)
                come.remove(new)
    return [(found[id(new)], new) for new in news if id(new) in found], gone, come


def _change(kind: Kind, clip: EditClip, before: str, after: str) -> Change:
    return Change(kind, clip.shot, clip.name, clip.track, before, after)


def _seen(clip: EditClip) -> tuple[int, int]:
    """First and last frame without handles."""
    more = clip.handles * clip.speed
    return clip.frames.first + more, clip.frames.last - more


def _timing(clip: EditClip) -> str:
    return f"speed {clip.speed}, {frame_rate_text(clip.rate)} fps"


def _place(offset: Fraction | None) -> str:
    return "" if offset is None else f"at {float(offset):g}"


def _range(frames: set[int]) -> FrameRange | None:
    return FrameRange.of(frames) if frames else None
