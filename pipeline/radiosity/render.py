"""Pictures of the cache from any view: the left-hand side, or the right-hand side, which looks one bounce further.

Needs Mitsuba with a variant set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import drjit as dr
import mitsuba as mi
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.radiosity.cameras import View
from pipeline.radiosity.rhs import incident, right_hand_side, tensors
from pipeline.radiosity.sources import Sources
from pipeline.radiosity.transport import columns, walk
from pipeline.render.rng import key_words, keyed_rng

__all__ = [
    "RHS_INCIDENT",
    "SIDES",
    "Answers",
    "Guides",
    "Side",
    "first_flags",
    "guides",
    "inside_of",
    "looking_distance",
    "render",
]

Side = Literal["lhs", "rhs"]
SIDES: tuple[Side, ...] = ("lhs", "rhs")

TILE_RAYS = 1 << 18
"""Camera rays that are traced at a time; of the right-hand side as many incident ones."""

RHS_INCIDENT = 8
"""M of a right-hand side's sample."""

GATHERING_RAYS = TILE_RAYS // (RHS_INCIDENT // 2)
"""Camera rays at a time where light may be gathered: as many incident rays as `TILE_RAYS`."""

_CAMERA = 0xCA3E
_OFFSETS = (0.7548776662466927, 0.5698402909980532)  # of the R₂ sequence (Roberts 2018)


class Answers(Protocol):
    """What a picture is made from: a cache, or a blend of two."""

    def answer(self, asked: Tensor) -> Tensor:
        """S without a gradient: 12×N → N×3."""
        ...


@dataclass(frozen=True)
class Guides:
    """What a denoiser wants to know of a picture beside its colour.

    Attributes:
        albedo: H×W×3, of the first surface that scatters, [0, 1].
        normal: H×W×3, there, world space, towards the viewer; 0 where nothing is.
    """

    albedo: NDArray[np.float32]
    normal: NDArray[np.float32]


@dataclass(frozen=True)
class _Lens:
    """A view as Dr.Jit reads it: all opaque, so that no view has a kernel of its own."""

    rows: Any  # Float, 12: the upper rows of `to_world`
    slope: Any  # Float: tan of half the field of view
    width: Any  # UInt32
    height: Any  # UInt32


