"""The material for other programs: glTF (metallic–roughness), USD (UsdPreviewSurface) and Mitsuba's `principled`.

glTF has no colour of the specular albedo of its own: base colour and metalness are solved for so that the diffuse and
the normal reflectance are kept, with dielectrics at 0.04 (Khronos, KHR_materials_pbrSpecularGlossiness, appendix).
UsdPreviewSurface takes the albedos as they are, in its specular workflow. Both are approximations: their energy
balance is not that of `captured`.
"""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path

import torch
from torch import Tensor

from pipeline.capture.asset.files import Pixels, write_png
from pipeline.capture.flash import srgb
from pipeline.capture.maps import Maps

__all__ = ["metallic_roughness", "write"]

DIELECTRIC = 0.04


def metallic_roughness(maps: Maps) -> tuple[Tensor, Tensor]:
    """Base colour (B×3×H×W, linear) and metalness (B×1×H×W)."""
    diffuse = maps.diffuse * (1 - maps.specular)  # what is seen of it at normal incidence
    d, s = (_brightness(each) for each in (diffuse, maps.specular))
    strongest = maps.specular.amax(1, keepdim=True)
    a = DIELECTRIC
    b = d * (1 - strongest) / (1 - a) + s - 2 * a
    c = a - s
    metal = ((-b + (b * b - 4 * a * c).clamp(min=0).sqrt()) / (2 * a)).clamp(0, 1)
    metal = torch.where(s < a, torch.zeros_like(metal), metal)
    from_diffuse = diffuse * (1 - strongest) / (1 - a) / (1 - metal).clamp(min=1e-4)
    from_specular = (maps.specular - a * (1 - metal)) / metal.clamp(min=1e-4)
    return (from_diffuse + (from_specular - from_diffuse) * metal * metal).clamp(0, 1), metal


def write(folder: Path, maps: Maps, *, name: str, width: float) -> None:
    """Writes `gltf/`, `material.usda` and `principled.xml` into an asset's folder.

    Args:
        folder: that holds the maps' PNGs.
        name: of the material.
        width: of the patch, metres.
    """
    colour, metal = metallic_roughness(maps)
    out = folder / "gltf"
    out.mkdir(exist_ok=True)

    def png(file: str, values: Tensor) -> None:
        pixels: Pixels = values[0].permute(1, 2, 0).contiguous().cpu().numpy()
        write_png(out / file, pixels)

    png("base_color.png", srgb(colour))
    png("metallic_roughness.png", torch.cat([torch.zeros_like(metal), maps.roughness, metal], 1))
    png("metallic.png", metal)
    png("normal.png", maps.normal * 0.5 + 0.5)
    height = width * maps.size[0] / maps.size[1]
    (out / "material.gltf").write_text(json.dumps(_gltf(name, width, height), indent=1))
    (folder / "material.usda").write_text(_usda(name))
    (folder / "principled.xml").write_text(_PRINCIPLED)


def _brightness(colour: Tensor) -> Tensor:
    """Perceived (of the Khronos formula)."""
    weights = torch.tensor([0.299, 0.587, 0.114], device=colour.device).reshape(1, 3, 1, 1)
    return (weights * colour * colour).sum(1, keepdim=True).sqrt()


