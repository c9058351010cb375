"""Motion blur against what it stands for: the average of many sharp frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks.agreement import Estimate, agreement, from_repeats
from pipeline.render.buffers import luminance

SKY = '<emitter type="constant"><rgb name="radiance" value="0.4"/></emitter>'
SCENE = f"""{SKY}
<shape type="sphere" id="ball"><float name="radius" value="0.6"/>
<bsdf type="diffuse"><rgb name="reflectance" value="0.8, 0.3, 0.2"/></bsdf></shape>
<shape type="rectangle" id="wall"><transform name="to_world"><scale value="6"/><translate z="-2"/></transform>
<bsdf type="diffuse"><texture type="checkerboard" name="reflectance">
<transform name="to_uv"><scale value="12"/></transform></texture></bsdf></shape>"""
FLYING = {"ball": {-1: {"translate": [-4.0, 0, 0]}, 3: {"translate": [4.0, 0.8, 0]}}}
PANNING = {
    "fov": 45.0,
    "keyframes": {
        -1: {"origin": [0, 0, 4], "target": [-0.4, 0, 0], "up": [0, 1, 0]},
        3: {"origin": [0, 0, 4], "target": [0.4, 0.1, 0], "up": [0, 1, 0]},
    },
}
SHUTTER = (-0.25, 0.5)
SIZE = (32, 18)
STEPS = 8


@pytest.fixture
def moving(program_of: Callable[..., Any]) -> Callable[..., Any]:
    def make(**fields: Any) -> Any:
        return program_of(SCENE, 1, resolution=SIZE, shutter=SHUTTER, max_depth=4, **fields)

    return make


def blurred(program: Any, spp: int, seed: int = 0, **options: Any) -> Any:
    from pipeline.render.blur import render_blurred

    counts = np.full(SIZE[::-1], spp, np.uint32)
    start = np.zeros_like(counts)
    return render_blurred(program, counts, start, seed=seed, shutter=SHUTTER, steps=STEPS, **options)


def frame(moments: Any) -> Any:
    from pipeline.render.moments import add_round, combine

    return combine(add_round(None, moments))


def estimate(found: Any) -> Estimate:
    return Estimate(luminance(found.beauty).astype(np.float64), found.variance["beauty"].astype(np.float64))


def brute(program: Any, shot: Any, times: int, spp: int) -> Estimate:
    """The mean of sharp pictures at `times` instants, each on random numbers of its own."""
    from pipeline.render.passes import prepare
    from pipeline.scene.load import at_time

    mean, variance = np.zeros((2, *SIZE[::-1]))
    for k in range(times):
        time = SHUTTER[0] + (SHUTTER[1] - SHUTTER[0]) * (k + 0.5) / times
        program = prepare(at_time(program.fs, time), program)
        found = estimate(shot(program, spp, seed=k + 100))
        mean += found.mean / times
        variance += found.variance / times**2
    return Estimate(mean, variance)


def test_blur_is_the_average_of_sharp_frames(moving: Any, shot: Any) -> None:
    program = moving(animate=FLYING, camera=PANNING)
    assert program.fs.shutter == SHUTTER
    repeats = [frame(blurred(program, 64, seed=k)) for k in range(3)]
    ours = from_repeats([luminance(found.beauty) for found in repeats])
    theirs = brute(program, shot, 24, 16)
    found = agreement(ours, theirs, blocks=(3, 4))
    assert found.p > 1e-3, found
    still = estimate(shot(program, 128))  # at the last instant that was visited: this test can fail
    assert agreement(ours, still, blocks=(3, 4)).p < 1e-6
    # Stratified over time, so that there is at most as much noise as independent samples would have.
    said = np.mean([each.variance["beauty"] for each in repeats])
    assert 0.3 < 3 * ours.variance.mean() / said < 1.3


def test_slicing_and_rounds_change_no_sample(moving: Any) -> None:
    from pipeline.render.blur import render_blurred
    from pipeline.render.moments import add_round, join

    program = moving(animate=FLYING)
    whole = blurred(program, 12)
    cut = join([blurred(program, 12, bounds=bounds) for bounds in ((0, 256), (256, 576))])
    assert all(np.array_equal(whole.sums[name], cut.sums[name]) for name in whole.sums)
    assert whole.facts["samples"] == 12 * 576
    counts = np.full(SIZE[::-1], 7, np.uint32)
    rest = render_blurred(program, 12 - counts, counts, seed=0, shutter=SHUTTER, steps=STEPS)
    two = add_round(add_round(None, blurred(program, 7)), rest)
    for name in ("half_a", "half_b", "albedo", "depth", "forward"):
        np.testing.assert_allclose(two.sums[name], whole.sums[name], rtol=1e-5, atol=1e-5)


def test_motion_leads_to_the_same_moment_of_the_next_frame(moving: Any, shot: Any) -> None:
    program = moving(camera=PANNING)
    sharp = shot(program, 16)
    mean = frame(blurred(program, 32))
    assert (mean.forward_valid == 1).all()
    # The camera turns evenly: each moment is as far from the next frame's as the frame is from the next.
    np.testing.assert_allclose(np.median(mean.forward[..., 0]), np.median(sharp.forward[..., 0]), rtol=0.05)


def test_what_does_not_move_needs_no_shutter(moving: Any) -> None:
    assert moving().fs.shutter is None
