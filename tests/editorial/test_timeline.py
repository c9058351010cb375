import json
from fractions import Fraction
from pathlib import Path

import opentimelineio as otio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.editorial.timeline import load_edit_shots, read_edit
from pipeline.errors import ConfigError

SHARED = Path(__file__).parents[3] / "shared" / "otio"
RationalTime = otio.opentime.RationalTime
schema = otio.schema


def frames(edit):
    return {shot.name: str(shot.frames) for shot in edit.shots}


def test_a_clips_source_range_is_its_shots_frames(write, clip):
    edit = read_edit(write(clip("sh010"), clip("sh020", 2001, 4, "shot_020")))
    assert frames(edit) == {"shot_010": "1001-1008", "shot_020": "2001-2004"}
    assert edit.problems == ()


def test_clips_know_their_name_track_rate_and_place(write, clip, time_range):
    edit = read_edit(write(schema.Gap(source_range=time_range(0, 12)), clip("sh010")))
    (found,) = edit.shots[0].clips
    assert (found.name, found.track, found.rate, found.offset) == ("sh010", "V1", 24, 12)


def test_handles_widen_both_ends(write, clip):
    edit = read_edit(write(clip("sh010", mark={"handles": 8})))
    assert frames(edit) == {"shot_010": "993-1016"}


def test_transitions_widen_the_clips_beside_them(write, clip):
    dissolve = schema.Transition(in_offset=RationalTime(2, 24), out_offset=RationalTime(3, 24))
    edit = read_edit(write(clip("a"), dissolve, clip("b", 2001, 8, "shot_020")))
    assert frames(edit) == {"shot_010": "1001-1011", "shot_020": "1999-2008"}


def test_several_clips_of_one_shot_are_joined(write, clip):
    edit = read_edit(write(clip("a", 1001, 4), clip("other", 1, 4, "shot_020"), clip("b", 1011, 2), clip("c", 1003, 4)))
    assert frames(edit) == {"shot_010": "1001-1006,1011-1012", "shot_020": "1-4"}
    assert [c.name for c in edit.shots[0].clips] == ["a", "b", "c"]


def test_clips_of_one_shot_at_different_rates_are_refused(write, clip):
    edit = read_edit(write(clip("a"), clip("b", rate=30)))
    assert edit.problems == ("shot shot_010: its clips have different frame rates: 'a' at 24, 'b' at 30",)


@pytest.mark.parametrize("rate", [24000 / 1001, 23.976, 23.98])
def test_ntsc_rates_are_exact_however_they_are_rounded(write, clip, rate):
    shot = read_edit(write(clip("a", rate=rate))).shots[0]
    assert (shot.rate, str(shot.frames)) == (Fraction(24000, 1001), "1001-1008")


def test_a_start_between_frames_includes_the_frames_seen_in_part(write, clip):
    assert frames(read_edit(write(clip("a", 1001.5, 4)))) == {"shot_010": "1001-1005"}


def test_clips_without_our_metadata_are_left_out_and_noted(write, clip, time_range):
    edit = read_edit(write(clip("a"), schema.Clip("plate", source_range=time_range(0, 5)), schema.Gap()))
    assert list(frames(edit)) == ["shot_010"]
    assert edit.notes == ("1 clip without penumbra metadata left out",)


def test_an_edit_that_names_no_shot_says_how_to_name_one(write, time_range):
    edit = read_edit(write(schema.Clip("plate", source_range=time_range(0, 5))))
    assert edit.shots == ()
    assert edit.notes == ('no clip names a shot; give clips the metadata {"penumbra": {"shot": "shot_010"}}',)


@pytest.mark.parametrize(
    ("mark", "told"),
    [
        ({"shot": "../../etc"}, "penumbra.shot: '../../etc' is not a shot name"),
        ({"shot": 10}, "penumbra.shot: must be text"),
        ({"shot": 2**60}, "penumbra.shot: must be text"),
        ({}, "penumbra.shot: missing"),
        ({"shot": "a", "handels": 8}, "penumbra.handels: unknown key (did you mean handles?)"),
        ({"shot": "a", "handles": -1}, "penumbra.handles: must be at least 0"),
        ({"shot": "a", "handles": 1.5}, "penumbra.handles: must be a whole number"),
        ({"shot": ["a"]}, "penumbra.shot: must be text"),
        ("shot_010", "metadata penumbra must be a dictionary"),
        (None, "metadata penumbra must be a dictionary"),
    ],
)
def test_metadata_that_is_not_understood_is_refused_by_the_clips_name(write, time_range, mark, told):
    edit = read_edit(write(schema.Clip("sh010", source_range=time_range(1, 5), metadata={"penumbra": mark})))
    (problem,) = edit.problems
    assert problem.startswith(f"clip 'sh010': {told}")
    assert edit.shots == ()


