"""Non-local means: keeps what has no noise, keeps edges, and brings noise down."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from pipeline.denoise.frame import Frame
from pipeline.denoise.nlm import NonLocalMeans, _shifted
from pipeline.errors import ProductError
from pipeline.images.metrics import smape


def test_a_frame_without_noise_stays_as_it_is(without_noise: Any) -> None:
    out = NonLocalMeans(search=2, patch=1).denoise({1: Frame.of(without_noise)}, 1, 1.0)

    for name in ("emission", "diffuse", "specular"):
        assert np.allclose(getattr(out, name), 0.5, rtol=1e-5)


def test_noise_comes_down_and_the_chequers_stay(example: Any) -> None:
    out = NonLocalMeans(search=5, patch=2).denoise({1: Frame.of(example.frame)}, 1, 1.0)

    assert smape(out.beauty, example.truth) < 0.45 * smape(example.frame.beauty, example.truth)
    edge = np.abs(np.diff(example.truth[:, 8:30, 1], axis=1)) > 0.1
    kept = (
        np.abs(np.diff(out.beauty[:, 8:30, 1], axis=1))[edge] / np.abs(np.diff(example.truth[:, 8:30, 1], axis=1))[edge]
    )
    assert np.median(kept) == pytest.approx(1.0, abs=0.1)


def test_colour_does_not_leak_over_an_edge_of_a_feature(example: Any) -> None:
    # Two walls that light alone does not tell apart within the noise; their normals do.
    left = np.broadcast_to(np.arange(64)[None, :] < 32, (48, 64))
    normal = np.where(left[..., None], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]).astype(np.float32)
    frame = dataclasses.replace(example.frame, normal=normal)

    with_normals = NonLocalMeans(search=5, patch=2).denoise({1: Frame.of(frame)}, 1, 1.0)
    without = NonLocalMeans(search=5, patch=2).denoise({1: Frame.of(example.frame)}, 1, 1.0)

    # The specular component is 0 left of the middle.
    assert with_normals.specular[:, 26:32].max() < without.specular[:, 26:32].max()


def test_components_are_float32_and_never_negative(example: Any) -> None:
    out = NonLocalMeans(search=2, patch=1).denoise({1: Frame.of(example.frame)}, 1, 1.0)

    for part in (out.emission, out.diffuse, out.specular):
        assert part.dtype == np.float32
        assert part.min() >= 0.0


@pytest.mark.parametrize("offset", [(0, 0), (2, -1), (-3, 4)])
def test_shifting_brings_the_neighbour_at_the_offset(offset: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random((9, 9, 2)).astype(np.float32)

    shifted = _shifted(image, offset)

    assert np.array_equal(shifted[4, 4], image[4 + offset[0], 4 + offset[1]])
    assert np.isin(shifted, image).all()


def test_a_missing_frame_is_refused() -> None:
    with pytest.raises(ProductError, match="frame 3"):
        NonLocalMeans().denoise({}, 3, 1.0)


def test_a_frame_without_halves_or_features_is_refused_by_name(example: Any) -> None:
    frame = Frame.of(example.frame)

    with pytest.raises(ProductError, match="frame 3: nlm needs the means of two halves of the samples"):
        NonLocalMeans().denoise({3: dataclasses.replace(frame, halves=None)}, 3, 1.0)
    with pytest.raises(ProductError, match="frame 3: nlm needs albedo, normal and depth"):
        NonLocalMeans().denoise({3: dataclasses.replace(frame, depth=None)}, 3, 1.0)
