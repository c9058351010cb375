"""UsdPreviewSurface as the metallic-roughness model; of other shaders, the colour that their geometry shows.

Source: USD Preview Surface specification 2.6, Pixar.
"""

from __future__ import annotations

from typing import Any, Final

from pxr import Sdf, Usd, UsdShade

from pipeline.interchange.description import Colour, Description, Material, Texture, image_suffix
from pipeline.interchange.usd_assets import Assets

__all__ = ["Materials"]

_CHANNELS: Final = {"r": 0, "g": 1, "b": 2, "a": 3}
_LEFT: Final[dict[str, Any]] = {
    **{"useSpecularWorkflow": 0, "clearcoat": 0.0, "opacityThreshold": 0.0, "ior": 1.5},
    **{"normal": None, "displacement": 0.0, "occlusion": 1.0},
}
"""Inputs that are not converted, and their values where they mean nothing."""
_GREY: Final = (0.18, 0.18, 0.18)


class Materials:
    """Materials of a stage, converted when the first mesh wears them.

    Args:
        found: takes the materials, and notes.
        names: that are taken in it.
        assets: of the stage.
        time: of which values are taken.
    """

    def __init__(self, found: Description, names: set[str], assets: Assets, time: Usd.TimeCode) -> None:
        self.found, self.names, self.assets, self.time = found, names, assets, time
        self._known: dict[str, str] = {}
        self._textures: dict[tuple[str, int | None, bool], Texture | None] = {}

    def of(self, prim: Usd.Prim, shown: Colour | None) -> str | None:
        """The name of what a prim wears; None: nothing.

        Args:
            prim: a mesh, or a subset of its faces.
            shown: the prim's display colour, where it has one for all of it: for prims without a material.
        """
        material, _ = UsdShade.MaterialBindingAPI(prim).ComputeBoundMaterial()
        if material:
            return self._once(str(material.GetPath()), lambda: self._material(material))
        if shown is None:
            return None
        return self._once(f"displayColor {shown}", lambda: Material(self._name("painted"), shown, two_sided=True))

    def add(self, wanted: str, emission: Colour) -> str:
        """A material that glows, of a light that has a surface."""
        made = Material(self._name(wanted), (0.0, 0.0, 0.0), emission=emission, roughness=1.0)
        self.found.materials.append(made)
        return made.name

    def _once(self, key: str, make: Any) -> str:
        if key not in self._known:
            made = make()
            self.found.materials.append(made)
            self._known[key] = made.name
        return self._known[key]

    def _name(self, wanted: str) -> str:
        return self.found.named(wanted, self.names, "material")

    def _material(self, material: UsdShade.Material) -> Material:
        name = self._name(material.GetPrim().GetName())
        shader = material.ComputeSurfaceSource()[0]
        kind = shader.GetIdAttr().Get() if shader else None
        if kind != "UsdPreviewSurface":
            self.found.note(f"{name}: {kind or 'a material without a surface'} is not understood; it is grey")
            return Material(name, _GREY, two_sided=True)
        for key, neutral in _LEFT.items():
            value, texture = self._input(shader, key)
            if texture or (value is not None and neutral is not None and value != neutral):
                self.found.note(f"{name}: {key} is ignored")
        colour, colour_texture = self._input(shader, "diffuseColor")
        metallic, metallic_texture = self._input(shader, "metallic")
        roughness, roughness_texture = self._input(shader, "roughness")
        emission, glow = self._input(shader, "emissiveColor")
        opacity, mask = self._input(shader, "opacity")
        for texture, key in ((glow, "emissiveColor"), (mask, "opacity")):
            if texture:
                self.found.note(f"{name}: the texture of {key} is ignored")
        return Material(
            name,
            _colour(colour, _GREY),
            self._texture(name, colour_texture),
            metallic=_unit(metallic, 0.0),
            roughness=_unit(roughness, 0.5),
            metallic_texture=self._texture(name, metallic_texture, scalar=True),
            roughness_texture=self._texture(name, roughness_texture, scalar=True),
            emission=_colour(emission, (0.0, 0.0, 0.0)),
            opacity=_unit(opacity, 1.0),
            two_sided=True,
        )

    def _input(self, shader: UsdShade.Shader, name: str) -> tuple[Any, tuple[UsdShade.Shader, str] | None]:
        """The value of an input, and the texture in its place with the name of its output."""
        given = shader.GetInput(name)
        if not given:
            return None, None
        for attribute in given.GetValueProducingAttributes():
            if UsdShade.Utils.GetType(attribute.GetName()) != UsdShade.AttributeType.Output:
                return attribute.Get(self.time), None
            return None, (UsdShade.Shader(attribute.GetPrim()), attribute.GetBaseName())
        return given.Get(self.time), None

    def _texture(
        self, material: str, used: tuple[UsdShade.Shader, str] | None, *, scalar: bool = False
    ) -> Texture | None:
        if used is None:
            return None
        shader, output = used
        if shader.GetIdAttr().Get() != "UsdUVTexture":
            self.found.note(f"{material}: {shader.GetIdAttr().Get() or 'a node'} is not understood")
            return None
        for key, neutral in (("scale", (1, 1, 1, 1)), ("bias", (0, 0, 0, 0))):
            value, _ = self._input(shader, key)
            if value is not None and tuple(value) != neutral:
                self.found.note(f"{material}: the {key} of a texture is ignored")
        placed = self._input(shader, "st")[1]
        if placed is not None and placed[0].GetIdAttr().Get() == "UsdTransform2d":
            self.found.note(f"{material}: the transform of a texture is ignored")
        file = self._input(shader, "file")[0]
        if not isinstance(file, Sdf.AssetPath):
            self.found.note(f"{material}: a texture without a file is left out")
            return None
        raw = scalar or self._input(shader, "sourceColorSpace")[0] == "raw"
        channel = _CHANNELS.get(output, 0) if scalar else None
        which = (file.resolvedPath or file.path, channel, raw)
        if which not in self._textures:
            self._textures[which] = self._read(material, file, channel, raw)
        return self._textures[which]

    def _read(self, material: str, file: Sdf.AssetPath, channel: int | None, raw: bool) -> Texture | None:
        data = self.assets.read(file)
        if data is None:
            self.found.note(f"{material}: texture {file.path!r:.80} is not there, or lies outside of the folder")
            return None
        suffix = image_suffix(data)
        if suffix is None or (suffix == ".exr" and channel is not None):
            self.found.note(f"{material}: texture {file.path!r:.80} is of a kind that is not understood")
            return None
        stem = file.path.rpartition("/")[2].rpartition(".")[0]
        return Texture(self.found.named(stem, self.names, "image") + suffix, data, channel, raw)


def _colour(value: Any, fallback: Colour) -> Colour:
    if value is None:
        return fallback
    red, green, blue = (float(each) for each in value)
    return red, green, blue


def _unit(value: Any, fallback: float) -> float:
    return fallback if value is None else min(1.0, max(0.0, float(value)))
