"""Frame buffers: beauty, luminance, relative variance."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from pipeline.render.buffers import FrameBuffers, luminance


def buffers(**changes: np.ndarray | dict[str, np.ndarray]) -> FrameBuffers:
    colour, scalar = np.zeros((2, 3, 3), np.float32), np.zeros((2, 3), np.float32)
    fields = dict.fromkeys(("emission", "diffuse", "specular", "albedo", "normal"), colour)
    fields |= dict.fromkeys(("depth", "alpha", "forward_valid", "backward_valid", "count"), scalar)
    fields |= dict.fromkeys(("forward", "backward"), np.zeros((2, 3, 2), np.float32))
    fields |= dict.fromkeys(("half_a", "half_b"), np.zeros((2, 3, 9), np.float32))
    return FrameBuffers(**{**fields, "ids": scalar.astype(np.uint32), **changes})


def test_beauty_is_emission_and_diffuse_and_specular() -> None:
    parts = {"emission": 1, "diffuse": 2, "specular": 4}
    frame = buffers(**{name: np.full((2, 3, 3), value, np.float32) for name, value in parts.items()})
    assert_allclose(frame.beauty, 7)
    assert frame.shape == (2, 3)


def test_white_has_the_luminance_of_its_channels() -> None:
    assert_allclose(luminance(np.full((2, 3, 3), 0.5)), 0.5, rtol=1e-6)


@pytest.mark.parametrize(("name", "size"), [("beauty", 0.5), ("diffuse", 0.5), ("depth", 0.5), ("normal", 0.5)])
def test_relative_variance_is_variance_over_squared_mean(name: str, size: float) -> None:
    shape = (2, 3) if name == "depth" else (2, 3, 3)
    means = {("diffuse" if name == "beauty" else name): np.full(shape, size, np.float32)}
    frame = buffers(**means, variance={name: np.full((2, 3), 0.05, np.float32)})
    assert_allclose(frame.relative_variance(name), 0.05 / 0.25, rtol=1e-6)


def test_relative_variance_of_black_and_of_very_noisy_pixels_stays_in_0_to_1() -> None:
    variance = np.array([[0, 1e-3, 1e9]] * 2, np.float32)
    assert_allclose(buffers(variance={"beauty": variance}).relative_variance("beauty"), [[0, 1, 1]] * 2)
