"""An edit (OpenTimelineIO) as a list of shots.

A clip names its shot in one dictionary of its metadata,
`clip.metadata["penumbra"] = {"shot": "shot_010", "handles": 8}`.
Its visible range (transitions included) is the shot's frame range: source time is frame number, at the clip's own rate.

What is done with what edits contain:

| in the edit | here |
| --- | --- |
| clip without `penumbra` metadata, gap, transition, marker | left out; a transition widens the clips beside it |
| several clips of one shot | their frames are joined; refused when their rates differ |
| missing media, generator | taken, and noted: the frames are what is to be made |
| no source range and no available range | refused by name |
| disabled clip, track or stack | left out, and noted |
| nested stack or track, trimmed or not | looked into; what the trim hides is not rendered |
| linear retime by a whole factor n | every n-th frame |
| other retime, freeze frame; any retime of a stack or track | refused by name |
| rate that differs from the shot's fps | refused by name when the shots are loaded |
| start between two frames | the frames that are seen in part are included |
| stack, track, gap or timeline that names a shot | refused by name: clips do |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import opentimelineio as otio

from pipeline.config.frame_rate import frame_rate_text
from pipeline.config.frames import FrameRange
from pipeline.config.load import FILE_NAME, load_shot
from pipeline.config.shot import Shot
from pipeline.editorial.clips import NAMESPACE, EditClip, described, is_hidden, read_clip, read_mark
from pipeline.editorial.otio_file import Contents, read_otio
from pipeline.errors import ConfigError

__all__ = ["Edit", "EditShot", "load_edit_shots", "read_edit"]


@dataclass(frozen=True)
class EditShot:
    """A shot of an edit: the clips that name it, and all their frames."""

    name: str
    clips: tuple[EditClip, ...]
    frames: FrameRange
    rate: Fraction
    """Frames per second, equal in all clips."""


@dataclass(frozen=True)
class Edit:
    """What an edit asks for. Nothing may be rendered from it while there are problems."""

    path: Path
    shots: tuple[EditShot, ...]
    """In the order of their first clips."""
    problems: tuple[str, ...]
    """What was refused, each by the clip's name."""
    notes: tuple[str, ...]

    def require_sound(self) -> None:
        """Raises ConfigError with a line per problem, if there is one."""
        if self.problems:
            raise ConfigError(f"\n{self.path}: ".join(self.problems), path=self.path)


def read_edit(path: Path | str) -> Edit:
    """The shots of an .otio file.

    Raises:
        ConfigError: the file as a whole cannot be read. Faults of single clips are the edit's `problems`.
    """
    path = Path(path)
    contents = read_otio(path)
    problems = list(_misplaced(contents))
    notes: list[str] = []
    by_shot: dict[str, list[EditClip]] = {}
    unmarked = 0
    # `contents` is held until the end: OpenTimelineIO's objects die with their root.
    for clip in _clips(contents):
        try:
            mark = read_mark(clip)
            if mark is None:
                unmarked += 1
            elif is_hidden(clip):
                notes.append(f"{described(clip)} of {mark.shot} is disabled and left out")
            else:
                found = read_clip(clip, mark)
                by_shot.setdefault(found.shot, []).append(found)
        except ConfigError as error:
            problems.append(f"{described(clip)}: {error}")
        except (otio.exceptions.OTIOError, ValueError, IndexError, NotImplementedError) as error:
            told = " ".join(str(error).split())
            problems.append(f"{described(clip)}: OpenTimelineIO cannot tell its range: {told:.120}")
    shots: list[EditShot] = []
    for name, clips in by_shot.items():
        try:
            shots.append(_joined(name, clips))
        except ConfigError as error:
            problems.append(f"shot {name}: {error}")
    if not by_shot and not problems:
        notes.append(f'no clip names a shot; give clips the metadata {{"{NAMESPACE}": {{"shot": "shot_010"}}}}')
    elif unmarked:
        notes.append(f"{unmarked} clip{'s' * (unmarked > 1)} without {NAMESPACE} metadata left out")
    return Edit(path, tuple(shots), tuple(problems), tuple(notes))


