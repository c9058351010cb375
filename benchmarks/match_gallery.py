"""The picture of the guide to matching: a mug whose turn and place, and a lamp whose place and light, are found.

python -m benchmarks.match_gallery
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import OpenEXR
from numpy.typing import NDArray

from benchmarks.machine import ROOT
from benchmarks.match_scenes import SUBJECTS, Size, renders_of
from pipeline.config.shot import Shot
from pipeline.device import set_variant
from pipeline.images.viewing import png_bytes
from pipeline.match.comparison import compared
from pipeline.match.run import Request, run

IMAGE = ROOT / "docs" / "images" / "match-mug.png"
SIZE = (96, 72)
PLATE_SPP, SHOWN_SPP = 256, 256
PARAMS = ("mug.rotate:y", "mug.translate:xz", "lamp.translate:x", "lamp.intensity")
START = {
    "mug": {"rotate": (0.0, 95.0, 0.0), "translate": (-0.35, 0.0, -0.2)},
    "lamp": {"translate": (-1.2, 0.0, 0.0), "intensity": 0.6},
}
"""What the shot says at first; the plate is the scene without it."""


def main() -> None:
    """Writes docs/images/match-mug.png: plate, render and difference, before and after."""
    set_variant()
    with tempfile.TemporaryDirectory(prefix="penumbra-gallery-") as name:
        folder = Path(name)
        keys = {"shot": "mug", "scene": "scene.xml", "frames": "1", "resolution": list(SIZE)}
        truth, off = (
            renders_of(SUBJECTS["MUG"], Size(*SIZE), folder / "mug", params=PARAMS, overrides=overrides)
            for overrides in ({}, START)
        )
        plate, before = (
            each.images(each.start, spp=spp // 2, seed=41)[0].mean(axis=0)[..., :3]
            for each, spp in ((truth, PLATE_SPP), (off, SHOWN_SPP))
        )
        _write(folder / "plate.exr", plate)
        shot = Shot(**keys, overrides=START).at(folder / "mug")
        found = run(Request(shot, folder / "plate.exr", PARAMS, 1), folder / "blobs", warn=print)
        print(found.parameters, f"{found.evaluations} pictures, {found.seconds:.0f} s")
        rows = [
            compared(found.plate, before, f"before: error {found.start_error:.3g}"),
            compared(found.plate, found.picture, f"after: error {found.error:.2g}, {found.evaluations} pictures"),
        ]
        IMAGE.write_bytes(png_bytes(np.concatenate(rows)))


def _write(path: Path, image: NDArray[np.float32]) -> None:
    channels = {name: np.ascontiguousarray(image[..., index]) for index, name in enumerate("RGB")}
    OpenEXR.File({"type": OpenEXR.scanlineimage}, channels).write(str(path))


if __name__ == "__main__":
    sys.exit(main())
