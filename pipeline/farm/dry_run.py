"""`pipeline submit --dry-run`: all is checked, what it would take is estimated, and nothing stays in the store."""

from __future__ import annotations

import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipeline.config.farm import Farm as FarmConfig
from pipeline.farm.environments import environment_for, weights_of
from pipeline.farm.forecast import OUTPUT_SECONDS, Forecast, Interval, Work, forecast
from pipeline.farm.limits import Limits
from pipeline.farm.probe import Probe, probe
from pipeline.farm.reuse import DENOISED_GUIDES
from pipeline.farm.store import BLOBS, LocalStore
from pipeline.farm.submission import Prepared, Show, check_store, open_farm, prepare, refusing, resolve

__all__ = ["Estimate", "dry_run", "estimate"]

FILM: Final = (768, 576)
"""Size of Mitsuba's films that say none."""


@dataclass(frozen=True)
class Estimate:
    """What a shot would take.

    Attributes:
        shot: its name.
        frames: how many.
        size: (width, height).
        rounds: of a frame, at most.
        probed: a frame was rendered for it; else all rests on assumptions.
        forecast: of the whole job, as if nothing of it were there.
        warnings: one line each.
    """

    shot: str
    frames: int
    size: tuple[int, int]
    rounds: int
    probed: bool
    forecast: Forecast
    warnings: tuple[str, ...]


def dry_run(
    sources: Sequence[str],
    overrides: Mapping[str, Any],
    *,
    settings: FarmConfig,
    out: str | None = None,
    workers: int | None = None,
    probing: bool = True,
    show: Show = lambda jobs, note: None,
) -> list[Estimate]:
    """Checks shots as `submission.submit` does, and estimates what they would take.

    Args:
        sources, overrides, settings, out, workers, show: see `submission.submit`.
        probing: a frame of each shot is rendered small; else speeds are assumed.

    Raises:
        PenumbraError: with the exit code 2, what is wrong.
    """
    with refusing():
        shots, notes = resolve(sources, overrides)
        farm = open_farm(settings, out, wait=None)
        blobs = farm.store.path(BLOBS)
        if blobs is not None and blobs.is_dir():  # a store that is not there would be made, and stay
            check_store(farm.store)
        show([], "checking scenes")
        rendering = environment_for(farm)
        slots = farm.slots() or workers or 1
        with tempfile.TemporaryDirectory(prefix="penumbra-dry-run-") as folder:
            scratch = LocalStore(folder)
            found = []
            for each in prepare(shots, scratch, rendering, weights=weights_of(farm, rendering)):
                if probing:
                    show([], f"rendering a probe of {each.shot.shot}")
                size = _size(each, Path(folder) / BLOBS)
                middle = each.shot.frame_list[len(each.shot.frame_list) // 2]
                seen = probe(scratch, each.shot.shot, each.frozen, middle, size) if probing else None
                found.append(estimate(each, size, seen, settings, slots=slots, probing=probing, notes=notes))
        return found


def estimate(
    prepared: Prepared,
    size: tuple[int, int],
    seen: Probe | None,
    settings: FarmConfig,
    *,
    slots: int,
    probing: bool = True,
    notes: Sequence[str] = (),
) -> Estimate:
    """What a shot would take, from a probe of it, or from assumed speeds where there is none."""
    sampling, count = prepared.shot.sampling, len(prepared.shot.frame_list)
    limits = Limits(sampling.first_spp, sampling.max_spp, sampling.budget_spp, sampling.target_error)
    pixels = size[0] * size[1]
    warnings = [*notes, *prepared.warnings]
    told = None
    if seen is not None:
        history = tuple((spp * pixels, mean) for spp, mean in seen.history)
        work = Work(0, 0.0, pixels, history, seen.p99, denoise_seconds=seen.denoise_seconds * pixels / seen.pixels)
        told = forecast(
            [work] * count,
            limits,
            slots=slots,
            every_round=sampling.guide in DENOISED_GUIDES,
            cost_per_hour=settings.cost_per_hour,
            seconds_per_sample=1.0 / max(seen.samples_per_second, 1.0),
        )
    elif probing:
        warnings.append(f"{prepared.shot.shot}: the probe showed nothing in time; speed and errors are assumed")
    return Estimate(
        shot=prepared.shot.shot,
        frames=count,
        size=size,
        rounds=limits.rounds,
        probed=told is not None,
        forecast=told or _assumed(limits, pixels * count, count, settings, slots),
        warnings=tuple(warnings),
    )


def _assumed(limits: Limits, pixels: int, frames: int, settings: FarmConfig, slots: int) -> Forecast:
    """Between one round and the cap: nothing is known of the errors."""
    most = limits.own_spp
    spp = Interval(limits.first_spp, (limits.first_spp * most) ** 0.5, most)
    samples = spp * pixels
    writing = OUTPUT_SECONDS * frames
    machine = samples * (1.0 / settings.assumed_samples_per_second) + Interval(writing, writing, writing)
    cost = None if settings.cost_per_hour is None else machine * (settings.cost_per_hour / 3600.0)
    return Forecast(samples, machine * (1.0 / slots), machine, cost, slots)


def _size(prepared: Prepared, blobs: Path) -> tuple[int, int]:
    """(width, height): the shot's, else that of the film of its first scene."""
    if (size := prepared.shot.rendered_size) is not None:
        return size
    scene = next(iter(prepared.frozen.scenes.values()))
    film = ElementTree.parse(blobs / scene["xml"]).find(".//film")
    told = {} if film is None else {each.get("name"): each.get("value") for each in film.findall("integer")}
    window = prepared.shot.film.window(int(told.get("width") or FILM[0]), int(told.get("height") or FILM[1]))
    return window.width, window.height
