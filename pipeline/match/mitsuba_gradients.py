"""Mitsuba's own gradients as one estimator among the others: `prb`, and `prb_projective` for edges that move.

They are gradients of the picture as it is, not of a smoothed one: quick where many parameters change values (a
texture), blind on plateaus, and deaf to what moves unless the projective integrator samples the edges. They can be
mixed with sampled gradients (`mixed`): AD for the texture, samples for the pose.

Poses move meshes by their vertices, and what has a `to_world` by that. The projective integrator takes every border of
a mesh for a silhouette: one whose faces do not share their vertices (`cube`, a PLY with split normals) gets gradients
of its place that are too long. Needs a Mitsuba variant with AD.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.match.descent import GradientOf
from pipeline.match.estimators import BlackBox, Estimate
from pipeline.match.parameters import Parameter
from pipeline.match.plate import Plate
from pipeline.match.renders import Renders
from pipeline.scene.displacement import MOVES
from pipeline.scene.overrides import Overrides

__all__ = ["MitsubaGradient", "mixed"]

Array = NDArray[np.float64]
Integrator = Literal["prb", "prb_projective"]


class MitsubaGradient:
    """∂/∂θ of the mean squared error of one render against a plate.

    Args:
        scene, sensor: Mitsuba's, of the plate's size; the scene as loaded, parameters at what it says.
        parameters: unknowns; lights that are no shapes, and cameras, cannot be moved.
        pivots: centre that each shape turns and scales about, by id.
        plate: what pictures are compared with.
        integrator: `prb` does not see edges that move, `prb_projective` does.
        max_depth: of paths.
        spp: samples per pixel, of the picture and of its gradient each.

    Raises:
        ConfigError: a parameter that it cannot follow.
    """

    def __init__(
        self,
        scene: Any,
        sensor: Any,
        parameters: Sequence[Parameter],
        pivots: Mapping[str, Array],
        plate: Plate,
        *,
        integrator: Integrator = "prb_projective",
        max_depth: int = 6,
        spp: int = 16,
    ) -> None:
        self._scene, self._sensor, self._spp = scene, sensor, spp
        self._parameters, self._pivots = list(parameters), pivots
        # Guiding keeps a grid of 10⁸ cells: 2.4 GB.
        more = {"guiding": "none"} if integrator == "prb_projective" else {}
        self._integrator = mi.load_dict({"type": integrator, "max_depth": max_depth, **more})
        self._overrides = Overrides(scene)
        self._params = self._overrides.params
        self._plate = mi.TensorXf(plate.image.astype(np.float32))
        self._weight = mi.TensorXf((plate.weight / (3.0 * plate.weight.sum()))[..., None].astype(np.float32))
        self._bases: dict[str, Any] = {}
        for p in parameters:
            for key in self._keys(p):
                self._bases[key] = type(self._params[key])(self._params[key])
            normals = f"{p.owner}.vertex_normals"
            if p.prop in MOVES and len(self._params.get(normals, ())):
                self._bases[normals] = mi.Float(self._params[normals])

    @classmethod
    def of_renders(
        cls, renders: Renders, plate: Plate, *, integrator: Integrator = "prb_projective", spp: int = 16
    ) -> MitsubaGradient:
        """For the unknowns of a match. Overrides that the shot has of them already must be neutral."""
        whole = renders.whole
        depth = whole.max_depth if whole.max_depth > 0 else 6
        return cls(
            whole.scene,
            whole.sensor,
            renders.parameters,
            renders.pivots,
            plate,
            integrator=integrator,
            max_depth=depth,
            spp=spp,
        )

    def __call__(self, theta: Array, seed: int) -> tuple[float, Array]:
        """Loss and its gradient at n search values."""
        values = [mi.Float(float(value)) for value in theta]
        for value in values:
            dr.enable_grad(value)
        self._set(values)
        picture = mi.render(
            self._scene,
            self._params,
            sensor=self._sensor,
            integrator=self._integrator,
            spp=self._spp,
            spp_grad=self._spp,
            seed=seed,
            seed_grad=seed ^ 0x5BD1E995,
        )
        loss = dr.sum(dr.square(picture[..., :3] - self._plate) * self._weight, axis=None)
        dr.backward(loss)
        gradient = np.array([float(np.ravel(dr.grad(value))[0]) for value in values])
        return float(np.ravel(np.array(loss))[0]), gradient

    def of(self, scale: Array) -> GradientOf:
        """As an optimiser takes it, in units of `scale`: n. It asks the black box nothing; a picture and a gradient
        count as two evaluations."""

        def estimate(f: BlackBox, theta: Array, sigma: float, rng: np.random.Generator, seed: int) -> Estimate:
            _, gradient = self(theta * scale, seed)
            return Estimate(gradient * scale, np.full(len(theta), np.nan), 1, 2)

        return estimate

    def _keys(self, p: Parameter) -> tuple[str, ...]:
        if p.prop not in MOVES:
            return self._overrides.target(p.owner, p.prop).keys
        for leaf in ("vertex_positions", "to_world"):
            if (key := f"{p.owner}.{leaf}") in self._params:
                return (key,)
        raise ConfigError(f"{p.name}: Mitsuba's own gradients cannot follow it", path="--params")

    def _set(self, values: list[Any]) -> None:
        """Puts AD variables into the scene, applied to what was loaded."""
        moved: dict[str, dict[str, Any]] = {}
        factors: dict[str, Any] = {}
        for p, value in zip(self._parameters, values, strict=True):
            number = dr.exp2(value) if p.factor else value
            if p.prop in MOVES:
                moved.setdefault(p.owner, {})[f"{p.prop}{p.component}"] = number
            elif p.prop in ("intensity", "color"):
                for key in self._keys(p):
                    factors[key] = factors.get(key, mi.Color3f(1)) * self._channel(number, p.component, 1.0)
            elif p.prop != "texture":
                for key in self._keys(p):
                    self._params[key] = self._value(key, number, p.component)
        self._set_textures(values)
        for key, factor in factors.items():
            base = self._bases[key]
            self._params[key] = base * factor if dr.depth_v(base) > 1 else base * factor.x
        for owner, given in moved.items():
            self._move(owner, given)
        self._params.update()

    def _set_textures(self, values: list[Any]) -> None:
        """One tensor of all the values of a texture."""
        places: dict[str, list[int]] = {}
        for index, p in enumerate(self._parameters):
            if p.prop == "texture":
                places.setdefault(p.owner, []).append(index)
        for owner, indices in places.items():
            key = self._overrides.target(owner, "texture").keys[0]
            flat = dr.zeros(mi.Float, len(indices))
            for place, index in enumerate(indices):
                dr.scatter(flat, values[index], mi.UInt32(place))
            self._params[key] = mi.TensorXf(flat, shape=self._bases[key].shape)

    def _value(self, key: str, number: Any, component: str) -> Any:
        base = self._bases[key]
        if dr.depth_v(base) == 1:
            return number
        changed = type(base)(self._params[key])
        changed["rgb".index(component)] = number
        return changed

    @staticmethod
    def _channel(number: Any, component: str, rest: float) -> Any:
        if not component:
            return mi.Color3f(number)
        return mi.Color3f(*(number if c == component else mi.Float(rest) for c in "rgb"))

    def _move(self, owner: str, given: Mapping[str, Any]) -> None:
        centre = mi.Point3f(*(float(v) for v in self._pivots[owner]))
        zero, one = mi.Float(0), mi.Float(1)
        turns = [given.get(f"rotate{axis}", zero) for axis in "xyz"]
        way = mi.Vector3f(*(given.get(f"translate{axis}", zero) for axis in "xyz"))
        T = mi.Transform4f
        turn = T()
        for axis, degrees in zip(([0, 0, 1], [0, 1, 0], [1, 0, 0]), reversed(turns), strict=True):
            turn = turn.rotate(mi.Vector3f(*axis), degrees)
        pose = T().translate(way).translate(mi.Vector3f(centre)) @ turn
        pose = pose.scale(mi.Vector3f(given.get("scale", one))).translate(-mi.Vector3f(centre))
        key = f"{owner}.vertex_positions"
        if key in self._bases:
            vertices = dr.unravel(mi.Point3f, self._bases[key])
            self._params[key] = dr.ravel(pose @ vertices)
            if (normals := f"{owner}.vertex_normals") in self._bases:
                own = dr.unravel(mi.Vector3f, self._bases[normals])
                self._params[normals] = dr.ravel(turn @ own)
        else:
            key = f"{owner}.to_world"
            self._params[key] = pose @ self._bases[key]


def mixed(first: GradientOf, second: GradientOf, of_first: Sequence[bool]) -> GradientOf:
    """One gradient of two estimators: some parameters' elements from the first, the others' from the second.

    Args:
        of_first: n, whose elements are the first's.
    """
    mask = np.asarray(of_first, dtype=bool)

    def estimate(f: BlackBox, theta: Array, sigma: float, rng: np.random.Generator, seed: int) -> Estimate:
        a, b = first(f, theta, sigma, rng, seed), second(f, theta, sigma, rng, seed)
        return Estimate(
            np.where(mask, a.value, b.value),
            np.where(mask, a.variance, b.variance),
            min(a.samples, b.samples),
            a.evaluations + b.evaluations,
        )

    return estimate
