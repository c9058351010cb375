"""Pictures of a shot for rows of parameter values: the black box that a match differentiates.

Needs Mitsuba with a variant set before the first `Renders` is made, not before this is imported.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.overrides import CAMERA
from pipeline.errors import ConfigError
from pipeline.match import parameters as naming
from pipeline.match.parameters import Parameter
from pipeline.match.rig import Rig, Rows
from pipeline.match.scenes import applied, moved_apart, plain_surfaces, without
from pipeline.match.wavefront import Stage, launch
from pipeline.scene import spec as specs
from pipeline.scene.displacement import MOVES
from pipeline.scene.overrides import Overrides
from pipeline.scene.spec import FrozenScene

if TYPE_CHECKING:
    from pipeline.scene.load import FrameScene

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
        searched = {"overrides": unsearched(given, params), "resolution": list(resolution), "film": None}
        plain = {**config, **searched}
        spec = specs.of(plain, frozen, frame)
        if spec.integrator != "path":
            raise ConfigError(
                f"a match renders with `path`, the shot with `{spec.integrator}`", key="sampling.integrator"
            )
        self._source, self._config, self._frozen, self._given = (spec, frame, blobs), plain, frozen, given
        whole = self._loaded()
        self.parameters: list[Parameter] = naming.resolve(params, whole, Overrides(whole.scene), given)
        self.diagonal = _diagonal(whole)
        """Of the scene's bounding box, world units."""
        self.depth = whole.max_depth
        """Of paths, at most; −1 is no limit."""
        fov = None if whole.cameras.current is None else whole.cameras.current.fov
        apart = sorted({p.owner for p in self.parameters if p.prop in MOVES and p.owner != CAMERA})
        still = whole
        if apart:
            # Every loaded object of a kind has a place in each kernel: what is rendered no more must go.
            del whole, still
            gc.collect()
            still = without(spec, apart, frame, blobs)
        self._assemble(still, apart, fov)
        self.launches = self.pictures = 0
        """Launches and pictures so far."""

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

    @cached_property
    def whole(self) -> FrameScene:
        """The scene in one piece, loaded anew: it shares nothing with what is rendered here."""
        return self._loaded()

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
        self.pictures += len(rows)
        found = [self._launched(rows.only(part), spp, seed) for part in _alike(rows)]
        return np.concatenate(found)

    def at(self, theta: Array) -> FrameScene:
        """The scene in one piece, loaded anew, with n search values in it; textures are those of the shot."""
        import mitsuba as mi

        from pipeline.scene.load import load

        _, frame, blobs = self._source
        found = {
            owner: {prop: value for prop, value in values.items() if prop != "texture"}
            for owner, values in self._rig.overrides(theta).items()
        }
        own = self._config["overrides"]
        changed = {owner: {**own.get(owner, {}), **found.get(owner, {})} for owner in {**own, **found}}
        fs = load(specs.of({**self._config, "overrides": changed}, self._frozen, frame), frame, blobs)
        rows = self._rig.rows(theta[None])
        if not self._config.get("camera"):  # the scene's own: overrides reach it when it is frozen
            sensor = mi.traverse(fs.sensor)
            if rows.camera is not None:
                pose = rows.camera[0] @ _to_world(fs)
                sensor["to_world"] = mi.AffineTransform4f(mi.Matrix4f(pose.astype(np.float32)))
            if rows.fov is not None:
                sensor["x_fov"] = mi.Float(float(rows.fov[0]))
            sensor.update()
        return fs

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

    def _loaded(self) -> FrameScene:
        from pipeline.scene.load import load

        return load(*self._source)

    def _assemble(self, still: FrameScene, names: Sequence[str], fov: float | None) -> None:
        from pipeline.render.paths import limits

        spec, frame, blobs = self._source
        searched = naming.grouped(self.parameters)
        apart = [moved_apart(spec, name, frame, blobs) for name in names]
        self._parts = [Overrides(still.scene), *(Overrides(mover.scene) for mover, _ in apart)]
        if names:
            applied(self._parts, spec.overrides)
        to_world = _to_world(still)
        pivots = {mover.name: centre for mover, centre in apart} | {CAMERA: to_world[:3, 3]}
        bases = {
            (owner, prop): next(part for part in self._parts if part.has(owner, prop)).target(owner, prop).base[0]
            for owner, prop in searched
            if prop in ("roughness", "reflectance", "texture")
        }
        surfaces = {
            owner: found
            for owner, prop in searched
            if prop == "reflectance" and (found := plain_surfaces(self._parts, owner))
        }
        applied(self._parts, {owner: {"reflectance": (1.0, 1.0, 1.0)} for owner in surfaces})
        self._rig = Rig(self.parameters, pivots, bases, self._given, surfaces)
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
            surfaces=surfaces,
            limits=limits(still.max_depth, still.rr_depth),
            hide_emitters=still.hide_emitters,
            width=still.width,
            height=still.height,
            fov=fov,
            camera=to_world,
        )
        self._pivots = pivots
        self._still = still  # and with it what it holds


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
