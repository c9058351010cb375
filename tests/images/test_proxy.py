"""Proxies: means of blocks of pixels, in the numbers that the deliverable has."""

from __future__ import annotations

import numpy as np

from pipeline.images.channels import LAYERS as ALL
from pipeline.images.proxy import LAYERS, block_means, proxies, proxy_step


def layers(width: int, height: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {layer.name: rng.random((height, width, len(layer.channels)), np.float32) for layer in ALL}


def test_a_proxy_is_the_mean_of_each_block_of_pixels() -> None:
    made = proxies(layers(1283, 720))

    assert set(made) == set(LAYERS)
    assert made["beauty"].shape == (240, 427, 4) and made["beauty"].dtype == np.float16
    assert made["error"].shape == (240, 427, 1) and made["error"].dtype == np.float32
    noisy = layers(1283, 720)["noisy"]
    assert np.allclose(made["noisy"][5, 7], noisy[15:18, 21:24].mean((0, 1)), rtol=1e-3)


def test_small_frames_are_their_own_proxies_also_where_a_map_has_no_axis_of_channels() -> None:
    whole = layers(96, 54)
    whole["samples"] = whole["samples"][..., 0]

    assert np.array_equal(proxies(whole)["samples"][..., 0], whole["samples"])


def test_what_half_floats_cannot_hold_is_clamped_as_in_the_deliverable() -> None:
    bright = layers(4, 4)
    bright["beauty"][:] = 1e6

    assert (proxies(bright)["beauty"] == 65504).all()


def test_rows_and_columns_that_are_left_over_are_dropped() -> None:
    assert block_means(np.arange(15, dtype=np.float32).reshape(3, 5), 2).tolist() == [[3, 5]]
    assert [proxy_step(*size) for size in ((640, 360), (641, 360), (1920, 1080), (4096, 1716))] == [1, 2, 3, 7]
