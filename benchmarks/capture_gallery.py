"""The pictures of the guide to materials: a procedural surface, photographed, captured, and worn in a small scene.

python -m benchmarks.capture_gallery [--descent]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.machine import ROOT
from pipeline.capture import weights
from pipeline.capture.asset.write import Wishes
from pipeline.capture.flash import photograph, srgb
from pipeline.capture.materials.generate import material
from pipeline.capture.photo.prepare import Region
from pipeline.capture.run import Order, capture
from pipeline.config.shot import Shot
from pipeline.device import set_variant
from pipeline.images.viewing import png_bytes, to_display
from pipeline.scene import spec
from pipeline.scene.freeze import freeze

IMAGES = ROOT / "docs" / "images"
SEED, FAMILY, SIZE = 0, "parquet", 256
RESOLUTION, SPP = (640, 320), 160
SHEET_WIDTH = 1000


def main(method: str) -> None:
    """Writes `capture-sheet.png` and `capture-shot.png` into docs/images."""
    with tempfile.TemporaryDirectory(prefix="penumbra-gallery-") as name:
        folder = Path(name)
        seen = photograph(material(SEED, SIZE, families=(FAMILY,)), torch.Generator().manual_seed(SEED))
        codes = (srgb(seen.pixels[0, 0].clamp(0, 1)).permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8)
        Image.fromarray(codes).save(folder / f"{FAMILY}.png")
        wishes = Wishes(FAMILY, width=0.6, tile=True, movie=False)
        order = Order((folder / f"{FAMILY}.png",), folder / FAMILY, wishes, Region(field_of_view=53.1), method)
        print(capture(order, say=print)["fit"])
        with Image.open(folder / FAMILY / "sheet.png") as sheet:
            small = sheet.resize(
                (SHEET_WIDTH, round(sheet.height * SHEET_WIDTH / sheet.width)), Image.Resampling.LANCZOS
            )
        (IMAGES / "capture-sheet.png").write_bytes(png_bytes(np.asarray(small)))
        (IMAGES / "capture-shot.png").write_bytes(png_bytes(to_display(_worn(folder))))


SCENE = """<scene version="3.0.0">
<integrator type="path"/>
<sensor type="perspective"><float name="fov" value="38"/>
<transform name="to_world"><lookat origin="-0.5, 0.85, 2.1" target="0.05, 0.12, 0" up="0, 1, 0"/></transform></sensor>
<bsdf type="diffuse" id="floor"><texture type="bitmap" name="reflectance"><string name="filename" value="floor.png"/>
<transform name="to_uv"><scale x="6" y="-6"/></transform></texture></bsdf>
<bsdf type="diffuse" id="wall"><rgb name="reflectance" value="0.55, 0.53, 0.5"/></bsdf>
<shape type="rectangle"><transform name="to_world"><rotate x="1" angle="-90"/><scale value="1.8"/></transform>
<ref id="floor"/></shape>
<shape type="rectangle"><transform name="to_world"><scale value="1.8"/><translate y="1.8" z="-1.3"/></transform>
<ref id="wall"/></shape>
<shape type="cube"><transform name="to_world"><scale value="0.2"/><rotate y="1" angle="28"/>
<translate x="0.55" y="0.2" z="-0.35"/></transform><ref id="floor"/></shape>
<shape type="sphere"><point name="center" x="-0.2" y="0.22" z="0"/><float name="radius" value="0.22"/>
<bsdf type="roughconductor"><string name="material" value="Cu"/><float name="alpha" value="0.12"/></bsdf></shape>
<shape type="rectangle"><transform name="to_world"><scale value="0.45"/>
<lookat origin="1.6, 1.9, -0.6" target="0, 0, 0" up="0, 1, 0"/></transform>
<emitter type="area"><rgb name="radiance" value="14, 13, 11.5"/></emitter></shape>
<emitter type="constant"><rgb name="radiance" value="0.16, 0.18, 0.22"/></emitter>
</scene>"""


def _worn(folder: Path) -> np.ndarray:
    """A shot whose floor and box wear the material, in place of a texture that is laid six times."""
    import mitsuba as mi

    Image.new("RGB", (4, 4), (128, 128, 128)).save(folder / "floor.png")
    (folder / "scene.xml").write_text(SCENE)
    shot = Shot(shot="gallery", scene="scene.xml", frames="1", resolution=RESOLUTION, materials={"floor": FAMILY})
    shot = shot.at(folder)
    frozen = freeze(shot, shot.frame_list, folder / "blobs")
    set_variant()
    from pipeline.scene.load import load

    fs = load(spec.of(shot.model_dump(mode="json", by_alias=True), frozen, 1), 1, folder / "blobs")
    return np.array(mi.render(fs.scene, spp=SPP, seed=1, integrator=fs.integrator))[..., :3]


if __name__ == "__main__":
    main("descent" if "--descent" in sys.argv or weights.name_of("small") not in weights.shipped() else "network")