def load_edit_shots(edit: Edit, overrides: Mapping[str, Any] | None = None) -> list[Shot]:
    """The shots that an edit names, each with the frames that the edit shows of it.

    A shot is looked up beside the edit (`<name>/shot.yaml`), then as `shots/<name>` below the current directory.

    Args:
        edit: as read.
        overrides: as in `load_shot`. `frames` narrows: what the edit does not show is not rendered, and a shot
            without one of these frames is left out.

    Raises:
        ConfigError: a line per problem: of the edit, of a shot's own configuration, or of clips at another rate than
            their shot; or nothing is left to render.
    """
    edit.require_sound()
    options = dict(overrides or {})
    wanted = _wanted(options.pop("frames", None))
    shots: list[Shot] = []
    problems: list[str] = []
    for edit_shot in edit.shots:
        frames = _narrowed(edit_shot.frames, wanted)
        if frames is None:
            continue
        try:
            shot = load_shot(_where(edit, edit_shot.name), {**options, "frames": str(frames)})
        except ConfigError as error:
            problems.append(f"shot {edit_shot.name}: {error}")
            continue
        if shot.fps != edit_shot.rate:
            problems.append(_other_rate(edit_shot, shot))
        shots.append(shot)
    if problems:
        raise ConfigError(f"\n{edit.path}: ".join(problems), path=edit.path)
    if not shots:
        told = "none of its shots has the frames asked for" if edit.shots else "no clip names a shot"
        raise ConfigError(told, path=edit.path, suggestion="`pipeline shots` lists what it holds")
    return shots


def _clips(contents: Contents) -> Iterator[otio.schema.Clip]:
    if isinstance(contents, otio.schema.Clip):
        yield contents
    else:
        yield from contents.find_clips()


def _misplaced(contents: Contents) -> Iterator[str]:
    """Items other than clips that name a shot."""
    items = [contents] if isinstance(contents, otio.schema.Clip) else [contents, *contents.find_children()]
    if isinstance(contents, otio.schema.Timeline):
        items.append(contents.tracks)
    for item in items:
        if not isinstance(item, otio.schema.Clip) and NAMESPACE in item.metadata:
            yield f"{described(item)} has {NAMESPACE} metadata; only clips name shots"


def _joined(name: str, clips: list[EditClip]) -> EditShot:
    rates = {clip.rate for clip in clips}
    if len(rates) > 1:
        told = ", ".join(f"{clip.name!r:.40} at {frame_rate_text(clip.rate)}" for clip in clips)
        raise ConfigError(f"its clips have different frame rates: {told}")
    return EditShot(name, tuple(clips), reduce(or_, (clip.frames for clip in clips)), clips[0].rate)


def _wanted(frames: Any) -> FrameRange | None:
    if frames is None:
        return None
    try:
        return FrameRange.parse(str(frames))
    except ConfigError as error:
        raise ConfigError(error.message, path="--frames", suggestion=error.suggestion) from error


def _narrowed(frames: FrameRange, wanted: FrameRange | None) -> FrameRange | None:
    if wanted is None:
        return frames
    common = [frame for frame in frames if frame in wanted]
    return FrameRange.of(common) if common else None


def _where(edit: Edit, name: str) -> Path | str:
    beside = edit.path.parent / name / FILE_NAME
    return beside if beside.is_file() else name


def _other_rate(edit_shot: EditShot, shot: Shot) -> str:
    clips = ", ".join(f"{clip.name!r:.40}" for clip in edit_shot.clips)
    return (
        f"shot {shot.shot}: clip {clips} runs at {frame_rate_text(edit_shot.rate)} frames per second, the shot at"
        f" {frame_rate_text(shot.fps)}, so that frame numbers do not agree (conform the edit, or set fps)"
    )
