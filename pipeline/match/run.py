"""A match from end to end: freeze the shot, read the plate, leave out what changes nothing, search, polish, judge.

Needs Mitsuba with a variant set.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.overrides import Override
from pipeline.config.shot import Shot
from pipeline.errors import ConfigError
from pipeline.match.gauss_newton import polish
from pipeline.match.losses import Loss, LossName
from pipeline.match.minimise import Bounds, Record
from pipeline.match.objective import Held, inert
from pipeline.match.parameters import Parameter, bounds_of, nested
from pipeline.match.plate import Plate, View, picture_size, read_plate, reduced, size_for
from pipeline.match.renders import Renders, unsearched
from pipeline.match.search import Settings, search
from pipeline.scene.freeze import freeze

__all__ = ["Outcome", "Progress", "Request", "run"]

Array = NDArray[np.float64]

MOST_POLISHED = 64  # parameters, each of which costs two pictures a step
JUDGES = 4  # render seeds of the final judgement
EFFECT_SPP = 2  # samples per pixel and half that tell whether a parameter does anything


@dataclass(frozen=True)
class Request:
    """What to match.

    Attributes:
        shot: as loaded.
        reference: the plate.
        params: unknowns, as typed.
        frame: which the plate is of.
        view, mask: of the plate (`read_plate`).
        loss, alpha: `Loss`.
        pixels: of the pictures that are compared, at most.
        within: limits by name, own units: `{"lamp.translate:x": (-1.0, 1.0)}`.
        settings: of the search.
    """

    shot: Shot
    reference: Path
    params: tuple[str, ...]
    frame: int
    view: View | None = None
    mask: Path | None = None
    loss: LossName = "multi-scale"
    alpha: bool = False
    pixels: int = 16_384
    within: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    settings: Settings = field(default_factory=lambda: Settings(sigma=(1.0, 0.125), settle=2))


@dataclass(frozen=True)
class Progress:
    """How far a match is.

    Attributes:
        stage: `search` or `polish`.
        parameters: values as `nested` tells them.
        sigma, moved: in scales.
        evaluations: pictures so far.
        picture: makes the picture as it is now: H×W×3.
        plate: what it is to look like.
    """

    stage: str
    parameters: dict[str, Any]
    sigma: float
    moved: float
    evaluations: int
    picture: Callable[[], NDArray[np.float32]]
    plate: Plate


@dataclass(frozen=True)
class Outcome:
    """What was found.

    Attributes:
        parameters: values by `ID.PROPERTY`.
        deviation: what the pictures' noise leaves open of each, where it is known; of factors, as a ratio less 1.
        units: by name.
        inert: names of parameters that change nothing in the picture; they stay.
        overrides: id → property → value, for the shot; textures as H×W×C.
        error, start_error: the loss of fresh pictures at the end, and at the start; 0 is the plate, 1 black.
        size: of the pictures that were compared.
        reason: why the search ended.
    """

    parameters: dict[str, Any]
    deviation: dict[str, float]
    units: dict[str, str]
    inert: list[str]
    overrides: dict[str, dict[str, Any]]
    error: float
    start_error: float
    evaluations: int
    seconds: float
    size: tuple[int, int]
    diagonal: float
    reason: str
    picture: NDArray[np.float32]
    plate: Plate


def run(
    request: Request,
    blobs: Path,
    *,
    on_progress: Callable[[Progress], Any] = lambda progress: None,
    warn: Callable[[str], Any] = lambda line: None,
) -> Outcome:
    """Matches.

    Args:
        blobs: directory that the frozen scene goes to.
        on_progress: called after each step.
        warn: told what the user should know.

    Raises:
        ConfigError: a plate or a parameter that does not fit, or nothing that changes the picture.
        SceneError: the scene cannot be frozen or loaded.
        PenumbraError: a loss that is not a number.
    """
    began = time.perf_counter()
    renders, plate = _prepared(request, blobs)
    loss = Loss(request.loss, plate, alpha=request.alpha)
    start, seed = renders.start, request.settings.seed
    limits = _limited(renders.parameters, request.within)
    dead = inert(renders, plate, start, spp=EFFECT_SPP, seed=seed)
    silent = [p.name for p, nothing in zip(renders.parameters, dead, strict=True) if nothing]
    if all(dead):
        raise ConfigError(f"nothing in the picture depends on {_listed(silent)}", path="--params")
    if silent:
        warn(f"{_listed(silent)}: changes nothing in the picture, and stays as it is")
    free = Held(renders, start, [not nothing for nothing in dead])
    alive = [index for index, nothing in enumerate(dead) if not nothing]
    bounds = Bounds(limits.scale[alive], limits.lower[alive], limits.upper[alive])
    counted = 1 + 4 * len(start)

    def told(stage: str, theta: Array, sigma: float, moved: float, evaluations: int) -> None:
        def picture() -> NDArray[np.float32]:
            return np.asarray(free.images(theta, spp=4, seed=0)[0].mean(axis=0)[..., :3])

        values = nested(renders.parameters, free.whole(theta))
        on_progress(Progress(stage, values, sigma, moved, evaluations, picture, plate))

    def after(record: Record) -> None:
        told("search", record.theta, record.sigma, record.moved, counted + record.evaluations)

    first = bounds.clip(start[alive])
    coarse = search(free, loss, first, bounds, request.settings, on_step=after)
    counted += coarse.evaluations
    candidates = [first, coarse.theta]
    spread = np.full(len(alive), np.nan)
    half = max(1, request.settings.most_spp // 2)
    if len(alive) <= MOST_POLISHED:
        fine = polish(
            lambda points, key: loss.residuals(free.images(points, spp=half, seed=key)),
            coarse.theta,
            bounds,
            seed=seed,
            on_step=lambda theta, moved, done: told("polish", theta, 0.0, moved, counted + done),
        )
        counted += fine.evaluations
        candidates.append(fine.theta)
        spread = fine.deviation
    judged = _judged(free, loss, np.array(candidates), half, seed)
    best = int(np.argmin(judged[1:])) + 1
    if judged[best] >= judged[0]:
        warn("no better than it was: the search found nothing; try other parameters, limits or a mask")
    if best == 1:
        spread = np.full(len(alive), np.nan)
    theta = free.whole(candidates[best])
    names = [p.name for p in free.parameters]
    return Outcome(
        parameters=nested(renders.parameters, theta),
        deviation={
            p.name: float(np.exp2(value) - 1.0 if p.factor else value)
            for p, value in zip(free.parameters, spread, strict=True)
            if np.isfinite(value)
        },
        units={p.name: p.unit for p in renders.parameters if p.unit and p.name in names},
        inert=silent,
        overrides=renders.overrides(theta),
        error=float(judged[best]),
        start_error=float(judged[0]),
        evaluations=counted + JUDGES * len(candidates),
        seconds=time.perf_counter() - began,
        size=(renders.width, renders.height),
        diagonal=renders.diagonal,
        reason=coarse.reason,
        picture=renders.images(theta, spp=2 * half, seed=seed + 1)[0].mean(axis=0)[..., :3],
        plate=plate,
    )


def _prepared(request: Request, blobs: Path) -> tuple[Renders, Plate]:
    """The shot, ready to be rendered at the plate's reduced size."""
    shot = request.shot
    if request.frame not in shot.frame_list:
        raise ConfigError(f"the shot has no frame {request.frame} ({shot.frames})", path="--frame")
    full = _plate_size(shot, request)
    plate = read_plate(request.reference, size=full, view=request.view, mask=request.mask)
    size = size_for(full, request.pixels)
    plate = plate if size == full else reduced(plate, size)
    own = {name: override.model_dump() for name, override in shot.overrides.items()}
    base = {name: Override(**values) for name, values in unsearched(own, request.params).items()}
    frozen = freeze(shot.model_copy(update={"overrides": base}).at(shot.directory), [request.frame], blobs)
    config = shot.model_dump(mode="json", by_alias=True)
    return Renders(config, frozen, request.frame, blobs, request.params, size), plate


