"""What each part of the denoiser costs (§7.6): forward times, on random images, with features computed once a frame."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from pipeline.denoise.network.gather import gather_nearest, nearest_index
from pipeline.denoise.network.model import KernelPredictor, Neighbour, image_pyramid
from pipeline.denoise.network.presets import PRESETS
from pipeline.denoise.network.sources import SOURCES

__all__ = ["SETTINGS", "Parts", "Setting", "parts"]

T = TypeVar("T")

REPEATS = 5


@dataclass(frozen=True)
class Setting:
    """What is timed: a preset at a size, pixels, with a window of frames."""

    preset: str
    width: int
    height: int
    frames: int


SETTINGS = {"fast": Setting("fast", 1280, 720, 3), "paper": Setting("paper", 320, 180, 7)}
"""`paper` at a size that two cores do in seconds: its cost is the same for every pixel."""


@dataclass(frozen=True)
class Parts:
    """Seconds of one component of one frame: medians.

    Attributes:
        extractor: encoder and spatial features of one frame.
        temporal: gathering and comparing the window's features.
        kernels: kernels predicted, applied and composed.
    """

    extractor: float
    temporal: float
    kernels: float

    @property
    def kernels_lead(self) -> float:
        """Kernels over the larger of the other parts; in the paper 5.2 s / 3.0 s."""
        return self.kernels / max(self.extractor, self.temporal)


@torch.no_grad()
def parts(setting: Setting, *, repeats: int = REPEATS) -> Parts:
    """Times a network with random weights, which take as long as others."""
    torch.manual_seed(0)
    size = PRESETS[setting.preset]
    network = KernelPredictor(size).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    shape = (setting.height, setting.width)
    x = torch.rand(1, SOURCES["penumbra"].channels, *shape)
    colour, valid = torch.rand(1, setting.frames, 3, *shape), torch.ones(1, setting.frames, *shape)
    offset, known = 4 * torch.randn(1, 2, *shape), torch.ones(1, *shape, dtype=torch.bool)
    exposed, level_lambda = torch.ones(1, 1, 1, 1), [torch.zeros(1, 1, 1, 1)] * network.levels
    bf16 = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        features, extractor = _timed(lambda: network.extract(x, "penumbra"), repeats)

        def combine() -> list[list[torch.Tensor]]:
            neighbours = []
            for distance in range(1, setting.frames):
                gathered, found = [], []
                for level, each in enumerate(features):
                    index, there = nearest_index(offset, known, network.stride(level))
                    gathered.append(gather_nearest(each, index))
                    found.append(there[:, None].float())
                neighbours.append(Neighbour(gathered, found, distance))
            together: list[list[torch.Tensor]] = network.compare(features, neighbours)
            return together

        window, temporal = _timed(combine, repeats)
        _, kernels = _timed(
            lambda: network.reconstruct(window, image_pyramid(colour, valid, size.scales), level_lambda, exposed),
            repeats,
        )
    return Parts(extractor, temporal, kernels)


def _timed(run: Callable[[], T], repeats: int) -> tuple[T, float]:
    """What it gives, and the median of its seconds after a first run that is not counted."""
    result, seconds = run(), []
    for _ in range(repeats):
        began = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - began)
    return result, statistics.median(seconds)
