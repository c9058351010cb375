"""The whole pipeline against the clock: rounds, denoising and prediction, against `mi.render` with Open Image Denoise.

Both make both judged frames of a sequence, on all cores, with scenes loaded and kernels compiled before the clock runs.
Scoring is outside of the time. The peer renders uniformly, albedo and normals beside the colour, and denoises each
frame by the library's recipe (albedo and normal first, the large network).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.adaptive_cache import Kept, kept
from benchmarks.adaptive_trials import FIRST_SPP, Stage
from benchmarks.denoise_peers import CLEAN_AUX
from pipeline.denoise.frame import UNSPLIT, Frame
from pipeline.denoise.oidn import Oidn
from pipeline.farm.limits import Limits
from pipeline.images.metrics import smape

__all__ = ["PLAIN_SPP", "RACE_SPP", "Race", "race"]

Image = NDArray[np.float32]

RACE_SPP = 64
"""Of ours, in the race of equal times."""

PLAIN_SPP = 256
"""Of plain path tracing, whose error ours has to reach."""

QUICK_START_SPP = 4
"""Of the first round in that: a shot that is to be ready soon says so in `first_spp`."""

PASS_SPP = 64
"""Samples per pixel that the peer takes at a time, to bound its memory."""

TOLERANCE = 0.05
"""How far the peer's time may be from ours."""

TRIES = 4


@dataclass(frozen=True)
class Race:
    """One run of a sequence; seconds are by the clock on the wall.

    Attributes:
        ours_seconds, ours_smape: of the pipeline at `RACE_SPP`.
        peer_seconds, peer_smape, peer_spp: of Open Image Denoise over as many samples as fit into that time.
        render_seconds: of ours, in rendering alone.
        overhead_seconds: of ours, in denoising and judging rounds before the last, and in sharing samples out.
        plain_seconds, plain_smape: of plain path tracing at `PLAIN_SPP`.
        reached_seconds, reached_spp: of ours, when its SMAPE was at most that; seconds are negative if it never was.
    """

    ours_seconds: float
    ours_smape: float
    peer_seconds: float
    peer_smape: float
    peer_spp: int
    render_seconds: float
    overhead_seconds: float
    plain_seconds: float
    plain_smape: float
    reached_seconds: float
    reached_spp: float


def race(stage: Stage, number: int) -> Race:
    """A race on a sequence, from the cache where it is there.

    Args:
        stage: the sequence; its kit's best guide runs.
        number: of the race, and seed of its samples.
    """
    told = f"race {stage.kit.told(stage.kit.best)} {stage.sizes.reference_spp} {RACE_SPP} {PLAIN_SPP} {QUICK_START_SPP}"
    return Race(**kept(stage.file(f"race-s{number}", told), lambda: Kept(asdict(_race(stage, number)))).figures)


def _race(stage: Stage, number: int) -> Race:
    peer = _Peer(stage)
    _ours(stage, number, Limits(QUICK_START_SPP, 2 * QUICK_START_SPP))  # compiles, and warms the networks
    peer.denoised(peer.colour_with_guides(number, 4))
    peer.plain(number, 4)

    ours = _ours(stage, number, Limits(FIRST_SPP, RACE_SPP))[-1]
    spp, theirs = peer.within(number, ours.seconds)
    plain_seconds, plain = _timed(lambda: peer.plain(number, PLAIN_SPP))
    plain_smape = _error(stage, plain)
    fast = _ours(stage, number, Limits(QUICK_START_SPP, PLAIN_SPP), until=plain_smape)
    reached = next((each for each in fast if each.smape <= plain_smape), None)
    return Race(
        ours_seconds=ours.seconds,
        ours_smape=ours.smape,
        peer_seconds=theirs[0],
        peer_smape=_error(stage, theirs[1]),
        peer_spp=spp,
        render_seconds=ours.render,
        overhead_seconds=ours.overhead,
        plain_seconds=plain_seconds,
        plain_smape=plain_smape,
        reached_seconds=-1.0 if reached is None else reached.seconds,
        reached_spp=fast[-1].spp if reached is None else reached.spp,
    )


def _error(stage: Stage, pictures: Mapping[int, Image]) -> float:
    """Mean SMAPE over the frames."""
    return float(np.mean([smape(picture, stage.truths[f].beauty.image) for f, picture in pictures.items()]))


