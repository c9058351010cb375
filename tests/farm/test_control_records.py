"""What was asked of a job, from its records alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import FarmError
from pipeline.farm import control
from pipeline.farm.control import Control, ControlState, Record
from pipeline.farm.store import open_store

RECORDS = st.lists(
    st.one_of(
        st.sampled_from(["pause", "resume", "cancel", "retry"]).map(Record),
        st.builds(Record, st.sampled_from(["skip", "frames"]), st.lists(st.integers(1, 5), max_size=3)),
        st.builds(Record, st.just("priority"), st.integers(0, 9)),
    ),
    max_size=8,
)


def test_resume_undoes_a_pause_and_a_cancel() -> None:
    assert ControlState.of([Record("pause")]).held
    assert ControlState.of([Record("cancel")]).held
    assert not ControlState.of([Record("pause"), Record("cancel"), Record("resume")]).held


def test_the_newest_priority_counts() -> None:
    assert ControlState.of([Record("priority", 3), Record("priority", 8)]).priority == 8
    assert ControlState.of([]).priority is None


def test_a_skipped_frame_that_is_asked_for_again_is_wanted() -> None:
    state = ControlState.of([Record("skip", [2, 3]), Record("frames", [3, 9])])

    assert (state.skipped, state.frames) == ({2}, {3, 9})


def test_tasks_of_skipped_frames_stop_and_others_go_on() -> None:
    state = ControlState.of([Record("skip", [2])])

    assert state.stops("passes/0002/r00.s00")
    assert not state.stops("passes/0003/r00.s00")
    assert not state.stops("report")


@given(RECORDS, RECORDS)
def test_records_that_come_later_are_added_to_what_is_known(first: list[Record], second: list[Record]) -> None:
    state = ControlState.of(first)
    for record in second:
        state = state.after(record)

    assert state == ControlState.of([*first, *second])


def test_an_action_of_a_newer_release_is_refused_by_name() -> None:
    with pytest.raises(FarmError, match="'levitate'"):
        ControlState.of([Record("levitate")])


def test_records_are_numbered_without_gaps_and_read_as_they_come(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    reader = Control(store, "shot/v001")
    assert control.write(store, "shot/v001", "pause") == 0
    assert reader.look().paused
    assert control.write(store, "shot/v001", "resume", after=1) == 1
    assert control.write(store, "shot/v001", "skip", {3, 1}) == 2

    assert not reader.look().paused
    assert reader.state.skipped == {1, 3}
    assert reader.state == Control(store, "shot/v001").look()


def test_what_cannot_be_asked_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(FarmError, match="'levitate'"):
        control.write(open_store(tmp_path), "shot/v001", "levitate")
    assert not list(tmp_path.rglob("*"))
