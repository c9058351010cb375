"""glTF scenes become shots that Mitsuba loads; what is not understood is said, and what is broken is refused."""

from __future__ import annotations

import base64
import copy
import json
import struct
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

from pipeline.cli.import_ import import_scene
from pipeline.config.load import load_shot
from pipeline.errors import ConfigError, SceneError
from pipeline.interchange.gltf import read_gltf
from pipeline.interchange.mitsuba_xml import write_shot

POSITIONS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "<f4")
UV = np.array([[0, 0], [1, 0], [0, 0.25]], "<f4")
INDICES = np.array([0, 1, 2], "<u2")
PNG = b"\x89PNG\r\n\x1a\n rest"


def scene() -> dict[str, Any]:
    """A textured triangle below a moved and turned node, with a camera and a lamp."""
    data = POSITIONS.tobytes() + UV.tobytes() + INDICES.tobytes() + PNG
    half = 0.5**0.5
    return {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0, 2]}],
        "nodes": [
            {"translation": [1, 2, 3], "rotation": [0, 0, half, half], "scale": [2, 2, 2], "children": [1]},
            {"mesh": 0, "name": "tri <&>"},
            {"camera": 0, "translation": [0, 0, 5], "extensions": {"KHR_lights_punctual": {"light": 0}}},
        ],
        "meshes": [
            {
                "name": "tri <&>",
                "primitives": [{"attributes": {"POSITION": 0, "TEXCOORD_0": 1}, "indices": 2, "material": 0}],
            }
        ],
        "materials": [
            {
                "name": "paint",
                "doubleSided": True,
                "pbrMetallicRoughness": {
                    "baseColorTexture": {"index": 0},
                    "roughnessFactor": 0.25,
                    "metallicFactor": 0,
                },
                "normalTexture": {"index": 0},
            }
        ],
        "textures": [{"source": 0}],
        "images": [{"name": "../../wood", "mimeType": "image/png", "bufferView": 3}],
        "cameras": [{"type": "perspective", "perspective": {"yfov": 0.5, "znear": 0.1, "aspectRatio": 2}}],
        "extensionsUsed": ["KHR_lights_punctual", "EXT_odd"],
        "extensions": {"KHR_lights_punctual": {"lights": [{"type": "point", "intensity": 683, "color": [1, 0.5, 0]}]}},
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5126, "count": 3, "type": "VEC2"},
            {"bufferView": 2, "componentType": 5123, "count": 3, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": 36},
            {"buffer": 0, "byteOffset": 36, "byteLength": 24},
            {"buffer": 0, "byteOffset": 60, "byteLength": 6},
            {"buffer": 0, "byteOffset": 66, "byteLength": len(PNG)},
        ],
        "buffers": [
            {"byteLength": len(data), "uri": f"data:application/octet-stream;base64,{base64.b64encode(data).decode()}"}
        ],
    }


def written(folder: Path, document: dict[str, Any]) -> Path:
    path = folder / "scene.gltf"
    path.write_text(json.dumps(document))
    return path


def test_nodes_place_what_stands_below_them(tmp_path: Path) -> None:
    (mesh,) = read_gltf(written(tmp_path, scene())).meshes

    assert np.allclose(mesh.to_world @ [1, 0, 0, 1], [1, 4, 3, 1])
    assert np.array_equal(mesh.positions, POSITIONS)
    assert mesh.uv is not None and mesh.uv[2, 1] == 0.75
    assert mesh.name == "tri"


def test_a_glb_is_the_same_scene(tmp_path: Path) -> None:
    document = scene()
    data = base64.b64decode(document["buffers"][0].pop("uri").partition(",")[2])
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    data += b"\0" * (-len(data) % 4)
    body = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(data), 0x004E4942) + data
    path = tmp_path / "scene.glb"
    path.write_bytes(struct.pack("<III", 0x46546C67, 2, 12 + len(body)) + body)

    assert np.array_equal(read_gltf(path).meshes[0].positions, POSITIONS)


