"""glTF 2.0 (`.gltf`, `.glb`): meshes, metallic-roughness materials, cameras and lights of its default scene.

Nothing outside of the file's own folder is read, and no number of the file is believed before it is checked.

Source: glTF 2.0 Specification, Khronos 2021; KHR_lights_punctual.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import SceneError
from pipeline.interchange.description import Camera, Description, Light, Material, Mesh, Texture, image_suffix

__all__ = ["read_gltf"]

_MAGIC: Final = 0x46546C67
_JSON, _BIN = 0x4E4F534A, 0x004E4942
_TYPES: Final = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS: Final = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
_DEPTH: Final = 256
_LUMENS_PER_WATT: Final = 683.0
"""Of green light, by which photometric units become radiometric ones, as Blender's exporter counts them."""
_UNDERSTOOD: Final = frozenset({"KHR_lights_punctual", "KHR_materials_emissive_strength"})


def read_gltf(path: Path, *, root: Path | None = None) -> Description:
    """The default scene of a file.

    Args:
        path: of the file.
        root: folder that all that it names lies in; None: the file's own.

    Raises:
        SceneError: unreadable, not glTF 2, or with numbers that make no sense.
    """
    try:
        return _Reader(path, (root or path.parent).resolve()).read()
    except OSError as error:
        raise SceneError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, struct.error) as error:
        told = f"{type(error).__name__}: {error}" if isinstance(error, (KeyError, IndexError)) else str(error)
        raise SceneError(f"{path}: not a valid glTF file: {told:.200}") from error


