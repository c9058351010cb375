"""A render pass: any number of samples at any pixel, summed into moments.

One wavefront program per scene, traced once and then reused whatever the sample map, the seed and the wave's width.
Lanes are sorted by pixel; a wave covers a run of pixels and is bounded in lanes and in pixels, so memory does not grow
with resolution or samples.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import SceneError
from pipeline.render import channels
from pipeline.render.accumulator import Accumulator
from pipeline.render.allocate import BLOCK
from pipeline.render.bsdfs import BsdfKind, classify_registered
from pipeline.render.filters import offsets, table_of
from pipeline.render.moments import Moments
from pipeline.render.motion import MotionTables, motion_tables, project_motion
from pipeline.render.outputs import Outputs, outputs_of
from pipeline.render.paths import FirstHit, Limits, Radiance, first_hit, limits, trace, trace_whole
from pipeline.render.rng import KEYED_SAMPLER, key_words, keyed_rng, register_keyed_sampler
from pipeline.render.shutter import Slot
from pipeline.scene.load import UNKNOWN_SHAPE, FrameScene

__all__ = ["Layers", "Program", "prepare", "render_pass"]

BAND = 2**18
"""Pixels of a wave at most: with all channels, some 150 MB of accumulator."""


PACKET = 16
"""Lanes that are traced together at most: a multiple of every instruction set's."""

PADDING = 0xFFFFFFFF
"""Sample index of a lane that renders nothing."""

HUGE = (2**channels.TALLY_BITS - 1) // PACKET * PACKET
"""The most samples that a counter holds for one pixel in one wave, in whole packets."""

WAVE_SECONDS = 4.0
"""What a wave should take: tracing is then a few per cent of it, and a job that is cancelled lets go in time."""

REMAINDER = 1.35
"""A wave takes what is left where that is at most so many times its due: a launch of its own costs more."""

FIRST_WAVE = 2**20
"""Lanes of the first wave, before the scene's speed is known."""


class Layers(enum.Enum):
    """What a pass records."""

    BEAUTY = channels.BEAUTY
    COLOUR = channels.COUNT + channels.COLOUR
    ALL = channels.COUNT + channels.COLOUR + channels.FEATURES


@dataclass
class Speed:
    """How fast the scene was in its last wave.

    Attributes:
        lanes: per second, by what was recorded; nothing before the first wave that tells.
    """

    lanes: dict[Layers, float]


@dataclass(frozen=True)
class Program:
    """A frame's scene with what its passes look up."""

    fs: FrameScene
    kinds: dict[int, BsdfKind]
    motion: MotionTables
    limits: Limits
    splits: bool
    """Radiance is split into emission, diffuse and specular. Only `path` can be: other integrators' radiance is all
    specular."""
    outputs: Outputs
    """What is recorded beside the usual."""
    filter: mi.Float | None
    """Table of the pixel filter (`filters`); None for a box."""
    speed: Speed
    """Grows known as waves are rendered."""


def prepare(fs: FrameScene, before: Program | None = None) -> Program:
    """Probes the BSDFs and uploads the motion tables.

    Args:
        fs: the frame's scene.
        before: of another frame. If `fs` was moved on from its scene, what was found about BSDFs stays: Mitsuba makes
            objects of its own while it renders (for textured lights on meshes), which would change the kernel.

    Raises:
        SceneError: a BSDF cannot be evaluated, or the integrator does not follow single rays from the camera.
    """
    integrator = fs.integrator
    if not isinstance(integrator, mi.SamplingIntegrator) or isinstance(integrator, mi.CppADIntegrator):
        raise SceneError(f"the integrator '{fs.integrator_name}' does not follow single rays from the camera")
    return Program(
        fs=fs,
        kinds=before.kinds if before is not None and before.fs.scene is fs.scene else classify_registered(),
        motion=motion_tables(fs),
        limits=limits(fs.max_depth, fs.rr_depth),
        splits=fs.integrator_name == "path",
        outputs=before.outputs if before is not None and before.fs.scene is fs.scene else outputs_of(fs),
        filter=before.filter if before is not None and before.fs.film == fs.film else table_of(fs.film),
        speed=before.speed if before is not None else Speed({}),
    )


