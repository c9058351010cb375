"""How far forecasts are off: jobs on a farm of this machine, asked for their ETA all the time, and measured at 20 %.

The time that counts is by the clock on the wall, from submitting to the report. What a job said at 20 % of it is
compared with what was then left; a job that had said nothing by then counts as off by all of it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.adaptive_cache import Kept, kept
from benchmarks.adaptive_kit import DEFAULT, Kit
from benchmarks.farm_rig import Rig, claim_shot
from benchmarks.farm_tasks import NO_RECYCLING
from benchmarks.machine import commit
from pipeline.farm.progress import Progress

__all__ = ["ASKED_AT", "JOBS", "Forecasted", "Planned", "forecasts"]

ASKED_AT = 0.2
"""Share of a job's time."""
EVERY = 0.5
"""Seconds between two questions."""
WORKERS = 2


@dataclass(frozen=True)
class Planned:
    """A job.

    Attributes:
        name: for people.
        shot: a sample shot.
        overrides: of it.
        guided: by the kit's best guide, and denoised; else by `variance`, unless the overrides say otherwise.
    """

    name: str
    shot: str
    overrides: dict[str, Any]
    guided: bool = False


_SHARED = {"sampling.max_spp": 256, "sampling.budget_spp": 48, "sampling.target_error": 0.02}
JOBS = (
    Planned("target, variance", "shot_010", {"sampling.max_spp": 256, "sampling.target_error": 0.04}),
    Planned("target, best guide", "shot_010", {"sampling.max_spp": 256}, guided=True),
    Planned("cap", "shot_020", {"sampling.max_spp": 64, "sampling.target_error": 0.001}),
    Planned("budget, variance", "shot_020", _SHARED),
    Planned("budget, best guide", "shot_010", _SHARED, guided=True),
    Planned("uniform", "shot_020", {"sampling.max_spp": 128, "sampling.guide": "uniform"}),
)  # fmt: skip
QUICK_SIZE = {"resolution": [192, 108], "frames": "1001-1004"}


@dataclass(frozen=True)
class Forecasted:
    """A job that ran.

    Attributes:
        name: of its plan.
        seconds: that it took.
        left: what it said at `ASKED_AT`, seconds; None: nothing.
        low, high: of that.
    """

    name: str
    seconds: float
    left: float | None
    low: float
    high: float

    @property
    def error(self) -> float:
        """Absolute error of the ETA over the job's time; 1 where nothing was said."""
        return 1.0 if self.left is None else abs(self.left - (1.0 - ASKED_AT) * self.seconds) / self.seconds

    @property
    def held(self) -> bool:
        """Whether the interval held what was left."""
        return self.left is not None and self.low <= (1.0 - ASKED_AT) * self.seconds <= self.high


def forecasts(folder: Path, kit: Kit, *, count: int, quick: bool) -> list[Forecasted]:
    """Runs jobs, one after the other, on workers that are warm; results are kept by commit.

    Args:
        folder: where results are kept.
        kit: says which guide is best.
        count: of `JOBS`, from the first on.
        quick: at a small size.
    """
    file = folder / "adaptive" / f"eta-{commit()}-{kit.told(kit.best).replace(' ', '_')[:60]}-{count}-{quick}.npz"
    stored = kept(file, lambda: Kept([asdict(one) for one in _run(JOBS[:count], kit, quick=quick)]))
    return [Forecasted(**one) for one in stored.figures]


def _run(planned: Sequence[Planned], kit: Kit, *, quick: bool) -> list[Forecasted]:
    with (
        tempfile.TemporaryDirectory(prefix="penumbra-eta-") as scratch,
        Rig(Path(scratch), workers=WORKERS, child_tasks=NO_RECYCLING) as rig,
    ):
        size = QUICK_SIZE if quick else {}
        for shot in dict.fromkeys(each.shot for each in planned):  # compiles, and loads networks
            warm = {**size, "frames": "1001-1002", **_guide(kit), "sampling.max_spp": 16}
            rig.run(claim_shot(Path(scratch), shot, warm))
        return [_watched(rig, Path(scratch), each, kit, size) for each in planned]


def _watched(rig: Rig, scratch: Path, planned: Planned, kit: Kit, size: Mapping[str, Any]) -> Forecasted:
    overrides = {**planned.overrides, **(_guide(kit) if planned.guided else {"denoise.backend": "none"})}
    if not planned.guided:
        overrides.setdefault("sampling.guide", "variance")
    job = claim_shot(scratch, planned.shot, {**overrides, **size})
    progress, began = Progress(rig.store, job), time.monotonic()
    asked: list[tuple[float, float, float, float]] = []

    def ask() -> None:
        now = time.monotonic() - began
        if asked and now - asked[-1][0] < EVERY:
            return
        told = progress.snapshot(slots=WORKERS).forecast
        if told is not None:
            asked.append((now, told.seconds.middle, told.seconds.low, told.seconds.high))

    seconds = rig.run(job, ask)
    last = max((each for each in asked if each[0] <= ASKED_AT * seconds), default=None)
    if last is None:
        return Forecasted(planned.name, seconds, None, 0.0, 0.0)
    since = ASKED_AT * seconds - last[0]  # what was said a moment before
    left, low, high = (max(0.0, value - since) for value in last[1:])
    return Forecasted(planned.name, seconds, left, low, high)


def _guide(kit: Kit) -> dict[str, Any]:
    """The best guide that the installed weights allow; the denoiser is the network in either case."""
    guide = "error" if kit.can(DEFAULT) and kit.denoiser.name == "kpcn" else "variance"
    return {"sampling.guide": guide, "denoise.backend": "kpcn" if kit.denoiser.name == "kpcn" else "none"}
