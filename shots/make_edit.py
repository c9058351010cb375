"""Writes edit.otio, the cut of the sample shots: `python make_edit.py [FILE]`. The result is always the same."""

from __future__ import annotations

import sys
from pathlib import Path

import opentimelineio as otio

RATE = 24
CUT = (("shot_010", 1001, 8), ("shot_020", 1001, 6))
"""Shot, first frame, number of frames, in the order of the cut."""


def timeline() -> otio.schema.Timeline:
    track = otio.schema.Track(name="V1", kind=otio.schema.TrackKind.Video)
    for shot, first, count in CUT:
        frames = otio.opentime.TimeRange(
            otio.opentime.RationalTime(first, RATE), otio.opentime.RationalTime(count, RATE)
        )
        media = otio.schema.MissingReference(name=shot, available_range=frames)
        track.append(
            otio.schema.Clip(
                name=shot, source_range=frames, media_reference=media, metadata={"penumbra": {"shot": shot}}
            )
        )
    edit = otio.schema.Timeline(name="penumbra_samples", global_start_time=otio.opentime.RationalTime(86400, RATE))
    edit.tracks.append(track)
    return edit


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent / "edit.otio"
    otio.adapters.write_to_file(timeline(), str(target))
