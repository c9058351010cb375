"""A scene between two formats: what was understood of it, in plain values, and what was not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Camera", "Description", "Environment", "Light", "Material", "Matrix", "Mesh", "Texture", "image_suffix"]

Matrix = NDArray[np.float64]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Texture:
    """An image.

    Attributes:
        name: file name that it is written under.
        data: of the file: PNG, JPEG or EXR.
        channel: that a scalar is read from, 0 red …; None: colour.
        raw: its values are numbers, not sRGB; so they are where a channel is read.
    """

    name: str
    data: bytes = field(repr=False)
    channel: int | None = None
    raw: bool = False


@dataclass(frozen=True)
class Material:
    """A surface of the metallic-roughness model.

    Attributes:
        name: unique in the scene.
        colour: base colour, linear Rec. 709.
        texture: of the base colour; the colour is then multiplied in, where it is white.
        metallic, roughness: [0, 1].
        metallic_texture, roughness_texture: in their place.
        emission: radiance, W/(m²·sr); 0 for surfaces that do not glow.
        opacity: [0, 1].
        two_sided: seen from behind too.
    """

    name: str
    colour: Colour = (0.8, 0.8, 0.8)
    texture: Texture | None = None
    metallic: float = 0.0
    roughness: float = 0.5
    metallic_texture: Texture | None = None
    roughness_texture: Texture | None = None
    emission: Colour = (0.0, 0.0, 0.0)
    opacity: float = 1.0
    two_sided: bool = False


@dataclass(frozen=True)
class Mesh:
    """Triangles of one material, in their own space.

    Attributes:
        name: unique in the scene.
        positions, normals: N×3 float32; normals None: of the faces.
        uv: N×2 float32, v up; None: none.
        faces: M×3 uint32.
        material: name of it; None: the default one.
        to_world: 4×4, column vectors.
    """

    name: str
    positions: NDArray[np.float32]
    normals: NDArray[np.float32] | None
    uv: NDArray[np.float32] | None
    faces: NDArray[np.uint32]
    material: str | None
    to_world: Matrix


@dataclass(frozen=True)
class Camera:
    """A perspective camera that looks along −z, y up.

    Attributes:
        vertical_fov: degrees.
        aspect: width over height; None where the scene leaves it to the film.
        near, far: clipping, scene units.
    """

    name: str
    vertical_fov: float
    aspect: float | None
    near: float
    far: float
    to_world: Matrix


@dataclass(frozen=True)
class Light:
    """A light without a surface; spots and suns shine along −z.

    Attributes:
        kind: `point` and `spot` in W/sr, `sun` in W/m².
        colour: linear Rec. 709, multiplied in.
        cutoff, beam: degrees from the axis, of spots: dark, and where it begins to fall.
    """

    kind: Literal["point", "spot", "sun"]
    name: str
    intensity: float
    colour: Colour
    to_world: Matrix
    cutoff: float = 45.0
    beam: float = 0.0


@dataclass(frozen=True)
class Environment:
    """Light from all around.

    Attributes:
        colour: radiance; a texture is multiplied by it.
        texture: latitude and longitude, y up; its middle shines from +z, what is left of it from +x.
        to_world: 4×4, of which the rotation counts.
    """

    name: str
    colour: Colour
    texture: Texture | None
    to_world: Matrix


@dataclass
class Description:
    """A scene.

    Attributes:
        notes: what was not understood, or was taken for something else, one line each.
    """

    meshes: list[Mesh] = field(default_factory=list)
    materials: list[Material] = field(default_factory=list)
    cameras: list[Camera] = field(default_factory=list)
    lights: list[Light] = field(default_factory=list)
    environment: Environment | None = None
    notes: dict[str, None] = field(default_factory=dict)

    def note(self, text: str) -> None:
        """Notes something, once."""
        self.notes[text] = None

    def named(self, wanted: Any, taken: set[str], fallback: str) -> str:
        """A name of letters, digits and _ that nothing else has; added to `taken`."""
        clean = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in str(wanted or fallback))
        clean = clean[:80].strip("_") or fallback
        name, number = clean, 2
        while name in taken:
            name, number = f"{clean}_{number}", number + 1
        taken.add(name)
        return name


def image_suffix(data: bytes) -> str | None:
    """The suffix of an image of a kind that is understood, by how it begins."""
    if data[:4] == b"\x89PNG":
        return ".png"
    if data[:3] == b"\xff\xd8\xff":
        return ".jpg"
    return ".exr" if data[:4] == b"\x76\x2f\x31\x01" else None
