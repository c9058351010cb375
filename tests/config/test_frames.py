import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import frame_rate, frames
from pipeline.config.frames import FRAME_LIMIT, MAX_FRAMES, FrameRange
from pipeline.errors import ConfigError

frame_sets = st.sets(st.integers(-3000, 3000), min_size=1, max_size=60)


@pytest.mark.parametrize("module", [frames, frame_rate])
def test_the_examples_in_the_docstrings_run(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1001", [1001]),
        ("1001-1004", [1001, 1002, 1003, 1004]),
        ("1-10x2", [1, 3, 5, 7, 9]),
        ("1-6y2", [2, 4, 6]),
        ("1-5:2", [1, 2, 3, 4, 5]),
        ("5,1,3", [1, 3, 5]),
        (" 1 , 3-5 ", [1, 3, 4, 5]),
        ("-5--3", [-5, -4, -3]),
        ("-1-1", [-1, 0, 1]),
        ("1-3,2-4", [1, 2, 3, 4]),
        ("7-7", [7]),
        ("0001-0002", [1, 2]),
    ],
)
def test_fileseq_ranges_become_ascending_unique_frames(text, expected):
    assert list(FrameRange.parse(text)) == expected


@pytest.mark.parametrize("text", ["1008-1001", "1,1008-1001", "-1--5", "10-1x2"])
def test_a_reversed_range_is_refused_by_name_with_the_range_that_was_meant(text):
    with pytest.raises(ConfigError, match=r"runs backwards \(did you mean "):
        FrameRange.parse(text)


@pytest.mark.parametrize(
    "text", ["", "  ", ",", "1,,2", "1-", "a", "1.5", "1-2x0.5", "#", "1-5#", "%04d", "1-10x-1", "١-٣", "1\n2"]
)
def test_what_is_no_frame_range_is_refused_in_one_line(text):
    with pytest.raises(ConfigError) as error:
        FrameRange.parse(text)
    assert "\n" not in str(error.value)


def test_a_step_of_zero_is_refused():
    with pytest.raises(ConfigError, match="step of 0"):
        FrameRange.parse("1-10x0")


def test_a_range_that_leaves_out_all_its_frames_is_empty():
    with pytest.raises(ConfigError, match="empty"):
        FrameRange.parse("1-3y1")


@pytest.mark.parametrize("text", [f"1-{MAX_FRAMES + 1}", "1-999999999", "1-90000,100001-190000"])
def test_a_range_of_too_many_frames_is_refused_without_expanding_it(text):
    with pytest.raises(ConfigError, match="at most"):
        FrameRange.parse(text)


def test_a_long_range_with_a_step_counts_only_the_frames_that_it_names():
    assert len(FrameRange.parse("0-1000000x1000")) == 1001


def test_frame_numbers_of_more_than_32_bits_are_refused():
    with pytest.raises(ConfigError, match="within"):
        FrameRange.parse(str(FRAME_LIMIT + 1))


@given(frame_sets)
def test_the_spelling_of_a_range_names_the_same_frames(chosen):
    frame_range = FrameRange.of(chosen)
    assert FrameRange.parse(str(frame_range)) == frame_range
    assert list(frame_range) == sorted(chosen)


@given(st.integers(-500, 500), st.integers(0, 300), st.integers(1, 12))
def test_a_stepped_range_is_pythons_range(first, length, step):
    assert list(FrameRange.parse(f"{first}-{first + length}x{step}")) == list(range(first, first + length + 1, step))


@given(frame_sets, frame_sets)
def test_joining_ranges_joins_their_frames(a, b):
    assert set(FrameRange.of(a) | FrameRange.of(b)) == a | b


@given(frame_sets, st.integers(-3100, 3100))
def test_membership_agrees_with_the_frames(chosen, frame):
    assert (frame in FrameRange.of(chosen)) == (frame in chosen)


@given(st.text(max_size=30))
def test_any_text_is_a_range_or_one_clear_error(text):
    try:
        assert len(FrameRange.parse(text)) > 0
    except ConfigError as error:
        assert str(error)


def test_ranges_are_values():
    assert hash(FrameRange.parse("1-3")) == hash(FrameRange.parse("1,2,3"))
    with pytest.raises(AttributeError):
        FrameRange.parse("1-3").frames = (1,)
