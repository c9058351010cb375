"""A match from end to end: freeze the shot, read the plate, leave out what changes nothing, search, judge.

Needs Mitsuba with a variant set.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.overrides import Override
from pipeline.config.shot import Shot
from pipeline.errors import ConfigError
from pipeline.match.attempts import judged, solve
from pipeline.match.losses import Loss, LossName
from pipeline.match.minimise import Bounds
from pipeline.match.objective import Held, inert
from pipeline.match.parameters import Parameter, bounds_of, nested
from pipeline.match.plate import Plate, View, read_plate, reduced, size_for
from pipeline.match.renders import Renders, unsearched
from pipeline.match.scenes import film
from pipeline.match.search import Settings
from pipeline.match.texels import fit
from pipeline.scene import spec as specs
from pipeline.scene.freeze import freeze

__all__ = ["Outcome", "Progress", "Request", "run"]

Array = NDArray[np.float64]

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
    settings: Settings = field(default_factory=lambda: Settings(sigma=(1.0, 0.25), settle=2))


@dataclass(frozen=True)
class Progress:
    """How far a match is.

    Attributes:
        stage: `search`, `polish` or `texture`.
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
    seed = request.settings.seed
    limits = _limited(renders.parameters, request.within)
    start = limits.clip(renders.start)
    dead = inert(renders, plate, start, limits, spp=EFFECT_SPP, seed=seed)
    silent = [p.name for p, nothing in zip(renders.parameters, dead, strict=True) if nothing]
    if all(dead):
        raise ConfigError(f"nothing in the picture depends on {_listed(silent)}", path="--params")
    if silent:
        warn(f"{_listed(silent)}: changes nothing in the picture, and stays as it is")
    search = _Search(request, renders, plate, loss, limits, dead, on_progress)
    theta = search.run(start)
    half = max(1, request.settings.most_spp // 2)
    before, after = judged(renders, loss, np.array([start, theta]), half, seed)
    if after >= before:
        warn("no better than it was: the search found nothing; try other parameters, limits or a mask")
    elif loose := search.loose():
        warn(f"{_listed(loose)}: the picture hardly tells it (see deviation); bound it, or search fewer parameters")
    return Outcome(
        parameters=nested(renders.parameters, theta),
        deviation=search.deviations(),
        units={p.name: p.unit for p in renders.parameters if p.unit and p.name not in silent},
        inert=silent,
        overrides=renders.overrides(theta),
        error=float(after),
        start_error=float(before),
        evaluations=search.evaluations,
        seconds=time.perf_counter() - began,
        size=(renders.width, renders.height),
        diagonal=renders.diagonal,
        reason=search.reason,
        picture=renders.images(theta, spp=2 * half, seed=seed + 1)[0].mean(axis=0)[..., :3],
        plate=plate,
    )


class _Search:
    """The search of one match: what is sampled, and textures by differentiation, in turn where there are both."""

    def __init__(
        self,
        request: Request,
        renders: Renders,
        plate: Plate,
        loss: Loss,
        limits: Bounds,
        dead: Sequence[bool],
        on_progress: Callable[[Progress], Any],
    ) -> None:
        self._request, self._renders, self._plate, self._loss = request, renders, plate, loss
        self._limits, self._on_progress = limits, on_progress
        textured = np.array([p.prop == "texture" for p in renders.parameters])
        self._sampled, self._texels = ~np.array(dead) & ~textured, ~np.array(dead) & textured
        self._deviation = np.full(len(dead), np.nan)
        self._differentiated = 0
        self.reason = "texture"

    def run(self, start: Array) -> Array:
        """The best values from `start` on."""
        theta = start.copy()
        for _ in range(2 if self._sampled.any() and self._texels.any() else 1):
            if self._sampled.any():
                theta = self._searched(theta)
            if self._texels.any():
                theta = self._textured(theta)
        return theta

    @property
    def evaluations(self) -> int:
        """Pictures so far, and gradients of pictures."""
        return self._renders.pictures + self._differentiated

    def deviations(self) -> dict[str, float]:
        """What noise leaves open, by name, where that is known; of factors, as a ratio less 1."""
        return {
            p.name: float(np.exp2(value) - 1.0 if p.factor else value)
            for p, value in zip(self._renders.parameters, self._deviation, strict=True)
            if np.isfinite(value)
        }

    def loose(self) -> list[str]:
        """Names of parameters that noise leaves open by more than their scale."""
        open_ = self._deviation > self._limits.scale
        return [p.name for p, wide in zip(self._renders.parameters, open_, strict=True) if wide]

    def _searched(self, theta: Array) -> Array:
        limits, free = self._limits, self._sampled
        held = Held(self._renders, theta, free)
        bounds = Bounds(limits.scale[free], limits.lower[free], limits.upper[free])

        def told(stage: str, values: Array, sigma: float, moved: float) -> None:
            self._tell(stage, held.whole(values), sigma, moved)

        solved = solve(held, self._loss, theta[free], bounds, self._request.settings, told=told)
        self.reason, self._deviation[free] = solved.reason, solved.deviation
        return held.whole(solved.theta)

    def _textured(self, theta: Array) -> Array:
        renders, seed = self._renders, self._request.settings.seed
        whole = renders.at(theta)
        names = [(p.owner, p.prop) for p in renders.parameters]
        start = {owner: values["texture"] for owner, values in renders.overrides(theta).items() if "texture" in values}
        places = {owner: [i for i, name in enumerate(names) if name == (owner, "texture")] for owner in start}

        def filled(values: Mapping[str, Array]) -> Array:
            found = theta.copy()
            for owner, texels in values.items():
                found[places[owner]] = texels.ravel()
            return found

        found = fit(
            whole.scene,
            whole.sensor,
            start,
            self._plate,
            max_depth=whole.max_depth,
            seed=seed,
            on_step=lambda values, moved, done: self._tell("texture", filled(values), 0.0, moved, done),
        )
        self._differentiated += found.evaluations
        return filled(found.values)

    def _tell(self, stage: str, theta: Array, sigma: float, moved: float, differentiated: int = 0) -> None:
        def picture() -> NDArray[np.float32]:
            return np.asarray(self._renders.images(theta, spp=4, seed=0)[0].mean(axis=0)[..., :3])

        values, count = nested(self._renders.parameters, theta), self.evaluations + differentiated
        self._on_progress(Progress(stage, values, sigma, moved, count, picture, self._plate))


def _prepared(request: Request, blobs: Path) -> tuple[Renders, Plate]:
    """The shot, ready to be rendered at the plate's reduced size."""
    shot = request.shot
    if request.frame not in shot.frame_list:
        raise ConfigError(f"the shot has no frame {request.frame} ({shot.frames})", path="--frame")
    if shot.resolution is not None:  # told before anything that takes time
        _plate(request, shot.resolution)
    own = {name: override.model_dump() for name, override in shot.overrides.items()}
    base = {name: Override(**values) for name, values in unsearched(own, request.params).items()}
    frozen = freeze(shot.model_copy(update={"overrides": base}).at(shot.directory), [request.frame], blobs)
    config = shot.model_dump(mode="json", by_alias=True)
    plate = _plate(request, film(specs.of(config, frozen, request.frame), blobs))
    size = size_for(plate.size, request.pixels)
    renders = Renders(config, frozen, request.frame, blobs, request.params, size)
    return renders, plate if size == plate.size else reduced(plate, size)


def _plate(request: Request, size: tuple[int, int]) -> Plate:
    return read_plate(
        request.reference, size=size, view=request.view, mask=request.mask, space=request.shot.colour.rendering
    )


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


def _listed(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
