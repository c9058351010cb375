"""The edit that an edit tool opens afterwards: each clip points at the frames that were rendered for it.

Everything else stays as it was: the file is changed as OpenTimelineIO reads and writes it, other programs' metadata,
markers, effects and unknown schemas among them.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import opentimelineio as otio
from opentimelineio.opentime import RationalTime, TimeRange

from pipeline.config.frames import FrameRange
from pipeline.editorial.clips import read_mark
from pipeline.editorial.otio_file import Contents, read_otio
from pipeline.errors import ConfigError, StoreError

__all__ = ["KEY", "Rendered", "conformed", "write_conformed"]

KEY = "penumbra"
"""Name of our media among those of a clip; what it pointed at before stays beside it."""


@dataclass(frozen=True)
class Rendered:
    """The frames of a shot that are there.

    Attributes:
        directory: URL or path that the edit tool finds them by.
        prefix, suffix: of the file names, around the number.
        padding: digits of the number, at least.
        frames: that were made; others are missing.
        fps: of the shot.
    """

    directory: str
    prefix: str
    suffix: str
    padding: int
    frames: FrameRange
    fps: float


def write_conformed(edit: Path, target: Path, rendered: Mapping[str, Rendered]) -> int:
    """Writes an edit whose clips point at rendered frames.

    Args:
        edit: that was submitted.
        target: file to write, in one step.
        rendered: by shot.

    Returns:
        How many clips point at rendered frames.

    Raises:
        ConfigError: the edit cannot be read.
        StoreError: `target` cannot be written.
    """
    contents = read_otio(edit)
    count = conformed(contents, rendered)
    text = otio.adapters.write_to_string(contents, adapter_name="otio_json")
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, target)
    except OSError as error:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise StoreError(f"{target}: cannot be written: {error.strerror}") from error
    return count


def conformed(contents: Contents, rendered: Mapping[str, Rendered]) -> int:
    """Points clips at rendered frames, in place; returns how many. Raises ConfigError: a clip's mark is malformed."""
    clips = [contents] if isinstance(contents, otio.schema.Clip) else list(contents.find_clips())
    count = 0
    for clip in clips:
        mark = read_mark(clip)
        found = None if mark is None else rendered.get(mark.shot)
        if found is None:
            continue
        media = dict(clip.media_references())
        media[KEY] = _reference(found)
        clip.set_media_references(media, KEY)
        count += 1
    return count


def _reference(found: Rendered) -> otio.schema.ImageSequenceReference:
    first, last = found.frames.first, found.frames.last
    if not found.directory:
        raise ConfigError("rendered frames have no directory")
    return otio.schema.ImageSequenceReference(
        target_url_base=found.directory if found.directory.endswith("/") else f"{found.directory}/",
        name_prefix=found.prefix,
        name_suffix=found.suffix,
        start_frame=first,
        frame_step=1,
        rate=found.fps,
        frame_zero_padding=found.padding,
        missing_frame_policy=otio.schema.ImageSequenceReference.MissingFramePolicy.hold,
        available_range=TimeRange(RationalTime(first, found.fps), RationalTime(last - first + 1, found.fps)),
    )