def render(
    sources: Sources,
    field: Answers,
    view: View,
    *,
    side: Side = "lhs",
    spp: int = 1,
    seed: int = 0,
    first: int = 0,
    hide_emitters: bool = False,
    on_tile: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """A picture.

    Args:
        sources: the scene.
        field: the cache.
        view: from where.
        side: `lhs` asks the cache where camera rays end; `rhs` gathers light there, and asks it one bounce further, as
            `lhs` does on surfaces that are too sharp for the cache (see `gloss`).
        spp: samples per pixel.
        seed: of delta lobes and incident directions.
        first: number of the first sample: samples of several calls can be averaged.
        hide_emitters: lamps are not seen directly.
        on_tile: told rays done and in all; may raise to stop.

    Returns:
        float32, H×W×3, linear radiance; the box filter's mean.
    """
    pixels = view.width * view.height
    lens = _lens(view)
    total = torch.zeros(pixels, 3)
    per_tile = GATHERING_RAYS if side == "rhs" or sources.sharp is not None else TILE_RAYS
    for sample in range(first, first + spp):
        for begin in range(0, pixels, per_tile):
            count = min(per_tile, pixels - begin)
            light = _tile(sources, field, lens, begin, count, sample, seed, side, hide_emitters)
            total[begin : begin + count] += light.cpu()
            if on_tile is not None:
                on_tile((sample - first) * pixels + begin + count, spp * pixels)
    image: NDArray[np.float32] = (total / spp).view(view.height, view.width, 3).numpy()
    return image


def guides(sources: Sources, view: View, *, seed: int = 0, hide_emitters: bool = False) -> Guides:
    """Albedo and normal of the surfaces that a picture shows."""
    pixels = view.width * view.height
    lens = _lens(view)
    rows = []
    for begin in range(0, pixels, TILE_RAYS):
        count = min(TILE_RAYS, pixels - begin)
        ray, rng = _rays(lens, begin, count, 0), _random(seed, 0, begin, count)
        hit = sources.scene.ray_intersect(ray)
        end, _, _, arrived, _ = walk(sources.scene, hit, ray, rng, mi.Color3f(0), mi.Bool(True), hide_emitters, True)
        asked = [dr.select(arrived, column, 0) for column in columns(end, arrived)]
        dr.eval(asked)
        rows.append(tensors(asked[6:]))
    seen = torch.cat(rows, dim=1).T.cpu().view(view.height, view.width, 6).numpy().astype(np.float32)
    return Guides(albedo=np.ascontiguousarray(seen[..., 3:]), normal=np.ascontiguousarray(seen[..., :3]))


def first_flags(sources: Sources, view: View) -> NDArray[np.uint32]:
    """BSDF flags of the first surface that each pixel's centre shows: H×W, 0 where it shows none."""
    ray = _rays(_lens(view), 0, view.width * view.height, 0)
    si = sources.scene.ray_intersect(ray)
    flags: NDArray[np.uint32] = np.array(dr.select(si.is_valid(), si.bsdf(ray).flags(), 0), dtype=np.uint32)
    return flags.reshape(view.height, view.width)


def looking_distance(sources: Sources, view: View) -> float:
    """Median distance to what the middle of the picture shows, world units; the scene's radius if that is nothing."""
    ray = _rays(_lens(view.at(16, 9)), 0, 144, 0)
    t = np.array(sources.scene.ray_intersect(ray).t).reshape(9, 16)[3:6, 5:11]
    seen = t[np.isfinite(t)]
    return float(np.median(seen)) if seen.size else sources.surfaces.diagonal / 2


def inside_of(sources: Sources, view: View) -> str | None:
    """The id of the shape that the camera stands in: wherever it looks, it sees this one from behind, and nearby."""
    count = 256
    z = 1 - 2 * (np.arange(count) + 0.5) / count
    φ = np.arange(count) * np.pi * (3 - np.sqrt(5))
    d = np.stack([np.sqrt(1 - z * z) * np.cos(φ), np.sqrt(1 - z * z) * np.sin(φ), z]).astype(np.float32)
    o = mi.Point3f(*(mi.Float(float(x)) for x in view.origin))
    ray = mi.Ray3f(o, mi.Vector3f(*(mi.Float(row) for row in d)))
    si = sources.scene.ray_intersect(ray)
    behind = np.array(dr.dot(si.n, ray.d) > 0)
    numbers = np.array(dr.reinterpret_array(mi.UInt32, si.shape))
    near = np.array(si.t) < 0.1 * sources.surfaces.diagonal
    if not (behind & near).all() or np.unique(numbers).size > 1:
        return None
    return str(si.shape[0].id())


def _tile(
    sources: Sources,
    field: Answers,
    lens: _Lens,
    begin: int,
    count: int,
    sample: int,
    seed: int,
    side: Side,
    hide_emitters: bool,
) -> Tensor:
    """Radiance of camera rays: count×3."""
    scene = sources.scene
    rng = _random(seed, sample, begin, count)
    ray = _rays(lens, begin, count, sample)
    hit = scene.ray_intersect(ray)
    emitter = hit.emitter(scene)
    shown = ~(mi.Bool(hide_emitters) & hit.is_valid())
    emitted = dr.select(shown, mi.unpolarized_spectrum(emitter.eval(hit, shown)), 0)
    end, β, emitted, arrived, _ = walk(scene, hit, ray, rng, emitted, mi.Bool(True), hide_emitters, True)
    ends = [(end, β, arrived)]
    if sources.mixed:
        onward = arrived & mi.has_flag(end.bsdf().flags(), mi.BSDFFlags.Delta | mi.BSDFFlags.Null)
        last, γ, behind, arrived, _ = walk(scene, end, ray, rng, mi.Color3f(0), onward, False, False)
        emitted += β * behind
        ends.append((last, β * γ, arrived))
    step = sample * 0x10001 + begin // GATHERING_RAYS  # with the seed, the key of a tile's incident directions
    gathering = side == "rhs" or sources.sharp is not None
    anew = [_gathers(sources, si, side) & there for si, _, there in ends]
    asked = [columns(si, there) for si, _, there in ends] if side == "lhs" else []
    dr.eval(emitted, asked, anew, [(β, there) for _, β, there in ends], [si for si, _, _ in ends] if gathering else [])
    light = tensors([*emitted]).T.contiguous()
    for part, (si, throughput, there) in enumerate(ends):
        β = tensors([*throughput]).T
        if side == "lhs":
            mine = torch.nonzero((there & ~anew[part]).torch().bool()).squeeze(1)
            if mine.numel():
                light.index_add_(0, mine, field.answer(tensors(asked[part]).index_select(1, mine)) * β[mine])
        lanes = dr.compress(anew[part])
        if dr.width(lanes):
            few = dr.gather(mi.SurfaceInteraction3f, si, lanes)
            active = dr.full(mi.Bool, True, dr.width(lanes))
            found = incident(sources, few, active, RHS_INCIDENT, (seed ^ _CAMERA) + 1 + part, step)
            mine = lanes.torch().long()
            light.index_add_(0, mine, right_hand_side(found, field.answer).mean(dim=1) * β[mine])
    return light


def _gathers(sources: Sources, si: Any, side: Side) -> Any:
    """Where light is gathered one bounce further, in place of asking the cache: Bool."""
    if side == "rhs":
        return mi.Bool(True)
    return mi.Bool(False) if sources.sharp is None else sources.sharp.at(si)


def _lens(view: View) -> _Lens:
    rows = mi.Float(np.ascontiguousarray(view.to_world[:3], dtype=np.float32).ravel())
    slope = dr.opaque(mi.Float, float(np.tan(np.radians(view.fov) / 2)))
    made = _Lens(rows, slope, dr.opaque(mi.UInt32, view.width), dr.opaque(mi.UInt32, view.height))
    dr.make_opaque(made.rows)
    return made


def _random(seed: int, sample: int, begin: int, count: int) -> Any:
    """Random numbers of pixels, one generator a lane."""
    pixel = dr.arange(mi.UInt32, count) + dr.opaque(mi.UInt32, begin)
    return keyed_rng(key_words(seed ^ _CAMERA, sample), pixel, dr.opaque(mi.UInt32, sample))


def _rays(lens: _Lens, begin: int, count: int, sample: int) -> Any:
    """Rays of `count` pixels from `begin` on, all through one place of their pixels: places of many samples fill it
    evenly."""
    pixel = dr.arange(mi.UInt32, count) + dr.opaque(mi.UInt32, begin)
    y = pixel // lens.width
    x = pixel - y * lens.width
    jitter = [dr.opaque(mi.Float, (0.5 + sample * step) % 1.0) for step in _OFFSETS]
    width, height = mi.Float(lens.width), mi.Float(lens.height)
    u = (1 - 2 * (mi.Float(x) + jitter[0]) / width) * lens.slope
    v = (height - 2 * (mi.Float(y) + jitter[1])) / width * lens.slope
    entry = [dr.gather(mi.Float, lens.rows, mi.UInt32(k)) for k in range(12)]
    d = mi.Vector3f(*(u * entry[4 * k] + v * entry[4 * k + 1] + entry[4 * k + 2] for k in range(3)))
    return mi.Ray3f(mi.Point3f(entry[3], entry[7], entry[11]), dr.normalize(d), 0.0, mi.Color0f())
