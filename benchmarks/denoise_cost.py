"""What a frame costs: time against OIDN, another λ from what was kept, memory at 4K.

Times are of frames of a sequence: features of a frame are found once and serve its neighbours. Frames are a render
repeated up to the size; a network takes the same time for any picture.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.denoise_peers import Contender, Make, Recallable, Seen
from benchmarks.machine import ROOT
from benchmarks.referee import Interval, median_ratio, timed_pairs
from pipeline.denoise.frame import Frame
from pipeline.errors import DeviceError
from pipeline.render.buffers import COMPONENTS, FrameBuffers

_MEMORY = (
    "import json, sys; from benchmarks.denoise_memory import measured; "
    "print(json.dumps(measured(sys.argv[1], int(sys.argv[2]))))"
)

__all__ = ["THREADS", "Recall", "enlarged", "peak_memory", "recall", "times"]

SIZE = (1280, 720)
THREADS = 2


@dataclass(frozen=True)
class Recall:
    """Another λ from what was kept of a frame.

    Attributes:
        share: its time over that of the whole frame.
        bytes: kept of one frame at `SIZE`.
    """

    share: Interval
    bytes: int


def times(make: Make, frames: Sequence[FrameBuffers], *, pairs: int) -> dict[str, Interval]:
    """Time per frame over that of OIDN's beauty filter, by recipe: `clean_aux`, `balanced`, and `recipe`.

    Args:
        make: of the network.
        frames: repeated in turn, up to `SIZE`.
        pairs: timed alternately.

    Returns:
        `clean_aux` is the high-quality filter over features that are clean already, alone; `recipe` cleans the two
        features first. All of OIDN's settings are made, and its networks loaded, before the clock runs.
    """
    found = {}
    for name in ("clean_aux", "balanced", "recipe"):
        sequence = _Sequence(make(threads=THREADS), frames)
        with _OidnBeauty(sequence.frame(0), name) as oidn:
            measured = timed_pairs(sequence.next, oidn.run, pairs=pairs, warm_up=1)
        found[name] = median_ratio(measured)
    return found


def recall(make: Make, frames: Sequence[FrameBuffers], *, pairs: int) -> Recall | None:
    """Time of another λ over that of a frame of the sequence at the same λ; None for a denoiser that keeps nothing."""
    contender = make(threads=THREADS)
    if not hasattr(contender, "prepare"):
        return None
    recallable = cast(Recallable, contender)
    sequence = _Sequence(recallable, frames, lambda_=3.0)
    prepared = recallable.prepare(sequence.seen, 1)
    measured = timed_pairs(lambda: recallable.finish(prepared, 3.0), sequence.next, pairs=pairs, warm_up=1)
    return Recall(median_ratio(measured), prepared.bytes)


def peak_memory(contender: str) -> dict[str, float]:
    """GiB, resident, of a process that denoises a frame at 3840×2160: `peak`, `before`, and `frame`, one input's size.

    Args:
        contender: a key of `CONTENDERS`.
    """
    command = [sys.executable, "-c", _MEMORY, contender, str(THREADS)]
    told = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    document: dict[str, float] = json.loads(told)
    return document


def enlarged(buffers: FrameBuffers, size: tuple[int, int]) -> FrameBuffers:
    """The frame repeated side by side up to (width, height), each component with some light in it."""
    width, height = size
    times = -(-height // buffers.shape[0]), -(-width // buffers.shape[1])

    def repeat(values: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(np.tile(values, (*times, 1)[: values.ndim])[:height, :width])

    plain = {
        field.name: repeat(getattr(buffers, field.name))
        for field in dataclasses.fields(buffers)
        if field.name != "variance"
    }
    for name in COMPONENTS:  # one that is black would cost nothing
        plain[name][0, 0] += 1.0
    return FrameBuffers(**plain, variance={name: repeat(each) for name, each in buffers.variance.items()})


class _Sequence:
    """An endless sequence that is denoised frame by frame."""

    def __init__(self, contender: Contender, frames: Sequence[FrameBuffers], *, lambda_: float = 1.0) -> None:
        self._contender = contender
        self._lambda = lambda_
        self._frames = [Frame.of(enlarged(frame, SIZE)) for frame in frames]
        self._centre = 1
        reach = contender.radius
        self.seen = Seen({number: self.frame(number) for number in range(1 - reach, 400)})

    def frame(self, number: int) -> Frame:
        return self._frames[number % len(self._frames)]

    def next(self) -> None:
        self._centre += 1
        self._contender.denoise(self.seen, self._centre, self._lambda)


class _OidnBeauty:
    """OIDN's filters of the beauty alone, made once and run at will, as a renderer would keep them."""

    def __init__(self, frame: Frame, recipe: str) -> None:
        import pyoidn

        assert frame.albedo is not None and frame.normal is not None
        self._oidn = pyoidn
        self._device = pyoidn.Device(pyoidn.OIDN_DEVICE_TYPE_CPU)
        self._device.set_int("numThreads", THREADS)
        self._device.commit()
        quality = pyoidn.OIDN_QUALITY_BALANCED if recipe == "balanced" else pyoidn.OIDN_QUALITY_HIGH
        guides = {"albedo": np.clip(frame.albedo, 0.0, 1.0), "normal": frame.normal}
        self._filters: list[Any] = []
        self._kept: list[Any] = []  # the library holds addresses only
        if recipe == "recipe":
            for name, guide in guides.items():
                guides[name], made = self._filter({name: guide}, quality)
                self._filters.append(made)
        clean = recipe != "balanced"
        _, beauty = self._filter({"color": frame.beauty, **guides}, quality, hdr=True, cleanAux=clean)
        self._filters.append(beauty)

    def _filter(self, images: dict[str, Any], quality: Any, **flags: bool) -> tuple[NDArray[np.float32], Any]:
        made = self._oidn.Filter(self._device, self._oidn.OIDN_FILTER_TYPE_RT)
        images = {name: np.ascontiguousarray(image, np.float32) for name, image in images.items()}
        output = np.empty_like(next(iter(images.values())))
        self._kept += [*images.values(), output]
        for name, image in {**images, "output": output}.items():
            made.set_image(name, image, self._oidn.OIDN_FORMAT_FLOAT3)
        for flag, value in flags.items():
            made.set_bool(flag, value)
        made.set_quality(quality)
        made.commit()
        return output, made

    def run(self) -> None:
        for each in self._filters:
            each.execute()
        if (message := self._device.get_error()) is not None:
            raise DeviceError(f"Open Image Denoise: {message}")

    def __enter__(self) -> _OidnBeauty:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._filters:
            each.release()
        self._device.release()