class _Reader:
    def __init__(self, path: Path, root: Path) -> None:
        self.path, self.root = path, root
        self.found = Description()
        self.names: set[str] = set()
        self.document, self.binary = _opened(path.read_bytes())
        self.buffers: dict[int, bytes] = {}
        self.materials: dict[int, str] = {}

    def read(self) -> Description:
        document = self.document
        if not str(document["asset"]["version"]).startswith("2"):
            raise ValueError(f"version {document['asset']['version']!r:.20}; glTF 2 is read")
        for extension in document.get("extensionsRequired", []):
            if extension not in _UNDERSTOOD:
                raise ValueError(f"it needs the extension {extension!r:.60}, which is not understood")
        for extension in document.get("extensionsUsed", []):
            if extension not in _UNDERSTOOD:
                self.found.note(f"extension {extension!r:.60} is ignored")
        for what in ("animations", "skins"):
            if document.get(what):
                self.found.note(f"{len(document[what])} {what} are ignored: the pose of the file is taken")
        self._materials()
        scenes = document.get("scenes", [])
        roots = scenes[document.get("scene", 0)].get("nodes", []) if scenes else range(len(document.get("nodes", [])))
        seen: set[int] = set()
        waiting = [(int(node), np.eye(4), 0) for node in roots]
        while waiting:
            index, above, depth = waiting.pop()
            if index in seen or depth > _DEPTH:
                raise ValueError(f"node {index} stands below itself")
            seen.add(index)
            node = document["nodes"][_index(index)]
            to_world = above @ _local(node)
            self._node(node, index, to_world)
            waiting += [(int(child), to_world, depth + 1) for child in node.get("children", [])]
        return self.found

    def _node(self, node: dict[str, Any], index: int, to_world: NDArray[np.float64]) -> None:
        name = node.get("name", f"node_{index}")
        if "mesh" in node:
            mesh = self.document["meshes"][_index(node["mesh"])]
            for primitive in mesh["primitives"]:
                self._primitive(primitive, mesh.get("name", name), to_world)
        if "camera" in node:
            self._camera(self.document["cameras"][_index(node["camera"])], name, to_world)
        light = node.get("extensions", {}).get("KHR_lights_punctual")
        if light is not None:
            lights = self.document["extensions"]["KHR_lights_punctual"]["lights"]
            self._light(lights[_index(light["light"])], name, to_world)

    def _primitive(self, primitive: dict[str, Any], wanted: str, to_world: NDArray[np.float64]) -> None:
        name = self.found.named(wanted, self.names, "mesh")
        if primitive.get("mode", 4) != 4:
            self.found.note(f"{name}: points, lines and strips are left out")
            return
        for extension in primitive.get("extensions", {}):
            self.found.note(f"{name}: {extension!r:.60} is ignored")
        if primitive.get("targets"):
            self.found.note(f"{name}: morph targets are ignored")
        attributes = primitive["attributes"]
        positions = self._accessor(attributes["POSITION"], 3).astype(np.float32)
        count = len(positions)
        if "indices" in primitive:
            indices = self._accessor(primitive["indices"], 1).astype(np.int64).reshape(-1)
        else:
            indices = np.arange(count)
        if indices.size % 3 or (indices.size and int(indices.max()) >= count):
            raise ValueError(f"mesh {name}: its triangles name vertices that it does not have")
        normals = self._accessor(attributes["NORMAL"], 3).astype(np.float32) if "NORMAL" in attributes else None
        uv = self._accessor(attributes["TEXCOORD_0"], 2).astype(np.float32) if "TEXCOORD_0" in attributes else None
        if any(each is not None and len(each) != count for each in (normals, uv)):
            raise ValueError(f"mesh {name}: its attributes have different lengths")
        if uv is not None:
            uv = np.stack([uv[:, 0], 1 - uv[:, 1]], 1)  # v goes down in glTF
        material = primitive.get("material")
        self.found.meshes.append(
            Mesh(
                name,
                positions,
                normals,
                uv,
                indices.reshape(-1, 3).astype(np.uint32),
                None if material is None else self.materials[_index(material)],
                to_world,
            )
        )

    def _materials(self) -> None:
        for index, material in enumerate(self.document.get("materials", [])):
            name = self.found.named(material.get("name"), self.names, f"material_{index}")
            self.materials[index] = name
            model = material.get("pbrMetallicRoughness", {})
            base = [float(each) for each in model.get("baseColorFactor", (1, 1, 1, 1))]
            texture = self._texture(model.get("baseColorTexture"), name)
            if texture is not None and base[:3] != [1, 1, 1]:
                self.found.note(f"{name}: the colour that its texture is multiplied by is ignored")
            both = self._texture(model.get("metallicRoughnessTexture"), name)
            metallic, roughness = (_unit(model.get(key, 1.0)) for key in ("metallicFactor", "roughnessFactor"))
            if both is not None and {metallic, roughness} - {0.0, 1.0}:
                self.found.note(f"{name}: the factors that metallicRoughnessTexture is multiplied by are ignored")
            for key in ("normalTexture", "occlusionTexture", "emissiveTexture"):
                if key in material:
                    self.found.note(f"{name}: {key} is ignored")
            extensions = material.get("extensions", {})
            strength = extensions.get("KHR_materials_emissive_strength", {}).get("emissiveStrength", 1.0)
            for extension in set(extensions) - _UNDERSTOOD:
                self.found.note(f"{name}: {extension!r:.60} is ignored")
            mode = material.get("alphaMode", "OPAQUE")
            if mode != "OPAQUE" and texture is not None:
                self.found.note(f"{name}: the alpha of its texture is ignored")
            red, green, blue = (float(each) * float(strength) for each in material.get("emissiveFactor", (0, 0, 0)))
            self.found.materials.append(
                Material(
                    name,
                    (base[0], base[1], base[2]),
                    texture,
                    metallic=metallic,
                    roughness=roughness,
                    metallic_texture=None if both is None or not metallic else replace(both, channel=2, raw=True),
                    roughness_texture=None if both is None or not roughness else replace(both, channel=1, raw=True),
                    emission=(red, green, blue),
                    opacity=1.0 if mode == "OPAQUE" else _unit(base[3]),
                    two_sided=bool(material.get("doubleSided", False)),
                )
            )

    def _texture(self, used: dict[str, Any] | None, material: str) -> Texture | None:
        if used is None:
            return None
        if used.get("texCoord", 0) or used.get("extensions"):
            self.found.note(f"{material}: a texture with coordinates or a transform of its own is taken without them")
        texture = self.document["textures"][_index(used["index"])]
        if "source" not in texture:
            self.found.note(f"{material}: a texture in a format that is not understood is left out")
            return None
        image = self.document["images"][_index(texture["source"])]
        data = self._view(image["bufferView"])[0] if "bufferView" in image else self._uri(image["uri"])
        suffix = image_suffix(data)
        if suffix is None or suffix == ".exr":
            self.found.note(f"{material}: an image that is neither PNG nor JPEG is left out")
            return None
        return Texture(self.found.named(image.get("name"), self.names, "image") + suffix, data)

    def _camera(self, camera: dict[str, Any], wanted: str, to_world: NDArray[np.float64]) -> None:
        name = self.found.named(wanted, self.names, "camera")
        if camera["type"] != "perspective":
            self.found.note(f"{name}: {camera['type']!r:.30} cameras are left out")
            return
        seen = camera["perspective"]
        near, far = float(seen["znear"]), float(seen.get("zfar", 1e5))
        aspect = float(seen["aspectRatio"]) if "aspectRatio" in seen else None
        fov = math.degrees(float(seen["yfov"]))
        if not (0 < fov < 180 and 0 < near < far and (aspect is None or aspect > 0)):
            raise ValueError(f"camera {name} has a field of view, an aspect or clipping that makes no sense")
        self.found.cameras.append(Camera(name, fov, aspect, near, far, to_world))

    def _light(self, light: dict[str, Any], wanted: str, to_world: NDArray[np.float64]) -> None:
        name = self.found.named(wanted, self.names, "light")
        red, green, blue = (float(each) for each in light.get("color", (1, 1, 1)))
        watts = float(light.get("intensity", 1.0)) / _LUMENS_PER_WATT
        kind = {"point": "point", "spot": "spot", "directional": "sun"}[light["type"]]
        spot = light.get("spot", {})
        cutoff = math.degrees(float(spot.get("outerConeAngle", math.pi / 4)))
        beam = math.degrees(float(spot.get("innerConeAngle", 0.0)))
        if light.get("range"):
            self.found.note(f"{name}: its range is ignored; light falls with the square of the distance")
        self.found.lights.append(Light(kind, name, watts, (red, green, blue), to_world, cutoff, beam))  # type: ignore[arg-type]

    # --- bytes ----------------------------------------------------------------------------------------------------

    def _accessor(self, index: int, width: int) -> NDArray[Any]:
        """N×width numbers; normalised integers as floats."""
        accessor = self.document["accessors"][_index(index)]
        if "sparse" in accessor or _WIDTHS.get(accessor["type"]) != width:
            raise ValueError(f"accessor {index} is sparse, or no {width}-vector")
        dtype, count = np.dtype(_TYPES[accessor["componentType"]]), int(accessor["count"])
        data, stride = self._view(accessor["bufferView"])
        offset, size = int(accessor.get("byteOffset", 0)), dtype.itemsize * width
        stride = stride or size
        if count < 0 or offset < 0 or stride < size or offset + (count - 1) * stride + size > len(data):
            raise ValueError(f"accessor {index} lies beyond its buffer")
        shape, strides = (count, width), (stride, dtype.itemsize)
        values: NDArray[Any] = np.ndarray(shape, dtype, data, offset, strides).copy()
        if accessor.get("normalized"):
            values = np.maximum(values / np.float32(np.iinfo(dtype).max), -1).astype(np.float32)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ValueError(f"accessor {index} has numbers that are not finite")
        return values

    def _view(self, index: int) -> tuple[bytes, int]:
        """The bytes of a view, and its stride; 0: none."""
        view = self.document["bufferViews"][_index(index)]
        offset, length = int(view.get("byteOffset", 0)), int(view["byteLength"])
        buffer = self._buffer(_index(view["buffer"]))
        if offset < 0 or length < 0 or offset + length > len(buffer):
            raise ValueError(f"view {index} lies beyond its buffer")
        return buffer[offset : offset + length], int(view.get("byteStride", 0))

    def _buffer(self, index: int) -> bytes:
        if index not in self.buffers:
            buffer = self.document["buffers"][index]
            data = self._uri(buffer["uri"]) if "uri" in buffer else self.binary
            if len(data) < int(buffer["byteLength"]):
                raise ValueError(f"buffer {index} is cut short")
            self.buffers[index] = data
        return self.buffers[index]

    def _uri(self, uri: str) -> bytes:
        """What a URI names: data in itself, or a file below the folder that is allowed."""
        if uri.startswith("data:"):
            try:
                return base64.b64decode(uri.partition("base64,")[2], validate=True)
            except binascii.Error as error:
                raise ValueError("a data URI is not Base64") from error
        file = (self.path.parent / unquote(uri)).resolve()
        if "://" in uri or not file.is_relative_to(self.root):
            raise ValueError(f"{uri!r:.80} leads out of {self.root}; name a folder that holds all with --root")
        return file.read_bytes()


