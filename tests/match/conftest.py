"""A small room, frozen, whose lights and props tests move."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.config.shot import Shot

ROOM = """<scene version="3.0.0">
<integrator type="path"><integer name="max_depth" value="4"/></integrator>
<sensor type="perspective" id="cam"><float name="fov" value="45"/>
<transform name="to_world"><lookat origin="0, 2, 6" target="0, 0.5, 0" up="0, 1, 0"/></transform>
<film type="hdrfilm"><integer name="width" value="24"/><integer name="height" value="16"/></film></sensor>
<bsdf type="diffuse" id="grey"><rgb name="reflectance" value="0.5, 0.4, 0.3"/></bsdf>
<bsdf type="roughplastic" id="lacquer"><rgb name="diffuse_reflectance" value="0.6, 0.1, 0.1"/>
<float name="alpha" value="0.2"/></bsdf>
<shape type="rectangle" id="floor"><transform name="to_world"><rotate x="1" angle="-90"/><scale value="4"/></transform>
<ref id="grey"/></shape>
<shape type="sphere" id="ball"><point name="center" x="-1" y="0.6" z="0"/><float name="radius" value="0.6"/>
<ref id="lacquer"/></shape>
<shape type="cube" id="box"><transform name="to_world"><scale x="0.3" y="0.5" z="0.2"/><translate x="1" y="0.5"/>
</transform><ref id="grey"/></shape>
<shape type="cube" id="hidden"><transform name="to_world"><scale value="0.2"/><translate y="-3"/></transform>
<ref id="grey"/></shape>
<shape type="rectangle" id="lamp"><transform name="to_world"><scale value="0.5"/><rotate x="1" angle="90"/>
<translate y="4"/></transform><ref id="grey"/><emitter type="area"><rgb name="radiance" value="20"/></emitter></shape>
<emitter type="point" id="bulb"><point name="position" x="-2" y="2" z="2"/>
<rgb name="intensity" value="3, 4, 5"/></emitter>
<emitter type="constant" id="sky"><rgb name="radiance" value="0.1, 0.15, 0.2"/></emitter>
</scene>"""


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Shot]:
    """Shot keys → a shot of the room."""
    folder = tmp_path_factory.mktemp("room")
    (folder / "scene.xml").write_text(ROOM)

    def make(**keys) -> Shot:
        return Shot(**{"shot": "room", "scene": "scene.xml", "frames": "1", **keys}).at(folder)

    return make


@pytest.fixture(scope="session")
def frozen_room(room, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    """The room, frozen, and its blobs."""
    pytest.importorskip("mitsuba").set_variant("llvm_ad_rgb")
    from pipeline.scene.freeze import freeze

    blobs = tmp_path_factory.mktemp("blobs")
    return freeze(room(), [1], blobs), blobs


@pytest.fixture(scope="session")
def renders_of(room, frozen_room):
    """Unknowns, and shot keys → `Renders` at 24×16."""
    from pipeline.match.renders import Renders

    frozen, blobs = frozen_room

    def make(*params: str, **keys):
        config = room(**keys).model_dump(mode="json", by_alias=True)
        return Renders(config, frozen, 1, blobs, params, (24, 16))

    return make
