"""What the matching benchmark asks of the product: a shot of two unknowns, and launches of many versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR

from benchmarks.match_scenes import SUBJECTS, Size, renders_of
from benchmarks.referee import timed_pairs
from pipeline.config.shot import Shot
from pipeline.match.run import Request, run
from pipeline.match.search import Settings

__all__ = ["launches", "two_unknowns"]

ROOM = (0.35, 2.0)  # how far the bulb is off, world units, and by what factor too dark


def two_unknowns(folder: Path, *, pixels: int, spp: int, plate_spp: int) -> dict[str, float]:
    """A light's place and intensity in the mug's scene, found from a noisy plate.

    Returns:
        `place`: of the scene's diagonal, and `intensity`, off by, in per cent.
    """
    import mitsuba as mi

    subject = SUBJECTS["MUG"]
    renders_of(subject, Size(), folder)  # writes the scene and its meshes
    moved, brighter = ROOM
    off = subject.xml.replace('<translate x="1" y="3.5" z="1"/>', f'<translate x="{1 - moved}" y="3.5" z="1"/>')
    (folder / "off.xml").write_text(off.replace('value="16"', f'value="{16 / brighter}"'))
    width, height = 96, 72
    film = f'<film type="hdrfilm"><integer name="width" value="{width}"/><integer name="height" value="{height}"/>'
    truth = subject.xml.replace('<film type="hdrfilm"/>', f'{film}<rfilter type="box"/></film>')
    (folder / "truth.xml").write_text(truth)
    image = np.array(mi.render(mi.load_file(str(folder / "truth.xml"), optimize=False), spp=plate_spp, seed=77))
    pixels_ = {name: np.ascontiguousarray(image[..., i], dtype=np.float32) for i, name in enumerate("RGB")}
    OpenEXR.File({"type": OpenEXR.scanlineimage}, pixels_).write(str(folder / "plate.exr"))
    shot = Shot(shot="two", scene="off.xml", frames="1", resolution=[width, height], sampling={"max_depth": 4})
    request = Request(
        shot.at(folder),
        folder / "plate.exr",
        ("lamp.translate:xz", "lamp.intensity"),
        1,
        pixels=pixels,
        settings=Settings(sigma=(1.0, 0.125), settle=2, evaluations=600, most_spp=spp),
    )
    found = run(request, folder / "two")
    place = found.parameters["lamp.translate"]
    distance = float(np.hypot(place["x"] - moved, place["z"]))
    return {
        "place": 100 * distance / found.diagonal,
        "intensity": 100 * abs(found.parameters["lamp.intensity"] / brighter - 1.0),
    }


def launches(folder: Path, sizes: tuple[tuple[int, int], ...], *, pairs: int) -> dict[tuple[int, int], Any]:
    """(side, spp) → median seconds of one launch of 32 versions of the mug's scene, and of 32 launches."""
    subject = SUBJECTS["MUG"]
    found = {}
    for side, spp in sizes:
        renders = renders_of(subject, Size(width=side, height=side), folder / f"{side}")
        turns = np.linspace(-90.0, 90.0, 32)[:, None]

        def together(turns: Any = turns, renders: Any = renders, spp: int = spp) -> None:
            renders.images(turns, spp=spp // 2, seed=1)

        def apart(turns: Any = turns, renders: Any = renders, spp: int = spp) -> None:
            for row in turns:
                renders.images(row[None], spp=spp // 2, seed=1)

        timed = timed_pairs(together, apart, pairs=pairs)
        found[side, spp] = tuple(float(np.median(column)) for column in zip(*timed, strict=True))
    return found
