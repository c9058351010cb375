"""Pictures of a shot for rows of parameter values: the black box that a match differentiates.

Needs Mitsuba with a variant set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.overrides import CAMERA
from pipeline.errors import ConfigError
from pipeline.match import parameters as naming
from pipeline.match.parameters import Parameter
from pipeline.match.rig import Rig, Rows
from pipeline.match.scenes import applied, moved_apart, without
from pipeline.match.wavefront import Stage, launch
from pipeline.render.paths import limits
from pipeline.scene import spec as specs
from pipeline.scene.displacement import MOVES
from pipeline.scene.load import FrameScene, load
from pipeline.scene.overrides import Overrides
from pipeline.scene.spec import FrozenScene, SceneSpec

__all__ = ["Renders", "unsearched"]

Array = NDArray[np.float64]

LANES = 2**22
"""Paths of one launch, at most."""

TOGETHER = (MOVES, ("intensity", "color"))
"""Properties that make one pose, or one factor: searching one of them takes over the others as they are given."""


class Renders:
    """One frame of a shot, to be rendered for many values of its unknowns.

    Args:
        config: the shot config as JSON values.
        frozen: of `pipeline.scene.freeze`, of the shot with its `unsearched` overrides alone.
        frame: frame number.
        blobs: where the frozen files are.
        params: unknowns, as typed: `["lamp.translate:xz", "lamp.intensity"]`.
        resolution: (width, height), pixels.

    Raises:
        ConfigError: a parameter that the scene does not have.
        SceneError: the scene cannot be loaded, or needs another integrator than `path`.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        frozen: Mapping[str, FrozenScene],
        frame: int,
        blobs: Path,
        params: Sequence[str],
        resolution: tuple[int, int],
    ) -> None:
        given = unsearched(config.get("overrides") or {}, ())
        plain = {**config, "overrides": unsearched(given, params), "resolution": list(resolution)}
        spec = specs.of(plain, frozen, frame)
        if spec.integrator != "path":
            raise ConfigError(
                f"a match renders with `path`, the shot with `{spec.integrator}`", key="sampling.integrator"
            )
        whole = load(spec, frame, blobs)
        self.parameters: list[Parameter] = naming.resolve(params, whole, Overrides(whole.scene), given)
        self.diagonal = _diagonal(whole)
        """Of the scene's bounding box, world units."""
        self._assemble(spec, whole, frame, blobs, given)
        self.launches = 0
        """Launches so far."""

    @property
    def width(self) -> int:
        """Pixels."""
        return self._stage.width

    @property
    def height(self) -> int:
        """Pixels."""
        return self._stage.height

    @property
    def start(self) -> Array:
        """What the shot says now, in search units: n."""
        return naming.start_of(self.parameters)

    @property
    def whole(self) -> FrameScene:
        """The scene in one piece, as it is loaded; where nothing is moved, materials of the last row are in it."""
        return self._whole

    @property
    def pivots(self) -> Mapping[str, Array]:
        """Centre that each owner of a pose is turned about, world units."""
        return self._pivots

    def overrides(self, theta: Array) -> dict[str, dict[str, Any]]:
        """Search values as `overrides` of the shot; textures as arrays."""
        return self._rig.overrides(theta)

    def images(self, theta: Array, *, spp: int, seed: int) -> NDArray[np.float32]:
        """Renders.

        Args:
            theta: K×n, search units.
            spp: samples per pixel in each of the two halves.
            seed: of the random numbers, the same for all rows.

        Returns:
            K×2×H×W×4: two images of disjoint samples, linear RGB and alpha.
        """
        rows = self._rig.rows(np.atleast_2d(theta))
        found = [self._launched(rows.only(part), spp, seed) for part in _alike(rows)]
        return np.concatenate(found)

    def _launched(self, rows: Rows, spp: int, seed: int) -> NDArray[np.float32]:
        """Rows of equal materials, in as few launches as lanes allow."""
        if rows.materials[0]:
            applied(self._parts, rows.materials[0])
        step = max(1, LANES // (2 * spp * self.width * self.height))
        images = []
        for first in range(0, len(rows), step):
            images.append(launch(self._stage, rows.only(slice(first, first + step)), spp=spp, seed=seed))
            self.launches += 1
        return np.concatenate(images)

    def _assemble(
        self, spec: SceneSpec, whole: FrameScene, frame: int, blobs: Path, given: Mapping[str, Mapping[str, Any]]
    ) -> None:
        searched = naming.grouped(self.parameters)
        names = sorted({owner for owner, prop in searched if prop in MOVES and owner != CAMERA})
        apart = [moved_apart(spec, name, frame, blobs) for name in names]
        still = without(spec, names, frame, blobs) if names else whole
        self._parts = [Overrides(still.scene), *(Overrides(mover.scene) for mover, _ in apart)]
        if names:
            applied(self._parts, spec.overrides)
        camera = whole.cameras.current
        to_world = _to_world(still)
        pivots = {mover.name: centre for mover, centre in apart} | {CAMERA: to_world[:3, 3]}
        bases = {
            (owner, prop): next(part for part in self._parts if part.has(owner, prop)).target(owner, prop).base[0]
            for owner, prop in searched
            if prop in ("roughness", "reflectance", "texture")
        }
        self._rig = Rig(self.parameters, pivots, bases, given)
        lit = {owner for owner, prop in searched if prop in ("intensity", "color")}
        holders = {
            owner: next(part for part in self._parts if part.has(owner, "intensity")).target(owner, "intensity").emitter
            for owner in lit
        }
        self._stage = Stage(
            scene=still.scene,
            sensor=still.sensor,
            movers=tuple(mover for mover, _ in apart),
            emitters=holders,
            limits=limits(whole.max_depth, whole.rr_depth),
            hide_emitters=whole.hide_emitters,
            width=whole.width,
            height=whole.height,
            fov=None if camera is None else camera.fov,
            camera=to_world,
        )
        self._pivots = pivots
        self._whole, self._still = whole, still  # and with them what they hold


def unsearched(overrides: Mapping[str, Mapping[str, Any]], params: Sequence[str]) -> dict[str, dict[str, Any]]:
    """A shot's overrides without those that the unknowns take the place of, and without nulls: with these it is
    frozen."""
    base = {
        owner: {key: value for key, value in values.items() if value is not None} for owner, values in overrides.items()
    }
    for text in params:
        owner, _, prop = text.partition(":")[0].strip().rpartition(".")
        for key in next((group for group in TOGETHER if prop in group), (prop,)):
            base.get(owner, {}).pop(key, None)
    return base


def _alike(rows: Rows) -> list[slice]:
    """Runs of rows whose materials are the same."""
    if not rows.materials[0]:
        return [slice(0, len(rows))]
    keys = [json.dumps(each, default=lambda array: array.tolist(), sort_keys=True) for each in rows.materials]
    edges = [0, *(i for i in range(1, len(keys)) if keys[i] != keys[i - 1]), len(keys)]
    return [slice(low, high) for low, high in pairwise(edges)]


def _diagonal(fs: FrameScene) -> float:
    box = fs.scene.bbox()
    return float(np.linalg.norm(np.ravel(np.array(box.max)) - np.ravel(np.array(box.min))))


def _to_world(fs: FrameScene) -> Array:
    import mitsuba as mi

    return np.array(mi.traverse(fs.sensor)["to_world"].matrix, dtype=np.float64).reshape(4, 4)
