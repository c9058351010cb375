"""Rounds of the test sequences under every guide, kept on disk trial by trial: an interrupted run goes on.

A trial is one sequence, one guide, one seed. Both judged frames go through the rounds together, as on the farm, and are
each other's neighbours. Every round is denoised and scored whatever the guide, so that one run to 512 samples per pixel
passes all the levels below.
"""

from __future__ import annotations

import hashlib
import inspect
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.adaptive_cache import Kept, kept
from benchmarks.adaptive_kit import DEFAULT, Case, Kit, Watched
from benchmarks.denoise_renders import Renders, Truth
from benchmarks.denoise_sequences import Clip
from benchmarks.referee import judge
from pipeline.denoise import guides
from pipeline.denoise.calibration import Deciles, deciles
from pipeline.farm import rounds
from pipeline.farm.limits import Limits
from pipeline.farm.rounds import Course, Render, Round
from pipeline.images.metrics import ERROR_MAPS
from pipeline.render import allocate
from pipeline.render.moments import Moments

__all__ = [
    "FULL",
    "MATRIX",
    "ORACLE",
    "PICTURED_SPP",
    "QUICK",
    "STUDIED",
    "UNIFORM",
    "VARIANCE",
    "Shown",
    "Sizes",
    "Stage",
    "Trial",
    "everything",
    "release",
    "stopped",
]

FORMAT = 1
FIRST_SPP = 16
"""Of the paper, and of shots that say nothing."""

UNIFORM, VARIANCE, ORACLE = Case("uniform"), Case("variance"), Case("oracle")
STUDIED = (UNIFORM, VARIANCE, DEFAULT, ORACLE)
"""With all seeds."""
MATRIX = (VARIANCE, *(Case("error", metric) for metric in ("mrse", "smape", "dssim", "ms_dssim")))
"""Guides of Figure 9, with the seeds that go deep."""

PICTURED_SPP = 64
"""Sample maps and pictures are kept of this level."""


@dataclass(frozen=True)
class Sizes:
    """How much is rendered.

    Attributes:
        resolution: (width, height).
        reference_spp: of each judged frame, in two halves.
        levels: mean samples per pixel at which guides are compared.
        deep: the level of the seeds that go on.
        seeds: of the studied guides.
        deep_seeds: that go on to `deep`, with the guides of Figure 9.
        unbiased: renders whose mean is compared with the reference.
        unbiased_clips: sequences that this is done with.
        races: runs against the clock, of each sequence.
        jobs: on a farm, whose forecasts are compared with what they took.
    """

    resolution: tuple[int, int]
    reference_spp: int
    levels: tuple[int, ...]
    deep: int
    seeds: int
    deep_seeds: int
    unbiased: int
    unbiased_clips: int
    races: int
    jobs: int


FULL = Sizes((320, 180), 4096, (64, 256), 512, 5, 2, 64, 2, 3, 6)
QUICK = Sizes((96, 54), 512, (64, 256), 256, 1, 1, 8, 1, 1, 2)


@dataclass(frozen=True)
class Shown:
    """A frame after one of its rounds.

    Attributes:
        frame, number: of the frame and of the round.
        spp: mean samples per pixel so far.
        reason: why it was the last; empty while the frame goes on.
        predicted, p99: the guide's error, in its metric.
        true: of the denoised picture against the reference, in the guide's metric.
        scores: of the denoised picture: see `referee.judge`.
        deciles: predicted against true error; None for guides that predict nothing of the denoised picture.
    """

    frame: int
    number: int
    spp: float
    reason: str
    predicted: float
    p99: float
    true: float
    scores: Mapping[str, float | None]
    deciles: Deciles | None


