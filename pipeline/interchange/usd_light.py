"""Lights of UsdLux: radiance L = intensity · 2^exposure · colour, divided by the light's size where it is normalised.

Lights with a surface become meshes that glow; suns, points and spots have none. Source: UsdLux, "Light Quantities".
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pxr import Sdf, Usd, UsdGeom, UsdLux

from pipeline.interchange import solids
from pipeline.interchange.description import (
    Colour,
    Description,
    Environment,
    Light,
    Matrix,
    Mesh,
    Texture,
    image_suffix,
)
from pipeline.interchange.solids import Triangles
from pipeline.interchange.usd_assets import Assets
from pipeline.interchange.usd_material import Materials

__all__ = ["Lights"]


class Lights:
    """Converts lights of a stage.

    Args:
        found: takes them, and notes.
        names: that are taken in it.
        materials: takes what glows.
        assets: of the stage.
        time: of which values are taken.
    """

    def __init__(
        self, found: Description, names: set[str], materials: Materials, assets: Assets, time: Usd.TimeCode
    ) -> None:
        self.found, self.names, self.materials, self.assets, self.time = found, names, materials, assets, time

    def add(self, prim: Usd.Prim, to_world: Matrix) -> None:
        """Adds a light; what is not understood of it is noted."""
        name = self.found.named(prim.GetName(), self.names, "light")
        for key in ("diffuse", "specular"):
            if self._value(prim, key, 1.0) != 1.0:
                self.found.note(f"{name}: its share of {key} light is ignored")
        match prim.GetTypeName():
            case "DistantLight":
                self._sun(prim, name, to_world)
            case "SphereLight":
                self._sphere(prim, name, to_world)
            case "DiskLight":
                self._surface(prim, name, to_world, solids.disc(self._value(prim, "radius", 0.5)))
            case "RectLight":
                width, height = self._value(prim, "width", 1.0), self._value(prim, "height", 1.0)
                self._surface(prim, name, to_world, solids.rectangle(width, height))
            case "CylinderLight":
                radius, length = self._value(prim, "radius", 0.5), self._value(prim, "length", 1.0)
                shape = solids.cylinder(radius, length, capped=False)
                along = to_world @ np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])  # from z to x
                self._surface(prim, name, along, shape)
            case "DomeLight" | "DomeLight_1":
                self._dome(prim, name, to_world)
            case other:
                self.found.note(f"{name}: {other or 'a light of this kind'} is left out")

    def _sun(self, prim: Usd.Prim, name: str, to_world: Matrix) -> None:
        """A light from far away: irradiance π sin²(θ/2) L, or L itself where it is normalised. Its disc is a point."""
        half = math.radians(min(max(self._value(prim, "angle", 0.53), 0.0), 360.0)) / 2
        size = math.pi * math.sin(half) ** 2
        strength = 1.0 if self._value(prim, "normalize", False) or size == 0 else size
        self.found.lights.append(Light("sun", name, strength, self._radiance(prim), to_world))

    def _sphere(self, prim: Usd.Prim, name: str, to_world: Matrix) -> None:
        radius = self._value(prim, "radius", 0.5)
        scale = float(np.cbrt(abs(np.linalg.det(to_world[:3, :3]))))
        area = 4 * math.pi * (radius * scale) ** 2
        cone = self._value(prim, "shaping:cone:angle", 90.0)
        pointed = prim.HasAPI(UsdLux.ShapingAPI) and cone < 90
        point = bool(prim.GetAttribute("treatAsPoint").Get(self.time)) or radius == 0
        if not (pointed or point):
            self._surface(prim, name, to_world, solids.sphere(radius))
            return
        strength = 0.25 if self._value(prim, "normalize", False) or area == 0 else area / 4  # I = π r² L
        if pointed:
            softness = min(max(self._value(prim, "shaping:cone:softness", 0.0), 0.0), 1.0)
            beam = cone * (1 - softness)
            self.found.lights.append(Light("spot", name, strength, self._radiance(prim), to_world, cone, beam))
            if not point:
                self.found.note(f"{name}: a spot is taken for a point; its size is ignored")
            return
        self.found.lights.append(Light("point", name, strength, self._radiance(prim), to_world))

    def _surface(self, prim: Usd.Prim, name: str, to_world: Matrix, shape: Triangles) -> None:
        """A mesh that glows, in its own space facing where it shines."""
        if prim.HasAPI(UsdLux.ShapingAPI) and self._value(prim, "shaping:cone:angle", 90.0) < 90:
            self.found.note(f"{name}: the cone of its light is ignored")
        if self._texture_file(prim):
            self.found.note(f"{name}: the texture of its light is ignored")
        positions, faces = shape
        corners = positions[faces] @ to_world[:3, :3].T
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        area = float(np.linalg.norm(across, axis=1).sum() / 2)
        if area == 0:
            self.found.note(f"{name}: a light without a size is left out")
            return
        size = area if self._value(prim, "normalize", False) else 1.0
        red, green, blue = (channel / size for channel in self._radiance(prim))
        glow = self.materials.add(f"{name}_glow", (red, green, blue))
        self.found.meshes.append(Mesh(name, positions, None, None, faces, glow, to_world))

    def _dome(self, prim: Usd.Prim, name: str, to_world: Matrix) -> None:
        if self.found.environment is not None:
            self.found.note(f"{name}: a second dome of light is left out")
            return
        pole = self._plain(prim, "poleAxis", "scene") if prim.GetTypeName() == "DomeLight_1" else "Y"
        if pole == "Z" or (pole == "scene" and UsdGeom.GetStageUpAxis(prim.GetStage()) == UsdGeom.Tokens.z):
            to_world = to_world @ np.array([[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])  # from y to z
        form = self._value(prim, "texture:format", "automatic")
        if form not in ("automatic", "latlong"):
            self.found.note(f"{name}: a texture laid out as {form!r:.30} is taken for latitude and longitude")
        self.found.environment = Environment(name, self._radiance(prim), self._texture(prim, name), to_world)

    def _texture(self, prim: Usd.Prim, name: str) -> Texture | None:
        file = self._texture_file(prim)
        if file is None:
            return None
        data = self.assets.read(file)
        suffix = None if data is None else image_suffix(data) or (".hdr" if data[:2] == b"#?" else None)
        if data is None or suffix is None:
            self.found.note(f"{name}: its texture {file.path!r:.80} is not there, or is not understood")
            return None
        stem = file.path.rpartition("/")[2].rpartition(".")[0]
        return Texture(self.found.named(stem, self.names, "environment") + suffix, data)

    def _texture_file(self, prim: Usd.Prim) -> Sdf.AssetPath | None:
        file = self._value(prim, "texture:file", None)
        return file if isinstance(file, Sdf.AssetPath) and file.path else None

    def _radiance(self, prim: Usd.Prim) -> Colour:
        light = UsdLux.LightAPI(prim)
        strength = float(light.GetIntensityAttr().Get(self.time)) * 2.0 ** float(light.GetExposureAttr().Get(self.time))
        red, green, blue = (float(each) for each in light.GetColorAttr().Get(self.time))
        if light.GetEnableColorTemperatureAttr().Get(self.time):
            warm = UsdLux.BlackbodyTemperatureAsRgb(float(light.GetColorTemperatureAttr().Get(self.time)))
            red, green, blue = red * warm[0], green * warm[1], blue * warm[2]
        if not all(math.isfinite(each) for each in (red, green, blue, strength)):
            raise ValueError(f"light {prim.GetName()} has a colour or an intensity that is not finite")
        return red * strength, green * strength, blue * strength

    def _value(self, prim: Usd.Prim, name: str, fallback: Any) -> Any:
        return self._plain(prim, f"inputs:{name}", fallback)

    def _plain(self, prim: Usd.Prim, name: str, fallback: Any) -> Any:
        attribute = prim.GetAttribute(name)
        value = attribute.Get(self.time) if attribute else None
        return fallback if value is None else value
