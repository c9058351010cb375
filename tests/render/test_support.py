"""What Mitsuba has beside plain meshes: rendered as its own integrator does, with features that make sense."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.denoise.frame import Frame
from pipeline.render.buffers import luminance

pytestmark = pytest.mark.slow

SKY = '<emitter type="constant"><rgb name="radiance" value="0.5"/></emitter>'
WALL = """<shape type="rectangle" id="wall"><transform name="to_world"><scale value="4"/><translate z="-1"/></transform>
<bsdf type="diffuse"><rgb name="reflectance" value="0.5, 0.4, 0.3"/></bsdf></shape>"""
LENS = """<sensor type="thinlens"><float name="fov" value="45"/><float name="aperture_radius" value="0.2"/>
<float name="focus_distance" value="4"/>
<transform name="to_world"><lookat origin="0, 0, 4" target="0, 0, 0" up="0, 1, 0"/></transform></sensor>"""
FOG = """<shape type="cube" id="fog"><transform name="to_world"><scale value="0.8"/></transform><bsdf type="null"/>
<medium type="homogeneous" name="interior"><rgb name="albedo" value="0.8"/><rgb name="sigma_t" value="0.75"/>
<float name="scale" value="2"/></medium>
</shape>"""


def hair(folder: Path) -> str:
    rng = np.random.default_rng(0)
    strands = []
    for x in np.linspace(-0.8, 0.8, 40):
        sway = rng.normal(0, 0.03, 2)
        strands.append("\n".join(f"{x + sway[0] * k} {0.25 * k - 0.6} {sway[1] * k} 0.03" for k in range(6)))
    path = folder / "hair.txt"
    path.write_text("\n\n".join(strands) + "\n")
    return f"""<shape type="bsplinecurve" id="hair"><string name="filename" value="{path}"/>
<bsdf type="hair"><float name="eumelanin" value="0.3"/></bsdf></shape>"""


INSTANCES = """<shape type="shapegroup" id="group"><shape type="sphere"><float name="radius" value="0.4"/>
<bsdf type="plastic"/></shape></shape>
<shape type="instance" id="left"><ref id="group"/>
<transform name="to_world"><translate x="-0.7"/></transform></shape>
<shape type="instance" id="right"><ref id="group"/>
<transform name="to_world"><translate x="0.7"/></transform></shape>"""


def sane(frame: Any) -> None:
    """Everything that a denoiser reads is finite and within its range."""
    seen = Frame.of(frame)
    for name in ("albedo", "normal", "depth", "alpha"):
        assert np.isfinite(getattr(seen, name)).all(), name
    assert np.isfinite(frame.beauty).all()
    assert frame.albedo.min() >= 0 and frame.albedo.max() <= 1 + 1e-5
    assert np.linalg.norm(frame.normal, axis=-1).max() <= 1 + 1e-4
    assert all(np.isfinite(value).all() and (value >= 0).all() for value in frame.variance.values())
    assert frame.forward_valid.max() <= 1


def agrees_with_mitsuba(program: Any, frame: Any) -> bool:
    import mitsuba as mi

    fs = program.fs
    theirs = np.array(mi.render(fs.scene, sensor=fs.sensor, integrator=fs.integrator, spp=512, seed=7))[..., :3]
    error = np.sqrt(frame.variance["beauty"].sum() * 2) / frame.variance["beauty"].size
    return abs(float(luminance(theirs).mean() - luminance(frame.beauty).mean())) < 5 * error + 1e-4


def test_hair_instances_and_a_thin_lens(program_of: Callable[..., Any], shot: Any, tmp_path: Path) -> None:
    program = program_of(SKY + WALL + hair(tmp_path) + INSTANCES, camera_xml=LENS, resolution=(32, 18), max_depth=6)
    frame = shot(program, 256)
    sane(frame)
    assert agrees_with_mitsuba(program, frame)
    names = [program.fs.shape_names[index - 1] for index in np.unique(frame.ids) if index > 0]
    assert set(names) == {"wall", "hair", "left", "right"}
    at = frame.ids == program.fs.shape_names.index("hair") + 1
    assert frame.depth[at].mean() == pytest.approx(4.0, abs=0.35)  # before the wall, which is 5 away
    assert (frame.forward_valid > 0.99).all()  # nothing moves: through the lens too
    assert np.abs(frame.forward).max() < 1e-3


def test_a_volume_shows_the_features_of_what_is_behind_it(program_of: Callable[..., Any], shot: Any) -> None:
    program = program_of(SKY + WALL + FOG, resolution=(32, 18), max_depth=8, integrator="volpath")
    frame = shot(program, 256)
    sane(frame)
    assert agrees_with_mitsuba(program, frame)
    middle = (slice(7, 11), slice(13, 19))
    assert frame.depth[middle].mean() == pytest.approx(5.0, abs=0.1)
    np.testing.assert_allclose(frame.albedo[middle].mean((0, 1)), [0.5, 0.4, 0.3], atol=1e-3)
    assert np.abs(frame.diffuse).max() == 0  # radiance is not split: all of it is in one component
