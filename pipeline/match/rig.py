"""From rows of search values to what a renderer is told: poses, factors of lights, the camera, and materials.

Poses are world-to-world matrices on top of where the frame has a shape, as `overrides` of a shot put them. Pure numpy.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.overrides import CAMERA
from pipeline.match.parameters import Parameter, grouped
from pipeline.scene.displacement import MOVES, displacement

__all__ = ["Rig", "Rows"]

Array = NDArray[np.float64]

NEUTRAL = {"translate": 0.0, "rotate": 0.0, "scale": 1.0, "intensity": 1.0, "color": 1.0}


@dataclass(frozen=True)
class Rows:
    """K scenes that differ in the unknowns.

    Attributes:
        poses: id of a shape (or of a light that is moved) → K×4×4, similarity transforms.
        factors: id of an emitter → K×3.
        albedos: id of a plain diffuse BSDF → K×3; such need no launch of their own.
        camera: K×4×4, world to world, or None.
        fov: K degrees, or None.
        materials: one mapping per row, id → property → value, in the form of `overrides`.
    """

    poses: Mapping[str, Array]
    factors: Mapping[str, Array]
    albedos: Mapping[str, Array]
    camera: Array | None
    fov: Array | None
    materials: list[dict[str, dict[str, Any]]]

    def __len__(self) -> int:
        return len(self.materials)

    def only(self, rows: slice) -> Rows:
        """Some of them."""
        return Rows(
            {name: poses[rows] for name, poses in self.poses.items()},
            {name: factors[rows] for name, factors in self.factors.items()},
            {name: albedos[rows] for name, albedos in self.albedos.items()},
            None if self.camera is None else self.camera[rows],
            None if self.fov is None else self.fov[rows],
            self.materials[rows],
        )


class Rig:
    """The unknowns of one shot.

    Args:
        parameters: in the order of the search vector.
        pivots: centre that each owner of a pose is turned and scaled about, by id: 3, world units.
        bases: `(owner, property)` → what materials were loaded with.
        given: the shot's `overrides`: values of what is not searched.
        plain: owners whose reflectance is a factor of what they scatter.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        pivots: Mapping[str, Array],
        bases: Mapping[tuple[str, str], Array],
        given: Mapping[str, Mapping[str, Any]],
        plain: Collection[str] = (),
    ) -> None:
        self.parameters = list(parameters)
        self._groups = grouped(parameters)
        self._pivots, self._bases, self._given, self._plain = pivots, bases, given, frozenset(plain)
        self._factor = np.array([p.factor for p in parameters])

    def rows(self, theta: Array) -> Rows:
        """What K×n search values mean."""
        values = np.where(self._factor, np.exp2(np.where(self._factor, theta, 0.0)), theta)
        owners = {owner for owner, prop in self._groups if prop in MOVES}
        poses = {name: self._pose(name, values) for name in sorted(owners)}
        lit = {owner for owner, prop in self._groups if prop in ("intensity", "color")}
        factors = {
            name: self._filled(values, name, "intensity") * self._filled(values, name, "color") for name in sorted(lit)
        }
        materials: list[dict[str, dict[str, Any]]] = [{} for _ in theta]
        albedos: dict[str, Array] = {}
        for (owner, prop), places in self._groups.items():
            if prop == "reflectance" and owner in self._plain:
                albedos[owner] = np.array([self._material(row, owner, prop, places) for row in values])
            elif prop in ("roughness", "reflectance", "texture"):
                for row, material in zip(values, materials, strict=True):
                    material.setdefault(owner, {})[prop] = self._material(row, owner, prop, places)
        fov = values[:, self._groups[CAMERA, "fov"][0][0]] if (CAMERA, "fov") in self._groups else None
        return Rows(poses, factors, albedos, poses.pop(CAMERA, None), fov, materials)

    def overrides(self, theta: Array) -> dict[str, dict[str, Any]]:
        """One row as `overrides` of a shot, with the components that are not searched; textures as arrays."""
        values = np.where(self._factor, np.exp2(np.where(self._factor, theta, 0.0)), theta)
        told: dict[str, dict[str, Any]] = {}
        for (owner, prop), places in self._groups.items():
            if prop in ("roughness", "reflectance", "texture"):
                value = self._material(values, owner, prop, places)
                value = value.tolist() if prop == "reflectance" else value
            elif prop in ("translate", "rotate", "color"):
                value = self._filled(values[None], owner, prop)[0].tolist()
            else:
                value = float(values[places[0][0]])
            told.setdefault(owner, {})[prop] = value
        return told

    def _filled(self, values: Array, owner: str, prop: str) -> Array:
        """K×3 of a property; of what is not searched, the shot's own value or the neutral one."""
        own = self._given.get(owner, {}).get(prop)
        full = np.array(np.broadcast_to(NEUTRAL[prop] if own is None else own, (len(values), 3)), dtype=np.float64)
        for index, component in self._groups.get((owner, prop), ()):
            if component:
                full[:, max("xyz".find(component), "rgb".find(component))] = values[:, index]
            else:
                full[:] = values[:, [index]]
        return full

    def _pose(self, owner: str, values: Array) -> Array:
        """Scale and rotation about the pivot, then the translation: K×4×4."""
        scales, turns, ways = (self._filled(values, owner, prop) for prop in ("scale", "rotate", "translate"))
        offsets = [
            {"scale": scale[0], "rotate": tuple(turn), "translate": tuple(way)}
            for scale, turn, way in zip(scales, turns, ways, strict=True)
        ]
        return np.array([displacement(offset, self._pivots[owner]) for offset in offsets])

    def _material(self, values: Array, owner: str, prop: str, places: list[tuple[int, str]]) -> Any:
        if prop == "roughness":
            return float(values[places[0][0]])
        base = self._bases[owner, prop]
        if prop == "texture":
            return values[[index for index, _ in places]].reshape(base.shape)
        own = self._given.get(owner, {}).get(prop)
        mean = base.reshape(-1, base.shape[-1]).mean(axis=0) if own is None else np.asarray(own)
        full = np.array(np.broadcast_to(mean[:3], 3), dtype=np.float64)
        for index, component in places:
            full["rgb".find(component)] = values[index]
        return full
