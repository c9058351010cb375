"""Render passes: any map, slicing and order give the same bits, from one kernel; bad samples are dropped, counted."""

from __future__ import annotations

import gc
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from pipeline.errors import SceneError
from pipeline.render.moments import Moments, join

ROOM = """
<emitter type="constant"><rgb name="radiance" value="0.5, 0.6, 0.7"/></emitter>
<shape type="rectangle" id="lamp"><transform name="to_world"><rotate x="1" angle="90"/><translate y="2"/></transform>
<emitter type="area"><rgb name="radiance" value="3"/></emitter></shape>
<shape type="sphere" id="ball"><bsdf type="roughplastic"/></shape>
<shape type="cube" id="box"><transform name="to_world"><scale value="0.4"/><translate x="1.5" y="-0.5"/></transform>
</shape>
"""
WIDTH, HEIGHT = 16, 9
PIXELS = WIDTH * HEIGHT
ANIMATE = {
    "ball": {1: {}, 3: {"translate": [0.5, 0, 0]}},
    "box": {1: {}, 3: {"rotate": {"axis": [0, 1, 0], "angle": 40}}},
}
KEYFRAMES = {
    "keyframes": {1: {"origin": [0, 0, 4], "target": [0, 0, 0]}, 3: {"origin": [1, 0, 4], "target": [0, 0, 0]}}
}


def same(a: Moments, b: Moments) -> bool:
    """Bit for bit."""
    return (
        a.sums.keys() == b.sums.keys()
        and all(np.array_equal(a.sums[name], b.sums[name]) for name in a.sums)
        and np.array_equal(a.votes, b.votes)
    )


def uneven(seed: int = 0) -> np.ndarray:
    """A map with zeros, ones and many."""
    rng = np.random.default_rng(seed)
    return rng.choice([0, 1, 2, 7, 90], size=(HEIGHT, WIDTH), p=[0.2, 0.2, 0.2, 0.3, 0.1]).astype(np.uint32)


@pytest.fixture(scope="module")
def room(program_of) -> Any:
    return program_of(ROOM, animate=ANIMATE, camera=KEYFRAMES)


@pytest.fixture(scope="module")
def whole(room, render) -> Moments:
    return render(room, uneven(), seed=5)


