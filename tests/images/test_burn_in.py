"""Slates and burnt-in lines: they are there, they fit, and the picture above them is as it was."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.images.burn_in import burnt_in, slate


@pytest.mark.parametrize("shape", [(270, 480), (1080, 1920), (54, 96)])
def test_a_slate_has_text_inside_its_margins(shape: tuple[int, int]) -> None:
    page = slate(shape, "shot_010 v003", [("frames", "1001-1008"), ("denoiser", "kpcn, λ 1")])
    assert page.shape == (*shape, 3)
    lit = np.argwhere(page.max(-1) > 100)
    assert len(lit) > 50
    assert lit[:, 1].min() >= shape[1] // 12 - 1


def test_a_line_is_burnt_in_below_and_the_rest_stays() -> None:
    picture = np.full((270, 480, 3), 120, np.uint8)
    found = burnt_in(picture, "shot_010 v003", "1001")
    size = 10
    assert (found[: 270 - 2 * size] == 120).all()
    assert (found[270 - 2 * size :] != 120).any()
    assert (picture == 120).all()  # it was not drawn into
    lit = np.argwhere(found[270 - 2 * size :].max(-1) > 200)[:, 1]
    assert lit.min() < 40
    assert lit.max() > 440
