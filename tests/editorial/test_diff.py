"""What changed between two edits is named, and the frames that are to be rendered are those alone."""

from __future__ import annotations

import json

import opentimelineio as otio
import pytest
from click.testing import CliRunner

from pipeline.cli.diff import diff
from pipeline.editorial.diff import compare
from pipeline.editorial.timeline import read_edit
from pipeline.errors import ConfigError

schema = otio.schema


@pytest.fixture
def changes(write):
    """What `compare` says of two lists of clips: (kind, clip, before, after), and frames to render by shot."""

    def make(old, new):
        found = compare(read_edit(write(*old, name="old.otio")), read_edit(write(*new, name="new.otio")))
        told = [(change.kind, change.clip, change.before, change.after) for change in found.changes]
        return told, {each.shot: str(each.added) for each in found.shots if each.added}

    return make


def test_the_same_edit_has_not_changed(changes, clip):
    assert changes([clip("a")], [clip("a")]) == ([], {})


def test_an_added_clip_is_rendered_and_a_removed_one_is_not(changes, clip):
    told, frames = changes([clip("a"), clip("b", 1, 4, "shot_020")], [clip("a"), clip("c", 2001, 2, "shot_030")])

    assert told == [("added", "c", "", "2001-2002"), ("removed", "b", "1-4", "")]
    assert frames == {"shot_030": "2001-2002"}


def test_a_longer_clip_is_rendered_at_its_new_frames(changes, clip):
    told, frames = changes([clip("a", 1001, 8)], [clip("a", 999, 12)])

    assert told == [("trimmed", "a", "1001-1008", "999-1010")]
    assert frames == {"shot_010": "999-1000,1009-1010"}


def test_a_trim_within_the_handles_renders_nothing(changes, clip):
    old, new = clip("a", 1001, 8, mark={"handles": 4}), clip("a", 999, 12, mark={"handles": 2})

    told, frames = changes([old], [new])

    assert [kind for kind, *_ in told] == ["handles"]
    assert frames == {}


def test_other_handles_are_told_with_the_frames_that_they_need(changes, clip):
    told, frames = changes([clip("a")], [clip("a", mark={"handles": 2})])

    assert told == [("handles", "a", "0", "2")]
    assert frames == {"shot_010": "999-1000,1009-1010"}


def test_a_retime_is_told_by_its_speed(changes, clip):
    told, frames = changes([clip("a")], [clip("a", effects=[schema.LinearTimeWarp(time_scalar=2)])])

    assert told[0] == ("retimed", "a", "speed 1, 24 fps", "speed 2, 24 fps")
    assert frames == {"shot_010": "1009-1015x2"}


def test_a_clip_that_moves_is_not_rendered_again(changes, clip):
    one, two = clip("a"), clip("b", 1, 4, "shot_020")

    told, frames = changes([one, two], [two.deepcopy(), one.deepcopy()])

    assert told == [("moved", "b", "at 8", "at 0"), ("moved", "a", "at 0", "at 4")]
    assert frames == {}


def test_two_clips_of_a_shot_are_told_apart_by_name(changes, clip):
    told, _ = changes([clip("a", 1001, 4), clip("b", 1011, 4)], [clip("a", 1001, 4), clip("b", 1011, 6)])

    assert told == [("trimmed", "b", "1011-1014", "1011-1016")]


def test_an_edit_with_problems_is_refused(write, clip):
    bad = write(clip("slow", effects=[schema.FreezeFrame()]), name="bad.otio")

    with pytest.raises(ConfigError, match="retimed by a FreezeFrame"):
        compare(read_edit(bad), read_edit(bad))


def test_the_command_tells_and_exits_with_1_where_something_changed(write, clip):
    old, new = write(clip("a"), name="old.otio"), write(clip("a", 1001, 10), name="new.otio")

    told = CliRunner().invoke(diff, [str(old), str(new)], standalone_mode=False)
    document = json.loads(CliRunner().invoke(diff, [str(old), str(new), "--json"], standalone_mode=False).stdout)

    assert told.return_value == 1
    assert "trimmed  shot_010  a on V1: 1001-1008 → 1001-1010" in told.stdout
    assert "to render  shot_010  1009-1010 (2 frames)" in told.stdout
    assert document["frames"] == {"shot_010": {"added": "1009-1010", "dropped": None, "kept": "1001-1008"}}
    assert CliRunner().invoke(diff, [str(old), str(old)], standalone_mode=False).return_value == 0
