"""Render passes against Mitsuba: speed, kernels, means, variances, motion, bytes and memory.

python -m benchmarks.render [--quick] [--json FILE]
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks.agreement import BLOCKS, Estimate, agreement, calibration, from_repeats
from benchmarks.machine import ROOT
from benchmarks.referee import Results, Row, main, median_ratio, timed_pairs
from benchmarks.render_subjects import ANIMATED, CALM, Subject, subjects
from pipeline.device import set_variant
from pipeline.render.buffers import luminance

if TYPE_CHECKING:
    from pipeline.render.passes import Program

TITLE = "Render passes"
ABOUT = (
    "A render pass samples any map of sample counts, and records the radiance split into emission, diffuse and "
    "specular, its variance, two halves, features and motion. Measured against Mitsuba's own `path` integrator: same "
    "scene, spp, depth and box filter, in one process."
)


@dataclass(frozen=True)
class Sizes:
    """How much is rendered."""

    speed: tuple[int, int]
    speed_spp: int
    mean: tuple[int, int]  # divides into 16×9 blocks
    mean_spp: int  # of one render
    renders: tuple[int, int]  # at least, at most
    sigma: float  # standard error of the global bias that ends the renders, and at which 0.1 % can be decided
    memory_spp: int


FULL = Sizes((480, 270), 32, (160, 90), 256, (16, 64), 3.3e-4, 32)
QUICK = Sizes((160, 90), 32, (80, 45), 64, (8, 8), 5e-4, 4)


def measure(results: Results) -> None:
    """All rows."""
    sizes = QUICK if results.quick else FULL
    set_variant()
    memory(results, sizes)
    with subjects() as found:
        for subject in found.values():
            if subject.name != CALM:
                speed(results, sizes, subject)
        for subject in found.values():
            kernels(results, subject)
        for subject in found.values():
            means(results, sizes, subject)
        motion(results, found[ANIMATED])
        passed_bytes(results, found[ANIMATED])
    fixed_point(results)


# --- Speed --------------------------------------------------------------------------------------------------------


def even(program: Program, spp: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """A map of `spp` everywhere, and that none was taken before."""
    counts = np.full((program.fs.height, program.fs.width), spp, np.uint32)
    return counts, np.zeros_like(counts)


def peer(program: Program, spp: int, seed: int = 0) -> NDArray[np.float32]:
    """What Mitsuba renders: H×W×3."""
    import mitsuba as mi

    fs = program.fs
    return np.asarray(mi.render(fs.scene, sensor=fs.sensor, integrator=fs.integrator, spp=spp, seed=seed), np.float32)


def speed(results: Results, sizes: Sizes, subject: Subject) -> None:
    """Throughput over that of `mi.render`, beauty alone and with everything."""
    from pipeline.render.passes import Layers, render_pass

    program = subject.program(sizes.speed)
    counts, start = even(program, sizes.speed_spp)
    width, height = sizes.speed
    for layers, what, must in ((Layers.BEAUTY, "beauty alone", 0.95), (Layers.ALL, "all features, split, motion", 0.9)):
        pairs = timed_pairs(
            lambda layers=layers: render_pass(program, counts, start, seed=0, layers=layers),  # type: ignore[misc]
            lambda: peer(program, sizes.speed_spp),
            pairs=9,
            warm_up=2,
        )
        found = median_ratio([(theirs, ours) for ours, theirs in pairs])  # of times, turned over: of throughputs
        rate = counts.sum() / np.median([ours for ours, _ in pairs]) / 1e6
        results.add(
            Row(
                key=f"throughput.{subject.name}.{layers.name.lower()}",
                what=f"throughput over `mi.render`, {subject.name}, {what}",
                value=found.value,
                must=must,
                better="higher",
                interval=(found.low, found.high),
                note=f"{width}×{height}, {sizes.speed_spp} spp, median of 9 alternating pairs; {rate:.2f} M samples/s",
            )
        )


# --- Kernels ------------------------------------------------------------------------------------------------------

PATH_KERNEL = 1000
"""Operations; kernels with fewer convert finished sums."""


def kernels(results: Results, subject: Subject) -> None:
    """Path kernels that passes of many shapes need."""
    import drjit as dr

    from pipeline.render.passes import Layers, prepare, render_pass
    from pipeline.scene.load import update

    rng = np.random.default_rng(0)
    size = (64, 36)
    program = subject.program(size)
    seen: set[str] = set()
    passes = 0
    with dr.scoped_set_flag(dr.JitFlag.KernelHistory, True):
        for frame in subject.frames:
            if frame != subject.frame:
                program = prepare(update(program.fs, subject.spec(frame, size), frame), program)
            for seed, (counts, start) in enumerate(
                [
                    even(program, 4),
                    even(program, 100),
                    (rng.integers(0, 60, (36, 64)).astype(np.uint32), even(program, 9)[0]),
                ]
            ):
                for wave in (2**20, 5000):
                    dr.kernel_history_clear()
                    render_pass(program, counts, start, seed=seed, layers=Layers.ALL, wave_samples=wave)
                    passes += 1
                    seen |= {
                        str(kernel["hash"])
                        for kernel in dr.kernel_history()
                        if kernel["type"] == dr.KernelType.JIT and kernel["operation_count"] > PATH_KERNEL
                    }
    results.add(
        Row(
            key=f"kernels.{subject.name}",
            what=f"path kernels compiled, {subject.name}",
            value=len(seen),
            must=1,
            note=f"{passes} passes: other maps, seeds, widths, {len(subject.frames)} frames",
        )
    )


# --- Means and variances ------------------------------------------------------------------------------------------


def means(results: Results, sizes: Sizes, subject: Subject) -> None:
    """Whether the expectation is Mitsuba's, and whether variances are what they say."""
    from pipeline.render.moments import add_round, combine
    from pipeline.render.passes import render_pass

    program = subject.program(sizes.mean)
    ours, variances, theirs = [], [], []
    least, most = sizes.renders
    for k in range(most):
        frame = combine(add_round(None, render_pass(program, *even(program, sizes.mean_spp), seed=k)))
        ours.append(luminance(frame.beauty).astype(np.float64))
        variances.append(frame.variance["beauty"].astype(np.float64))
        theirs.append(luminance(peer(program, sizes.mean_spp, seed=k)))
        if k + 1 >= least:
            pooled = Estimate(np.mean(ours, 0), np.mean(variances, 0) / len(ours))
            found = agreement(pooled, from_repeats(theirs))
            if found.sigma <= sizes.sigma:
                break
    spread, blocks = calibration(ours, variances), calibration(ours, variances, BLOCKS)
    decidable = found.sigma <= sizes.sigma
    told = f"{len(ours)} renders of {sizes.mean_spp} spp, {sizes.mean[0]}×{sizes.mean[1]}"
    rows = [
        Row("chi2", "χ² of 144 blocks against `mi.render`: p", found.p, must=1e-3, better="higher", note=told),
        Row(
            "bias",
            "global bias against `mi.render`, absolute",
            100 * abs(found.bias),
            "%",
            must=0.1 if decidable else None,
            note=f"standard error {100 * found.sigma:.3f} %" + ("" if decidable else ": too few samples to decide"),
        ),
        Row(
            "z",
            "|share of pixels with |z| < 1, less 0.68|",
            abs(spread.share - 0.68),
            must=0.04 if subject.name == CALM else None,
            note=f"share {spread.share:.3f}; of block means {blocks.share:.3f}"
            + ("" if subject.name == CALM else "; rare bright samples: errors are not Gaussian yet"),
        ),
        Row("spread", "|Σ empirical / Σ estimated variance − 1|", abs(spread.ratio - 1), must=0.05, note=told),
    ]
    for row in rows:
        values = {**vars(row), "key": f"{row.key}.{subject.name}", "what": f"{row.what}, {subject.name}"}
        results.add(Row(**values))


