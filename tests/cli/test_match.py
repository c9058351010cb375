"""`pipeline match` on a shot whose light and ball were moved."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from PIL import Image

from pipeline.cli.main import run

SCENE = """<scene version="3.0.0">
<integrator type="path"><integer name="max_depth" value="2"/></integrator>
<sensor type="perspective"><float name="fov" value="45"/>
<transform name="to_world"><lookat origin="0, 3, 5" target="0, 0, 0" up="0, 1, 0"/></transform>
<film type="hdrfilm"><integer name="width" value="20"/><integer name="height" value="14"/><rfilter type="box"/></film>
</sensor>
<shape type="rectangle" id="floor"><transform name="to_world"><rotate x="1" angle="-90"/><scale value="4"/></transform>
<bsdf type="diffuse"/></shape>
<shape type="sphere" id="ball"><point name="center" x="0" y="0.5" z="0"/><float name="radius" value="0.5"/>
<bsdf type="diffuse"/></shape>
<shape type="sphere" id="buried"><point name="center" x="0" y="-5" z="0"/><bsdf type="diffuse"/></shape>
<emitter type="point" id="bulb"><point name="position" x="-1" y="3" z="1"/><rgb name="intensity" value="10"/></emitter>
</scene>"""

FILE = """shot: room  # a room
scene: scene.xml
frames: 1
resolution: [20, 14]
"""


@pytest.fixture(scope="module")
def shot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shot, and `plate.exr` of it with the bulb elsewhere and brighter."""
    mi = pytest.importorskip("mitsuba")
    mi.set_variant("llvm_ad_rgb")
    folder = tmp_path_factory.mktemp("shot")
    (folder / "scene.xml").write_text(SCENE)
    (folder / "shot.yaml").write_text(FILE)
    moved = SCENE.replace('x="-1" y="3" z="1"', 'x="-0.4" y="3" z="1"').replace('value="10"', 'value="16"')
    image = np.array(mi.render(mi.load_string(moved), spp=64, seed=9), dtype=np.float32)
    channels = {name: np.ascontiguousarray(image[..., index]) for index, name in enumerate("RGB")}
    OpenEXR.File({"type": OpenEXR.scanlineimage}, channels).write(str(folder / "plate.exr"))
    return folder


def arguments(shot: Path, *more: str) -> list[str]:
    plate = str(shot / "plate.exr")
    return ["match", str(shot), "--reference", plate, "--out", str(shot / "out"), "--evaluations", "120", *more]


def test_a_light_is_found_shown_and_written_into_the_shot(shot, capsys):
    params = "--params=bulb.translate:x,bulb.intensity,buried.translate:x"
    assert run(arguments(shot, params, "--spp=8", "--json", "--apply")) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["parameters"]["bulb.translate"]["x"] == pytest.approx(0.6, abs=0.05)
    assert told["parameters"]["bulb.intensity"] == pytest.approx(1.6, rel=0.03)
    assert told["error"] < 0.02 * told["start_error"]
    assert told["inert"] == ["buried.translate:x"] and "changes nothing" in told["warnings"][0]
    assert Image.open(told["comparison"]).width > 3 * 20
    text = (shot / "shot.yaml").read_text()
    assert text.startswith(FILE) and "bulb: {translate: [0." in text


@pytest.mark.parametrize(
    "more, message",
    [
        (["--params=bulb.intensty"], "no property 'intensty' (did you mean 'intensity'?)"),
        (["--params=buried.translate:xz"], "nothing in the picture depends on buried.translate:x"),
        (["--params=bulb.intensity", "--frame=7"], "the shot has no frame 7"),
        (["--params=bulb.intensity", "--sigma=0"], "sigma must be positive"),
        (["--params=bulb.intensity", "--within=bulb.color:r=0:1"], "bulb.color:r is not searched"),
    ],
)
def test_bad_input_is_one_clear_line(shot, capsys, more, message):
    assert run(arguments(shot, *more)) == 2
    assert message in capsys.readouterr().err
