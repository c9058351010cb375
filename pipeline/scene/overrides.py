"""Values of named parameters of a loaded scene: `overrides` of a shot, and what `pipeline match` tries.

Values are by the id of an object and a property, and are always applied to what was loaded, never to an earlier value.
Shapes and cameras are moved by `displacement`; here is what a loaded scene is told:

    of a light, or of a shape that emits    intensity (factor), color (three factors)
    of a light that is no shape             translate (world units)
    of a BSDF                               roughness (as the plugin takes it), reflectance (linear Rec. 709),
                                            texture (H×W×3 in place of the bitmap's pixels)

Needs Mitsuba with a variant set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import SceneError
from pipeline.scene.names import meant
from pipeline.scene.placement import opaque

__all__ = ["PROPERTIES", "Overrides", "Target"]

PROPERTIES = {
    "intensity": ("radiance", "intensity", "irradiance", "scale"),
    "color": ("radiance", "intensity", "irradiance"),
    "translate": ("position", "to_world"),
    "roughness": ("roughness", "alpha", "alpha_u", "alpha_v"),
    "reflectance": ("reflectance", "diffuse_reflectance", "base_color", "specular_reflectance"),
    "texture": ("reflectance", "diffuse_reflectance", "base_color", "specular_reflectance"),
}
"""Properties of a scene's parameters, and the plugins' own words for them, the first that is there counting."""

_LIGHTS = ("intensity", "color", "translate")


@dataclass(frozen=True)
class Target:
    """What a parameter changes in the traversed scene: keys, and the values that they were loaded with."""

    keys: tuple[str, ...]
    base: tuple[NDArray[np.float64], ...]
    emitter: Any  # the mi.Emitter, or None


class Overrides:
    """The parameters of one loaded scene.

    Args:
        scene: `mi.Scene`, as `load` leaves it.
    """

    def __init__(self, scene: Any) -> None:
        self._params = mi.traverse(scene)
        self._keys = [key for key, _ in self._params]
        self._shapes = {shape.id(): shape for shape in scene.shapes() if shape.id()}
        self._bsdfs = {name: shape.bsdf().id() for name, shape in self._shapes.items() if shape.bsdf() is not None}
        self._emitters = {emitter.id(): emitter for emitter in scene.emitters() if emitter.id()}
        self._targets: dict[tuple[str, str], Target] = {}
        self._bases: dict[str, NDArray[np.float64]] = {}  # by key, as loaded: several properties may act on one

    @property
    def params(self) -> Any:
        """The traversed scene (`mi.SceneParameters`)."""
        return self._params

    @property
    def shapes(self) -> Mapping[str, Any]:
        """Shapes by id."""
        return self._shapes

    def emitters(self) -> list[str]:
        """Ids of what emits: lights, and shapes that carry one."""
        lit = [name for name, shape in self._shapes.items() if shape.emitter() is not None]
        own = [name for name in self._emitters if any(key.startswith(f"{name}.") for key in self._keys)]
        return sorted({*lit, *own})

    def bsdfs(self) -> list[str]:
        """Ids of the BSDFs."""
        return sorted({name for name in self._bsdfs.values() if name})

    def has(self, name: str, prop: str) -> bool:
        """Whether the scene has that parameter."""
        return bool(self._find(name, prop))

    def target(self, name: str, prop: str) -> Target:
        """What `name.prop` changes.

        Raises:
            SceneError: the scene has no such id, or what it names has no such property.
        """
        if (name, prop) in self._targets:
            return self._targets[name, prop]
        keys = self._find(name, prop)
        if not keys:
            raise SceneError(self._why_not(name, prop))
        emitter = None
        if prop in _LIGHTS:
            emitter = self._emitters.get(name) or self._shapes[name].emitter()
        bases = tuple(self._bases.setdefault(key, _numbers(self._params[key])) for key in keys)
        target = Target(keys, bases, emitter)
        self._targets[name, prop] = target
        return target

    def apply(self, values: Mapping[str, Mapping[str, Any]]) -> None:
        """Sets parameters, `{"lamp": {"intensity": 1.3}, "oak": {"reflectance": [r, g, b]}}`. What is not named stays.

        Raises:
            SceneError: an unknown parameter, or a value that does not fit it.
        """
        factors: dict[str, NDArray[np.float64]] = {}
        for name, properties in values.items():
            for prop, value in properties.items():
                self._apply(name, prop, np.asarray(value, dtype=np.float64), factors)
        if values:
            self._params.update()

    def _apply(
        self, name: str, prop: str, number: NDArray[np.float64], factors: dict[str, NDArray[np.float64]]
    ) -> None:
        """Sets one parameter. `factors`: by key, those so far: intensity and colour act on the same one."""
        target, full = self.target(name, prop), f"{name}.{prop}"
        for key, base in zip(target.keys, target.base, strict=True):
            if prop in ("intensity", "color"):
                factors[key] = factors.get(key, np.ones(1)) * number
                self._set(key, _scaled(base, factors[key], full), full)
            elif prop == "translate":
                self._set(key, _translated(base, number), full)
            else:
                self._set(key, _fitting(base, number, full), full)

    def _set(self, key: str, value: NDArray[np.float64], full: str) -> None:
        before = self._params[key]
        numbers = np.ascontiguousarray(value, dtype=np.float32)
        if _is_transform(before):
            self._params[key] = opaque(mi.AffineTransform4f(mi.Matrix4f(numbers)))
        elif dr.is_tensor_v(before):
            self._params[key] = mi.TensorXf(numbers)
        elif dr.is_array_v(before) and dr.depth_v(before) > 1:
            self._params[key] = opaque(type(before)(*(float(v) for v in np.broadcast_to(numbers, len(before)))))
        elif dr.is_array_v(before):
            if numbers.size != 1:
                raise SceneError(f"{full}: is one number in the scene; it takes no colour")
            self._params[key] = opaque(type(before)(float(numbers.ravel()[0])))
        else:
            self._params[key] = float(numbers.ravel()[0])

    def _find(self, name: str, prop: str) -> tuple[str, ...]:
        words = PROPERTIES.get(prop, ())
        prefixes = [f"{name}."]
        if name in self._shapes:
            emitter = self._shapes[name].emitter()
            prefixes = [f"{name}.emitter."] if prop in _LIGHTS else [f"{name}.bsdf."]
            if prop in _LIGHTS and emitter is not None and emitter.id():
                prefixes.append(f"{emitter.id()}.")
            if prop in _LIGHTS and emitter is None:
                return ()
        elif prop not in _LIGHTS:  # a BSDF that one shape alone has is traversed by the shape's id
            prefixes += [f"{shape}.bsdf." for shape, bsdf in self._bsdfs.items() if bsdf == name]
        elif prop in _LIGHTS and name not in self._emitters:
            return ()
        leaves = ("data",) if prop == "texture" else ("value", "data", "")
        if prop == "intensity" and any(key == f"{prefix}scale" for key in self._keys for prefix in prefixes):
            return tuple(key for key in self._keys if key in {f"{prefix}scale" for prefix in prefixes})
        for word in words:
            found = [
                key
                for key in self._keys
                for prefix in prefixes
                if key.startswith(prefix) and _names(key[len(prefix) :], word, leaves)
            ]
            if found and not (prop == "translate" and name in self._shapes):
                return tuple(dict.fromkeys(found))
        return ()

    def _why_not(self, name: str, prop: str) -> str:
        if prop not in PROPERTIES:
            return f"{name}.{prop}: there is no property '{prop}'{meant(prop, PROPERTIES)}"
        known: Iterable[str] = self.emitters() if prop in _LIGHTS else {*self.bsdfs(), *self._shapes}
        if name in known or name in self._shapes or name in self._emitters:
            what = "does not emit" if prop in _LIGHTS and name not in self.emitters() else f"has no {prop}"
            return f"{name}.{prop}: '{name}' {what}"
        what = "light, or shape that emits," if prop in _LIGHTS else "BSDF"
        return f"{name}.{prop}: the scene has no {what} of this id{meant(name, known)}"


def _names(rest: str, word: str, leaves: tuple[str, ...]) -> bool:
    """Whether `rest` of a key ends with `word`, or `word.leaf`."""
    return any(rest == tail or rest.endswith(f".{tail}") for tail in (f"{word}.{x}" if x else word for x in leaves))


def _is_transform(value: Any) -> bool:
    return "Transform" in type(value).__name__  # arrays have any attribute that reads like a swizzle, `matrix` too


def _numbers(value: Any) -> NDArray[np.float64]:
    if _is_transform(value):
        return np.array(value.matrix, dtype=np.float64).reshape(4, 4)
    numbers = np.array(value, dtype=np.float64)
    return numbers if dr.is_array_v(value) and dr.is_tensor_v(value) else numbers.ravel()


def _scaled(base: NDArray[np.float64], factor: NDArray[np.float64], full: str) -> NDArray[np.float64]:
    if factor.size == 3 and base.size == 1:
        raise SceneError(f"{full}: is one number in the scene; write it as rgb to give it a colour")
    if base.ndim == 3:  # pixels, perhaps with alpha
        return np.concatenate([base[..., :3] * factor, base[..., 3:]], axis=-1)
    return np.asarray(base * factor)


def _translated(base: NDArray[np.float64], offset: NDArray[np.float64]) -> NDArray[np.float64]:
    if base.shape == (4, 4):
        moved = base.copy()
        moved[:3, 3] += offset
        return moved
    return np.asarray(base + offset)


def _fitting(base: NDArray[np.float64], value: NDArray[np.float64], full: str) -> NDArray[np.float64]:
    if base.ndim == 3 and value.ndim < 3:  # a plain value in place of a texture's pixels
        return np.broadcast_to(value, base.shape)
    if base.ndim == 3 and value.shape[2] != base.shape[2]:
        raise SceneError(f"{full}: the texture has {base.shape[2]} channels, the value {value.shape[2]}")
    return value
