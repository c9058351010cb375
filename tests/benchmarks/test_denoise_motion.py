"""Regions of a frame in which temporal filters go wrong, on a square that moves before a wall."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import denoise_motion as regions
from benchmarks.denoise_peers import motion_averaged
from pipeline.render.buffers import FrameBuffers

HEIGHT, WIDTH = 24, 40
WALL, SQUARE = 1, 2
STEP = 4  # pixels a frame, to the right


def frame(number: int, *, light: float = 1.0, seed: int = 0) -> FrameBuffers:
    """The square, 8 pixels wide, begins at column 10 + 4 · number."""
    left = 10 + STEP * number
    ids = np.full((HEIGHT, WIDTH), WALL, np.uint32)
    ids[8:16, left : left + 8] = SQUARE
    moves = (ids == SQUARE).astype(np.float32)
    forward = np.stack([STEP * moves, np.zeros_like(moves)], -1)
    albedo = np.where((ids == SQUARE)[..., None], 0.8, 0.4).astype(np.float32).repeat(3, -1)
    noise = np.random.default_rng(seed).normal(0, 0.001, (HEIGHT, WIDTH, 1)).astype(np.float32)
    ones, zeros = np.ones((HEIGHT, WIDTH), np.float32), np.zeros((HEIGHT, WIDTH, 3), np.float32)
    halves = np.zeros((HEIGHT, WIDTH, 9), np.float32)
    return FrameBuffers(
        emission=zeros,
        diffuse=albedo * (light + noise),
        specular=zeros,
        albedo=albedo,
        normal=zeros,
        depth=ones,
        alpha=ones,
        forward=forward,
        backward=-forward,
        forward_valid=ones,
        backward_valid=ones,
        ids=ids,
        count=4 * ones,
        half_a=halves,
        half_b=halves,
        variance={},
    )


def test_a_neighbour_is_gathered_where_the_motion_ends() -> None:
    here, after = frame(0), frame(1)
    np.testing.assert_array_equal(regions.gathered(after.ids, here, +1)[here.ids == SQUARE], SQUARE)


def test_only_shapes_that_move_by_themselves_count_as_moving() -> None:
    here = frame(0)
    np.testing.assert_array_equal(regions.moving(here, {SQUARE}), here.ids == SQUARE)
    assert not regions.moving(here, {WALL}).any()


def test_a_slow_object_does_not_count_as_moving() -> None:
    here = frame(0)
    slow = replace(here, forward=here.forward * (0.4 / STEP))
    assert not regions.moving(slow, {SQUARE}).any()


def test_reprojection_fails_where_the_square_covers_the_wall_in_a_neighbour() -> None:
    failing = regions.failing(frame(1), frame(0), frame(2))
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[8:16, 10:14] = True  # uncovered since the frame before
    expected[8:16, 22:26] = True  # covered in the frame after
    np.testing.assert_array_equal(failing, expected)


def test_reprojection_fails_where_motion_is_unknown_or_leaves_the_image() -> None:
    here = frame(1)
    unknown = here.forward_valid.copy()
    unknown[0, 0] = 0.2
    leaving = here.forward.copy()
    leaving[5, 39] = [3.0, 0.0]
    failing = regions.failing(replace(here, forward_valid=unknown, forward=leaving), frame(0), frame(2))
    assert failing[0, 0] and failing[5, 39] and not failing[0, 39]


def test_a_shadow_over_a_static_wall_is_changing_light() -> None:
    shaded = frame(1)
    diffuse = shaded.diffuse.copy()
    diffuse[:, 30:] *= 0.5
    dark = [replace(half, diffuse=diffuse) for half in (shaded, frame(1, seed=1))]

    changing = regions.changing((frame(0, seed=2), frame(0, seed=3)), (dark[0], dark[1]), {SQUARE})

    assert changing[:, 34:].all()
    assert not changing[:, :6].any()
    assert not changing[frame(0).ids == SQUARE].any()


def test_light_that_differs_by_the_references_noise_alone_is_not_changing() -> None:
    halves = [frame(number, seed=seed) for number, seed in ((0, 4), (0, 5), (1, 6), (1, 7))]
    assert not regions.changing((halves[0], halves[1]), (halves[2], halves[3]), {SQUARE}).any()


def test_averaging_along_motion_takes_each_surface_from_itself() -> None:
    frames = {number: frame(number, light=light) for number, light in ((0, 1.0), (1, 2.0), (2, 3.0))}

    averaged = motion_averaged(frames, 1)

    square = frames[1].ids == SQUARE
    np.testing.assert_allclose(averaged.diffuse[square], 0.8 * 2.0, rtol=0.01)
    np.testing.assert_allclose(averaged.albedo, frames[1].albedo, rtol=1e-6)
    assert averaged.diffuse[10, 11, 0] == pytest.approx(0.4 * 2.5, rel=0.01)  # hidden in the frame before
