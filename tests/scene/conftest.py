"""Scenes for tests: a variant, blob directories, and XML made into specs."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.scene import blobs
from pipeline.scene.spec import SceneSpec

SHARED_SCENES = Path(__file__).parents[3] / "shared" / "scenes"

CAMERA = """
<integrator type="path"/>
<sensor type="perspective" id="cam"><float name="fov" value="45"/>
<transform name="to_world"><lookat origin="0, 1, 6" target="0, 0.5, 0" up="0, 1, 0"/></transform>
<film type="hdrfilm"><integer name="width" value="32"/><integer name="height" value="32"/></film></sensor>
"""

SCENE = (
    '<scene version="3.0.0">'
    + CAMERA
    + """
<bsdf type="twosided" id="grey"><bsdf type="diffuse"><rgb name="reflectance" value="0.5, 0.4, 0.3"/></bsdf></bsdf>
<shape type="rectangle" id="floor"><transform name="to_world"><rotate x="1" angle="-90"/><scale value="5"/></transform>
<ref id="grey"/></shape>
<shape type="sphere" id="ball"><point name="center" x="-1" y="0.6" z="0"/><float name="radius" value="0.6"/>
<ref id="grey"/></shape>
<shape type="cube" id="box"><transform name="to_world"><scale value="0.5"/><translate x="1" y="0.5"/></transform>
<ref id="grey"/></shape>
<shape type="shapegroup" id="group"><shape type="cube" id="inner"><ref id="grey"/></shape></shape>
<shape type="instance" id="copy"><transform name="to_world"><scale value="0.2"/><translate y="2"/></transform>
<ref id="group"/></shape>
<shape type="rectangle" id="lamp"><transform name="to_world"><rotate x="1" angle="90"/><translate y="4"/></transform>
<emitter type="area"><rgb name="radiance" value="6"/></emitter></shape>
<emitter type="constant"><rgb name="radiance" value="0.2, 0.3, 0.4"/></emitter>
</scene>"""
)


@pytest.fixture
def mitsuba():
    """Mitsuba, with the LLVM variant set."""
    if importlib.util.find_spec("mitsuba") is None:
        pytest.skip("Mitsuba is not installed")
    import mitsuba as mi

    mi.set_variant("llvm_ad_rgb")
    return mi


@pytest.fixture
def camera_xml() -> str:
    """An integrator and a sensor of 32×32 pixels."""
    return CAMERA


@pytest.fixture
def scene_xml() -> str:
    """A floor, a ball, a box, an instance and a lamp."""
    return SCENE


@pytest.fixture
def blob_directory(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
def spec_of(blob_directory: Path) -> Callable[..., SceneSpec]:
    """XML text and other fields → a spec, with the XML as a blob."""

    def make(xml: str = SCENE, **fields) -> SceneSpec:
        name = blobs.put_text(blob_directory, xml, "xml")
        return SceneSpec(**{"xml": name, "previous": name, "next": name, **fields})

    return make


@pytest.fixture(params=["cornell-box", "living-room", "prdpt-shadows", "torus", "veach-bidir", "veach-mis"])
def shared_scene(request: pytest.FixtureRequest) -> Path:
    """Each scene that others made, where the test data is there."""
    path = SHARED_SCENES / request.param / "scene.xml"
    if not path.exists():
        pytest.skip("the scenes of others are not there")
    return path