# --- Ours ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Lap:
    """The sequence after one of its rounds; seconds so far."""

    spp: float
    seconds: float
    smape: float
    render: float
    overhead: float


def _ours(stage: Stage, seed: int, limits: Limits, *, until: float = 0.0) -> list[_Lap]:
    """Goes through the rounds, round by round of the whole sequence, until its SMAPE is at most `until`."""
    run = stage.run(stage.kit.best, seed, limits)
    seconds = render = overhead = waiting = 0.0
    laps: list[_Lap] = []
    while True:
        pictures, spp = {}, 0.0
        for _ in stage.clip.judged:
            began = time.perf_counter()
            one = next(run, None)
            seconds += time.perf_counter() - began
            if one is None:
                return laps
            render += one.seconds.render
            overhead += one.seconds.allocate
            waiting += one.seconds.denoise + one.seconds.judge
            picture = one.delivered or one.denoised
            assert picture is not None
            pictures[one.frame], spp = picture.beauty, one.spp
        laps.append(_Lap(spp, seconds, _error(stage, pictures), render, overhead))
        if laps[-1].smape <= until:
            return laps
        overhead, waiting = overhead + waiting, 0.0  # there was another round: this one's picture was for its guide


# --- The peer -----------------------------------------------------------------------------------------------------


class _Peer:
    """`mi.render`, and Open Image Denoise on what it gives."""

    def __init__(self, stage: Stage) -> None:
        import mitsuba as mi

        self._stage = stage
        self._oidn = Oidn()
        self._oidn.recipe = CLEAN_AUX
        self._programs = {number: program.fs for number, program in stage.programs.items()}
        self._with_guides: dict[int, Any] = {
            number: mi.load_dict({"type": "aov", "aovs": "albedo:albedo,normal:sh_normal", "radiance": fs.integrator})
            for number, fs in self._programs.items()
        }

    def plain(self, seed: int, spp: int) -> dict[int, Image]:
        """Colour alone."""
        return {number: self._rendered(fs, fs.integrator, seed, spp)[..., :3] for number, fs in self._programs.items()}

    def colour_with_guides(self, seed: int, spp: int) -> dict[int, Frame]:
        """Colour, albedo and normals of all frames."""
        found = {}
        for number, fs in self._programs.items():
            planes = self._rendered(fs, self._with_guides[number], seed, spp)
            colour, albedo, normal = planes[..., :3], planes[..., -6:-3], planes[..., -3:]
            found[number] = Frame({UNSPLIT: colour}, albedo=np.clip(albedo, 0.0, 1.0), normal=normal)
        return found

    def denoised(self, frames: Mapping[int, Frame]) -> dict[int, Image]:
        """Each frame by itself."""
        return {number: self._oidn.denoise({number: frame}, number, 1.0).beauty for number, frame in frames.items()}

    def within(self, seed: int, seconds: float) -> tuple[int, tuple[float, dict[int, Image]]]:
        """As many samples per pixel as can be rendered and denoised in a time; what that took, and gave."""
        spp, best = RACE_SPP, None
        for _ in range(TRIES):
            rendering, frames = _timed(partial(self.colour_with_guides, seed, spp))
            denoising, pictures = _timed(partial(self.denoised, frames))
            took = rendering + denoising
            if best is None or abs(took - seconds) < abs(best[1][0] - seconds):
                best = spp, (took, pictures)
            wanted = max(1, round(spp * max(seconds - denoising, 0.0) / rendering))
            if abs(took - seconds) <= TOLERANCE * seconds or wanted == spp:
                break
            spp = wanted
        assert best is not None
        return best

    def _rendered(self, fs: Any, integrator: Any, seed: int, spp: int) -> Image:
        """H×W×channels, a few samples at a time; seeds differ from pass to pass, and between seeds."""
        import mitsuba as mi

        total, taken = None, 0
        while taken < spp:
            more = min(PASS_SPP, spp - taken)
            key = (seed * 1_000 + taken) * 7 + fs.frame
            image = np.asarray(mi.render(fs.scene, sensor=fs.sensor, integrator=integrator, spp=more, seed=key))
            total = image * more if total is None else total + image * more
            taken += more
        assert total is not None
        return np.asarray(total / spp, np.float32)


def _timed(run: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = run()
    return time.perf_counter() - began, result