def test_each_pixel_gets_the_samples_of_its_map(whole) -> None:
    counts = uneven().ravel()
    assert_array_equal(whole.sums["count"].sum(1), counts)
    assert_array_equal(whole.sums["count"][:, 0], (counts + 1) // 2)
    assert whole.facts["samples"] == counts.sum()
    assert whole.facts["dropped"] == whole.facts["clipped"] == 0


def test_a_second_run_gives_the_same_bits(room, render, whole) -> None:
    assert same(whole, render(room, uneven(), seed=5))


@pytest.mark.parametrize("cuts", [[PIXELS // 2], [1, 2, 3, 50], [17, 100, 143]])
def test_slices_give_the_bits_of_the_whole_frame(room, render, whole, cuts) -> None:
    edges = [0, *cuts, PIXELS]
    slices = [render(room, uneven(), seed=5, bounds=bounds) for bounds in pairwise(edges)]
    assert same(whole, join(slices[::-1]))


@pytest.mark.parametrize("lanes", [111, 500])
def test_waves_of_any_size_give_the_same_bits(room, render, whole, lanes) -> None:
    assert same(whole, render(room, uneven(), seed=5, wave_samples=lanes))


@pytest.mark.parametrize("lanes", [1, 2, 7])
def test_pixels_with_more_samples_than_a_wave_get_the_same_bits(room, render, lanes) -> None:
    counts = np.zeros((HEIGHT, WIDTH), np.uint32)
    counts[4, 7:10] = 1, 9, 3
    assert same(render(room, counts, seed=5), render(room, counts, seed=5, wave_samples=lanes))


def test_samples_taken_in_two_rounds_are_those_taken_at_once(room, render) -> None:
    first, second = uneven(1), uneven(2)
    at_once = render(room, first + second, seed=5)
    rounds = render(room, first, seed=5), render(room, second, start=first, seed=5)

    assert_array_equal(at_once.sums["count"], rounds[0].sums["count"] + rounds[1].sums["count"])
    assert_array_equal(at_once.votes, np.maximum(rounds[0].votes, rounds[1].votes))
    for name in ("half_a", "half_b", "squares", "depth", "normal"):
        np.testing.assert_allclose(
            at_once.sums[name], rounds[0].sums[name] + rounds[1].sums[name], rtol=2e-6, atol=1e-9
        )


def test_another_seed_and_another_frame_give_other_samples(room, render, whole, program_of, spec_of) -> None:
    other_seed = render(room, uneven(), seed=6)
    standing = program_of(ROOM, frame=1), program_of(ROOM, frame=2), program_of(ROOM, frame=-1)
    frames = [render(program, uneven(), seed=5).sums["half_a"] for program in standing]

    assert not np.array_equal(other_seed.sums["half_a"], whole.sums["half_a"])
    assert not np.array_equal(frames[0], frames[1])
    assert not np.array_equal(frames[0], frames[2])
    assert not np.array_equal(frames[1], frames[2])


def test_samples_of_a_pixel_are_uncorrelated_with_its_neighbours(room, render) -> None:
    means = np.stack([render(room, 4, seed=seed).sums["half_a"][:, 3:9].sum(1) for seed in range(40)])
    noisy = means.std(0) > 0
    errors = ((means - means.mean(0)) / np.where(noisy, means.std(0), 1)).reshape(40, HEIGHT, WIDTH)
    pairs = (noisy[:-1] & noisy[1:]).reshape(-1)
    neighbours = (errors.reshape(40, -1)[:, :-1] * errors.reshape(40, -1)[:, 1:])[:, pairs]
    assert abs(neighbours.mean()) < 4 / np.sqrt(neighbours.size)


def test_a_map_of_zeros_renders_nothing(room, render) -> None:
    moments = render(room, 0)
    assert moments.samples == moments.facts["samples"] == 0
    assert not any(value.any() for value in moments.sums.values())
    assert not moments.votes.any()


def test_a_single_sample_of_a_frame_is_the_one_that_the_full_map_takes_there(room, render) -> None:
    counts = np.zeros((HEIGHT, WIDTH), np.uint32)
    counts[4, 8] = 1
    alone, everywhere = render(room, counts, seed=5), render(room, 1, seed=5)
    at = 4 * WIDTH + 8

    assert alone.samples == 1
    assert_array_equal(alone.sums["half_a"][at], everywhere.sums["half_a"][at])
    assert not np.delete(alone.sums["half_a"], at, axis=0).any()


def test_packets_are_the_same_however_a_frame_is_cut(mi) -> None:
    from pipeline.render.allocate import BLOCK
    from pipeline.render.passes import PACKET, Pace, waves

    rng = np.random.default_rng(3)
    counts = rng.integers(0, 9, 5 * BLOCK + 77).astype(np.uint32)
    start = rng.integers(0, 99, counts.shape).astype(np.uint32)

    def packets(bounds: list[int], most: int) -> list[tuple[tuple[int, int], ...]]:
        found = []
        for first, last in pairwise(bounds):
            for a, _, pixel, sample, _ in waves(counts[first:last], start[first:last], Pace(most), first):
                lanes = list(zip((pixel + first + a).tolist(), sample.tolist(), strict=True))
                found += [tuple(lanes[k : k + PACKET]) for k in range(0, len(lanes), PACKET)]
        return found

    whole = packets([0, len(counts)], 2**20)
    assert packets([0, 2 * BLOCK, 3 * BLOCK, len(counts)], 2**20) == whole
    assert packets([0, len(counts)], 1500) == whole
    assert sum(sample != 0xFFFFFFFF for packet in whole for _, sample in packet) == counts.sum()


def test_progress_is_told_after_each_wave_and_may_cancel(room, render, monkeypatch) -> None:
    from pipeline.render import passes

    monkeypatch.setattr(passes, "BLOCK", 16)
    told: list[tuple[int, int]] = []

    def on_wave(done: int, total: int) -> None:
        told.append((done, total))
        if len(told) == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        render(room, 4, wave_samples=150, on_wave=on_wave)
    assert told == [(128, 4 * PIXELS), (256, 4 * PIXELS)]


@pytest.mark.parametrize("shape", [(WIDTH, HEIGHT), (HEIGHT, WIDTH + 1), (PIXELS,)])
def test_maps_that_do_not_fit_the_film_are_refused(room, shape) -> None:
    from pipeline.render.passes import render_pass

    fits, other = np.ones((HEIGHT, WIDTH), np.uint32), np.ones(shape, np.uint32)
    with pytest.raises(SceneError, match=r"the film \(9, 16\)"):
        render_pass(room, other, other, seed=0)
    with pytest.raises(SceneError, match="sample map"):
        render_pass(room, fits, other, seed=0)


def test_a_pass_of_colour_has_the_colours_of_one_with_features(room, render, whole) -> None:
    from pipeline.render.passes import Layers

    colour = render(room, uneven(), seed=5, layers=Layers.COLOUR)
    assert colour.votes is None
    assert_array_equal(colour.sums["count"], whole.sums["count"])
    for name in ("half_a", "half_b", "squares"):
        np.testing.assert_allclose(colour.sums[name], whole.sums[name], rtol=1e-5, atol=1e-9)


# --- One kernel ---------------------------------------------------------------------------------------------------


class Kernels:
    """The kernels that were launched since the last look; without those that only convert finished sums."""

    def __init__(self, dr: Any) -> None:
        self.dr = dr

    def __call__(self) -> set[str]:
        launched = (kernel for kernel in self.dr.kernel_history() if kernel["type"] == self.dr.KernelType.JIT)
        return {str(kernel["hash"]) for kernel in launched if kernel["operation_count"] > 1000}


@pytest.fixture
def kernels(mi):
    import drjit as dr

    with dr.scoped_set_flag(dr.JitFlag.KernelHistory, True):
        dr.kernel_history_clear()
        yield Kernels(dr)


def test_maps_seeds_and_widths_share_the_kernel_of_the_first_pass(room, render, kernels) -> None:
    one = np.zeros((HEIGHT, WIDTH), np.uint32)
    one[2, 3] = 1
    many = one * 5000
    render(room, 16)
    first = kernels()

    passes = {
        "another seed": lambda: render(room, 16, seed=9),
        "more samples": lambda: render(room, 300),
        "an uneven map": lambda: render(room, uneven()),
        "a later round": lambda: render(room, uneven(), start=uneven(1)),
        "one sample": lambda: render(room, one),
        "a slice": lambda: render(room, uneven(), bounds=(30, 77)),
        "many waves": lambda: render(room, uneven(), wave_samples=111),
        "one pixel over waves": lambda: render(room, many, wave_samples=1111),
    }
    for name, run in passes.items():
        run()
        assert kernels() == first, name
    assert len(first) == 1


SCREEN = """
<shape type="obj" id="screen"><string name="filename" value="{}"/><emitter type="area">
<texture type="checkerboard" name="radiance"/></emitter></shape>"""


def test_frames_of_an_animated_scene_share_their_kernel(program_of, spec_of, render, kernels, tmp_path) -> None:
    from pipeline.render.passes import prepare
    from pipeline.scene.load import update

    # Sampling a textured light on a mesh, Mitsuba makes a mesh and a BSDF of its own.
    quad = "v -1 1 0\nv 1 1 0\nv 1 1 1\nv -1 1 1\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nf 1/1 2/2 3/3 4/4\n"
    (tmp_path / "screen.obj").write_text(quad)
    spec = spec_of(ROOM + SCREEN.format(tmp_path / "screen.obj"), animate=ANIMATE, camera=KEYFRAMES)
    program = program_of(spec, frame=1)
    kernels()
    render(program, 8)
    first = kernels()
    for frame in (2, 3):
        program = prepare(update(program.fs, spec, frame), program)
        kernels()
        render(program, 8)
        assert kernels() == first, frame
    del program
    gc.collect()
    program = program_of(spec, frame=2)
    kernels()
    render(program, 8)
    assert kernels() == first


# --- Samples that are not fit to be summed ------------------------------------------------------------------------

LAMP = '<shape type="rectangle"><emitter type="area"><rgb name="radiance" value="{}"/></emitter></shape>'


def test_samples_that_are_not_finite_are_dropped_and_counted(program_of, render, shot) -> None:
    program = program_of(LAMP.format("3e38"))  # finite by channel; no sum of it is
    moments = render(program, 32)
    seen = moments.sums["count"].sum(1)

    assert moments.facts["dropped"] > 0
    assert moments.facts["samples"] + moments.facts["dropped"] == 32 * PIXELS
    assert seen.sum() == moments.facts["samples"]
    assert seen.min() == 0 and seen.max() == 32
    assert all(np.isfinite(value).all() for value in moments.sums.values())
    assert not shot(program, 32).beauty.any()


def test_samples_beyond_the_range_are_clipped_and_counted(program_of, render, shot) -> None:
    program = program_of(LAMP.format("1e12"))
    moments = render(program, 32)
    frame = shot(program, 32)

    assert moments.facts["dropped"] == 0
    assert 0 < moments.facts["clipped"] < 32 * PIXELS
    assert np.isfinite(frame.beauty).all() and frame.beauty.max() > 1e9
    assert moments.facts["clipped"] == render(program, 32, wave_samples=777).facts["clipped"]


def test_a_lamp_of_a_million_is_neither(program_of, render, shot) -> None:
    program = program_of(LAMP.format("1e6"))
    moments = render(program, 32)

    assert moments.facts["dropped"] == moments.facts["clipped"] == 0
    np.testing.assert_allclose(shot(program, 32).beauty.max(), 1e6, rtol=1e-6)


def test_surfaces_without_a_normal_leave_their_features_finite(mi, program_of, shot, tmp_path) -> None:
    mesh = mi.Mesh("broken", 3, 1, has_vertex_normals=True)
    params = mi.traverse(mesh)
    params["vertex_positions"] = [-2, -2, 0, 2, -2, 0, 0, 2, 0]
    params["vertex_normals"] = [0, 0, 1, 0, 0, 1, np.nan, 0, 1]
    params["faces"] = [0, 1, 2]
    params.update()
    mesh.write_ply(str(tmp_path / "broken.ply"))
    name = f'<string name="filename" value="{tmp_path / "broken.ply"}"/>'
    frame = shot(program_of(f'<emitter type="constant"/><shape type="ply">{name}</shape>'), 16)

    assert (
        np.abs(frame.normal).max() <= 1 and 0 <= frame.variance["normal"].min() <= frame.variance["normal"].max() <= 1
    )
    assert np.isfinite(frame.beauty).all()


# --- Scenes and integrators ---------------------------------------------------------------------------------------


def test_a_scene_without_shapes_shows_its_environment(program_of, shot) -> None:
    frame = shot(program_of('<emitter type="constant"><rgb name="radiance" value="0.2, 0.4, 0.6"/></emitter>'), 4)

    np.testing.assert_allclose(frame.emission, np.broadcast_to([0.2, 0.4, 0.6], (HEIGHT, WIDTH, 3)), rtol=1e-5)
    assert not frame.ids.any() and not frame.diffuse.any()


@pytest.mark.parametrize("integrator", ["ptracer", "prb", "prbvolpath"])
def test_integrators_that_do_not_follow_single_rays_are_refused_by_name(program_of, integrator) -> None:
    with pytest.raises(SceneError, match=f"'{integrator}'"):
        program_of(ROOM, integrator=integrator)