# --- Motion -------------------------------------------------------------------------------------------------------


def motion(results: Results, subject: Subject) -> None:
    """Motion vectors of the animated shot against where the same points of the same triangles are in the next frame.

    Truth is Mitsuba's alone: the triangle and barycentric coordinates that a ray through the pixel's centre meets, that
    triangle's vertices in the next frame's scene, and the next frame's sensor, asked where it sees the point.
    """
    import drjit as dr
    import mitsuba as mi

    from pipeline.render.moments import add_round, combine
    from pipeline.render.passes import prepare, render_pass
    from pipeline.scene.load import update

    size = width, height = 240, 135
    program = subject.program(size)
    fs = program.fs
    frame = combine(add_round(None, render_pass(program, *even(program, 32), seed=0)))
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    film = mi.Point2f(
        mi.Float((x / width).astype(np.float32).ravel()), mi.Float((y / height).astype(np.float32).ravel())
    )
    ray, _ = fs.sensor.sample_ray(0.0, 0.5, film, mi.Point2f(0.5))
    met = fs.scene.ray_intersect_preliminary(ray)
    prim, bary = np.array(met.prim_index), np.array(met.prim_uv).T
    lookup = np.append(fs.shape_lookup, 0)
    shape = lookup[np.minimum(np.array(dr.reinterpret_array(mi.UInt32, met.shape)), len(lookup) - 1)]
    valid = np.array(met.is_valid())
    following = prepare(update(fs, subject.spec(subject.frame + 1, size), subject.frame + 1)).fs
    places = np.zeros((width * height, 3), np.float32)
    for index, mesh in enumerate(following.scene.shapes()):
        here = valid & (shape == index)
        if here.any():
            params = mi.traverse(mesh)
            vertices = np.array(params["vertex_positions"]).reshape(-1, 3)
            corners = vertices[np.array(params["faces"]).reshape(-1, 3)[prim[here]]]
            u, v = bary[here, :1], bary[here, 1:]
            places[here] = (1 - u - v) * corners[:, 0] + u * corners[:, 1] + v * corners[:, 2]
    seen = mi.Interaction3f()
    seen.p = mi.Point3f(*(mi.Float(np.ascontiguousarray(places[:, k])) for k in range(3)))
    there = np.array(following.sensor.sample_direction(seen, mi.Point2f(0.5))[0].uv).T.reshape(height, width, 2)
    expected = there - np.stack([x, y], -1)
    error = np.linalg.norm(frame.forward - expected, axis=-1)
    known = valid.reshape(height, width) & (frame.forward_valid == 1)
    ball = fs.shape_names.index("ball")
    moving = known & (shape.reshape(height, width) == ball) & (frame.ids == ball + 1)
    for key, what, where in (("frame", "all of the picture", known), ("ball", "the rolling ball", moving)):
        far = float(np.median(np.linalg.norm(expected[where], axis=-1)))
        results.add(
            Row(
                key=f"motion.{key}",
                what=f"motion vectors, {what}: median error",
                value=float(np.median(error[where])),
                unit="pixel",
                must=0.05,
                note=f"{ANIMATED}, {int(where.sum())} pixels that move by {far:.2f} in the median",
            )
        )