@dataclass(frozen=True)
class Trial:
    """What became of a sequence under one guide, with one seed.

    Attributes:
        shown: frames after their rounds.
        pictures: of the first judged frame at `PICTURED_SPP`: `spent` (H×W), `denoised` (H×W×3); empty if not kept.
    """

    shown: tuple[Shown, ...]
    pictures: Mapping[str, NDArray[Any]] = field(default_factory=dict, repr=False)

    @cached_property
    def levels(self) -> tuple[float, ...]:
        """Mean samples per pixel after each round of the whole sequence."""
        return tuple(sorted({one.spp for one in self.shown}))

    def error(self, metric: str, spp: float) -> float | None:
        """Mean over the frames at a level; None where the metric was not measured.

        Args:
            metric: as in `referee.judge`.
            spp: one of `levels`.
        """
        values = [one.scores[metric] for one in self.at(spp)]
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known and len(known) == len(values) else None

    def at(self, spp: float) -> tuple[Shown, ...]:
        """The frames at a level."""
        found = tuple(one for one in self.shown if math.isclose(one.spp, spp, rel_tol=1e-6))
        if not found:
            raise ValueError(f"no round ended at {spp:g} samples per pixel")
        return found

    @property
    def stops(self) -> tuple[Shown, ...]:
        """Each frame after its last round."""
        return tuple(one for one in self.shown if one.reason)


class Stage:
    """One sequence, ready for trials. Scenes are loaded, and references read, when they are first needed.

    Args:
        renders: at the resolution of the trials.
        clip: the sequence.
        kit: what the trials are made with.
        sizes: of references.
    """

    def __init__(self, renders: Renders, clip: Clip, kit: Kit, sizes: Sizes) -> None:
        self.renders, self.clip, self.kit, self.sizes = renders, clip, kit, sizes
        self.folder = renders.folder / "adaptive" / clip.name

    @cached_property
    def truths(self) -> dict[int, Truth]:
        """References of the judged frames."""
        return {frame: self.renders.truth(self.clip, frame, self.sizes.reference_spp) for frame in self.clip.judged}

    @cached_property
    def programs(self) -> dict[int, Any]:
        """The judged frames' scenes. Loaded after the references, which may go through other frames."""
        assert self.truths
        return self.renders.programs(self.clip, self.clip.judged)

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        width, height = self.renders.resolution
        return height, width

    def sampler(self, seed: int) -> Render:
        """Takes samples of the judged frames, features in the first round alone, as the farm does."""
        from pipeline.render.passes import Layers, render_pass  # needs the variant, which `programs` sets

        def render(frame: int, counts: Any, start: Any, r: int) -> Moments:
            return render_pass(
                self.programs[frame], counts, start, seed=seed, layers=Layers.COLOUR if r else Layers.ALL
            )

        return render

    def run(self, case: Case, seed: int, limits: Limits) -> Iterator[Round]:
        """Goes through the rounds of a case."""
        assert self.programs
        course = Course(limits, Watched(self.kit.guide(case, self.truths)), self.kit.denoiser, seed=seed)
        return rounds.run(self.clip.judged, self.shape, self.sampler(seed), course)

    def trial(self, case: Case, seed: int, most: int, *, target: float = 0.0) -> Trial:
        """A trial, from the cache where it is there.

        Args:
            case: the guide.
            seed: of the samples, and of the rounding of sample maps.
            most: mean samples per pixel at the end.
            target: of the guide's error, at which frames stop; 0: none does.
        """
        told = f"{FORMAT} {self.kit.told(case)} {most} {target:.6g} {self.sizes.reference_spp} {_judged_by()}"
        name = f"{case.name}-{most}" + (f"-to-{target:.4g}" if target else "")
        limits = Limits(FIRST_SPP, most, target_error=target)
        return _read(kept(self.file(f"{name}-s{seed}", told), lambda: _written(self._trial(case, seed, limits))))

    def file(self, name: str, told: str) -> Path:
        """Where something about this sequence is kept.

        Args:
            name: for people.
            told: all that it depends on beside the samples of the sequence.
        """
        samples = [self.renders.name(self.clip, frame) for frame in self.clip.judged]
        key = hashlib.blake2b(f"{samples} {told}".encode(), digest_size=6).hexdigest()
        return self.folder / f"{name}-{key}.npz"

    def _trial(self, case: Case, seed: int, limits: Limits) -> Trial:
        print(f"{self.clip.name}: {case.name} to {limits.max_spp} spp, seed {seed}", file=sys.stderr, flush=True)
        shown: list[Shown] = []
        pictures: dict[str, NDArray[Any]] = {}
        for one in self.run(case, seed, limits):
            shown.append(_shown(one, case, self.truths[one.frame]))
            if seed == 0 and one.frame == self.clip.centre and math.isclose(one.spp, PICTURED_SPP, rel_tol=1e-6):
                assert one.denoised is not None
                pictures = {"spent": one.spent, "denoised": one.denoised.beauty.astype(np.float16)}
        return Trial(tuple(shown), pictures)


