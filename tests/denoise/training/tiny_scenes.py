"""Scenes of a few primitives, for tests of what renders the training data; some seeds are trouble.

Processes that render import this by name, so it stands alone.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pipeline.scene import blobs
from pipeline.scene.spec import SceneSpec

DARK, REFUSED, CRASH, HANG, EMPTY = 90, 91, 92, 93, 94
"""Seeds: no light; Mitsuba refuses it; the process ends; the process hangs; nothing but a sky of one colour."""

LAMP = """<shape type="rectangle"><transform name="to_world"><scale value="0.6"/><rotate x="1" angle="90"/>
<translate y="1.8"/></transform><emitter type="area"><rgb name="radiance" value="9, 8, 6"/></emitter></shape>"""

SKY = '<emitter type="constant"><rgb name="radiance" value="0.5"/></emitter>'

ROOM = """<shape type="rectangle" id="wall">
<transform name="to_world"><scale value="3"/><translate z="-1.5"/></transform>
<bsdf type="diffuse"><rgb name="reflectance" value="0.7, 0.7, 0.6"/></bsdf></shape>
<shape type="cube" id="box"><transform name="to_world"><scale value="0.5"/><rotate y="1" angle="30"/></transform>
<bsdf type="diffuse"><rgb name="reflectance" value="0.8, 0.3, 0.2"/></bsdf></shape>"""


def recipe(seed: int, *, resolution: tuple[int, int], frames: int) -> Any:
    return SimpleNamespace(seed=seed, kind="tiny", tags={"shapes": "3"}, resolution=resolution, frames=frames)


def place(recipe: Any, blobs_directory: Path) -> SceneSpec:
    if recipe.seed == CRASH:
        os._exit(7)
    if recipe.seed == HANG:
        time.sleep(600)
    body = {DARK: ROOM, REFUSED: '<shape type="no_such_shape"/>', EMPTY: SKY}.get(recipe.seed, ROOM + LAMP)
    xml = blobs.put_text(blobs_directory, f'<scene version="3.0.0">{body}</scene>', "xml")
    moving = {frame: {"translate": [0.15 * frame + 0.01 * recipe.seed, 0.0, 0.0]} for frame in (1, recipe.frames)}
    return SceneSpec(
        xml=xml,
        previous=xml,
        next=xml,
        resolution=recipe.resolution,
        camera={"keyframes": {"1": {"origin": [0.0, 0.0, 4.0], "target": [0.0, 0.0, 0.0]}}, "fov": 45.0},
        animate={} if recipe.seed in (REFUSED, EMPTY) else {"box": moving},
        max_depth=4,
    )