# --- Bytes, memory, fixed point -----------------------------------------------------------------------------------


def passed_bytes(results: Results, subject: Subject) -> None:
    """Size of the product of a pass over a whole frame at 1920×1080."""
    from pipeline.farm.product import encode
    from pipeline.render.passes import Layers, render_pass

    program = subject.program((1920, 1080))
    for layers, what in ((Layers.ALL, "first round: with features"), (Layers.COLOUR, "later rounds")):
        moments = render_pass(program, *even(program, 1), seed=0, layers=layers)
        size = len(encode("passes/1001/r00.s00", job_hash="0" * 64, facts={}, arrays=moments.arrays()))
        results.add(
            Row(
                key=f"bytes.{layers.name.lower()}",
                what=f"bytes of a pass at 1920×1080, {what}",
                value=size / 2**20,
                unit="MiB",
                note=f"{size / (1920 * 1080):.0f} bytes a pixel, however many slices and samples",
            )
        )


def memory(results: Results, sizes: Sizes) -> None:
    """Peak resident memory of a worker process that makes a frame at 1920×1080."""
    command = [sys.executable, "-m", "benchmarks.render_memory", str(sizes.memory_spp)]
    told = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    note = f"{sizes.memory_spp} spp in {told['slices']} slice(s), waves of {told['wave']} samples"
    if sizes.memory_spp < 256:
        note += "; the same resolution and waves as at 256 spp, fewer of them"
    results.add(
        Row("memory", "memory of one worker at 1920×1080, resident", told["peak_gib"], "GiB", must=6.0, note=note)
    )
    results.text("## Memory of one worker\n\nPeak so far after each kind of task, in one process, and seconds in it:")
    results.table(
        ["task", "peak, GiB", "seconds"],
        [[kind, peak, told["seconds"][kind]] for kind, peak in told["peaks"].items()],
    )


def fixed_point(results: Results) -> None:
    """What one fixed-point scale loses, and what levels keep."""
    import mitsuba as mi

    from pipeline.render.accumulator import Accumulator
    from pipeline.render.channels import RADIANCE, SQUARE, Block, Level

    rng = np.random.default_rng(0)
    shape = rng.lognormal(0, 1, 4096).astype(np.float32)
    shape /= shape.mean()

    def error(values: NDArray[np.float32], levels: tuple[Level, ...]) -> float:
        sums = Accumulator([Block("x", 1, levels)], 2)
        sums.add(mi.UInt32(np.zeros(len(values), np.uint32)), {"x": [mi.Float(values)]}, mi.Bool(True))
        exact = values.sum(dtype=np.float64)
        return float(abs(sums.result()[0]["x"][0, 0] - exact) / exact)

    one = (Level(2.0**18, 24),)
    lines, worst = [], 0.0
    for magnitude in (1e-6, 1e-4, 1e-2, 1.0, 1e2, 1e4, 1e5, 1e6):
        values = (shape * magnitude).astype(np.float32)
        squares = values**2
        found = error(values, RADIANCE), error(squares, SQUARE)
        worst = max(worst, *found) if 1e-4 <= magnitude <= 1e5 else worst
        lines.append([f"{magnitude:g}", error(values, one), found[0], error(squares, one), found[1]])
    results.add(
        Row(
            key="fixed_point",
            what="largest relative error of fixed-point sums, radiances of 1e-4 … 1e5 and their squares",
            value=worst,
            note="sums are stored as float32: 6e-8",
        )
    )
    results.text(
        "## Fixed point: why not one scale\n\nRelative error of a sum of 4096 log-normal samples of a mean radiance. "
        "At the one scale of 2^24 with 2^18 as its limit, small squares vanish and large ones are cut off."
    )
    results.table(["mean radiance", "one scale", "levels", "squares, one scale", "squares, levels"], lines)


if __name__ == "__main__":
    sys.exit(main("render", TITLE, ABOUT, measure))