def _shown(one: Round, case: Case, truth: Truth) -> Shown:
    picture = one.delivered or one.denoised
    assert picture is not None
    errors = ERROR_MAPS[case.metric](picture.beauty, truth.beauty.image)
    return Shown(
        frame=one.frame,
        number=one.number,
        spp=one.spp,
        reason=one.reason,
        predicted=one.judged.mean,
        p99=one.judged.p99,
        true=float(errors.mean()),
        scores=judge(picture.beauty, truth.beauty.image),
        deciles=deciles(one.judged.error, errors) if case.guide == "error" else None,
    )


def _judged_by() -> str:
    """Of the code that shares out samples: a trial of other code is another trial."""
    source = "".join(inspect.getsource(module) for module in (allocate, guides, rounds))
    return hashlib.blake2b(source.encode(), digest_size=6).hexdigest()


# --- Files --------------------------------------------------------------------------------------------------------


def _written(trial: Trial) -> Kept:
    return Kept([asdict(one) for one in trial.shown], trial.pictures)


def _read(stored: Kept) -> Trial:
    shown = []
    for one in stored.figures:
        groups = one["deciles"]
        told = None if groups is None else Deciles(tuple(groups["predicted"]), tuple(groups["true"]))
        shown.append(Shown(**{**one, "deciles": told}))
    return Trial(tuple(shown), stored.arrays)


# --- Everything ---------------------------------------------------------------------------------------------------


def everything(stages: Sequence[Stage], sizes: Sizes) -> dict[tuple[str, Case, int], Trial]:
    """All trials of all sequences: (sequence, guide, seed) → trial. Guides without weights are left out."""
    found: dict[tuple[str, Case, int], Trial] = {}
    for stage in stages:
        for seed in range(sizes.seeds):
            most = sizes.deep if seed < sizes.deep_seeds else max(sizes.levels)
            for case in dict.fromkeys((*STUDIED, *MATRIX) if seed < sizes.deep_seeds else STUDIED):
                if stage.kit.can(case):
                    found[stage.clip.name, case, seed] = stage.trial(case, seed, most)
        release(stage)
    return found


def stopped(stages: Sequence[Stage], sizes: Sizes, targets: Mapping[str, float]) -> dict[tuple[str, int], Trial]:
    """Trials that end at a target: (sequence, seed) → trial. None without weights.

    Args:
        targets: by sequence, mean SMAPE.
    """
    found: dict[tuple[str, int], Trial] = {}
    for stage in stages:
        if not stage.kit.can(DEFAULT):
            continue
        for seed in range(sizes.seeds):
            most, target = max(sizes.levels), targets[stage.clip.name]
            found[stage.clip.name, seed] = stage.trial(DEFAULT, seed, most, target=target)
        release(stage)
    return found


def release(stage: Stage) -> None:
    """Lets go of a sequence's scenes and references, which are large."""
    for name in ("programs", "truths"):
        stage.__dict__.pop(name, None)
