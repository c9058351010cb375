"""Rays through the scene up to the surfaces that the cache holds, and what those surfaces are to the cache.

A surface may have delta lobes (glass, mirrors, the coat of a smooth plastic, holes of a mask) beside the part that the
cache holds. The cache holds the light of the smooth lobes alone; delta lobes are walked through:

    L = E + S + (what the delta lobes show),        S(x, ω) = ∫ f_smooth L cos.

Symbols: β throughput, E emission, S the cached part, si surface interaction. Needs Mitsuba with a variant set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pipeline.radiosity.surfaces import cacheable

__all__ = ["COLUMNS", "MAX_DELTA", "Arrival", "columns", "first_emission", "mis_weight", "walk"]

MAX_DELTA = 12
"""Delta surfaces that are walked through in a row; what lies deeper counts as black."""

COLUMNS = 12
"""Numbers that the cache is asked with: position, direction, normal, albedo; three each."""

FIXED_DIRECTION = (0.354, 0.354, 0.866)
"""Local direction in which the albedo is looked up, so that it does not depend on the view."""

_DELTA = mi.BSDFFlags.Delta | mi.BSDFFlags.Null


@dataclass
class Arrival:
    """Where a ray ended.

    Attributes:
        si: the surface interaction, `si.wi` towards where the ray came from.
        beta: Color3f, throughput from there to the ray's origin.
        emitted: Color3f, emission that was met on the way, this surface's included, throughput multiplied in.
        active: whether `si` is a surface whose light the cache is to be asked for.
        depth: surfaces met before it.
    """

    si: Any
    beta: Any
    emitted: Any
    active: Any
    depth: Any


def mis_weight(pdf_a: Any, pdf_b: Any) -> Any:
    """Power heuristic with exponent 2; 0 where both vanish. Source: Veach 1997, §9.2.4."""
    a2 = dr.square(pdf_a)
    weight = a2 / dr.fma(pdf_b, pdf_b, a2)
    return dr.select(dr.isfinite(weight), weight, 0)


def first_emission(scene: Any, si: Any, previous: Any, pdf: Any, active: Any) -> Any:
    """E at `si`, or of the environment, seen from `previous` by a direction of density `pdf` (per solid angle),
    weighted against next-event estimation there."""
    ds = mi.DirectionSample3f(scene, si, previous)
    weight = mis_weight(pdf, scene.pdf_emitter_direction(previous, ds, active))
    return dr.select(active, weight * mi.unpolarized_spectrum(ds.emitter.eval(si, active)), 0)


@dr.syntax
def walk(scene, si, ray, rng, emitted, active, hide_emitters, mixed_stops):
    """From a ray's first hit through delta lobes to a surface that the cache holds.

    Args:
        scene: `mi.Scene`.
        si: hit of `ray`.
        ray: that led there.
        rng: PCG32, one per lane.
        emitted: what the first hit emits, weighted by the caller.
        active: lanes that take part.
        hide_emitters: a bool: a lamp that is met first is passed through.
        mixed_stops: a bool. True: the first surface with a smooth lobe ends the walk, whatever delta lobes it has.
            False: the walk begins with `si`'s delta lobes alone; surfaces that have both end it with probability ½.

    Returns:
        Arrival's fields: si, beta, emitted, active, depth.
    """
    context = mi.BSDFContext()
    si = mi.SurfaceInteraction3f(si)
    ray = mi.Ray3f(ray)
    L = mi.Color3f(emitted)  # Emission on the way
    β = mi.Color3f(1)  # Throughput
    depth = mi.UInt32(0)  # Surfaces passed
    arrived = mi.Bool(False)  # at a surface that the cache is asked for
    on = mi.Bool(active)  # Still walking

    while dr.hint(on, label="Delta walk"):
        flags = si.bsdf(ray).flags()
        valid = on & si.is_valid()
        smooth = valid & cacheable(flags)
        delta = valid & mi.has_flag(flags, _DELTA)
        passing = mi.Bool(hide_emitters) & (depth == 0) & valid & (si.emitter(scene, valid) != None)  # noqa: E711

        # ---- Stop here?
        coin = rng.next_float32() < 0.5
        both = smooth & delta
        stops = smooth & ~passing
        if dr.hint(not mixed_stops, mode="scalar"):
            stops = smooth & (depth > 0) & (~delta | coin)
            β = dr.select(both & (depth > 0), 2 * β, β)
        # The other side of a surface that has one is black
        lit_side = mi.has_flag(flags, mi.BSDFFlags.BackSide) | (mi.Frame3f.cos_theta(si.wi) > 0)
        arrived |= stops & lit_side

        # ---- Through a delta lobe; a surface without a BSDF is the boundary of a medium
        on = valid & ~stops & (delta | passing) & (depth < MAX_DELTA)
        lobe, u1, u2 = rng.next_float32(), rng.next_float32(), rng.next_float32()
        bs, weight = si.bsdf(ray).sample(context, si, lobe, mi.Point2f(u1, u2), on & ~passing)
        through = mi.has_flag(bs.sampled_type, mi.BSDFFlags.Delta) | mi.has_flag(bs.sampled_type, mi.BSDFFlags.Null)
        on &= passing | (through & (dr.max(mi.unpolarized_spectrum(weight)) > 0))
        β = dr.select(on & ~passing, β * mi.unpolarized_spectrum(weight), β)
        ray = si.spawn_ray(dr.select(passing, ray.d, si.to_world(bs.wo)))
        following = scene.ray_intersect(ray, ray_flags=mi.RayFlags.All, coherent=False, active=on)
        si = dr.select(on, following, si)
        depth = dr.select(on, depth + 1, depth)

        # ---- What a delta lobe shows cannot be found by next-event estimation: no weight
        emitter = si.emitter(scene, on)
        L += dr.select(on, β * mi.unpolarized_spectrum(emitter.eval(si, on)), 0)

    return si, β, L, arrived, depth


def columns(si: Any, active: Any) -> list[Any]:
    """What the cache is asked with, `COLUMNS` arrays: position (world), direction ω towards the viewer (world, unit),
    shading normal flipped to ω's side, diffuse reflectance at a fixed direction (clipped to [0, 1])."""
    ω = si.to_world(si.wi)
    n = dr.mulsign(mi.Vector3f(si.sh_frame.n), si.wi.z)
    fixed = mi.SurfaceInteraction3f(si)
    x, y, z = FIXED_DIRECTION
    fixed.wi = mi.Vector3f(x, y, dr.mulsign(mi.Float(z), si.wi.z))
    albedo = mi.unpolarized_spectrum(si.bsdf().eval_diffuse_reflectance(fixed, active))
    albedo = dr.select(dr.isfinite(albedo), dr.clip(albedo, 0, 1), 0)
    return [*si.p, *ω, *n, *albedo]
