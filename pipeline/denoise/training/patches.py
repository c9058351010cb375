"""Training samples drawn from stored sequences: where to cut, and which samples of each pixel to pool.

Every draw is a function of (seed, epoch, index) and of nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, reduce
from operator import iadd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.denoise.frame import Frame
from pipeline.denoise.training.sequences import Sequence
from pipeline.denoise.training.take import RENDERS
from pipeline.errors import ProductError
from pipeline.render.buffers import COMPONENTS, luminance

__all__ = ["Crop", "Sample", "assemble", "draw", "rng_of"]

Array = NDArray[np.float32]

DARTS = 16
"""Windows to choose among."""

FLOOR = 0.1
"""What the easiest window is worth, as a share of the mean one: flat walls have to be learnt too."""

UNEVEN = 1 / 3
"""Share of samples whose pixels differ in their number of samples, as an adaptive sampler's do."""

PLENTY = 0.1
"""Share of samples whose centre frame has all samples there are, those behind the reference too: what is clean is to
stay as it is."""

ALONE = 0.1
"""Share of samples that lack the neighbours on one side, as the ends of a shot do."""

CELLS = (2, 4, 8, 16, 32)
"""Pixels between the knots of a random field."""

Choice = tuple[list[int], NDArray[np.intp] | None]
"""Sub-buffers to pool; all of them in every pixel (None), or those up to one whose place in the list is given, H×W."""


@dataclass(frozen=True)
class Crop:
    """A square window: first row, first column and size in pixels."""

    y: int
    x: int
    size: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return slice(self.y, self.y + self.size), slice(self.x, self.x + self.size)


@dataclass(frozen=True)
class Sample:
    """What a network is shown once.

    Attributes:
        window: frames by their distance from the centre (0); None where a neighbour is absent.
        reference: of the centre: `emission`, `diffuse`, `specular`, H×W×3.
        raw: the same, the plain mean of the renders behind the reference: noisy, and true in the mean, which a
            reference made of denoised renders is not quite.
        reference_albedo: of the centre, H×W×3.
    """

    window: Mapping[int, Frame | None]
    reference: Mapping[str, Array]
    raw: Mapping[str, Array]
    reference_albedo: Array