def render_pass(
    program: Program,
    counts: NDArray[np.uint32],
    start: NDArray[np.uint32],
    *,
    seed: int,
    bounds: tuple[int, int] | None = None,
    layers: Layers = Layers.ALL,
    wave_samples: int = 2**22,
    on_wave: Callable[[int, int], None] | None = None,
    slot: Slot | None = None,
) -> Moments:
    """Renders `counts` samples at each pixel.

    Args:
        program: from `prepare`.
        counts: H×W, samples to take now; zeros are fine.
        start: H×W, samples that earlier rounds took: the first sample's index.
        seed: of the job; with the frame number, pixel and sample index it determines every random number.
        bounds: flat pixel range [first, last) to render; the whole frame if None.
        layers: what to record.
        wave_samples: lanes of a wave at most; it is smaller where that takes longer than `WAVE_SECONDS`.
        on_wave: called after each wave with samples done and samples in all; may raise to cancel.
        slot: of the shutter, whose samples `counts` and `start` count (`render_blurred`); None: all of them.

    Returns:
        Moments of the range. `facts`: samples, dropped (non-finite), clipped (beyond the fixed-point range), seconds.

    Raises:
        SceneError: the maps do not fit the film, or Mitsuba fails while rendering.
    """
    fs = program.fs
    pixels = fs.width * fs.height
    if counts.shape != (fs.height, fs.width) or start.shape != counts.shape:
        raise SceneError(f"sample map is {counts.shape}, the film {(fs.height, fs.width)}")
    first, last = bounds or (0, pixels)
    flat_counts = counts.ravel()[first:last]
    flat_start = start.ravel()[first:last]
    total = int(flat_counts.sum(dtype=np.int64))
    with_features = layers is Layers.ALL
    sums = {b.name: np.zeros((last - first, b.channels), np.float32) for b in _blocks(program, layers)}
    votes = np.zeros((last - first, program.outputs.votes), np.uint32) if with_features else None
    words = key_words(seed, fs.frame)
    clipped = done = 0
    carried: dict[str, NDArray[Any]] = {}  # float64, of a pixel that takes several waves
    carried_for = -1
    began = time.perf_counter()
    pace = Pace(wave_samples, program.speed.lanes.get(layers))
    for a, b, pixel, sample, whole in waves(flat_counts, flat_start, pace, first):
        if slot is not None:
            sample[:] = np.where(sample == PADDING, sample, slot.index(sample))  # in place: its memory is aligned
        try:
            part, part_votes, clips = _wave(program, layers, first + a, b - a, pixel, sample, words, exact=not whole)
        except RuntimeError as error:
            raise SceneError(f"frame {fs.frame}: {error}") from error
        if not whole:
            if a != carried_for:
                carried, carried_for = {}, a
            part = carried = {name: value + carried.get(name, 0.0) for name, value in part.items()}
        for name, value in part.items():
            sums[name][a:b] = value
        if votes is not None and part_votes is not None:
            votes[a:b] |= part_votes
        clipped += clips
        done += int(np.count_nonzero(sample != PADDING))
        pace.note(len(pixel))
        if pace.speed is not None:
            program.speed.lanes[layers] = pace.speed
        if on_wave is not None:
            on_wave(done, total)
    counted = total if layers is Layers.BEAUTY else round(sums["count"].sum(dtype=np.float64))
    facts = {
        "samples": counted,
        "dropped": total - counted,
        "clipped": clipped,
        "seconds": time.perf_counter() - began,
    }
    if with_features:
        sums["feature_count"] = sums["count"].sum(1, keepdims=True)
    return Moments(fs.width, fs.height, first, last, sums, votes, facts=facts)


def _blocks(program: Program, layers: Layers) -> tuple[channels.Block | channels.Tally, ...]:
    colour = () if layers is Layers.BEAUTY else program.outputs.colour
    return (*layers.value, *colour, *(program.outputs.features if layers is Layers.ALL else ()))