def _gltf(name: str, width: float, height: float) -> dict[str, object]:
    """A scene of one rectangle of the patch's size that wears the material."""
    x, y = width / 2, height / 2
    corners = [(-x, -y, 0.0, 0.0, 1.0), (x, -y, 0.0, 1.0, 1.0), (x, y, 0.0, 1.0, 0.0), (-x, y, 0.0, 0.0, 0.0)]
    places = b"".join(struct.pack("<3f", *corner[:3]) for corner in corners)
    coordinates = b"".join(struct.pack("<2f", *corner[3:]) for corner in corners)
    normals = struct.pack("<3f", 0, 0, 1) * 4
    data = places + normals + coordinates + struct.pack("<6H", 0, 1, 2, 0, 2, 3)
    lengths = (48, 48, 32, 12)
    offsets = [sum(lengths[:k]) for k in range(4)]
    kinds = (("VEC3", 5126, 4), ("VEC3", 5126, 4), ("VEC2", 5126, 4), ("SCALAR", 5123, 6))
    accessors: list[dict[str, object]] = [
        {"bufferView": k, "componentType": component, "count": count, "type": kind}
        for k, (kind, component, count) in enumerate(kinds)
    ]
    accessors[0] |= {"min": [-x, -y, 0.0], "max": [x, y, 0.0]}
    files = ("base_color.png", "metallic_roughness.png", "normal.png")
    uri = "data:application/octet-stream;base64," + base64.b64encode(data).decode()
    return {
        "asset": {"version": "2.0", "generator": "Penumbra"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": name}],
        "meshes": [
            {"primitives": [{"attributes": {"POSITION": 0, "NORMAL": 1, "TEXCOORD_0": 2}, "indices": 3, "material": 0}]}
        ],
        "materials": [
            {
                "name": name,
                "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "metallicRoughnessTexture": {"index": 1}},
                "normalTexture": {"index": 2},
            }
        ],
        "textures": [{"source": k, "sampler": 0} for k in range(3)],
        "images": [{"uri": file} for file in files],
        "samplers": [{"wrapS": 10497, "wrapT": 10497}],
        "accessors": accessors,
        "bufferViews": [
            {"buffer": 0, "byteOffset": offset, "byteLength": length}
            for offset, length in zip(offsets, lengths, strict=True)
        ],
        "buffers": [{"uri": uri, "byteLength": len(data)}],
    }


def _usda(name: str) -> str:
    label = "".join(c if c.isalnum() else "_" for c in name)
    label = label if label[:1].isalpha() else f"material_{label}"
    maps = (
        ("diffuseColor", "color3f", "albedo.png", "rgb", "sRGB", ""),
        ("specularColor", "color3f", "specular.png", "rgb", "sRGB", ""),
        ("roughness", "float", "roughness.png", "r", "raw", ""),
        (
            "normal",
            "normal3f",
            "normal.png",
            "rgb",
            "raw",
            "            float4 inputs:scale = (2, 2, 2, 1)\n            float4 inputs:bias = (-1, -1, -1, 0)\n",
        ),
    )
    inputs = "".join(
        f"            {kind} inputs:{port}.connect = </{label}/{port}.outputs:{output}>\n"
        for port, kind, _, output, _, _ in maps
    )
    readers = "".join(
        f'        def Shader "{port}"\n        {{\n            uniform token info:id = "UsdUVTexture"\n'
        f"            asset inputs:file = @{file}@\n"
        f'            token inputs:sourceColorSpace = "{space}"\n'
        '            token inputs:wrapS = "repeat"\n            token inputs:wrapT = "repeat"\n'
        f"{more}            float2 inputs:st.connect = </{label}/st.outputs:result>\n"
        f"            {'float' if output == 'r' else 'float3'} outputs:{output}\n        }}\n"
        for port, _, file, output, space, more in maps
    )
    return (
        f'#usda 1.0\n(\n    defaultPrim = "{label}"\n)\n\ndef Material "{label}"\n{{\n'
        f"        token outputs:surface.connect = </{label}/surface.outputs:surface>\n"
        '        def Shader "surface"\n        {\n            uniform token info:id = "UsdPreviewSurface"\n'
        f"            int inputs:useSpecularWorkflow = 1\n{inputs}            token outputs:surface\n        }}\n"
        '        def Shader "st"\n        {\n            uniform token info:id = "UsdPrimvarReader_float2"\n'
        '            string inputs:varname = "st"\n            float2 outputs:result\n        }\n'
        f"{readers}}}\n"
    )


_PRINCIPLED = """<!-- The material as Mitsuba's `principled`, for a scene beside this folder's maps. -->
<scene version="3.0.0">
  <bsdf type="normalmap" id="material">
    <texture type="bitmap" name="normalmap">
      <string name="filename" value="normal.png"/>
      <boolean name="raw" value="true"/>
    </texture>
    <bsdf type="principled">
      <texture type="bitmap" name="base_color">
        <string name="filename" value="gltf/base_color.png"/>
      </texture>
      <texture type="bitmap" name="roughness">
        <string name="filename" value="roughness.png"/>
        <boolean name="raw" value="true"/>
      </texture>
      <texture type="bitmap" name="metallic">
        <string name="filename" value="gltf/metallic.png"/>
        <boolean name="raw" value="true"/>
      </texture>
      <float name="specular" value="0.5"/>
    </bsdf>
  </bsdf>
</scene>
"""
