"""Samples as tensors: a batch is a pure function of the data, the seed and its number."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.denoise.backends import DEMODULATION
from pipeline.denoise.frame import Frame
from pipeline.denoise.motion import trajectories
from pipeline.denoise.network.sources import ALBEDO, IRRADIANCE, SPECULAR, exposure, inputs, noisy, source
from pipeline.denoise.training import patches, sequences
from pipeline.denoise.training.augment import augment
from pipeline.denoise.training.patches import Sample
from pipeline.denoise.training.recast import components_of, recast

__all__ = ["Batch", "batch_of", "batches", "training_samples"]

Array = NDArray[np.float32]

ALBEDO_SHARE = 1 / 4
"""Of the batches: those with the albedo, which is nearly clean."""


@dataclass(frozen=True)
class Batch:
    """B samples of one size; components are stacked along the batch axis in the order of `components`, so that row
    k·B + b is component k of sample b.

    Attributes:
        source: kind of the frames: the encoder that they need.
        components: names.
        inputs: per frame of the window (the centre first), kB×C×H×W.
        colour: kB×F×3×H×W: noisy, linear, neighbours still where they are in their own frames.
        offsets: per neighbour, kB×2×H×W: pixels from the centre to it.
        valid: per neighbour, kB×H×W bool.
        distances: per neighbour: frames from the centre.
        exposed: kB×1×1×1.
        reference: kB×3×H×W, of each component.
        raw: the same, of renders that were not denoised.
        albedo: B×3×H×W, reference plus DEMODULATION.
    """

    source: str
    components: tuple[str, ...]
    inputs: list[Tensor]
    colour: Tensor
    offsets: list[Tensor]
    valid: list[Tensor]
    distances: list[int]
    exposed: Tensor
    reference: Tensor
    raw: Tensor
    albedo: Tensor


def batch_of(samples: Sequence[Sample], components: Sequence[str]) -> Batch:
    """Stacks samples of one source whose windows have the same frames; an absent frame is valid nowhere."""
    of = source(_there(samples[0].window[0]).source)
    reach = max(samples[0].window)
    order = [0, *(k for d in range(1, reach + 1) for k in (-d, d))]
    frames = {offset: [sample.window[offset] for sample in samples] for offset in order}
    centres = [_there(frame) for frame in frames[0]]
    exposures = [exposure(frame) for frame in centres]
    tracks = [trajectories(sample.window, 0, [n for n in order[1:] if sample.window[n] is not None])
              for sample in samples]  # fmt: skip

    def stacked(offset: int, component: str) -> tuple[list[Array], list[Array]]:
        """Inputs and noisy colours of one frame of every sample; an absent one is black."""
        given, colours = [], []
        for k, frame in enumerate(frames[offset]):
            known = centres[k] if frame is None else frame
            value, colour = (
                inputs(known, component, exposure(known), of=of),
                np.moveaxis(noisy(known, component), -1, 0),
            )
            given.append(value if frame is not None else np.zeros_like(value))
            colours.append(colour if frame is not None else np.zeros_like(colour))
        return given, colours

    given, colours = [], []
    for offset in order:
        pairs = [stacked(offset, component) for component in components]
        given.append(torch.from_numpy(np.stack([x for pair in pairs for x in pair[0]])))
        colours.append(np.stack([c for pair in pairs for c in pair[1]]))

    height, width = centres[0].shape
    nowhere = np.zeros((height, width, 2), np.float32), np.zeros((height, width), bool)
    offsets, valid = [], []
    for offset in order[1:]:
        found = [track.get(offset, nowhere) for track in tracks] * len(components)
        offsets.append(torch.from_numpy(np.stack([np.moveaxis(o, -1, 0) for o, _ in found])))
        valid.append(torch.from_numpy(np.stack([v for _, v in found])))
    exposed = [1.0 if component == ALBEDO else value for component in components for value in exposures]
    return Batch(
        source=of.name,
        components=tuple(components),
        inputs=given,
        colour=torch.from_numpy(np.stack(colours, axis=1)),
        offsets=offsets,
        valid=valid,
        distances=order[1:],
        exposed=torch.tensor(exposed, dtype=torch.float32).reshape(-1, 1, 1, 1),
        reference=torch.from_numpy(np.stack([_target(s, s.reference, c) for c in components for s in samples])),
        raw=torch.from_numpy(np.stack([_target(s, s.raw, c) for c in components for s in samples])),
        albedo=torch.from_numpy(
            np.stack([np.moveaxis(s.reference_albedo, -1, 0) for s in samples]) + np.float32(DEMODULATION)
        ),
    )


def _there(frame: Frame | None) -> Frame:
    if frame is None:
        raise ValueError("a sample without its centre frame")
    return frame


def _target(sample: Sample, light: Mapping[str, Array], component: str) -> Array:
    """What a component is to become, 3×H×W."""
    if component == ALBEDO:
        value = sample.reference_albedo
    elif component == SPECULAR:
        value = light["specular"] + light["emission"]
    else:
        assert component == IRRADIANCE
        value = light["diffuse"] / (sample.reference_albedo + np.float32(DEMODULATION))
    return np.ascontiguousarray(np.moveaxis(value, -1, 0), np.float32)


def training_samples(
    files: Sequence[Path], *, seed: int, step: int, count: int, size: int, radius: int
) -> list[Sample]:
    """The samples of one step: a pure function of its arguments.

    Files are gone through in a new order in every epoch.
    """
    samples = []
    for k in range(count):
        number = step * count + k
        epoch, index = divmod(number, len(files))
        rng = patches.rng_of(seed, epoch, index)
        order = np.random.default_rng((seed, epoch)).permutation(len(files))
        sequence = sequences.read(files[order[index]])
        y, x = patches.draw(sequence, rng, size)
        sample = patches.assemble(sequence, rng, patches.Crop(y, x, size), radius=radius)
        samples.append(augment(sample, rng))
    return samples


def batches(
    files: Sequence[Path],
    *,
    seed: int,
    first: int,
    last: int,
    count: int,
    size: int,
    radius: int,
    source_of: Callable[[int], str],
) -> Iterator[Batch]:
    """The batches of steps first … last − 1, made ahead by a thread.

    Args:
        files: sequences.
        seed: of all draws.
        first, last: steps.
        count, size: samples of a batch, pixels of their sides.
        radius: frames on either side.
        source_of: step → kind of data that its samples are made to look like.
    """
    made: queue.Queue[Batch | BaseException | None] = queue.Queue(maxsize=4)
    stop = threading.Event()

    def offer(value: Batch | BaseException | None) -> None:
        while not stop.is_set():
            try:
                made.put(value, timeout=0.5)
                return
            except queue.Full:
                continue

    def work() -> None:
        try:
            for step in range(first, last):
                name = source_of(step)
                samples = training_samples(files, seed=seed, step=step, count=count, size=size, radius=radius)
                albedo = np.random.default_rng((seed, step)).random() < ALBEDO_SHARE
                components = [c for c in components_of(name) if c != ALBEDO or albedo]
                offer(batch_of([recast(sample, name) for sample in samples], components))
                if stop.is_set():
                    return
            offer(None)
        except BaseException as error:
            offer(error)

    thread = threading.Thread(target=work, name="batches", daemon=True)
    thread.start()
    try:
        while (batch := made.get()) is not None:
            if isinstance(batch, BaseException):
                raise batch
            yield batch
    finally:
        stop.set()
        thread.join()