def test_metadata_of_other_programs_is_left_alone(write, clip):
    made = clip("a")
    made.metadata["cmx_3600"] = {"reel": "x", "nested": [1, {"a": None}]}
    assert frames(read_edit(write(made))) == {"shot_010": "1001-1008"}


def test_missing_media_is_taken_and_noted(write, clip):
    assert read_edit(write(clip("a"))).shots[0].clips[0].notes == ("has no media yet",)


def test_generators_are_taken_and_noted(write, clip):
    made = clip("a", media_reference=schema.GeneratorReference(generator_kind="SMPTEBars"))
    (note,) = read_edit(write(made)).shots[0].clips[0].notes
    assert "SMPTEBars" in note


def test_media_gives_the_range_where_the_clip_has_none(write, clip, time_range):
    media = schema.ExternalReference("sh010.exr", available_range=time_range(1001, 3))
    made = schema.Clip("a", media_reference=media, metadata={"penumbra": {"shot": "shot_010"}})
    assert frames(read_edit(write(made))) == {"shot_010": "1001-1003"}


def test_a_clip_without_any_range_is_refused_by_name_and_its_neighbours_are_kept(write, clip):
    made = schema.Clip("a", metadata={"penumbra": {"shot": "shot_020"}})
    edit = read_edit(write(made, clip("b")))
    assert edit.problems == ("clip 'a': has neither a source range nor media with an available range",)
    assert frames(edit) == {"shot_010": "1001-1008"}
    assert edit.shots[0].clips[0].offset is None


def test_a_gap_without_a_range_hides_where_the_clips_after_it_stand_but_not_what_they_show(write, clip):
    path = write(schema.Gap(), clip("a"))
    data = json.loads(path.read_text())
    data["tracks"]["children"][0]["children"][0]["source_range"] = None
    path.write_text(json.dumps(data))
    edit = read_edit(path)
    assert frames(edit) == {"shot_010": "1001-1008"}
    assert edit.shots[0].clips[0].offset is None


@pytest.mark.parametrize("count", [0, -5])
def test_an_empty_clip_is_refused_by_name(write, clip, count):
    (problem,) = read_edit(write(clip("a", 1001, count))).problems
    assert problem.startswith("clip 'a': shows no frame")


@pytest.mark.parametrize("count", [10**7, 2**40])
def test_a_clip_of_too_many_frames_is_refused_by_name(write, clip, count):
    (problem,) = read_edit(write(clip("a", 0, count))).problems
    assert problem.startswith("clip 'a': ")


@pytest.mark.parametrize("disable", ["clip", "track"])
def test_what_is_disabled_is_left_out_and_noted(write, clip, disable):
    made = clip("a")
    timeline = schema.Timeline("edit")
    timeline.tracks.append(schema.Track("V1", children=[made]))
    (made if disable == "clip" else timeline.tracks[0]).enabled = False
    edit = read_edit(write(timeline))
    assert edit.shots == ()
    assert "clip 'a' of shot_010 is disabled and left out" in edit.notes


def test_a_speed_of_one_is_no_retime(write, clip):
    assert frames(read_edit(write(clip("a", effects=[schema.LinearTimeWarp(time_scalar=1.0)])))) == {
        "shot_010": "1001-1008"
    }


def test_effects_that_leave_time_alone_are_ignored(write, clip):
    assert frames(read_edit(write(clip("a", effects=[schema.Effect(effect_name="blur")])))) == {"shot_010": "1001-1008"}


def test_a_whole_speed_takes_every_nth_frame_with_handles_in_step(write, clip):
    made = clip("a", 1001, 4, mark={"handles": 1}, effects=[schema.LinearTimeWarp(time_scalar=3.0)])
    edit = read_edit(write(made))
    assert list(edit.shots[0].frames) == [998, 1001, 1004, 1007, 1010, 1013]
    assert "runs 3 times as fast: every 3. frame" in edit.shots[0].clips[0].notes


