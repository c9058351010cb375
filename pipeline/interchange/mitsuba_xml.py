"""A described scene as a folder that can be submitted: `scene.xml`, meshes as PLY, textures, and `shot.yaml`."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import ConfigError, SceneError, StoreError
from pipeline.interchange.description import (
    Camera,
    Colour,
    Description,
    Environment,
    Light,
    Material,
    Mesh,
    Texture,
)

__all__ = ["write_shot"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_TURNED: Final = np.diag([-1.0, 1.0, -1.0, 1.0])
"""Mitsuba's cameras and lights look along +z with x to the left; a described one along −z."""
_HEIGHT: Final = 540


def write_shot(described: Description, folder: Path) -> list[Path]:
    """Writes a shot of a described scene.

    Args:
        described: the scene; notes are added to it where something is taken for something else.
        folder: that is made, and gives the shot its name; it must be new or empty.

    Returns:
        The files, `shot.yaml` first.

    Raises:
        ConfigError: the folder is not empty, or its name is none for a shot.
        SceneError: the scene has nothing to render.
        StoreError: it cannot be written.
    """
    if _NAME.fullmatch(folder.name) is None:
        raise ConfigError(f"{folder.name!r:.60} is no name for a shot: letters, digits, _ and - only", path="--out")
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError("is not empty", path=folder, suggestion="name a new folder with --out")
    if not any(len(mesh.positions) for mesh in described.meshes):
        raise SceneError("the scene has no meshes that were understood")
    files: dict[str, bytes] = {}
    root = ElementTree.Element("scene", version="3.0.0")
    _nested(root, "integrator", "path")
    aspect = 16 / 9
    if described.cameras:
        camera = described.cameras[0]
        aspect = camera.aspect or aspect
        for other in described.cameras[1:]:
            described.note(f"camera {other.name} is left out: {camera.name} is the shot's")
        root.append(_sensor(camera))
    else:
        described.note("the scene has no camera: one that sees all of it is made")
        root.append(_sensor(_overview(described.meshes, aspect)))
    for material in described.materials:
        root.append(_bsdf(material, files))
    glowing = {material.name: material for material in described.materials if any(material.emission)}
    if described.environment is not None:
        root.append(_around(described.environment, described, files))
    if not (described.lights or glowing or described.environment):
        described.note("the scene has no light: an even one is put around it")
        lamp = _nested(root, "emitter", "constant")
        _rgb(lamp, "radiance", (1.0, 1.0, 1.0))
    for light in described.lights:
        root.append(_emitter(light))
    for mesh in described.meshes:
        root.append(_shape(mesh, glowing, files))
    ElementTree.indent(root)
    files = {"scene.xml": ElementTree.tostring(root, encoding="utf-8", xml_declaration=True), **files}
    width = max(2, round(_HEIGHT * aspect / 2) * 2)
    files = {"shot.yaml": _shot(folder.name, width, _HEIGHT).encode(), **files}
    try:
        for name, data in files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
    except OSError as error:
        raise StoreError(f"{folder}: cannot write the shot: {error.strerror or error}") from error
    return [folder / name for name in files]


def _shot(name: str, width: int, height: int) -> str:
    return f"shot: {name}\nscene: scene.xml\nframes: 1\nresolution: [{width}, {height}]\n"


def _sensor(camera: Camera) -> ElementTree.Element:
    sensor = ElementTree.Element("sensor", type="perspective", id=camera.name)
    _value(sensor, "string", "fov_axis", "y")
    _value(sensor, "float", "fov", f"{camera.vertical_fov:.9g}")
    _value(sensor, "float", "near_clip", f"{camera.near:.9g}")
    _value(sensor, "float", "far_clip", f"{camera.far:.9g}")
    _to_world(sensor, _rigid(camera.to_world) @ _TURNED)
    return sensor


def _overview(meshes: list[Mesh], aspect: float) -> Camera:
    """A camera in front of everything, at a distance at which all of it is seen."""
    everything = np.concatenate([_placed(mesh) for mesh in meshes])
    low, high = everything.min(0), everything.max(0)
    middle, radius = (low + high) / 2, float(np.linalg.norm(high - low) / 2) or 1.0
    fov = 40.0
    distance = radius / np.sin(np.radians(fov / 2)) / min(1.0, aspect)
    matrix = np.eye(4)
    matrix[:3, 3] = middle + np.array([0, 0, distance])
    return Camera("camera", fov, aspect, distance * 1e-3, distance * 10, matrix)


def _bsdf(material: Material, files: dict[str, bytes]) -> ElementTree.Element:
    outer = inner = ElementTree.Element("bsdf", type="principled")
    if material.texture is not None:
        _bitmap(inner, "base_color", material.texture, files)
    else:
        _rgb(inner, "base_color", material.colour)
    for name, value, texture in (
        ("metallic", material.metallic, material.metallic_texture),
        ("roughness", max(material.roughness, 0.02), material.roughness_texture),
    ):
        if texture is None:
            _value(inner, "float", name, f"{value:.9g}")
        else:
            _bitmap(inner, name, texture, files)
    if material.two_sided or material.opacity < 1:
        outer = ElementTree.Element("bsdf", type="twosided")
        outer.append(inner)
        inner = outer
    if material.opacity < 1:
        outer = ElementTree.Element("bsdf", type="mask")
        _value(outer, "float", "opacity", f"{material.opacity:.9g}")
        outer.append(inner)
    outer.set("id", material.name)
    return outer