def rng_of(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The random numbers of one draw."""
    return np.random.default_rng((seed, epoch, index))


# --- Where ------------------------------------------------------------------------------------------------------------


def draw(sequence: Sequence, rng: np.random.Generator, size: int) -> tuple[int, int]:
    """First row and column of a window, rather where noise, shading or geometry vary than where they do not.

    Darts are thrown evenly; one is kept with a probability in proportion to its window's mean importance.

    Raises:
        ValueError: the window is larger than the sequence's frames.

    Source: Bako et al. 2017, §5.2 (importance sampling of patches).
    """
    height, width = sequence.shape
    if size > min(height, width):
        raise ValueError(f"a window of {size} pixels does not fit into {height}×{width}")
    y = rng.integers(0, height - size + 1, DARTS)
    x = rng.integers(0, width - size + 1, DARTS)
    # A summed-area table, of blocks: windows are compared by the blocks that they touch.
    table = np.pad(_importance(sequence).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    top, left = y // _BLOCK, x // _BLOCK
    bottom, right = (y + size - 1) // _BLOCK + 1, (x + size - 1) // _BLOCK + 1
    sums = table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
    worth = sums / ((bottom - top) * (right - left))
    worth = worth + FLOOR * worth.mean() + 1e-12
    kept = rng.choice(DARTS, p=worth / worth.sum())
    return int(y[kept]), int(x[kept])


_BLOCK = 8  # pixels over which variances are taken


def _importance(sequence: Sequence) -> NDArray[np.float64]:
    """Relative variance of the noisy luminance plus variance of the normal, of blocks of the centre frame.

    Read from every second pixel of the largest sub-buffer: a quarter of the time, and good enough for a guide.
    """
    largest = int(np.argmax(sequence.spp))
    frame, step = sequence.radius, slice(None, None, 2)
    colour = _float(sequence.colour[frame, largest, step, step])
    light = luminance(colour[..., 0:3] + colour[..., 3:6] + colour[..., 6:9])
    normal = _float(sequence.features[frame, largest, step, step, 3:6])
    mean, square = _block_means(light[..., None]), _block_means(light[..., None] ** 2)
    relative = (square - mean**2) / np.maximum(mean**2, 1e-12)
    bent = _block_means(normal**2) - _block_means(normal) ** 2
    importance: NDArray[np.float64] = np.clip(relative[..., 0], 0.0, 1.0) + np.maximum(bent, 0.0).sum(axis=-1)
    return importance


def _block_means(image: Array) -> NDArray[np.float64]:
    """Means over blocks of `_BLOCK` pixels, of an image of every second pixel; at the far edges they may be smaller."""
    rows, columns = (np.arange(0, extent, _BLOCK // 2) for extent in image.shape[:2])
    sums = np.add.reduceat(np.add.reduceat(image, rows, axis=0), columns, axis=1).astype(np.float64)
    high, wide = (np.diff([*edges, extent]) for edges, extent in zip((rows, columns), image.shape[:2], strict=True))
    means: NDArray[np.float64] = sums / (high[:, None] * wide)[..., None]
    return means


# --- What -------------------------------------------------------------------------------------------------------------


def assemble(
    sequence: Sequence, rng: np.random.Generator, crop: Crop, *, radius: int | None = None, spp: int | None = None
) -> Sample:
    """Pools sub-buffers into the frames of a window, and cuts out the reference.

    Two of three samples have the same number of samples in every pixel, drawn log-uniformly from what sub-buffers can
    be summed to. In the others each frame has a smooth random map, whose pixels pool the first few sub-buffers each.

    Args:
        sequence: as stored.
        rng: from `rng_of`.
        crop: where; motion that leaves it is kept, and leads outside of the image.
        radius: frames on either side; as many as are stored if None.
        spp: this number of samples in every pixel of every frame, and no frame absent: for validation.

    Raises:
        ProductError: the sequence has fewer frames than that, or no sub-buffers of that sum.
    """
    reach = sequence.radius if radius is None else radius
    if reach > sequence.radius:
        raise ProductError(f"the sequence has {sequence.radius} frames on either side of its centre, not {reach}")
    absent: set[int] = set()
    if spp is not None:
        choices = _even(sequence.spp, rng, samples=spp)
    else:
        choices = _uneven(sequence.spp, rng, crop.size) if rng.random() < UNEVEN else _even(sequence.spp, rng)
        absent = _absent(rng, reach)
    window: dict[int, Frame | None] = {}
    for offset in range(-reach, reach + 1):
        choice = choices()
        window[offset] = None if offset in absent else _frame(sequence, sequence.radius + offset, choice, crop)
    if spp is None and rng.random() < PLENTY:
        window[0] = _plenty(sequence, crop)
    return Sample(
        window=window,
        reference=_components(sequence.reference, crop),
        raw=_components(sequence.raw, crop),
        reference_albedo=_float(sequence.reference_albedo[crop.slices]),
    )


def _components(layer: NDArray[Any], crop: Crop) -> dict[str, Array]:
    cut = _float(layer[crop.slices])
    return {name: cut[..., 3 * k : 3 * k + 3] for k, name in enumerate(COMPONENTS)}


def _absent(rng: np.random.Generator, reach: int) -> set[int]:
    """Offsets of the frames that lie beyond the shot's end."""
    ends, side, first = rng.random() < ALONE, rng.choice((-1, 1)), rng.integers(1, max(reach, 1) + 1)
    return {int(side * distance) for distance in range(first, reach + 1)} if ends else set()


def _even(spp: NDArray[np.int32], rng: np.random.Generator, *, samples: int | None = None) -> Callable[[], Choice]:
    """One number of samples for every pixel of every frame, random where none is given; each frame pools other
    sub-buffers, where there are."""
    sums = _subsets(tuple(int(n) for n in spp))
    if samples is None:
        reachable = np.array(sorted(sums))
        wanted = np.exp(rng.uniform(np.log(reachable[0]), np.log(reachable[-1])))
        samples = int(reachable[np.argmin(np.abs(np.log(reachable / wanted)))])
    if samples not in sums:
        raise ProductError(f"sub-buffers of {', '.join(str(n) for n in spp)} samples do not make up {samples}")

    def choice() -> Choice:
        return sums[samples][rng.integers(len(sums[samples]))], None

    return choice


@cache
def _subsets(spp: tuple[int, ...]) -> dict[int, list[list[int]]]:
    """Sum of samples → the sets of sub-buffers that have it."""
    found: dict[int, list[list[int]]] = {}
    for bits in range(1, 2 ** len(spp)):
        chosen = [k for k in range(len(spp)) if bits >> k & 1]
        found.setdefault(sum(spp[k] for k in chosen), []).append(chosen)
    return found


def _uneven(spp: NDArray[np.int32], rng: np.random.Generator, size: int) -> Callable[[], Choice]:
    """Every pixel pools the first k sub-buffers, smaller ones first, k by a smooth random field.

    With sub-buffers of 4, 4, 8, 16, 32 samples a step in k doubles the samples. Mean, contrast and scale of the field
    are those of all frames.
    """
    levels = len(spp)
    middle, contrast, cell = rng.uniform(0, levels - 1), rng.uniform(0.5, 3.0), int(rng.choice(CELLS))
    order = [int(k) for k in np.lexsort((rng.random(levels), spp))]

    def choice() -> Choice:
        level = np.rint(middle + contrast * _field(rng, size, cell)).astype(np.intp)
        return order, np.clip(level, 0, levels - 1)

    return choice


def _field(rng: np.random.Generator, size: int, cell: int) -> Array:
    """Smooth noise of unit variance at its knots, `cell` pixels apart: size×size."""
    knots = -(-size // cell) + 2
    position = (np.arange(size) + rng.uniform(0, cell)) / cell
    tent = np.maximum(1.0 - np.abs(position[:, None] - np.arange(knots)), 0.0)
    field: Array = (tent @ rng.standard_normal((knots, knots)) @ tent.T).astype(np.float32)
    return field


# --- Pooling ----------------------------------------------------------------------------------------------------------


def _frame(sequence: Sequence, index: int, choice: Choice, crop: Crop) -> Frame:
    """The frame of the pooled samples: means, and variances of the means."""
    chosen, last = choice
    taken = np.cumsum(sequence.spp[chosen]).astype(np.float32)
    count = np.full((crop.size, crop.size), taken[-1], np.float32) if last is None else taken[last]
    if last is not None:
        rows = (1 + last.ravel()) * last.size + np.arange(last.size)
        per_sample = 1 / count.reshape(-1, 1)

    def parts(layer: NDArray[Any], *, squared: bool) -> Iterator[Array]:
        """Sums over each sub-buffer's samples, in turn."""
        for k in chosen:
            spp = float(sequence.spp[k])
            part = _float(layer[(index, k, *crop.slices)], spp**0.5 if squared else spp)
            yield np.square(part, out=part) if squared else part

    def pooled(layer: NDArray[Any], *, squared: bool = False) -> Array:
        channels = layer.shape[-1]
        if last is None:
            total: Array = reduce(iadd, parts(layer, squared=squared))
            return np.multiply(total, np.float32(1 / taken[-1]), out=total)
        sums = np.zeros((1 + len(chosen), last.size, channels), np.float32)
        for before, after, part in zip(sums[:-1], sums[1:], parts(layer, squared=squared), strict=True):
            np.add(before, part.reshape(-1, channels), out=after)
        total = sums.reshape(-1, channels)[rows]
        total *= per_sample
        return total.reshape(crop.size, crop.size, channels)

    colour, features = pooled(sequence.colour), pooled(sequence.features)
    squares, feature_squares = pooled(sequence.rms, squared=True), pooled(sequence.features_rms, squared=True)
    components = {name: colour[..., 3 * k : 3 * k + 3] for k, name in enumerate(COMPONENTS)}
    lights = [luminance(part) for part in components.values()]
    lights = [lights[0] + lights[1] + lights[2], *lights]
    variance = {
        name: _variance(squares[..., k], lights[k] ** 2, count) for k, name in enumerate(("beauty", *COMPONENTS))
    }
    albedo, normal = features[..., 0:3], features[..., 3:6]
    for k, (name, mean) in enumerate((("albedo", albedo), ("normal", normal))):
        variance[name] = _variance(feature_squares[..., k], np.einsum("yxc,yxc->yx", mean, mean) / np.float32(3), count)
    motion = _float(sequence.motion[(index, *crop.slices)])
    return Frame(
        components=components,
        variance=variance,
        albedo=albedo,
        normal=normal,
        depth=features[..., 7],
        alpha=features[..., 6],
        forward=motion[..., 0:2],
        backward=motion[..., 2:4],
        forward_valid=motion[..., 4],
        backward_valid=motion[..., 5],
        count=count,
    )


def _plenty(sequence: Sequence, crop: Crop) -> Frame:
    """The centre frame of all sub-buffers and all renders behind the reference; variances as the sub-buffers' samples
    estimate them."""
    frame = _frame(sequence, sequence.radius, (list(range(len(sequence.spp))), None), crop)
    few, more = float(sequence.spp.sum()), float(RENDERS * sequence.meta["reference_spp"])
    share = np.float32(few / (few + more))
    raw = _components(sequence.raw, crop)
    return replace(
        frame,
        components={name: share * frame.components[name] + (1 - share) * raw[name] for name in COMPONENTS},
        variance={name: share * variance for name, variance in frame.variance.items()},
        albedo=_float(sequence.reference_albedo[crop.slices]),
        count=np.full((crop.size, crop.size), few + more, np.float32),
    )


def _variance(mean_square: Array, squared_mean: Array, n: Array) -> Array:
    """Of a mean of n ≥ 2 samples, as `pipeline.render.moments` estimates it."""
    variance: Array = np.maximum(mean_square - squared_mean, np.float32(0)) / (n - 1)
    return variance


def _float(values: NDArray[Any], scale: float = 1.0) -> Array:
    """Scaled values as float32.

    Of float16 the bits are moved to where float32 has them, and the multiplication puts the exponent right: a third of
    the time that numpy's own conversion takes, and the same result for all finite values.
    """
    if values.dtype != np.float16:
        return values.astype(np.float32) * np.float32(scale)
    bits = values.view(np.int16).astype(np.int32)
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, _SIGN_AND_REST, out=bits)  # the sign had spread into three more bits
    moved: Array = bits.view(np.float32)
    return np.multiply(moved, np.float32(scale * 2.0**112), out=moved)  # 112: the difference of the exponents' biases


_SIGN_AND_REST = np.uint32(0x8FFFFFFF).view(np.int32)