@pytest.mark.parametrize(
    "effect",
    [
        schema.LinearTimeWarp(time_scalar=0.5),
        schema.LinearTimeWarp(time_scalar=1.5),
        schema.LinearTimeWarp(time_scalar=-1.0),
        schema.LinearTimeWarp(time_scalar=float("nan")),
        schema.LinearTimeWarp(time_scalar=1e300),
        schema.FreezeFrame(),
        schema.TimeEffect(),
    ],
)
def test_other_retimes_are_refused_by_the_clips_name(write, clip, effect):
    edit = read_edit(write(clip("slow", effects=[effect.clone()])))
    (problem,) = edit.problems
    assert problem.startswith("clip 'slow': is retimed")


def test_a_retime_of_a_stack_is_refused_for_the_clips_in_it(write, clip):
    stack = schema.Stack("comp", children=[clip("a")], effects=[schema.LinearTimeWarp(time_scalar=2.0)])
    (problem,) = read_edit(write(stack)).problems
    assert problem.startswith("clip 'a': is retimed by a LinearTimeWarp of the stack 'comp'")


def test_nested_stacks_are_looked_into(write, clip, time_range):
    inner = schema.Stack("comp", children=[schema.Track("in", children=[clip("a")])])
    edit = read_edit(write(schema.Gap(source_range=time_range(0, 5)), inner))
    assert frames(edit) == {"shot_010": "1001-1008"}
    assert edit.shots[0].clips[0].offset == 5


def test_a_trimmed_stack_hides_frames(write, clip, time_range):
    inside = schema.Track(
        "in", children=[clip("a", 1001, 10), clip("b", 2001, 10, "shot_020"), clip("c", 1, 9, "shot_030")]
    )
    trimmed = schema.Stack("comp", children=[inside], source_range=time_range(4, 8))
    edit = read_edit(write(schema.Gap(source_range=time_range(0, 5)), trimmed))
    assert frames(edit) == {"shot_010": "1005-1010", "shot_020": "2001-2002"}
    assert [shot.clips[0].offset for shot in edit.shots] == [5, 11]
    assert [problem[:9] for problem in edit.problems] == ["clip 'c':"]


def test_a_trim_within_a_trim_hides_both(write, clip, time_range):
    inner = schema.Stack("inner", children=[clip("a", 1001, 20)], source_range=time_range(2, 15))
    outer = schema.Stack("outer", children=[schema.Track("t", children=[inner])], source_range=time_range(3, 5))
    assert frames(read_edit(write(outer))) == {"shot_010": "1006-1010"}


def test_a_dissolve_beside_a_trimmed_stack_shows_more_of_it(write, clip, time_range):
    stack = schema.Stack("comp", children=[clip("a", 1001, 20)], source_range=time_range(4, 8))
    dissolve = schema.Transition(in_offset=RationalTime(2, 24), out_offset=RationalTime(3, 24))
    edit = read_edit(write(clip("b", 1, 9, "shot_020"), dissolve, stack))
    assert frames(edit)["shot_010"] == "1003-1012"


def test_clips_of_all_timelines_of_a_collection_are_taken(write, clip):
    timelines = [schema.Timeline(name) for name in "ab"]
    for timeline, made in zip(timelines, [clip("a"), clip("b", 1, 2, "shot_020")], strict=True):
        timeline.tracks.append(schema.Track(children=[made]))
    assert frames(read_edit(write(schema.SerializableCollection("both", timelines)))) == {
        "shot_010": "1001-1008",
        "shot_020": "1-2",
    }


@pytest.mark.parametrize("where", ["timeline", "stack", "track", "gap"])
def test_only_clips_name_shots(write, where, time_range):
    mark = {"penumbra": {"shot": "shot_010"}}
    items = {
        "timeline": schema.Timeline("x", metadata=mark),
        "stack": schema.Stack("x", metadata=mark),
        "track": schema.Stack(children=[schema.Track("x", metadata=mark)]),
        "gap": schema.Gap("x", source_range=time_range(0, 5), metadata=mark),
    }
    assert read_edit(write(items[where])).problems == (f"{where} 'x' has penumbra metadata; only clips name shots",)


