"""An edit comes back with its rendered frames, and with everything else as it was."""

from __future__ import annotations

from pathlib import Path

import opentimelineio as otio
import pytest

from pipeline.config.frames import FrameRange
from pipeline.editorial.conform import KEY, Rendered, conformed, write_conformed
from pipeline.editorial.otio_file import read_otio
from pipeline.editorial.timeline import read_edit

SHARED = Path(__file__).parents[3] / "shared" / "otio"
RENDERED = Rendered("file:///renders/shot_010/v001/frames", "shot_010.", ".exr", 4, FrameRange.parse("1001-1010"), 24.0)


def text(contents):
    return otio.adapters.write_to_string(contents, adapter_name="otio_json")


def test_a_clip_points_at_its_frames_and_keeps_the_media_that_it_had(write, clip, tmp_path):
    plate = otio.schema.ExternalReference("file:///plate.mov")
    edit = write(clip("a", 1003, 4, media_reference=plate), clip("b", 1, 2, "shot_020"))

    assert write_conformed(edit, tmp_path / "out.otio", {"shot_010": RENDERED}) == 1

    first, second = read_otio(tmp_path / "out.otio").find_clips()
    media = first.media_reference
    assert isinstance(media, otio.schema.ImageSequenceReference)
    assert media.target_url_for_image_number(2) == "file:///renders/shot_010/v001/frames/shot_010.1003.exr"
    assert media.available_range.start_time.value == 1001 and media.number_of_images_in_sequence() == 10
    assert first.media_references()["DEFAULT_MEDIA"].target_url == "file:///plate.mov"
    assert first.visible_range() == clip("a", 1003, 4).visible_range()
    assert second.media_reference.is_missing_reference


def test_the_edit_asks_for_the_same_frames_afterwards(write, clip, tmp_path):
    edit = write(clip("a", mark={"handles": 2}), clip("b", 2001, 4))

    write_conformed(edit, tmp_path / "out.otio", {"shot_010": RENDERED})

    assert str(read_edit(tmp_path / "out.otio").shots[0].frames) == str(read_edit(edit).shots[0].frames)


def test_conforming_again_changes_nothing(write, clip, tmp_path):
    edit, once, twice = write(clip("a")), tmp_path / "once.otio", tmp_path / "twice.otio"

    write_conformed(edit, once, {"shot_010": RENDERED})
    write_conformed(once, twice, {"shot_010": RENDERED})

    assert once.read_text() == twice.read_text()


@pytest.mark.shared
@pytest.mark.parametrize("sample", sorted(SHARED.glob("*.otio")), ids=lambda path: path.stem)
def test_edits_of_others_keep_everything_but_the_media_of_marked_clips(sample, tmp_path):
    contents, before = read_otio(sample), read_otio(sample)
    for each in (contents, before):
        next(iter(each.find_clips())).metadata["penumbra"] = {"shot": "shot_010"}

    assert conformed(contents, {"shot_010": RENDERED}) == 1

    back = otio.adapters.read_from_string(text(contents), adapter_name="otio_json")
    clip, original = next(iter(back.find_clips())), next(iter(before.find_clips()))
    assert isinstance(clip.media_references()[KEY], otio.schema.ImageSequenceReference)
    clip.set_media_references(original.media_references(), original.active_media_reference_key)
    assert text(back) == text(before)  # as text: one of them has NaN, which equals nothing
