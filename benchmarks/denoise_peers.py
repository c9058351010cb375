"""Who is compared: the network, as it ships, and the yardsticks.

NFOR, the paper's classical baseline, exists only inside a C++ renderer. The joint non-local-means filter with features
stands in for it.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.denoise_motion import gathered, reachable
from pipeline.denoise.backends import Denoised
from pipeline.denoise.frame import Frame
from pipeline.denoise.nlm import NonLocalMeans
from pipeline.denoise.oidn import Oidn, Recipe
from pipeline.denoise.passthrough import Passthrough
from pipeline.render.buffers import FrameBuffers

__all__ = ["CONTENDERS", "PEERS", "Contender", "Make", "Peer", "Recallable", "Seen", "kpcn", "stand_in", "window"]

Array = NDArray[np.float32]
Buffers = Mapping[int, FrameBuffers]


class Contender(Protocol):
    """The `Denoiser` interface, as far as it is used here."""

    radius: int

    def denoise(self, window: Any, centre: int, lambda_: Any) -> Denoised: ...


class Recallable(Contender, Protocol):
    """One that keeps all that does not depend on λ."""

    def prepare(self, window: Any, centre: int) -> Any: ...
    def finish(self, prepared: Any, lambda_: Any) -> Denoised: ...


Make = Callable[..., Contender]
"""Makes a contender: `make(radius=None, threads=None)`; a radius of None is the preset's own, 0 a single frame."""


def kpcn(*, radius: int | None = None, threads: int | None = None) -> Contender:
    """The kernel-predicting network, preset `fast`."""
    from pipeline.denoise.kpcn import Kpcn

    made: Contender = Kpcn(preset="fast", radius=radius, threads=threads)
    return made


def stand_in(*, radius: int | None = None, threads: int | None = None) -> Contender:
    """OIDN, to try the harness itself."""
    return Oidn(preset="fast", threads=threads)


CONTENDERS: dict[str, Make] = {"kpcn": kpcn, "oidn": stand_in}


class Seen(dict[int, Frame]):
    """Frames by number, as denoisers read them. `digest` names their content, so that what was found out about a frame
    can be kept for the windows that come."""

    def __init__(self, frames: Mapping[int, Frame]) -> None:
        super().__init__(frames)
        self._name = uuid.uuid4().hex

    def digest(self, number: int) -> str:
        return f"{self._name}-{number}"


def window(buffers: Buffers) -> Seen:
    """The frames of one run, for all of its windows."""
    return Seen({number: Frame.of(frame) for number, frame in buffers.items()})


# --- Yardsticks ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Peer:
    """A yardstick: `denoise(buffers, centre)` gives the frame `centre` out of its window.

    Attributes:
        seeds: the first so many inputs are given to it, the others not; None: all. For slow ones.
    """

    key: str
    label: str
    denoise: Callable[[Buffers, int], Denoised]
    seeds: int | None = None


def _single(make: Callable[[], Contender]) -> Callable[[Buffers, int], Denoised]:
    def run(buffers: Buffers, centre: int) -> Denoised:
        return make().denoise(window({centre: buffers[centre]}), centre, 1.0)

    return run


def _oidn(recipe: Recipe) -> Contender:
    oidn = Oidn()
    oidn.recipe = recipe
    return oidn


BALANCED = Recipe("balanced", "fast", prefilter=False)
HIGH = Recipe("high", "fast", prefilter=False)
CLEAN_AUX = Recipe("high", "fast", prefilter=True)
"""The recipe of OIDN's documentation: albedo and normal are denoised first, with the large network."""


def _over_averaged(buffers: Buffers, centre: int) -> Denoised:
    return _single(lambda: _oidn(CLEAN_AUX))({centre: motion_averaged(buffers, centre)}, centre)


PEERS = (
    Peer("noisy", "noisy", _single(Passthrough)),
    Peer("nlm", "joint non-local means", _single(NonLocalMeans), seeds=1),
    Peer("balanced", "OIDN balanced", _single(lambda: _oidn(BALANCED))),
    Peer("high", "OIDN high, features as they are", _single(lambda: _oidn(HIGH))),
    Peer("clean_aux", "OIDN high, prefiltered features", _single(lambda: _oidn(CLEAN_AUX))),
    Peer("averaged", "OIDN high, prefiltered features, on frames averaged along motion over t±1", _over_averaged),
)


def motion_averaged(buffers: Buffers, centre: int) -> FrameBuffers:
    """The centre averaged with its two neighbours where these show the same surface, weighed by samples.

    Returns:
        the centre with new colours and features; variances and halves stay the centre's.
    """
    frame = buffers[centre]
    weight = frame.count[..., None].astype(np.float32)
    names = ("emission", "diffuse", "specular", "albedo", "normal")
    sums = {name: getattr(frame, name) * weight for name in names}
    for step in (-1, 1):
        other = buffers.get(centre + step)
        if other is None:
            continue
        share = gathered(other.count, frame, step)[..., None] * reachable(frame, other, step)[..., None]
        for name in names:
            sums[name] += gathered(getattr(other, name), frame, step) * share
        weight = weight + share
    means = {name: (total / weight).astype(np.float32) for name, total in sums.items()}
    return dataclasses.replace(frame, **means)
