"""Keyframes of cameras and shapes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from pipeline.scene import animation

ORIGIN = np.zeros(3)


def angle_of(matrix: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip((np.trace(matrix[:3, :3]) - 1) / 2, -1, 1))))


def turn(axis: list[float], angle: float) -> dict:
    return {"rotate": {"axis": axis, "angle": angle}}


def test_translation_is_linear_between_keyframes():
    keys = {"1001": {"translate": [0, 0, 0]}, "1005": {"translate": [4, 2, 0]}}
    assert_allclose(animation.pose(keys, 1002, ORIGIN)[:3, 3], [1, 0.5, 0])


@pytest.mark.parametrize(("frame", "x"), [(990, 0.0), (1001, 0.0), (1005, 4.0), (2000, 4.0)])
def test_a_pose_holds_before_the_first_keyframe_and_after_the_last(frame, x):
    keys = {1001: {"translate": [0, 0, 0]}, 1005: {"translate": [4, 0, 0]}}
    assert animation.pose(keys, frame, ORIGIN)[0, 3] == x


def test_rotation_about_one_axis_goes_the_way_of_the_angles():
    keys = {0: turn([0, 1, 0], 0), 4: turn([0, 1, 0], 360)}
    quarter = animation.pose(keys, 1, ORIGIN)
    assert_allclose(quarter[:3, :3] @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    keys = {0: turn([0, 1, 0], 0), 3: turn([0, 2, 0], 270)}
    assert_allclose(animation.pose(keys, 2, ORIGIN)[:3, :3] @ [0, 0, 1], [0, 0, -1], atol=1e-12)


def test_an_axis_turned_round_is_the_same_axis_with_the_angle_negated():
    keys = {0: turn([0, 0, 1], 90), 2: turn([0, 0, -1], 90)}
    assert_allclose(animation.pose(keys, 1, ORIGIN), np.eye(4), atol=1e-12)


def test_rotation_between_axes_is_spherical():
    keys = {0: turn([1, 0, 0], 90), 2: turn([0, 1, 0], 90)}
    start, middle, end = (animation.pose(keys, frame, ORIGIN) for frame in (0, 1, 2))
    first, second = angle_of(middle @ start.T), angle_of(end @ middle.T)
    assert first == pytest.approx(second)
    assert first + second == pytest.approx(angle_of(end @ start.T))


def test_a_keyframe_without_rotation_turns_about_the_axis_of_the_other():
    keys = {0: {}, 4: turn([0, 1, 0], 200)}
    assert_allclose(animation.pose(keys, 1, ORIGIN), animation.rotation_about([0, 1, 0], 50), atol=1e-12)


def test_scale_and_rotation_leave_the_centre_where_it_is():
    centre = np.array([1.0, 2.0, 3.0])
    keys = {0: {**turn([1, 2, 3], 77), "scale": 2.5}}
    assert_allclose((animation.pose(keys, 0, centre) @ [*centre, 1])[:3], centre)


def test_a_pivot_takes_the_place_of_the_centre_and_the_translation_comes_last():
    keys = {0: {**turn([0, 0, 1], 90), "pivot": [1, 0, 0], "translate": [0, 0, 5]}}
    assert_allclose(animation.pose(keys, 0, [9, 9, 9]) @ [2, 0, 0, 1], [1, 1, 5, 1], atol=1e-12)


def test_scale_may_be_given_per_axis():
    keys = {0: {"scale": 1.0}, 2: {"scale": [3.0, 1.0, 1.0]}}
    assert_allclose(np.diag(animation.pose(keys, 1, ORIGIN)), [2, 1, 1, 1])


@given(st.floats(-720, 720), st.floats(0, 1), st.floats(-720, 720))
def test_interpolated_rotations_are_rotations(start, weight, end):
    keys = {0: turn([1, 2, 3], start), 1: turn([-3, 1, 0.5], end)}
    linear = animation.pose(keys, weight, ORIGIN)[:3, :3]
    assert_allclose(linear @ linear.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(linear) == pytest.approx(1)


def test_an_axis_of_length_zero_is_refused():
    with pytest.raises(ValueError, match="axis"):
        animation.pose({0: turn([0, 0, 0], 5)}, 0, ORIGIN)


def test_camera_keyframes_are_linear_in_origin_and_target():
    keys = {
        1: {"origin": [0, 0, 4], "target": [0, 0, 0], "up": [0, 1, 0]},
        3: {"origin": [2, 0, 4], "target": [2, 0, 0], "up": None},
    }
    matrix = animation.camera_to_world(keys, 2)
    assert_allclose(matrix[:3, 3], [1, 0, 4])
    assert_allclose(matrix[:3, 2], [0, 0, -1])


@pytest.mark.parametrize(
    ("origin", "target", "up", "message"),
    [([1, 1, 1], [1, 1, 1], [0, 1, 0], "same point"), ([0, 0, 0], [0, 2, 0], [0, 1, 0], "parallel")],
)
def test_a_camera_that_looks_nowhere_is_refused(origin, target, up, message):
    with pytest.raises(ValueError, match=message):
        animation.look_at(origin, target, up)


def test_look_at_is_that_of_mitsuba(mitsuba):
    origin, target, up = [1.0, 2.0, 3.0], [-1.0, 0.5, 0.2], [0.1, 1.0, 0.0]
    theirs = np.array(mitsuba.ScalarTransform4f().look_at(origin=origin, target=target, up=up).matrix).reshape(4, 4)
    assert_allclose(animation.look_at(origin, target, up), theirs, atol=1e-6)
