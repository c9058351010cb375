"""Gathering along the motion: the right cell, at the resolution of the features, and none that is not there."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipeline.denoise.network.gather import gather_nearest, nearest_index


def uniform(x: float, y: float, height: int = 6, width: int = 8) -> tuple[Tensor, Tensor]:
    """The same valid vector everywhere."""
    offset = torch.tensor([x, y]).view(1, 2, 1, 1).expand(1, 2, height, width).clone()
    return offset, torch.ones((1, height, width), dtype=torch.bool)


def test_a_neighbour_that_moved_is_gathered_back_into_place() -> None:
    centre = torch.rand((2, 4, 6, 8), generator=torch.Generator().manual_seed(0))
    neighbour = torch.roll(centre, (2, -3), dims=(2, 3))  # 2 down, 3 left
    offset, valid = (t.expand(2, *t.shape[1:]) for t in uniform(-3.0, 2.0))

    index, inside = nearest_index(offset, valid)

    assert torch.equal(inside[0], inside[1])
    assert int(inside[0].sum()) == 4 * 5
    gathered = gather_nearest(neighbour, index)
    assert torch.equal(gathered[:, :, :4, 3:], centre[:, :, :4, 3:])
    assert bool(inside[:, :4, 3:].all())


@pytest.mark.parametrize(("motion", "steps"), [(0.4, 0), (0.5, 1), (1.5, 2), (-0.4, 0), (-0.5, 0), (-0.6, -1)])
def test_every_pixel_of_a_motion_takes_the_same_step(motion: float, steps: int) -> None:
    index, inside = nearest_index(*uniform(motion, 0.0))

    own = torch.arange(48).view(6, 8)
    assert set((index[0] - own)[inside[0]].tolist()) == {steps}


@pytest.mark.parametrize("vector", [(100.0, 0.0), (0.0, -1e30), (torch.nan, 0.0), (0.0, torch.inf)])
def test_a_vector_that_leaves_the_image_is_not_valid_and_stays_in_place(vector: tuple[float, float]) -> None:
    index, inside = nearest_index(*uniform(*vector))

    assert not inside.any()
    assert torch.equal(index[0], torch.arange(48).view(6, 8))


def test_a_cell_moves_by_its_vector_in_cells() -> None:
    index, inside = nearest_index(*uniform(4.0, 8.0, 16, 16), stride=4)

    assert index.shape == (1, 4, 4)
    assert int(index[0, 0, 0]) == 2 * 4 + 1
    assert torch.equal(inside[0], torch.tensor([[1, 1, 1, 0]] * 2 + [[0] * 4] * 2).bool())


def test_a_cell_takes_the_vector_of_its_most_central_valid_pixel() -> None:
    offset, valid = torch.zeros((1, 2, 3, 6)), torch.zeros((1, 3, 6), dtype=torch.bool)
    offset[0, 0, 1, 1], valid[0, 1, 1] = 3.0, True  # the middle of the left cell: one cell right
    valid[0, 0, 0] = True  # its corner: nowhere
    offset[0, 0, 1, 4] = 3.0  # the middle of the right cell: out, but not valid
    offset[0, 0, 2, 5], valid[0, 2, 5] = -3.0, True

    index, inside = nearest_index(offset, valid, stride=3)

    assert index[0, 0].tolist() == [1, 0]
    assert inside[0, 0].tolist() == [True, True]


def test_a_cell_without_a_valid_pixel_is_not_valid() -> None:
    offset, valid = uniform(0.0, 0.0, 4, 4)
    valid[0, :2, :2] = False

    assert nearest_index(offset, valid, stride=2)[1][0].tolist() == [[False, True], [True, True]]


def test_cells_that_the_border_cuts_count() -> None:
    index, inside = nearest_index(*uniform(0.0, 0.0, 5, 7), stride=4)

    assert index[0].tolist() == [[0, 1], [2, 3]]
    assert bool(inside.all())


def test_gradients_go_back_to_what_was_gathered() -> None:
    images = torch.rand((1, 2, 2, 3), requires_grad=True)
    index = torch.tensor([[[0, 0, 5]]])

    (grad,) = torch.autograd.grad(gather_nearest(images, index).sum(), images)

    assert grad[0, 0].tolist() == [[2, 0, 0], [0, 0, 1]]


def test_shapes_that_do_not_fit_are_refused() -> None:
    offset, valid = uniform(0.0, 0.0)
    with pytest.raises(ValueError, match="do not fit"):
        nearest_index(offset, valid[:, :3])
    with pytest.raises(ValueError, match="do not fit"):
        gather_nearest(torch.zeros((2, 3, 6, 8)), torch.zeros((1, 6, 8), dtype=torch.int64))
    with pytest.raises(ValueError, match="stride"):
        nearest_index(offset, valid, stride=0)


def test_channels_last_gives_the_same_and_stays_channels_last() -> None:
    images = torch.rand(2, 5, 6, 7)
    index = torch.randint(42, (2, 3, 4))

    gathered = gather_nearest(images.to(memory_format=torch.channels_last), index)

    assert torch.equal(gathered, gather_nearest(images, index))
    assert gathered.is_contiguous(memory_format=torch.channels_last)