def _plate_size(shot: Shot, request: Request) -> tuple[int, int]:
    """(width, height) of the shot; where the scene's film says it, the plate's own is taken."""
    if shot.resolution is not None:
        return shot.resolution
    return picture_size(request.reference)


def _limited(parameters: list[Parameter], within: Mapping[str, tuple[float, float]]) -> Bounds:
    """Scales and limits, with the user's own.

    Raises:
        ConfigError: a limit of what is not searched, or an empty one.
    """
    names = [p.name for p in parameters]
    if unknown := [name for name in within if name not in names]:
        raise ConfigError(f"{unknown[0]} is not searched (searched: {', '.join(names):.120})", path="--within")
    narrowed = []
    for p in parameters:
        low, high = within.get(p.name, (-np.inf, np.inf))
        if not low < high:
            raise ConfigError(f"{p.name}: {low:g} … {high:g} is empty", path="--within")
        if p.factor:
            low, high = (float(np.log2(edge)) if edge > 0 else -np.inf for edge in (low, high))
        scale = min(p.scale, (high - low) / 4.0)
        narrowed.append(replace(p, scale=scale, lower=max(p.lower, low), upper=min(p.upper, high)))
    return bounds_of(narrowed)


def _judged(pictures: Held, loss: Loss, thetas: Array, spp: int, seed: int) -> Array:
    """Losses of fresh pictures: the mean over render seeds that the search never saw."""
    keys = np.random.default_rng([seed, 1]).integers(2**31, size=JUDGES)
    return np.asarray(np.mean([loss(pictures.images(thetas, spp=spp, seed=int(key))) for key in keys], axis=0))


def _listed(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