class Pace:
    """How many lanes the next wave gets: as many as take `WAVE_SECONDS` at the last one's speed, `most` at most.

    Args:
        most: lanes.
        speed: lanes per second, of an earlier pass; None where nothing is known.
    """

    def __init__(self, most: int, speed: float | None = None) -> None:
        self.most, self.speed = most, speed
        self.lanes = min(most, FIRST_WAVE if speed is None else self._wanted(speed))
        self._since = time.perf_counter()

    def note(self, done: int) -> None:
        """A wave of so many lanes has ended."""
        now = time.perf_counter()
        if done >= FIRST_WAVE // 4:  # a smaller one says more about the cost of a launch
            self.speed = done / max(now - self._since, 1e-3)
            self.lanes = int(min(self._wanted(self.speed), 4.0 * self.lanes, self.most))
        self._since = now

    @staticmethod
    def _wanted(speed: float) -> int:
        return int(max(WAVE_SECONDS * speed, FIRST_WAVE / 4))


def waves(
    counts: NDArray[np.uint32], start: NDArray[np.uint32], pace: Pace, first: int = 0
) -> Iterator[tuple[int, int, NDArray[np.uint32], NDArray[np.uint32], bool]]:
    """Cuts a sample map into waves, of about `pace.lanes` samples each.

    Rays are traced in packets of neighbouring lanes, and the last bit of a hit may depend on its packet's other rays.
    So packets must be the same however a frame is cut: each block of `BLOCK` pixels (counted from the frame's first
    one) begins a packet of its own, and waves consist of whole blocks. A block of more than `HUGE` samples is cut into
    single pixels, and those into runs of `HUGE` samples.

    Args:
        counts, start: of the pixels of a slice.
        pace: how large the next wave may be.
        first: flat index of the slice's first pixel; a multiple of `BLOCK` for slices of one frame.

    Yields:
        First and last pixel (exclusive), pixel in the band per lane, sample index per lane (`PADDING` where the lane
        fills up a packet), and whether the wave has all samples of its pixels.
    """
    pixels = len(counts)
    edges = np.array(sorted({0, *range(BLOCK - first % BLOCK, pixels, BLOCK), pixels}), dtype=np.int64)
    sizes = np.add.reduceat(counts.astype(np.int64), edges[:-1])
    padded = -(-sizes // PACKET) * PACKET
    ends = np.cumsum(padded)
    block = 0
    while block < len(sizes):
        if sizes[block] > HUGE:
            for a in range(int(edges[block]), int(edges[block + 1])):
                for taken in range(0, int(counts[a]), HUGE):
                    run = min(int(counts[a]) - taken, HUGE)
                    pixel, sample = _lanes(np.array([run]), start[a : a + 1] + np.uint32(taken), np.array([0]))
                    yield a, a + 1, pixel, sample, int(counts[a]) <= HUGE
            block += 1
            continue
        before = int(ends[block] - padded[block])
        lanes, left = pace.lanes, int(ends[-1]) - before
        if left <= min(pace.most, REMAINDER * lanes):
            lanes = left
        last = int(np.searchsorted(ends, before + lanes, side="right"))
        last = min(max(last, block + 1), int(np.searchsorted(edges, edges[block] + BAND, side="right")) - 1)
        huge = np.flatnonzero(sizes[block:last] > HUGE)
        last = block + int(huge[0]) if len(huge) else last
        a, b = int(edges[block]), int(edges[last])
        if sizes[block:last].any():
            pixel, sample = _lanes(counts[a:b], start[a:b], edges[block:last] - a)
            yield a, b, pixel, sample, True
        block = last


def _lanes(
    run: NDArray[Any], start: NDArray[np.uint32], blocks: NDArray[np.int64]
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Pixel and sample index per lane for `run` samples a pixel; blocks that begin at the pixels `blocks` are filled up
    to whole packets."""
    sizes = np.add.reduceat(run.astype(np.int64), blocks)
    padding = -sizes % PACKET
    lanes = run.astype(np.int64)
    lanes[np.append(blocks[1:], len(run)) - 1] += padding
    ends = np.cumsum(lanes)
    total = int(ends[-1])
    pixel, sample = _aligned(total), _aligned(total)
    pixel[:] = np.repeat(np.arange(len(run), dtype=np.uint32), lanes)
    # The lane's number, less that of its pixel's first lane, plus that pixel's first sample; modulo 2³².
    offset = (start.astype(np.int64) - (ends - lanes)).astype(np.uint32)
    np.add(np.repeat(offset, lanes), np.arange(total, dtype=np.uint32), out=sample)
    block_ends = np.repeat(np.cumsum(sizes + padding), padding)
    within = np.arange(len(block_ends)) - np.repeat(np.cumsum(padding) - padding, padding)
    sample[block_ends - 1 - within] = PADDING
    return pixel, sample


def _wave(
    program: Program,
    layers: Layers,
    first: int,
    pixels: int,
    pixel_in_band: NDArray[np.uint32],
    sample_index: NDArray[np.uint32],
    words: tuple[mi.UInt32, mi.UInt32],
    *,
    exact: bool,
) -> tuple[dict[str, NDArray[Any]], NDArray[np.uint32] | None, int]:
    """One launch. Returns sums (float64 if `exact`) and votes of the band, and how many samples were clipped."""
    fs = program.fs
    band, sample = mi.UInt32(pixel_in_band), mi.UInt32(sample_index)
    # Opaque, not literals: these change from wave to wave and from shot to shot, and the kernel is to stay.
    origin, width = mi.UInt32(first), mi.UInt32(fs.width)
    size, corner = mi.Point2f(*fs.size), mi.Point2f(*fs.corner)
    dr.make_opaque(band, sample, origin, width, size, corner)
    pixel = origin + band
    active = sample != PADDING
    y = pixel // width
    x = pixel - y * width
    if (fs.width, fs.height) != fs.size:  # a crop shows the noise of the whole frame
        across, column, row = (mi.UInt32(n & 0xFFFFFFFF) for n in (fs.size[0], *fs.corner))
        dr.make_opaque(across, column, row)
        pixel = (y + row) * across + x + column

    rng = keyed_rng(words, pixel, sample)
    jitter = mi.Point2f(rng.next_float32(), rng.next_float32())
    if program.filter is not None:
        jitter = 0.5 + offsets(program.filter, jitter)
    aperture = mi.Point2f(rng.next_float32(), rng.next_float32())
    position = (mi.Point2f(x, y) + corner + jitter) / size
    ray, weight = fs.sensor.sample_ray(time=0.0, sample1=0.5, sample2=position, sample3=aperture, active=active)
    weight = mi.unpolarized_spectrum(weight)

    accumulator = Accumulator(_blocks(program, layers), pixels)
    if layers is Layers.BEAUTY:
        if program.splits and not fs.hide_emitters:
            L = trace_whole(fs.scene, ray, rng, limits=program.limits, active=active)
        else:
            out, _, _ = _radiance(program, rng, words, pixel, sample, ray, active)
            L = out.emission + out.diffuse + out.specular
        accumulator.add(band, {"beauty": list(weight * L)}, active & dr.isfinite(L.x + L.y + L.z))
        return _without_votes(accumulator.result(exact=exact))

    out, hit, by_light = _radiance(program, rng, words, pixel, sample, ray, active)
    parts = [weight * part for part in (out.emission, out.diffuse, out.specular)]
    beauty = parts[0] + parts[1] + parts[2]
    finite = active & dr.isfinite(beauty.x + beauty.y + beauty.z)
    parts = [dr.select(finite, part, 0) for part in parts]
    odd = (sample & 1) == 1
    Y = [mi.luminance(part) for part in (parts[0] + parts[1] + parts[2], *parts)]
    values: dict[str, Any] = {
        "count": [~odd, odd],
        "half_a": [channel for part in parts for channel in part],
        "squares": [dr.square(y) for y in Y],
    }
    if program.outputs.lights is not None:
        values["lights"] = [channel for part in by_light for channel in dr.select(finite, weight * part, 0)]
    if layers is Layers.ALL:
        values.update(_features(program, hit, ray))
        if program.outputs.aovs is not None:
            values["aovs"] = _aovs(program, ray, active)
    accumulator.add(band, values, finite, redirect={"half_a": (odd, "half_b")})
    if layers is Layers.COLOUR:
        return _without_votes(accumulator.result(exact=exact))

    most = program.outputs.votes
    ballots = dr.zeros(mi.UInt32, pixels * most)
    index = dr.gather(mi.UInt32, program.motion.shape_index, hit.shape, hit.found)
    ballot = dr.select(hit.found & (index != UNKNOWN_SHAPE), index + 2, 1)
    dr.scatter(ballots, ballot, band * most + sample, finite & (sample < most))
    dr.eval(accumulator.sums, ballots)
    sums, clipped = accumulator.result(exact=exact)
    return sums, ballots.numpy().reshape(pixels, most), clipped


def _aligned(size: int) -> NDArray[np.uint32]:
    """Room that begins at a multiple of 64 bytes: Dr.Jit uses numpy's memory as it is, and its alignment is part of
    the kernel."""
    room = np.empty(size + 16, np.uint32)
    offset = -(room.ctypes.data // 4) % 16
    return room[offset : offset + size]


def _without_votes(result: tuple[dict[str, NDArray[Any]], int]) -> tuple[dict[str, NDArray[Any]], None, int]:
    return result[0], None, result[1]


def _radiance(
    program: Program,
    rng: mi.PCG32,
    words: tuple[mi.UInt32, mi.UInt32],
    pixel: mi.UInt32,
    sample: mi.UInt32,
    ray: mi.Ray3f,
    active: mi.Bool,
) -> tuple[Radiance, FirstHit, list[mi.Color3f]]:
    fs = program.fs
    known: dict[str, Any] = {"kinds": program.kinds, "limits": program.limits, "hide_emitters": fs.hide_emitters}
    if program.splits:
        return trace(fs.scene, ray, rng, lights=program.outputs.lights, **known)
    out = Radiance()
    out.specular = mi.Color3f(_whole(program, words, pixel, sample, ray, active))
    return out, first_hit(fs.scene, ray, rng, **known), []


def _whole(
    program: Program,
    words: tuple[mi.UInt32, mi.UInt32],
    pixel: mi.UInt32,
    sample: mi.UInt32,
    ray: mi.Ray3f,
    active: mi.Bool,
) -> mi.Color3f:
    """The scene's own integrator, on random numbers keyed by pixel and sample as everywhere."""
    register_keyed_sampler()
    sampler = mi.load_dict({"type": KEYED_SAMPLER})
    sampler.key(words, pixel, sample)
    sampler.next_2d()
    sampler.next_2d()  # spent on the film and on the lens
    fs = program.fs
    ray = mi.RayDifferential3f(ray)
    L, _, _ = fs.integrator.sample(fs.scene, sampler, ray, medium=fs.sensor.get_medium(), active=active)
    return mi.Color3f(mi.unpolarized_spectrum(L))


def _aovs(program: Program, ray: mi.Ray3f, active: mi.Bool) -> list[mi.Float]:
    """What Mitsuba's `aov` integrator says of the surface that the ray meets; 0 where it is not finite."""
    outputs, fs = program.outputs, program.fs
    sampler = mi.load_dict({"type": "independent"})  # it is not asked for anything
    _, _, found = outputs.aovs.sample(fs.scene, sampler, mi.RayDifferential3f(ray), medium=None, active=active)
    return [dr.select(dr.isfinite(value), value, 0) for value in found]


def _features(program: Program, hit: FirstHit, ray: mi.Ray3f) -> dict[str, Any]:
    tables = program.motion
    eye = tables.origin if tables.origin is not None else ray.o
    depth = dr.select(hit.found, dr.norm(hit.point - eye), 0)
    normal = dr.select(dr.isfinite(hit.normal), hit.normal, 0)  # a mesh may have broken ones, and a texture
    albedo = dr.select(dr.isfinite(hit.albedo), hit.albedo, 0)
    seen: dict[str, Any] = {"found": hit.found, "point": hit.point, "shape": hit.shape, "ray": ray}
    forward, forward_known = project_motion(tables, tables.forward, **seen)
    backward, backward_known = project_motion(tables, tables.backward, **seen)
    return {
        "albedo": list(albedo),
        "normal": list(normal),
        "alpha": [hit.alpha],
        "hit": [hit.found],
        "depth": [depth],
        "forward": list(forward),
        "backward": list(backward),
        "motion_valid": [forward_known, backward_known],
        "albedo_square": [dr.squared_norm(albedo) * (1 / 3)],
        "normal_square": [dr.squared_norm(normal) * (1 / 3)],
        "depth_square": [dr.square(depth)],
    }
