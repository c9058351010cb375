"""The right-hand side of the rendering equation, by M incident directions a point (Equations 1 and 4).

    R(x, ω) = E(x, ω) + ∫ f(x, ω, ω_i) [E + S](r(x, ω_i), −ω_i) |n·ω_i| dω_i

Half of the directions go to the lights (next-event estimation), half are sampled from the BSDF (or from a guide and the
BSDF). Emission and the environment are found by both, weighted by MIS; the cached part S is found by the second half
alone, and carries no MIS weight. None of this depends on the cache's parameters: rays are traced once, and what they
need of the cache is asked for later, with or without a gradient. Needs Mitsuba with a variant set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import drjit as dr
import mitsuba as mi
import torch

from pipeline.radiosity.sources import Sources
from pipeline.radiosity.transport import columns, first_emission, mis_weight, walk
from pipeline.render.rng import key_words, keyed_rng

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.radiosity.guiding import Lobes

__all__ = ["HALVES", "Incident", "Points", "Queries", "Sampled", "incident", "points", "right_hand_side", "tensors"]

HALVES = 2
"""Incident directions are dealt out to so many estimates that share no sample (Equation 28's X and Y)."""

_POINTS, _INCIDENT = 0x5EED, 0x1D1D  # keep the random numbers of points and of incident directions apart


@dataclass(frozen=True)
class Points:
    """N points on surfaces, with a direction each.

    Attributes:
        asked: 12×N, what the cache is asked with (`transport.columns`).
        emitted: N×3, E(x, ω).
        active: N, false where sampling failed: such a point counts nothing.
        si: the surface interactions and which of them are active, for `incident`; None where rays were traced already.
    """

    asked: Tensor
    emitted: Tensor
    active: Tensor
    si: Any


@dataclass(frozen=True)
class Queries:
    """Where incident rays ended, and what the cache's answer counts there.

    Attributes:
        asked: 12×Q.
        weight: Q×3, f |n·ω_i| / p, times the throughput of delta surfaces on the way, over the number of directions
            that share it.
        slot: Q, point · `HALVES` + half.
    """

    asked: Tensor
    weight: Tensor
    slot: Tensor


@dataclass(frozen=True)
class Incident:
    """Incident light at N points, but for what the cache adds.

    Attributes:
        direct: N×`HALVES`×3, emission and environment, each half a full estimate.
        queries: what the cache is to be asked.
        sampled: what a guide learns from; None where there is none.
    """

    direct: Tensor
    queries: Queries
    sampled: Sampled | None


@dataclass(frozen=True)
class Sampled:
    """The directions of N·m rays, for the guide.

    Attributes:
        direction: 3×N·m, world, unit.
        gathered: N·m×3, f E |n·ω_i| / p of emission that the ray found.
        weight: N·m×3, f |n·ω_i| / p times throughput: what the cache's answer counts.
        ray: Q, which ray each of `Incident.queries` belongs to.
    """

    direction: Tensor
    gathered: Tensor
    weight: Tensor
    ray: Tensor


def points(sources: Sources, count: int, seed: int, step: int) -> Points:
    """N points by area with uniform directions; a function of (seed, step) and of nothing else."""
    words = key_words(seed, step)
    rng = keyed_rng(words, dr.arange(mi.UInt32, count), dr.opaque(mi.UInt32, _POINTS))
    si, active = sources.surfaces.sample(rng)
    emitted = mi.unpolarized_spectrum(si.emitter(sources.scene, active).eval(si, active))
    asked = columns(si, active)
    dr.eval(si, active, emitted, asked)
    return Points(asked=tensors(asked), emitted=tensors([*emitted]).T, active=active.torch().bool(), si=(si, active))


def incident(
    sources: Sources, si: Any, active: Any, count: int, seed: int, step: int, guide: Lobes | None = None
) -> Incident:
    """Light that comes in at surface interactions.

    Args:
        sources: the scene.
        si: N surface interactions, `si.wi` = ω.
        active: lanes that count.
        count: M, incident directions of each, a multiple of 4: M/2 to the lights, M/2 from the BSDF.
        seed, step: key of the random numbers.
        guide: lobes of each point, from which half of the BSDF's directions are drawn instead; None: none.
    """
    n, m = dr.width(si.p), count // 2
    lane = dr.arange(mi.UInt32, n * m)
    point = lane // m
    si, active = dr.gather(mi.SurfaceInteraction3f, si, point), dr.gather(mi.Bool, active, point)
    rng = keyed_rng(key_words(seed, step), lane, dr.opaque(mi.UInt32, _INCIDENT))
    scene, bsdf, context = sources.scene, si.bsdf(), mi.BSDFContext()

    # ---- One direction from the BSDF (or the guide), one to a light
    light = mi.Point2f(rng.next_float32(), rng.next_float32())
    ds, radiance = scene.sample_emitter_direction(si, light, True, active)
    lobe, turn = rng.next_float32(), mi.Point2f(rng.next_float32(), rng.next_float32())
    f_light, pdf_light, bs, weight = bsdf.eval_pdf_sample(context, si, si.to_local(ds.d), lobe, turn, active)
    weight = mi.unpolarized_spectrum(weight)
    smooth = mi.has_flag(bs.sampled_type, mi.BSDFFlags.Smooth)
    d, pdf = si.to_world(bs.wo), bs.pdf
    if guide is not None:
        choice, part = rng.next_float32(), rng.next_float32()
        guided = choice < 0.5
        d = dr.select(guided, guide.sample(point, part, turn), d)
        f, pdf_bsdf = bsdf.eval_pdf(context, si, si.to_local(d), active)
        pdf = 0.5 * (pdf_bsdf + guide.pdf(point, d))
        weight = dr.select(pdf > 0, mi.unpolarized_spectrum(f) / pdf, 0)
        pdf_light = 0.5 * (pdf_light + guide.pdf(point, ds.d))
        smooth |= guided
    weight = dr.select(active & smooth & dr.all(dr.isfinite(weight)), weight, 0)

    # ---- Light that next-event estimation finds
    mis = dr.select(ds.delta, 1, mis_weight(ds.pdf, pdf_light))
    lit = dr.select(
        active & (ds.pdf != 0), mis * mi.unpolarized_spectrum(f_light) * mi.unpolarized_spectrum(radiance), 0
    )

    # ---- Light that the sampled direction finds
    going = active & (dr.max(weight) > 0)
    ray = si.spawn_ray(d)
    hit = scene.ray_intersect(ray, going)
    emitted = first_emission(scene, hit, si, pdf, going)
    end, β, emitted, arrived, _ = walk(scene, hit, ray, rng, emitted, going, False, True)
    ends = [(columns(end, arrived), weight * β, arrived)]
    if sources.mixed:
        onward = arrived & mi.has_flag(end.bsdf().flags(), mi.BSDFFlags.Delta | mi.BSDFFlags.Null)
        last, γ, shown, arrived, _ = walk(scene, end, ray, rng, mi.Color3f(0), onward, False, False)
        emitted += β * shown
        ends.append((columns(last, arrived), weight * β * γ, arrived))
    gathered = weight * emitted
    direct = lit + gathered
    dr.eval(direct, ends, *([d, gathered, weight] if guide is not None else []))

    shared = m // HALVES
    queries = [_asked(asked, counts, there, m, shared) for asked, counts, there in ends]
    asked, counts, slot, ray_index = (
        torch.cat(parts, dim=-1 if k == 0 else 0) for k, parts in enumerate(zip(*queries, strict=True))
    )
    sampled = None
    if guide is not None:
        sampled = Sampled(tensors([*d]), tensors([*gathered]).T, tensors([*weight]).T, ray_index)
    # Ray j of a point belongs to half j mod 2.
    per_ray = tensors([*direct]).view(3, n, shared, HALVES)
    return Incident(per_ray.mean(dim=2).permute(1, 2, 0), Queries(asked, counts, slot), sampled)


def right_hand_side(incoming: Incident, cached: Callable[[Tensor], Tensor]) -> Tensor:
    """R − E, in two halves that share no sample: N×`HALVES`×3.

    Args:
        incoming: from `incident`.
        cached: S, asked with 12×Q, answers Q×3. With a gradient if its answer has one.
    """
    n = incoming.direct.shape[0]
    queries = incoming.queries
    if queries.slot.numel() == 0:
        return incoming.direct
    answer = cached(queries.asked) * queries.weight
    indirect = answer.new_zeros(n * HALVES, 3).index_add(0, queries.slot, answer)
    return incoming.direct + indirect.view(n, HALVES, 3)


def tensors(arrays: list[Any]) -> Tensor:
    """Evaluated Dr.Jit arrays of one width → their rows in a new float tensor, C×N, on the same device."""
    return torch.stack([array.torch() for array in arrays])


def _asked(asked: list[Any], weight: Any, there: Any, m: int, shared: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The rays that ended at the cache, without the others: (12×Q, Q×3, slots, rays)."""
    counts = tensors([*weight])
    ray = torch.nonzero(there.torch().bool() & (counts.amax(dim=0) > 0)).squeeze(1)
    slot = ray // m * HALVES + ray % HALVES
    return tensors(asked).index_select(1, ray), counts.index_select(1, ray).T / shared, slot, ray