def test_names_with_control_characters_stay_on_one_line(write, clip):
    (problem,) = read_edit(write(clip("a\nb\x1b[31m", 1, 0))).problems
    assert problem.isprintable()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b"]), st.integers(-50, 5000), st.integers(1, 40), st.integers(0, 9)),
        min_size=1,
        max_size=6,
    )
)
def test_a_shots_frames_are_the_union_of_its_clips(tmp_path_factory, cuts):
    track, expected = schema.Track("V1"), {}
    for shot, first, count, handles in cuts:
        source = otio.opentime.TimeRange(RationalTime(first, 25), RationalTime(count, 25))
        track.append(schema.Clip(shot, source_range=source, metadata={"penumbra": {"shot": shot, "handles": handles}}))
        expected.setdefault(shot, set()).update(range(first - handles, first + count + handles))
    timeline = schema.Timeline("edit")
    timeline.tracks.append(track)
    path = tmp_path_factory.getbasetemp() / "union.otio"
    otio.adapters.write_to_file(timeline, str(path))
    assert {shot.name: set(shot.frames) for shot in read_edit(path).shots} == expected


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the edits of others in ../shared/otio")
def test_other_peoples_edits_are_read_and_name_no_shots():
    paths = sorted(SHARED.glob("*.otio"))
    assert paths
    for path in paths:
        edit = read_edit(path)
        assert (edit.shots, edit.problems) == ((), ()), path
        assert "no clip names a shot" in edit.notes[0]


YAML = "shot: {name}\nscene: scene.xml\nframes: 1-2\nfps: {fps}\n"


@pytest.fixture
def add_shot(tmp_path, monkeypatch):
    """Adds a shot beside the edit; the current directory is elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    def add(name, fps="24", directory=tmp_path):
        (directory / name).mkdir(parents=True)
        (directory / name / "shot.yaml").write_text(YAML.format(name=name, fps=fps))
        (directory / name / "scene.xml").write_text("<scene/>")

    return add


def test_shots_are_loaded_with_the_frames_of_the_edit(write, clip, add_shot):
    add_shot("shot_010")
    (shot,) = load_edit_shots(read_edit(write(clip("a"))), {"denoise.lambda": 2.0})
    assert (str(shot.frames), shot.denoise.lambda_) == ("1001-1008", 2.0)


def test_shots_are_also_found_below_the_current_directory(write, clip, add_shot):
    add_shot("shot_010", directory=Path.cwd() / "shots")
    assert [shot.shot for shot in load_edit_shots(read_edit(write(clip("a"))))] == ["shot_010"]


def test_frames_asked_for_narrow_the_edit_and_leave_out_shots(write, clip, add_shot):
    add_shot("shot_010")
    add_shot("shot_020")
    edit = read_edit(write(clip("a"), clip("b", 2001, 4, "shot_020")))
    shots = load_edit_shots(edit, {"frames": "1007-1012"})
    assert [(shot.shot, str(shot.frames)) for shot in shots] == [("shot_010", "1007-1008")]
    with pytest.raises(ConfigError, match="none of its shots has the frames"):
        load_edit_shots(edit, {"frames": "1"})
    with pytest.raises(ConfigError, match=r"^--frames: frame range 3-1 runs backwards"):
        load_edit_shots(edit, {"frames": "3-1"})


def test_a_clip_at_another_rate_than_its_shot_is_refused_by_name(write, clip, add_shot):
    add_shot("shot_010", fps="23.976")
    with pytest.raises(ConfigError, match="clip 'a' runs at 24 frames per second, the shot at 24000/1001"):
        load_edit_shots(read_edit(write(clip("a"))))


def test_all_problems_of_an_edits_shots_are_told_together(write, clip, add_shot):
    add_shot("shot_010", fps="30")
    edit = read_edit(write(clip("a"), clip("b", shot="shot_02"), clip("c", shot="shot_03")))
    with pytest.raises(ConfigError) as error:
        load_edit_shots(edit)
    assert [line.split(": ")[1] for line in str(error.value).splitlines()] == [
        "shot shot_010",
        "shot shot_02",
        "shot shot_03",
    ]


def test_nothing_is_loaded_from_an_edit_with_problems(write, clip, add_shot):
    add_shot("shot_010")
    edit = read_edit(write(clip("a"), clip("b", effects=[schema.FreezeFrame()]), clip("c", 1, 0)))
    with pytest.raises(ConfigError) as error:
        load_edit_shots(edit)
    lines = str(error.value).splitlines()
    assert [line.startswith(f"{edit.path}: clip ") for line in lines] == [True, True]


def test_an_edit_without_shots_is_nothing_to_render(write, time_range):
    with pytest.raises(ConfigError, match="no clip names a shot"):
        load_edit_shots(read_edit(write(schema.Clip("plate", source_range=time_range(0, 5)))))