def _bitmap(element: ElementTree.Element, name: str, texture: Texture, files: dict[str, bytes]) -> None:
    """A texture, and its file: as it came, or one channel of it."""
    file, data = f"textures/{texture.name}", texture.data
    if texture.channel is not None:
        file, data = f"textures/{Path(texture.name).stem}_{'rgba'[texture.channel]}.png", _channel(texture)
    files[file] = data
    bitmap = _nested(element, "texture", "bitmap", name=name)
    _value(bitmap, "string", "filename", file)
    if texture.raw or texture.channel is not None:
        _value(bitmap, "boolean", "raw", "true")


def _channel(texture: Texture) -> bytes:
    """One channel of an image, as a grey PNG."""
    try:
        with Image.open(io.BytesIO(texture.data), formats=("PNG", "JPEG")) as image:
            if image.mode.startswith("I"):  # grey, 16 bits
                grey = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            else:
                grey = image.convert("RGBA").getchannel(texture.channel or 0)
            stream = io.BytesIO()
            grey.save(stream, "PNG")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise SceneError(f"texture {texture.name} cannot be read: {error!s:.160}") from error
    return stream.getvalue()


def _around(environment: Environment, described: Description, files: dict[str, bytes]) -> ElementTree.Element:
    texture = environment.texture
    if texture is None:
        emitter = ElementTree.Element("emitter", type="constant", id=environment.name)
        _rgb(emitter, "radiance", environment.colour)
        return emitter
    if len(set(environment.colour)) > 1:
        described.note(f"{environment.name}: the tint of its texture is ignored")
    emitter = ElementTree.Element("emitter", type="envmap", id=environment.name)
    file = f"textures/{texture.name}"
    files[file] = texture.data
    _value(emitter, "string", "filename", file)
    _value(emitter, "float", "scale", f"{sum(environment.colour) / 3:.9g}")
    _to_world(emitter, _rigid(environment.to_world))
    return emitter


def _emitter(light: Light) -> ElementTree.Element:
    kind = {"point": "point", "spot": "spot", "sun": "directional"}[light.kind]
    emitter = ElementTree.Element("emitter", type=kind, id=light.name)
    strength = tuple(light.intensity * channel for channel in light.colour)
    _rgb(emitter, "irradiance" if light.kind == "sun" else "intensity", (strength[0], strength[1], strength[2]))
    if light.kind == "spot":
        _value(emitter, "float", "cutoff_angle", f"{light.cutoff:.9g}")
        _value(emitter, "float", "beam_width", f"{min(light.beam, light.cutoff * 0.999):.9g}")
    _to_world(emitter, _rigid(light.to_world) @ _TURNED)
    return emitter


def _shape(mesh: Mesh, glowing: dict[str, Material], files: dict[str, bytes]) -> ElementTree.Element:
    shape = ElementTree.Element("shape", type="ply", id=mesh.name)
    name = f"meshes/{mesh.name}.ply"
    files[name] = _ply(mesh)
    _value(shape, "string", "filename", name)
    if mesh.normals is None:
        _value(shape, "boolean", "face_normals", "true")
    _to_world(shape, mesh.to_world)
    if mesh.material is not None:
        ElementTree.SubElement(shape, "ref", id=mesh.material)
    if mesh.material in glowing:
        _rgb(_nested(shape, "emitter", "area"), "radiance", glowing[mesh.material].emission)
    return shape


def _ply(mesh: Mesh) -> bytes:
    """Binary PLY of a mesh in its own space."""
    columns: list[tuple[str, NDArray[np.float32]]] = [("xyz", mesh.positions)]
    if mesh.normals is not None:
        columns.append(("n", mesh.normals))
    if mesh.uv is not None:
        columns.append(("uv", np.stack([mesh.uv[:, 0], 1 - mesh.uv[:, 1]], 1)))  # Mitsuba's first row is at v = 0
    names = {"xyz": ("x", "y", "z"), "n": ("nx", "ny", "nz"), "uv": ("u", "v")}
    head = ["ply", "format binary_little_endian 1.0", f"element vertex {len(mesh.positions)}"]
    head += [f"property float {name}" for key, _ in columns for name in names[key]]
    head += [f"element face {len(mesh.faces)}", "property list uchar int vertex_indices", "end_header", ""]
    vertices = np.concatenate([values for _, values in columns], axis=1).astype("<f4")
    faces = np.empty(len(mesh.faces), dtype=[("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, mesh.faces
    return "\n".join(head).encode() + vertices.tobytes() + faces.tobytes()


def _placed(mesh: Mesh) -> NDArray[np.float64]:
    """Positions in the world."""
    placed: NDArray[np.float64] = mesh.positions.astype(np.float64) @ mesh.to_world[:3, :3].T + mesh.to_world[:3, 3]
    return placed


def _rigid(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """A matrix without its scale, which cameras and lights do not have."""
    found = matrix.copy()
    lengths = np.linalg.norm(found[:3, :3], axis=0)
    found[:3, :3] /= np.where(lengths > 0, lengths, 1)
    return found


def _to_world(element: ElementTree.Element, matrix: NDArray[Any]) -> None:
    if np.array_equal(matrix, np.eye(4)):
        return
    transform = ElementTree.SubElement(element, "transform", name="to_world")
    ElementTree.SubElement(transform, "matrix", value=" ".join(f"{value:.9g}" for value in matrix.reshape(-1)))


def _nested(element: ElementTree.Element, tag: str, kind: str, **more: str) -> ElementTree.Element:
    return ElementTree.SubElement(element, tag, {"type": kind, **more})


def _value(element: ElementTree.Element, tag: str, name: str, value: str) -> None:
    ElementTree.SubElement(element, tag, name=name, value=value)


def _rgb(element: ElementTree.Element, name: str, colour: Colour) -> None:
    _value(element, "rgb", name, " ".join(f"{channel:.9g}" for channel in colour))
