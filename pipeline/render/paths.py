"""The path tracer behind a render pass: next-event estimation and MIS in two loops, with a diffuse/specular split.

Loop 1 (`first_vertex`) walks the chain of delta and null surfaces up to the first vertex that scatters. There it
records features, splits next-event estimation into diffuse and the rest, and samples the BSDF once. Loop 2
(`continue_path`) is a plain path tracer from there on: all later radiance shares one ratio r, the diffuse part of the
sampled
BSDF value, so the hot loop carries no split state:  D += r·L,  S += (1 − r)·L.

Estimator, depth and roulette are those of Mitsuba's `path` integrator, so the mean image is the same.
Symbols: β throughput, η relative index of refraction along the path, L radiance, f BSDF times cosine, Le emission.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import drjit as dr
import mitsuba as mi

from pipeline.render.bsdfs import DIFFUSE, BsdfKind, Split, pointer_id
from pipeline.render.outputs import LightTable, credit, light_of

__all__ = ["FirstHit", "Limits", "Radiance", "first_hit", "limits", "trace", "trace_whole"]


class Radiance:
    """One path's radiance, split; each a Spectrum. Their sum is what Mitsuba's `path` returns."""

    DRJIT_STRUCT: ClassVar = {"emission": mi.Color3f, "diffuse": mi.Color3f, "specular": mi.Color3f}

    def __init__(self) -> None:
        self.emission, self.diffuse, self.specular = mi.Color3f(0), mi.Color3f(0), mi.Color3f(0)


class FirstHit:
    """What a path met first. `found`: the first surface that did not let it pass straight through; `scattered`: the
    first x"""

    DRJIT_STRUCT: ClassVar = {
        "found": mi.Bool,  # a surface was met
        "point": mi.Point3f,  # of it, world
        "shape": mi.UInt32,  # registry number of its shape (or instance)
        "normal": mi.Normal3f,  # shading normal towards the viewer: of `scattered`, else of `found`
        "scattered": mi.Bool,
        "albedo": mi.Color3f,
        "alpha": mi.Bool,
    }

    def __init__(self) -> None:
        self.found, self.scattered, self.alpha = mi.Bool(False), mi.Bool(False), mi.Bool(False)
        self.point, self.normal = mi.Point3f(0), mi.Normal3f(0)
        self.shape = mi.UInt32(0)
        self.albedo = mi.Color3f(0)


class Tail:
    """Where loop 2 starts: the ray after the first scattering, and what MIS needs of that vertex."""

    DRJIT_STRUCT: ClassVar = {
        "ray": mi.Ray3f,
        "beta": mi.Color3f,
        "eta": mi.Float,
        "depth": mi.UInt32,
        "pdf": mi.Float,
        "delta": mi.Bool,
        "previous": mi.Interaction3f,
        "ratio": mi.Color3f,
        "alive": mi.Bool,
    }

    def __init__(self) -> None:
        self.ray = dr.zeros(mi.Ray3f)
        self.beta, self.ratio = mi.Color3f(1), mi.Color3f(0)
        self.eta, self.pdf = mi.Float(1), mi.Float(1)
        self.depth = mi.UInt32(0)
        self.delta, self.alive = mi.Bool(True), mi.Bool(False)
        self.previous = dr.zeros(mi.Interaction3f)


@dataclass(frozen=True)
class Limits:
    """Opaque, so that jobs that differ in them share kernels."""

    max_depth: mi.UInt32
    rr_depth: mi.UInt32


def limits(max_depth: int, rr_depth: int) -> Limits:
    """`max_depth` −1 means unlimited, as in Mitsuba."""
    words = mi.UInt32(max_depth & 0xFFFFFFFF), mi.UInt32(rr_depth)
    dr.make_opaque(words)
    return Limits(*words)


def trace(
    scene: mi.Scene,
    ray: mi.Ray3f,
    rng: mi.PCG32,
    *,
    kinds: dict[int, BsdfKind],
    limits: Limits,
    hide_emitters: bool,
    lights: LightTable | None = None,
) -> tuple[Radiance, FirstHit, list[mi.Color3f]]:
    """Traces one path per lane.

    Args:
        kinds: BSDF registry number → how it can be split (`bsdfs.classify`).
        hide_emitters: as in Mitsuba's `path`: lights and environment are not seen directly.
        lights: groups whose radiance is told apart.

    Returns:
        Radiance, what was met first, and the radiance of each group.
    """
    has_environment = scene.environment() is not None
    out, hit, tail, by_light = first_vertex(
        scene, ray, rng, _vertex_of(kinds), limits.max_depth, limits.rr_depth, hide_emitters, has_environment, lights
    )
    L, by_light = continue_path(scene, tail, rng, limits.max_depth, limits.rr_depth, lights, by_light)
    out.diffuse += tail.ratio * L
    out.specular += (1 - tail.ratio) * L
    return out, hit, by_light


def trace_whole(scene: mi.Scene, ray: mi.Ray3f, rng: mi.PCG32, *, limits: Limits, active: mi.Bool) -> mi.Color3f:
    """Radiance alone, in one loop: the same paths as `trace`, without the split and without features. Lights must not
    be hidden from the camera."""
    start = Tail()
    start.ray, start.alive = mi.Ray3f(ray), mi.Bool(active)
    L, _ = continue_path(scene, start, rng, limits.max_depth, limits.rr_depth, None, [])
    return L


def first_hit(
    scene: mi.Scene,
    ray: mi.Ray3f,
    rng: mi.PCG32,
    *,
    kinds: dict[int, BsdfKind],
    limits: Limits,
    hide_emitters: bool,
) -> FirstHit:
    """Features alone, for integrators whose radiance is computed elsewhere (what the loop gathers besides is never
    evaluated)."""
    has_environment = scene.environment() is not None
    vertex = _vertex_of(kinds)
    _, hit, _, _ = first_vertex(
        scene, ray, rng, vertex, limits.max_depth, limits.rr_depth, hide_emitters, has_environment, None
    )
    return hit


Vertex = Callable[..., tuple[mi.Color3f, mi.Float, mi.BSDFSample3f, mi.Color3f, mi.Color3f, mi.Color3f, mi.Color3f]]


def _vertex_of(kinds: dict[int, BsdfKind]) -> Vertex:
    """The target of one virtual call at the first vertex: evaluates f(wo) and its diffuse part, samples, gives the
    ratio and albedo."""
    everything, diffuse_only = mi.BSDFContext(), mi.BSDFContext()
    diffuse_only.type_mask = DIFFUSE

    def vertex(bsdf, si, wo, sample1, sample2, active):
        kind = kinds.get(pointer_id(bsdf))
        if kind is None:  # nested in another BSDF: no ray meets it
            none = mi.Color3f(0)
            return none, mi.Float(0), dr.zeros(mi.BSDFSample3f), none, none, none, none
        f, pdf, bs, weight = bsdf.eval_pdf_sample(everything, si, wo, sample1, sample2, active)
        f, weight = mi.unpolarized_spectrum(f), mi.unpolarized_spectrum(weight)
        delta = mi.has_flag(bs.sampled_type, mi.BSDFFlags.Delta)
        if kind.split is Split.NONE:
            return f, pdf, bs, weight, mi.Color3f(0), mi.Color3f(0), dr.clip(weight, 0, 1)

        if kind.reflectance_known:
            albedo = mi.unpolarized_spectrum(bsdf.eval_diffuse_reflectance(si, active))
        else:
            straight = mi.Vector3f(0, 0, dr.select(si.wi.z >= 0, 1, -1))
            albedo = dr.pi * mi.unpolarized_spectrum(bsdf.eval(diffuse_only, si, straight, active))
        if int(bsdf.flags()) & int(mi.BSDFFlags.Null):  # of what is there: samples of what is not see the next surface
            there = 1 - mi.unpolarized_spectrum(bsdf.eval_null_transmission(si, active))
            albedo = dr.select(there > 0, albedo / there, 0)
        albedo = dr.clip(albedo, 0, 1)

        if kind.split is Split.WHOLE:
            f_diffuse, ratio = f, mi.Color3f(1)
        elif kind.split is Split.MASKED:
            f_diffuse = mi.unpolarized_spectrum(bsdf.eval(diffuse_only, si, wo, active))
            sampled = weight * bs.pdf
            sampled_diffuse = mi.unpolarized_spectrum(bsdf.eval(diffuse_only, si, bs.wo, active))
            ratio = dr.select(sampled > 0, sampled_diffuse / sampled, 0)
        else:
            f_diffuse = albedo * (dr.abs(wo.z) * dr.inv_pi)
            sampled = weight * bs.pdf
            ratio = dr.select(sampled > 0, albedo * (dr.abs(bs.wo.z) * dr.inv_pi) / sampled, 0)
        ratio = dr.select(delta, 0, dr.clip(ratio, 0, 1))
        return f, pdf, bs, weight, dr.minimum(f_diffuse, f), ratio, albedo

    return vertex


@dr.syntax
def first_vertex(scene, ray, rng, vertex, max_depth, rr_depth, hide_emitters, has_environment, lights):
    """Loop 1: up to and including the first vertex that scatters. Returns radiance so far, features, the tail's start,
    and radiance by group of lights."""
    ray = mi.Ray3f(ray)  # Current ray
    depth = mi.UInt32(0)  # Vertices passed
    β = mi.Color3f(1)  # Throughput, so far of delta surfaces alone
    η = mi.Float(1)  # Relative index of refraction along the path
    out = Radiance()  # Radiance gathered
    by_light = light_of(lights)  # … by group of lights
    hit = FirstHit()  # Features
    tail = Tail()  # Start of loop 2
    active = mi.Bool(True)  # Still in the delta chain

    while dr.hint(active, label="First vertex"):
        si = scene.ray_intersect(ray, ray_flags=mi.RayFlags.All, coherent=True, active=active)

        # ---- Emission seen directly or through delta surfaces; an area light that is hidden lets the ray pass
        emitter = si.emitter(scene, active)
        hidden = mi.Bool(hide_emitters) & (depth == 0)
        passing = hidden & si.is_valid() & (emitter != None)  # noqa: E711
        Le = emitter.eval(si, active & ~hidden)
        seen = dr.select(active & ~hidden, β * mi.unpolarized_spectrum(Le), 0)
        out.emission += seen
        by_light = credit(by_light, lights, emitter, seen)
        if dr.hint(has_environment, mode="scalar"):
            hit.alpha |= active & ~hidden & ~si.is_valid()

        # ---- Next-event estimation and BSDF sample, in one virtual call
        on = active & si.is_valid() & ~passing & (depth + 1 < max_depth)  # max_depth −1 is the largest number
        bsdf = si.bsdf(ray)
        smooth = mi.has_flag(bsdf.flags(), mi.BSDFFlags.Smooth)
        light1, light2 = rng.next_float32(), rng.next_float32()
        lit = on & smooth
        ds, em_weight = scene.sample_emitter_direction(si, mi.Point2f(light1, light2), True, lit)
        lit &= ds.pdf != 0
        lobe, direction1, direction2 = rng.next_float32(), rng.next_float32(), rng.next_float32()
        f, pdf, bs, weight, f_diffuse, ratio, albedo = dr.dispatch(
            bsdf, vertex, si, si.to_local(ds.d), lobe, mi.Point2f(direction1, direction2), active & si.is_valid()
        )
        mis = dr.select(ds.delta, 1, _mis_weight(ds.pdf, pdf))
        direct = dr.select(lit, β * mis * mi.unpolarized_spectrum(em_weight), 0)
        out.diffuse += direct * f_diffuse
        out.specular += direct * (f - f_diffuse)
        by_light = credit(by_light, lights, ds.emitter, direct * f)

        # ---- Features: of the first surface that does not let the path straight through
        null = mi.has_flag(bs.sampled_type, mi.BSDFFlags.Null) & (dr.max(weight) > 0)
        met = active & si.is_valid() & ~passing & ~null
        normal = mi.Normal3f(dr.mulsign(si.sh_frame.n, dr.dot(si.sh_frame.n, -ray.d)))
        found_now = met & ~hit.found
        hit.point = dr.select(found_now, si.p, hit.point)
        number = dr.select(si.instance != None, _number(si.instance), _number(si.shape))  # noqa: E711
        hit.shape = dr.select(found_now, number, hit.shape)
        hit.normal = dr.select(found_now | (met & smooth), normal, hit.normal)
        hit.albedo = dr.select(met & smooth, dr.clip(β, 0, 1) * albedo, hit.albedo)
        hit.found |= met
        hit.scattered |= met & smooth
        hit.alpha |= met

        # ---- Next ray
        previous = mi.Interaction3f(si.t, si.time, si.wavelengths, si.p, si.n)
        β_next = β * weight
        η_next = η * bs.eta
        survives = on
        survival = dr.minimum(dr.max(β_next) * dr.square(η_next), 0.95)
        roulette = depth + 1 >= rr_depth
        survives &= (dr.max(β_next) != 0) & (~roulette | (rng.next_float32() < survival))
        β_next = dr.select(roulette, β_next * dr.rcp(survival), β_next)
        ray_next = si.spawn_ray(dr.select(passing, ray.d, si.to_world(bs.wo)))

        # ---- Leave for loop 2 where a surface scatters; stay in the chain behind delta and null surfaces
        leaves = survives & smooth & ~null
        tail.ray = dr.select(leaves, ray_next, tail.ray)
        tail.beta = dr.select(leaves, β_next, tail.beta)
        tail.eta = dr.select(leaves, η_next, tail.eta)
        tail.depth = dr.select(leaves, depth + 1, tail.depth)
        tail.pdf = dr.select(leaves, bs.pdf, tail.pdf)
        tail.delta = dr.select(leaves, mi.has_flag(bs.sampled_type, mi.BSDFFlags.Delta), tail.delta)
        tail.previous = dr.select(leaves, previous, tail.previous)
        tail.ratio = dr.select(leaves, ratio, tail.ratio)
        tail.alive |= leaves

        stays = (survives & ~leaves) | (active & passing)
        β = dr.select(survives, β_next, β)  # a path that ends has no next throughput
        η = dr.select(passing, η, η_next)
        depth = dr.select(passing, depth, depth + 1)
        ray = mi.Ray3f(ray_next)
        active = stays

    # Nothing scattered: glass or a mirror before the background shows what it lets through
    clear = hit.found & ~hit.scattered
    hit.albedo = dr.select(clear, dr.clip(β, 0, 1), hit.albedo)
    return out, hit, tail, by_light


@dr.syntax
def continue_path(scene, tail, rng, max_depth, rr_depth, lights, by_light):
    """Loop 2: a path tracer with next-event estimation and MIS from the tail's start. Returns L, throughput
    included, and `by_light` with it added by group."""
    context = mi.BSDFContext()
    L = mi.Color3f(0)  # Radiance
    β = mi.Color3f(tail.beta)  # Throughput
    η = mi.Float(tail.eta)  # Relative index of refraction
    ray = mi.Ray3f(tail.ray)  # Current ray
    depth = mi.UInt32(tail.depth)  # Vertices passed
    previous = mi.Interaction3f(tail.previous)  # Last vertex
    pdf_previous = mi.Float(tail.pdf)  # BSDF density that chose the ray
    delta_previous = mi.Bool(tail.delta)  # … or a delta lobe
    active = mi.Bool(tail.alive)

    while dr.hint(active, label="Path"):
        si = scene.ray_intersect(ray, ray_flags=mi.RayFlags.All, coherent=depth == 0, active=active)

        # ---- Emission, weighted against next-event estimation at the last vertex
        ds = mi.DirectionSample3f(scene, si, previous)
        pdf_light = scene.pdf_emitter_direction(previous, ds, active & ~delta_previous)
        mis = dr.select(delta_previous, 1, _mis_weight(pdf_previous, pdf_light))
        met = dr.select(active, β * mis * mi.unpolarized_spectrum(ds.emitter.eval(si, active)), 0)
        L += met
        by_light = credit(by_light, lights, ds.emitter, met)

        active &= si.is_valid() & (depth + 1 < max_depth)

        # ---- Next-event estimation and BSDF sample
        bsdf = si.bsdf(ray)
        lit = active & mi.has_flag(bsdf.flags(), mi.BSDFFlags.Smooth)
        light1, light2 = rng.next_float32(), rng.next_float32()
        ds, em_weight = scene.sample_emitter_direction(si, mi.Point2f(light1, light2), True, lit)
        lit &= ds.pdf != 0
        lobe, direction1, direction2 = rng.next_float32(), rng.next_float32(), rng.next_float32()
        f, pdf, bs, weight = bsdf.eval_pdf_sample(
            context, si, si.to_local(ds.d), lobe, mi.Point2f(direction1, direction2), active
        )
        mis = dr.select(ds.delta, 1, _mis_weight(ds.pdf, pdf))
        direct = dr.select(lit, β * mis * mi.unpolarized_spectrum(f) * mi.unpolarized_spectrum(em_weight), 0)
        L += direct
        by_light = credit(by_light, lights, ds.emitter, direct)

        # ---- Next ray and roulette
        previous = mi.Interaction3f(si.t, si.time, si.wavelengths, si.p, si.n)
        pdf_previous = bs.pdf
        delta_previous = mi.has_flag(bs.sampled_type, mi.BSDFFlags.Delta)
        ray = si.spawn_ray(si.to_world(bs.wo))
        β *= mi.unpolarized_spectrum(weight)
        η *= bs.eta
        depth += 1
        survival = dr.minimum(dr.max(β) * dr.square(η), 0.95)
        roulette = depth >= rr_depth
        active &= (dr.max(β) != 0) & (~roulette | (rng.next_float32() < survival))
        β = dr.select(roulette, β * dr.rcp(survival), β)

    return L, by_light


def _mis_weight(pdf_a: mi.Float, pdf_b: mi.Float) -> mi.Float:
    """Power heuristic with exponent 2; 0 where both vanish."""
    a2 = dr.square(pdf_a)
    weight = a2 / dr.fma(pdf_b, pdf_b, a2)
    return dr.detach(dr.select(dr.isfinite(weight), weight, 0))


def _number(pointer: mi.ShapePtr) -> mi.UInt32:
    return dr.reinterpret_array(mi.UInt32, pointer)
