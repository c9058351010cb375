"""Trajectories: vectors chained from frame to frame, and ended where nothing is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.denoise.frame import Frame
from pipeline.denoise.motion import trajectories
from pipeline.errors import ProductError

HEIGHT, WIDTH = 6, 20


def panned(x: float = 3.0, y: float = 0.0, **layers: Any) -> Frame:
    """A frame of a sequence in which everything moves by (x, y) pixels per frame."""
    forward = np.broadcast_to(np.array([x, y], np.float32), (HEIGHT, WIDTH, 2)).copy()
    known = np.ones((HEIGHT, WIDTH), np.float32)
    frame = Frame(
        components={"beauty": np.zeros((HEIGHT, WIDTH, 3), np.float32)},
        forward=forward,
        backward=-forward,
        forward_valid=known,
        backward_valid=known.copy(),
    )
    return replace(frame, **layers)


def put(layer: np.ndarray | None, at: Any, value: Any) -> None:
    assert layer is not None
    layer[at] = value


def still() -> Frame:
    """A frame that was rendered without motion."""
    return panned(forward=None, backward=None, forward_valid=None, backward_valid=None)


def test_a_pan_adds_up_over_the_frames_in_both_directions() -> None:
    window = {n: panned() for n in range(10, 17)}

    found = trajectories(window, 13, [10, 12, 14, 16])

    assert set(found) == {10, 12, 14, 16}
    for number, (offset, valid) in found.items():
        pan = 3 * (number - 13)
        columns = np.arange(WIDTH) + pan
        inside = np.broadcast_to((columns >= 0) & (columns < WIDTH), (HEIGHT, WIDTH))
        assert np.array_equal(valid, inside)
        assert offset.dtype == np.float32
        assert (offset[valid] == [pan, 0]).all()
        assert (offset[~valid] == 0).all()


def test_the_centre_is_where_it_is() -> None:
    offset, valid = trajectories({5: panned()}, 5, [5])[5]

    assert not offset.any()
    assert valid.all()


def test_the_vector_on_the_way_is_that_of_the_nearest_pixel_there() -> None:
    second = panned(0.0)
    put(second.forward, np.s_[:, 8], [0.0, 2.0])  # what stands at x = 8 in frame 2 moves down
    window = {1: panned(2.6), 2: second, 3: panned()}

    offset, _ = trajectories(window, 1, [3])[3]

    assert offset[1, 5] == pytest.approx([2.6, 2.0])  # 5 + 2.6 is nearest to 8
    assert offset[1, 4] == pytest.approx([2.6, 0.0])


def test_what_leaves_the_image_on_the_way_does_not_come_back() -> None:
    away, back = panned(0.0), panned(-3.0)
    put(away.forward, np.s_[:, 15:], [8.0, 0.0])  # an object at the right leaves
    window = {1: away, 2: back, 3: panned()}

    found = trajectories(window, 1, [2, 3])

    assert not found[2][1][:, 15:].any()
    assert not found[3][1][:, 15:].any()
    assert found[3][1][:, 3:15].all()


@pytest.mark.parametrize("vector", [np.nan, np.inf, 1e30])
def test_a_vector_that_is_no_number_or_beyond_all_images_ends_the_trajectory(vector: float) -> None:
    first = panned(0.0)
    put(first.forward, np.s_[2, 4, 1], vector)
    window = {1: first, 2: panned(0.0), 3: panned(0.0)}

    found = trajectories(window, 1, [2, 3])

    for offset, valid in found.values():
        assert np.argwhere(~valid).tolist() == [[2, 4]]
        assert np.isfinite(offset).all()


@pytest.mark.parametrize(("share", "known"), [(0.49, False), (0.5, True), (np.nan, False)])
def test_a_pixel_is_followed_if_the_motion_of_half_its_samples_is_known(share: float, known: bool) -> None:
    second = panned()
    put(second.forward_valid, np.s_[3, 7], share)  # where pixel 4 of frame 1 is
    window = {1: panned(), 2: second, 3: panned()}

    assert trajectories(window, 1, [3])[3][1][3, 4] == known


@pytest.mark.parametrize("window", [{1: panned(), 3: panned()}, {1: panned(), 2: None, 3: panned()}])
@pytest.mark.parametrize("assume_static", [False, True])
def test_nothing_is_known_in_and_behind_an_absent_frame(window: Any, assume_static: bool) -> None:
    found = trajectories(window, 1, [2, 3], assume_static=assume_static)

    for offset, valid in found.values():
        assert not valid.any()
        assert not offset.any()


def test_frames_without_motion_are_unknown_unless_they_are_said_to_be_still() -> None:
    window = {1: panned(), 2: still(), 3: still()}

    assert not trajectories(window, 1, [3])[3][1].any()
    offset, valid = trajectories(window, 1, [3], assume_static=True)[3]
    assert valid[:, : WIDTH - 3].all()
    assert (offset[valid] == [3, 0]).all()


def test_vectors_without_a_validity_are_taken_as_known() -> None:
    window = {1: panned(forward_valid=None), 2: panned()}

    assert trajectories(window, 1, [2])[2][1][:, : WIDTH - 3].all()


def test_halves_go_the_same_way_in_every_pixel() -> None:
    second = panned(0.0)
    put(second.forward, np.s_[:, :, 1], np.arange(WIDTH) % 2)  # odd columns move down
    window = {1: panned(0.5), 2: second, 3: panned()}

    offset, valid = trajectories(window, 1, [3])[3]

    row = offset[2, valid[2], 1]
    assert row.tolist() == [(x + 1) % 2 for x in range(len(row))]


def test_a_frame_of_another_size_is_named() -> None:
    other = Frame(components={"beauty": np.zeros((4, 5, 3), np.float32)})

    with pytest.raises(ProductError, match="frame 2 is 5×4 pixels, frame 1 is 20×6"):
        trajectories({1: panned(), 2: other}, 1, [2])


def test_a_window_without_its_centre_is_refused() -> None:
    with pytest.raises(ProductError, match="frame 1"):
        trajectories({2: panned()}, 1, [2])