def test_a_shot_is_written_that_says_what_the_scene_said(tmp_path: Path) -> None:
    described = read_gltf(written(tmp_path, scene()))
    files = write_shot(described, tmp_path / "tri")

    root = ElementTree.parse(tmp_path / "tri" / "scene.xml").getroot()

    assert sorted(str(file.relative_to(tmp_path / "tri")) for file in files) == [
        *("meshes/tri.ply", "scene.xml", "shot.yaml", "textures/wood.png")
    ]
    assert load_shot(str(tmp_path / "tri" / "shot.yaml")).resolution == (1080, 540)
    assert root.find("bsdf").get("type") == "twosided"  # type: ignore[union-attr]
    light = root.find("emitter/rgb")
    assert light is not None and light.get("value") == "1 0.5 0"
    camera = root.find("sensor/transform/matrix")
    assert camera is not None and camera.get("value") == "-1 0 0 0 0 1 0 0 0 0 -1 5 0 0 0 1"
    assert list(described.notes) == [
        "extension 'EXT_odd' is ignored",
        "paint: normalTexture is ignored",
    ]


def test_textures_stand_upright(tmp_path: Path) -> None:
    """glTF's v goes down from the first row, as that of Mitsuba's textures does."""
    write_shot(read_gltf(written(tmp_path, scene())), tmp_path / "tri")

    head, _, data = (tmp_path / "tri" / "meshes" / "tri.ply").read_bytes().partition(b"end_header\n")

    assert b"property float v\n" in head
    assert np.array_equal(np.frombuffer(data, "<f4", 15).reshape(3, 5)[:, 3:], UV)


def test_mitsuba_loads_what_is_written(tmp_path: Path) -> None:
    mi = pytest.importorskip("mitsuba")
    if mi.variant() is None:
        mi.set_variant("llvm_ad_rgb")
    document = scene()
    del document["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]
    described = read_gltf(written(tmp_path, document))
    write_shot(described, tmp_path / "tri")

    loaded = mi.load_file(str(tmp_path / "tri" / "scene.xml"), optimize=False)

    box = loaded.bbox()
    assert np.allclose([box.min, box.max], [[-1, 2, 3], [1, 4, 3]], atol=1e-5)
    assert [each.id() for each in loaded.shapes()] == ["tri"]


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it["asset"].update(version="1.0"),
        lambda it: it["accessors"][0].update(count=10**9),
        lambda it: it["accessors"][0].update(byteOffset=-4),
        lambda it: it["bufferViews"][0].update(byteLength=1000),
        lambda it: it["nodes"][1].update(children=[0]),
        lambda it: it["meshes"][0]["primitives"][0].update(indices=0),
        lambda it: it["buffers"][0].update(uri="../secret.bin"),
        lambda it: it["buffers"][0].update(uri="http://example.com/a.bin"),
        lambda it: it.update(extensionsRequired=["KHR_draco_mesh_compression"]),
        lambda it: it["cameras"][0]["perspective"].update(yfov=9),
        lambda it: it.update(nodes=7),
    ],
)
def test_what_is_broken_or_leads_elsewhere_is_refused(tmp_path: Path, change: Any) -> None:
    document = copy.deepcopy(scene())
    change(document)

    with pytest.raises(SceneError):
        read_gltf(written(tmp_path, document))


def test_the_command_makes_a_shot_and_does_not_write_over_another(tmp_path: Path) -> None:
    path = written(tmp_path, scene())

    told = CliRunner().invoke(import_scene, [str(path), "--out", str(tmp_path / "tri")])

    assert told.exit_code == 0, told.output
    assert "note: paint: normalTexture is ignored" in told.stderr
    assert told.stdout.strip().endswith("tri/shot.yaml")
    with pytest.raises(ConfigError, match="is not empty"):
        CliRunner().invoke(import_scene, [str(path), "--out", str(tmp_path / "tri")], catch_exceptions=False)
