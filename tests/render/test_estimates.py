"""Means and variances of passes, against Mitsuba's own integrators and against repeated renders. Fixed seeds."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from benchmarks.agreement import Agreement, Estimate, agreement, calibration, from_repeats
from pipeline.render.buffers import FrameBuffers, luminance

SIZE = (64, 36)  # 4×4 pixels a block

CORNELL = """
<integrator type="path"/>
<bsdf type="diffuse" id="white"><rgb name="reflectance" value="0.7"/></bsdf>
<bsdf type="diffuse" id="red"><rgb name="reflectance" value="0.6, 0.1, 0.1"/></bsdf>
<bsdf type="diffuse" id="green"><rgb name="reflectance" value="0.1, 0.5, 0.1"/></bsdf>
<shape type="rectangle"><transform name="to_world"><scale value="2"/><rotate x="1" angle="-90"/><translate y="-1.2"/>
</transform><ref id="white"/></shape>
<shape type="rectangle"><transform name="to_world"><scale value="2"/><rotate x="1" angle="90"/><translate y="1.2"/>
</transform><ref id="white"/></shape>
<shape type="rectangle"><transform name="to_world"><scale value="2"/><translate z="-1.5"/></transform><ref id="white"/>
</shape>
<shape type="rectangle"><transform name="to_world"><scale value="2"/><rotate y="1" angle="90"/><translate x="-1.8"/>
</transform><ref id="red"/></shape>
<shape type="rectangle"><transform name="to_world"><scale value="2"/><rotate y="1" angle="-90"/><translate x="1.8"/>
</transform><ref id="green"/></shape>
<shape type="cube"><transform name="to_world"><scale x="0.4" y="0.6" z="0.4"/><rotate y="1" angle="25"/>
<translate x="-0.6" y="-0.6" z="-0.4"/></transform><ref id="white"/></shape>
<shape type="sphere"><point name="center" x="0.7" y="-0.7" z="0.2"/><float name="radius" value="0.5"/><ref id="white"/>
</shape>
<shape type="rectangle"><transform name="to_world"><scale value="0.8"/><rotate x="1" angle="90"/><translate y="1.19"/>
</transform><emitter type="area"><rgb name="radiance" value="4, 3.6, 3"/></emitter></shape>
"""

SMOKE = """
<medium type="homogeneous" id="smoke"><rgb name="albedo" value="0.8, 0.7, 0.6"/><float name="sigma_t" value="1.5"/>
</medium>
<emitter type="constant"><rgb name="radiance" value="0.6"/></emitter>
<shape type="cube"><transform name="to_world"><rotate y="1" angle="30"/></transform><bsdf type="null"/>
<ref id="smoke" name="interior"/></shape>
<shape type="rectangle"><transform name="to_world"><scale value="3"/><rotate x="1" angle="-90"/><translate y="-1.2"/>
</transform><bsdf type="diffuse"/></shape>
"""


MEADOW = """
<emitter type="constant"><rgb name="radiance" value="0.8, 0.9, 1"/></emitter>
<shape type="sphere"><bsdf type="roughplastic"/></shape>
<shape type="rectangle"><transform name="to_world"><scale value="4"/><rotate x="1" angle="-90"/><translate y="-1"/>
</transform><bsdf type="diffuse"/></shape>
"""


@pytest.fixture
def compare(mi, render, shot):
    """A program → its agreement with Mitsuba's own rendering of the scene, at equal sample counts, and its frame."""

    def run(program: Any, spp: int = 512, repeats: int = 8) -> tuple[Agreement, FrameBuffers]:
        fs = program.fs
        frame = shot(program, spp)
        theirs = [
            luminance(
                np.array(mi.render(fs.scene, sensor=fs.sensor, integrator=fs.integrator, spp=spp // repeats, seed=k))
            )
            for k in range(repeats)
        ]
        ours = Estimate(luminance(frame.beauty).astype(np.float64), frame.variance["beauty"].astype(np.float64))
        return agreement(ours, from_repeats(theirs)), frame

    return run


def test_the_mean_of_a_cornell_box_is_that_of_path(program_of, compare) -> None:
    found, _ = compare(program_of(CORNELL, resolution=SIZE, max_depth=6), spp=1024)
    assert found.p > 0.001
    assert found.sigma < 1e-3
    assert abs(found.bias) < 3 * found.sigma


def test_the_mean_under_an_even_sky_is_that_of_path_to_a_thousandth(program_of, compare) -> None:
    found, _ = compare(program_of(MEADOW, resolution=SIZE), spp=512)
    assert found.p > 0.001
    assert found.sigma < 3.3e-4
    assert abs(found.bias) < 1e-3


def test_the_mean_of_everything_that_a_path_can_meet_is_that_of_path(program_of, compare, cabinet) -> None:
    found, frame = compare(program_of(cabinet, resolution=SIZE, max_depth=8, rr_depth=3), spp=512)
    assert found.p > 0.001
    assert found.sigma < 1.5e-3
    assert abs(found.bias) < 3 * found.sigma
    for part in (frame.emission, frame.diffuse, frame.specular):
        assert part.mean() > 0.05 * frame.beauty.mean()


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_short_paths_end_where_those_of_path_end(program_of, compare, cabinet, depth) -> None:
    found, _ = compare(program_of(cabinet, resolution=SIZE, max_depth=depth), spp=64)
    assert found.p > 0.001
    assert abs(found.bias) < 3.5 * found.sigma


def test_hidden_emitters_are_passed_by_as_in_path(program_of, compare) -> None:
    hides = '<integrator type="path"><boolean name="hide_emitters" value="true"/></integrator>'
    lamp = '<shape type="rectangle"><transform name="to_world"><rotate y="1" angle="40"/></transform>'
    lamp += '<emitter type="area"><rgb name="radiance" value="3"/></emitter></shape>'
    found, frame = compare(program_of(hides + CORNELL.split("\n", 2)[2] + lamp, resolution=SIZE, max_depth=4), spp=256)
    assert found.p > 0.001
    assert not frame.emission.any()


@pytest.mark.parametrize(("integrator", "scene"), [("volpath", SMOKE), ("direct", CORNELL)])
def test_other_integrators_are_carried_whole(program_of, compare, integrator, scene) -> None:
    program = program_of(scene, resolution=SIZE, integrator=integrator, max_depth=16)
    found, frame = compare(program, spp=256)

    assert not program.splits
    assert found.p > 0.001
    assert abs(found.bias) < 3 * found.sigma
    assert not frame.diffuse.any() and not frame.emission.any()
    assert frame.normal.any() and frame.depth.any()


FOG = '<medium type="homogeneous" id="fog"><rgb name="albedo" value="0.2"/><float name="sigma_t" value="0.5"/></medium>'


def test_a_camera_inside_a_medium_looks_through_it(program_of, compare) -> None:
    camera = FOG + (
        '<sensor type="perspective"><ref id="fog" name="medium"/><transform name="to_world">'
        '<lookat origin="0, 0, 4" target="0, 0, 0" up="0, 1, 0"/></transform></sensor>'
    )
    lamp = '<shape type="rectangle"><emitter type="area"><rgb name="radiance" value="3"/></emitter></shape>'
    bound = '<shape type="sphere"><float name="radius" value="9"/><bsdf type="null"/><ref id="fog" name="interior"/>'
    room = f"{lamp}{bound}</shape>"
    found, _ = compare(program_of(room, camera_xml=camera, integrator="volpath", resolution=SIZE, max_depth=4), spp=64)
    assert found.p > 0.001
    assert abs(found.bias) < 3.5 * found.sigma


@pytest.fixture(scope="module")
def repeats(program_of, shot) -> Callable[[str], list[FrameBuffers]]:
    """A scene → 64 spp of it, sixteen times."""

    @cache
    def run(scene: str) -> list[FrameBuffers]:
        program = program_of(scene, resolution=SIZE, max_depth=6)
        frames = [shot(program, 64, seed=seed) for seed in range(16)]
        del program
        gc.collect()
        return frames

    return run


@pytest.mark.parametrize("scene", [CORNELL, MEADOW], ids=["cornell", "meadow"])
def test_variance_estimates_of_the_beauty_are_calibrated(repeats, scene) -> None:
    frames = repeats(scene)
    found = calibration([luminance(f.beauty) for f in frames], [f.variance["beauty"] for f in frames])
    assert found.share == pytest.approx(0.68, abs=0.04)
    assert found.ratio == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("component", ["emission", "diffuse", "specular"])
def test_variance_estimates_of_components_are_calibrated(repeats, component) -> None:
    found = calibration(
        [luminance(getattr(f, component)) for f in repeats(MEADOW)], [f.variance[component] for f in repeats(MEADOW)]
    )
    assert found.ratio == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("feature", ["albedo", "normal"])
def test_variance_estimates_of_features_are_the_mean_over_the_axes(repeats, feature) -> None:
    spread = np.stack([getattr(f, feature) for f in repeats(MEADOW)]).var(0, ddof=1).mean(-1)
    estimated = np.mean([f.variance[feature] for f in repeats(MEADOW)], 0)
    assert spread.sum() / estimated.sum() == pytest.approx(1, abs=0.05)


def test_variance_estimates_of_depth_hold_where_a_surface_fills_the_pixel(repeats) -> None:
    full = np.max([f.emission.sum(-1) for f in repeats(MEADOW)], 0) == 0  # no sky in any sample
    spread = np.stack([f.depth for f in repeats(MEADOW)]).var(0, ddof=1)[full]
    estimated = np.mean([f.variance["depth"] for f in repeats(MEADOW)], 0)[full]
    assert full.mean() > 0.5
    assert spread.sum() / estimated.sum() == pytest.approx(1, abs=0.05)


def test_halves_are_independent_and_of_equal_mean(repeats) -> None:
    a, b = (
        np.stack([luminance(getattr(f, half).reshape(*f.shape, 3, 3).sum(2)) for f in repeats(MEADOW)])
        for half in ("half_a", "half_b")
    )
    mean = np.stack([luminance(f.beauty) for f in repeats(MEADOW)]).mean(0)
    correlation = np.corrcoef((a - mean).ravel(), (b - mean).ravel())[0, 1]

    assert a.mean() == pytest.approx(b.mean(), rel=0.01)
    assert abs(correlation + 1 / 15 / 2) < 0.06  # the mean over 16 repeats, of which each is a part, ties them a little
