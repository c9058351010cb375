"""Samples made into others that are as true: pure functions of a sample.

What each changes follows from what rendering would have given: pixels and motion vectors turn together, world axes are
arbitrary, light is linear. Frames are as `patches.assemble` makes them, without ids and halves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.denoise.frame import Frame
from pipeline.denoise.training.patches import Sample
from pipeline.render.buffers import COMPONENTS, luminance

__all__ = ["ORIENTATIONS", "augment", "expose", "orient", "permute_colours", "random_axes", "turn_world"]

Array = NDArray[np.float32]

ORIENTATIONS = 8
"""Of a square: four quarter turns, each of them mirrored or not."""

STOPS = 1.5
"""Exposure changes by up to so many stops either way."""

LIGHTS = ("beauty", *COMPONENTS)
"""Keys of a frame's variances that scale with its light."""

_TINY = np.float32(1e-30)

STILL = ("albedo", "normal", "depth", "alpha", "forward_valid", "backward_valid", "count")
"""Layers of a frame, beside components and variances, whose values do not depend on the orientation."""


def augment(sample: Sample, rng: np.random.Generator) -> Sample:
    """The sample in a random orientation, of random colours, exposure and world axes."""
    sample = permute_colours(sample, [int(channel) for channel in rng.permutation(3)])
    sample = expose(sample, rng.uniform(-STOPS, STOPS))
    sample = turn_world(sample, random_axes(rng))
    return orient(sample, int(rng.integers(ORIENTATIONS)))


def orient(sample: Sample, orientation: int) -> Sample:
    """Images and motion vectors mirrored about the diagonal (orientations 4 to 7), then turned `orientation % 4` times
    counter-clockwise by 90°. Images are views of the given ones; strides may be negative."""
    mirrored, turns = orientation >= 4, orientation % 4

    def turned(image: NDArray[Any] | None) -> Any:
        if image is None:
            return None
        return np.rot90(np.swapaxes(image, 0, 1) if mirrored else image, turns)

    def vectors(motion: Array | None) -> Any:
        """Of pixels: x right, y down."""
        if motion is None:
            return None
        x, y = motion[..., 0], motion[..., 1]
        if mirrored:
            x, y = y, x
        for _ in range(turns):
            x, y = y, -x  # (column x, row y) moves to (column y, row W − 1 − x)
        return turned(np.stack([x, y], axis=-1))

    def turned_frame(frame: Frame) -> Frame:
        return replace(
            frame,
            components={name: turned(image) for name, image in frame.components.items()},
            variance={name: turned(image) for name, image in frame.variance.items()},
            forward=vectors(frame.forward),
            backward=vectors(frame.backward),
            **{name: turned(getattr(frame, name)) for name in STILL},
        )

    return Sample(
        window=_each(sample, turned_frame),
        reference={name: turned(image) for name, image in sample.reference.items()},
        raw={name: turned(image) for name, image in sample.raw.items()},
        reference_albedo=turned(sample.reference_albedo),
    )


def permute_colours(sample: Sample, order: Sequence[int]) -> Sample:
    """Red, green and blue of light and albedo exchanged: channel k of the result is channel `order[k]`.

    The variance of the new luminance is not known from that of the old one: it is taken to grow with the squared mean,
    as it does where all samples of a pixel are of one colour.
    """

    def permuted(image: Array) -> Array:
        return image[..., list(order)]

    def permuted_frame(frame: Frame) -> Frame:
        components = {name: permuted(image) for name, image in frame.components.items()}
        before, after = _lights(frame.components.values()), _lights(components.values())
        variance = dict(frame.variance)
        for name, old, new in zip(("beauty", *components), before, after, strict=True):
            growth: Any = new / np.maximum(old, _TINY)  # a black pixel has no variance to scale
            variance[name] = variance[name] * np.square(growth)
        albedo = None if frame.albedo is None else permuted(frame.albedo)
        return replace(frame, components=components, variance=variance, albedo=albedo)

    return Sample(
        window=_each(sample, permuted_frame),
        reference={name: permuted(image) for name, image in sample.reference.items()},
        raw={name: permuted(image) for name, image in sample.raw.items()},
        reference_albedo=permuted(sample.reference_albedo),
    )


def _lights(components: Iterable[Array]) -> list[Array]:
    """Luminance of the sum, and of each component."""
    parts = [luminance(image) for image in components]
    return [np.sum(parts, axis=0), *parts]


def expose(sample: Sample, stops: float) -> Sample:
    """Light scaled by 2^stops, its variances by the square of that; albedo stays."""
    gain = np.float32(2.0**stops)

    def exposed(frame: Frame) -> Frame:
        return replace(
            frame,
            components={name: image * gain for name, image in frame.components.items()},
            variance={name: image * gain**2 if name in LIGHTS else image for name, image in frame.variance.items()},
        )

    reference = {name: image * gain for name, image in sample.reference.items()}
    raw = {name: image * gain for name, image in sample.raw.items()}
    return replace(sample, window=_each(sample, exposed), reference=reference, raw=raw)


def turn_world(sample: Sample, axes: Array) -> Sample:
    """Normals in other world axes, the same for all frames.

    Args:
        axes: 3×3, orthogonal; each row is a new axis. They may be left-handed: nothing that is stored tells.
    """

    def seen(frame: Frame) -> Frame:
        return frame if frame.normal is None else replace(frame, normal=frame.normal @ axes.T)

    return replace(sample, window=_each(sample, seen))


def random_axes(rng: np.random.Generator) -> Array:
    """3×3 orthogonal matrix, evenly distributed over rotations and reflections.

    Source: Mezzadri 2007 (the factor Q of a Gaussian matrix, its columns signed as R's diagonal).
    """
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    axes: Array = (q * np.sign(np.diag(r))).astype(np.float32)
    return axes


def _each(sample: Sample, change: Callable[[Frame], Frame]) -> dict[int, Frame | None]:
    return {offset: None if frame is None else change(frame) for offset, frame in sample.window.items()}
