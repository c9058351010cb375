"""λ at a proxy's size: what the network makes of the whole frames, and only what is behind λ runs again."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.review_shot import Made, moments
from pipeline.denoise.frame import Frame
from pipeline.denoise.proxy import cropped, shrunk
from pipeline.errors import ConfigError, ProductError
from pipeline.farm import names
from pipeline.farm.windows import StoredWindow
from pipeline.render.moments import combine
from pipeline.review.steering import Region, Steering, painted
from tests.review.conftest import DONE, HEIGHT, WAITING, WIDTH


def test_a_shrunk_frame_has_the_means_and_the_variance_of_their_mean() -> None:
    frame = Frame.of(combine(moments(1001, WIDTH, HEIGHT)))

    small = shrunk(frame, 3)

    assert small.shape == (18, 32)
    assert small.components["diffuse"][2, 5] == pytest.approx(
        frame.components["diffuse"][6:9, 15:18].mean((0, 1)), 1e-5
    )
    assert small.variance["beauty"][0, 0] == pytest.approx(frame.variance["beauty"][:3, :3].mean() / 9, 1e-5)
    assert small.count is not None and (small.count == 36).all()


def test_a_cropped_frame_is_the_pixels_as_they_are() -> None:
    frame = Frame.of(combine(moments(1001, WIDTH, HEIGHT)))

    part = cropped(frame, slice(8, 24), slice(16, 48))

    assert np.array_equal(part.beauty, frame.beauty[8:24, 16:48])
    assert part.halves is not None and part.halves[0].shape == (16, 32, 9)


def test_a_painted_map_is_lambda_where_nothing_is_painted() -> None:
    strokes = np.array([[0, 1], [128, 255]], np.uint8)

    found = painted(2.0, strokes, (4, 4))

    assert isinstance(found, np.ndarray)
    assert found[0, 0] == 2 and found[0, 3] == 1 and found[3, 3] == pytest.approx(10)
    assert found[3, 0] == pytest.approx(10 ** (127 / 254))
    assert painted(2.0, np.zeros((2, 2), np.uint8), (4, 4)) == 2.0
    with pytest.raises(ConfigError, match="λ is 12"):
        painted(12.0, None, (4, 4))


def test_steering_gives_what_denoising_gives_and_prepares_a_frame_once(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from pipeline.denoise.kpcn import Kpcn

    asked: list[int] = []
    prepare = Kpcn.prepare
    monkeypatch.setattr(Kpcn, "prepare", lambda *given: (asked.append(given[2]), prepare(*given))[1])
    steering = Steering(threads=1)

    pictures = [steering.picture(made.products, DONE[0], value) for value in (1.0, 6.0)]

    window = StoredWindow(made.products, {n: names.buffers(n, 0) for n in (1001, 1002)}, "pooled")
    whole = Kpcn(threads=1).denoise(window, 1001, 6.0).beauty
    assert np.allclose(pictures[1], whole, rtol=2e-3, atol=1e-3)
    assert np.abs(pictures[0].astype(np.float32) - pictures[1]).max() > 0.01
    assert asked == [1001]
    part = steering.picture(made.products, 1001, 1.0, region=Region(32, 8, 48, 32))
    assert part.shape == (32, 48, 3)
    assert steering.picture(made.products, 1001, 1.0, coarser=2).shape == (HEIGHT // 2, WIDTH // 2, 3)


def test_a_frame_without_sums_cannot_be_steered(made: Made) -> None:
    with pytest.raises(ProductError, match="no sums"):
        Steering().picture(made.products, WAITING, 1.0)
