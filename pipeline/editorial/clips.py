"""One clip of an edit: the shot that it names, and the frames of it that are seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import opentimelineio as otio
from pydantic import Field, ValidationError

from pipeline.config.frames import FrameRange
from pipeline.config.problems import problems_of
from pipeline.config.values import ConfigModel, Integer, ShotName
from pipeline.editorial.frames import Span, frames_in, rate_of, seconds
from pipeline.errors import ConfigError

__all__ = ["NAMESPACE", "ClipMark", "EditClip", "described", "is_hidden", "read_clip", "read_mark"]

NAMESPACE = "penumbra"
"""Key of clip metadata under which all of ours stands."""


class ClipMark(ConfigModel):
    """What a clip's metadata says under `penumbra`."""

    shot: ShotName = Field(description="Name of the shot that the clip shows.")
    handles: Integer = Field(
        default=0, ge=0, le=10_000, description="Frames to render beyond the clip at either end, in frames of the edit."
    )


@dataclass(frozen=True)
class EditClip:
    """A clip that names a shot. Source time is frame number: time n/rate shows frame n."""

    shot: str
    name: str
    track: str
    frames: FrameRange
    """Visible range (transitions included, trimmed by the stacks around it), and handles."""
    rate: Fraction
    """Frames per second of the clip's source range."""
    offset: Fraction | None
    """First visible frame's place in the edit, in frames of `rate`; None where the edit does not tell (a neighbour
    without a length)."""
    handles: int
    speed: int
    """Source frames per frame of the edit."""
    notes: tuple[str, ...]


def described(item: otio.core.Composable) -> str:
    """`clip 'sh010'`, with at most 60 characters of its name, on one line."""
    return f"{item.schema_name().lower()} {item.name!r:.60}"


def read_mark(item: otio.core.SerializableObjectWithMetadata) -> ClipMark | None:
    """What an item's metadata says under `penumbra`; None where it has no such key.

    Raises:
        ConfigError: it says something that is not understood.
    """
    if NAMESPACE not in item.metadata:
        return None
    value = _plain(item.metadata[NAMESPACE])
    if not isinstance(value, dict):
        raise ConfigError(f'metadata {NAMESPACE} must be a dictionary such as {{"shot": "shot_010"}}')
    try:
        return ClipMark.model_validate(value)
    except ValidationError as error:
        told = [
            ".".join((NAMESPACE, *problem.keys))
            + f": {problem.message}"
            + f" ({problem.suggestion})" * bool(problem.suggestion)
            for problem in problems_of(error, ClipMark)
        ]
        raise ConfigError("; ".join(told)) from error


def is_hidden(clip: otio.schema.Clip) -> bool:
    """Whether the clip, or a track or stack around it, is disabled."""
    return not all(item.enabled for item in (clip, *_around(clip)))


def read_clip(clip: otio.schema.Clip, mark: ClipMark) -> EditClip:
    """The frames of its shot that a clip shows.

    Raises:
        ConfigError: it has no range, shows nothing, or is retimed in a way that has no whole frames.
    """
    step = _retime(clip)
    try:
        visible, source = clip.visible_range(), clip.trimmed_range()
    except otio.exceptions.OTIOError as error:
        raise ConfigError("has neither a source range nor media with an available range") from error
    rate = rate_of(visible.start_time)
    span, offset = _trimmed(clip, Span.of(visible))
    if span.is_empty:
        raise ConfigError("shows no frame: its range is empty, or a stack around it is trimmed to other clips")
    start = seconds(source.start_time)
    handles = Fraction(mark.handles) / rate
    first, end = (start + step * (time - start) for time in (span.start - handles, span.end + handles))
    notes = list(_media_notes(clip))
    if step != 1:
        notes.append(f"runs {step} times as fast: every {step}. frame")
    return EditClip(
        shot=mark.shot,
        name=clip.name,
        track=next((item.name for item in _around(clip) if isinstance(item, otio.schema.Track)), ""),
        frames=frames_in(Span(first, end), rate, step),
        rate=rate,
        offset=None if offset is None else offset * rate,
        handles=mark.handles,
        speed=step,
        notes=tuple(notes),
    )


def _retime(clip: otio.schema.Clip) -> int:
    """Source frames per frame of the edit.

    Whole factors show whole frames. All other retimes (slow motion, freeze frames, reverse, curves) blend or repeat
    frames in a way that is the finishing program's choice, and are refused.
    """
    speed = 1
    for item in (clip, *_around(clip)):
        for effect in item.effects:
            if not isinstance(effect, otio.schema.TimeEffect):
                continue
            where = "" if item is clip else f" of the {described(item)} around it"
            scalar = effect.time_scalar if isinstance(effect, otio.schema.LinearTimeWarp) else None
            whole = scalar is not None and scalar >= 1 and float(scalar).is_integer()
            if scalar is None or not whole or (scalar != 1 and item is not clip):
                speed_text = "" if scalar is None else f" with speed {scalar:g}"
                raise ConfigError(
                    f"is retimed by a {effect.schema_name()}{where}{speed_text}; only whole speeds (1, 2, 3 …) of the"
                    " clip itself have whole frames",
                    suggestion="take the retime out of the edit and animate the shot at the wanted speed",
                )
            speed *= int(scalar)
    if speed > 1000:
        raise ConfigError(f"is retimed to {speed} times its speed")
    return speed


def _trimmed(clip: otio.schema.Clip, span: Span) -> tuple[Span, Fraction | None]:
    """The part of `span` (in the clip's source time) that the items around the clip show, and where it starts in the
    edit, in seconds."""
    shift: Fraction | None = Fraction(0)  # the parent's time is the clip's source time plus this
    item: otio.core.Item = clip
    for parent in _around(clip):
        step = _place(item)
        shift = None if shift is None or step is None else shift + step
        if parent.source_range is not None:
            if shift is None:
                raise ConfigError(f"stands in the trimmed {described(parent)} beside an item without a length")
            span = span.within(Span.of(parent.visible_range()).moved(-shift))
        item = parent
    if shift is None:
        return span, None
    return span, span.start + shift - (
        seconds(item.source_range.start_time) if item.source_range and item is not clip else 0
    )


def _place(item: otio.core.Item) -> Fraction | None:
    """What must be added to an item's own time to get its parent's; None where an item before it has no length."""
    try:
        return seconds(item.range_in_parent().start_time) - seconds(item.trimmed_range().start_time)
    except (otio.exceptions.OTIOError, NotImplementedError):  # the latter of a gap without a range
        return None


def _around(item: otio.core.Composable) -> Iterator[otio.core.Composition]:
    """The tracks and stacks around an item, innermost first."""
    while (parent := item.parent()) is not None:
        yield parent
        item = parent


def _media_notes(clip: otio.schema.Clip) -> Iterator[str]:
    media = clip.media_reference
    if media is None or media.is_missing_reference:
        yield "has no media yet"
    elif isinstance(media, otio.schema.GeneratorReference):
        yield f"its media is the generator {media.generator_kind!r:.40}, which the frames replace"


def _plain(value: Any) -> Any:
    """OpenTimelineIO's containers, which die with the object that they belong to, as Python's own."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, otio.core.SerializableObject):
        return value.schema_name()
    if not isinstance(value, (str, bytes)) and hasattr(value, "__iter__"):
        return [_plain(item) for item in value]
    return value