def _opened(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON of a file, and the buffer that a `.glb` has with it."""
    if len(data) < 12 or struct.unpack_from("<I", data)[0] != _MAGIC:
        return _document(data), b""
    document, binary, at = None, b"", 12
    while at + 8 <= len(data):
        length, kind = struct.unpack_from("<II", data, at)
        chunk = data[at + 8 : at + 8 + length]
        if len(chunk) < length:
            raise ValueError("truncated")
        if kind == _JSON and document is None:
            document = _document(chunk)
        elif kind == _BIN:
            binary = chunk
        at += 8 + length
    if document is None:
        raise ValueError("it has no JSON")
    return document, binary


def _document(data: bytes) -> dict[str, Any]:
    found = json.loads(data.decode("utf-8"))
    if not isinstance(found, dict) or "asset" not in found:
        raise ValueError("it does not say what it is")
    return found


def _local(node: dict[str, Any]) -> NDArray[np.float64]:
    """A node's matrix: its own, or translation · rotation · scale."""
    if "matrix" in node:
        matrix = np.array(node["matrix"], np.float64).reshape(4, 4).T
    else:
        x, y, z, w = (float(each) for each in node.get("rotation", (0, 0, 0, 1)))
        norm = math.sqrt(x * x + y * y + z * z + w * w) or 1.0
        x, y, z, w = x / norm, y / norm, z / norm, w / norm
        matrix = np.eye(4)
        matrix[:3, :3] = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        ) @ np.diag(np.array(node.get("scale", (1, 1, 1)), np.float64))
        matrix[:3, 3] = node.get("translation", (0, 0, 0))
    if not np.isfinite(matrix).all():
        raise ValueError("a node's matrix has numbers that are not finite")
    return matrix


def _index(value: Any) -> int:
    """An index that does not count from the end."""
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r:.20} is no index")
    return value


def _unit(value: Any) -> float:
    return min(1.0, max(0.0, float(value)))
