"""Gathering a neighbour's features and images along the motion: nearest pixel, at the resolution of the features.

Nearest, since interpolation blurs the noise and correlates it, and the kernels can no longer tell it from detail.
`pipeline.denoise.motion` says where each pixel of the centre is in a neighbour; this turns that into indices.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["gather_nearest", "nearest_index"]


def nearest_index(offset: Tensor, valid: Tensor, stride: int = 1) -> tuple[Tensor, Tensor]:
    """For every cell of stride × stride pixels of the centre, the cell of the neighbour that shows the same.

    A cell moves by the vector of its most central valid pixel, divided by the stride and rounded. A mean of vectors
    over an edge between two motions would belong to neither.

    Args:
        offset: B×2×H×W, pixels (x right, y down) from the centre to the neighbour.
        valid: B×H×W bool.
        stride: pixels of the image per cell of the features, in both directions.

    Returns:
        Flat indices into the neighbour's h·w cells, int64 B×h×w, and whether they are valid, bool B×h×w;
        h = ⌈H/stride⌉, w = ⌈W/stride⌉. An invalid cell's index is its own.

    Raises:
        ValueError: the shapes do not fit each other, or the stride is less than 1.
    """
    if stride < 1:
        raise ValueError(f"stride must be at least 1, not {stride}")
    if offset.dim() != 4 or offset.shape[1] != 2 or valid.shape != (offset.shape[0], *offset.shape[2:]):
        raise ValueError(f"offset B×2×H×W and valid B×H×W do not fit: {tuple(offset.shape)}, {tuple(valid.shape)}")
    valid = valid.bool() & offset.isfinite().all(dim=1)
    if stride > 1:
        offset, valid = _most_central(offset, valid, stride)
    height, width = valid.shape[1:]
    # Halves go up in every cell: to the even, every other cell of a motion by x.5 would be doubled.
    x, y = torch.floor(offset / stride + 0.5).unbind(dim=1)
    own_y = torch.arange(height, device=offset.device)[:, None]
    own_x = torch.arange(width, device=offset.device)
    x, y = own_x + x, own_y + y
    valid = valid & (x >= 0) & (x < width) & (y >= 0) & (y < height)  # in floats: a long vector overflows an int
    own = own_y * width + own_x
    there = torch.where(valid, y, 0).long() * width + torch.where(valid, x, 0).long()
    return torch.where(valid, there, own), valid


def _most_central(offset: Tensor, valid: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Per cell the vector of the valid pixel nearest to its middle (B×2×h×w), and whether it has one (B×h×w)."""
    right, below = -offset.shape[3] % stride, -offset.shape[2] % stride
    offset = functional.pad(offset, (0, right, 0, below))
    valid = functional.pad(valid, (0, right, 0, below))
    from_middle = torch.arange(stride) - (stride - 1) / 2
    order = (from_middle[:, None] ** 2 + from_middle**2).flatten().argsort(stable=True)
    chosen = found = None
    for y, x in (divmod(pixel, stride) for pixel in order.tolist()):
        candidate, known = offset[..., y::stride, x::stride], valid[..., y::stride, x::stride]
        if chosen is None or found is None:
            chosen, found = candidate, known
        else:
            chosen, found = torch.where(found[:, None], chosen, candidate), found | known
        if bool(found.all()):
            break
    assert chosen is not None and found is not None
    return chosen, found


def gather_nearest(images: Tensor, index: Tensor) -> Tensor:
    """What the neighbour shows at each cell's index.

    Args:
        images: B×C×H×W, features or colour of the neighbour.
        index: B×h×w, int64, flat into H·W; of `nearest_index`.

    Returns:
        B×C×h×w, in the memory format of `images`. What it holds at invalid cells means nothing: mask it.

    Raises:
        ValueError: the batches differ.
    """
    if images.dim() != 4 or index.dim() != 3 or images.shape[0] != index.shape[0]:
        raise ValueError(f"images B×C×H×W and index B×h×w do not fit: {tuple(images.shape)}, {tuple(index.shape)}")
    batch, channels, height, width = images.shape
    if images.is_contiguous():
        flat = index.flatten(1).unsqueeze(1).expand(-1, channels, -1)
        return images.flatten(2).gather(2, flat).view(batch, channels, *index.shape[1:])
    # Channels-last, and so it stays: all channels of a pixel are a row of memory, copied at once.
    pixels = images.permute(0, 2, 3, 1).reshape(batch * height * width, channels)
    first = torch.arange(batch, device=index.device)[:, None] * (height * width)
    rows = pixels.index_select(0, (index.flatten(1) + first).flatten())
    return rows.view(batch, *index.shape[1:], channels).permute(0, 3, 1, 2)
