"""A path tracer over many versions of one scene at once: every lane knows which version it renders.

Shapes that are moved lie in scenes of their own, where they rest. A ray of version k meets them after it has been
taken through the inverse of their pose in version k, and what it meets there is brought back: nothing is rebuilt, no
matter how many poses one launch renders. Lights carry a factor per version, and the camera a pose. Random numbers
depend on pixel, sample and seed, not on the version, so that versions differ by what their parameters do alone. Plain
diffuse surfaces carry an albedo per version; other materials are those of the scene, the same for all versions.

Estimator, depth and roulette are those of Mitsuba's `path`. Poses are similarity transforms (turn, move, one scale):
under these solid angles, and so the densities of light sampling, stay what they are.

Symbols: β throughput, η relative index of refraction, L radiance, f BSDF times cosine, Le emission.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pipeline.match.poses import Pose, gathered
from pipeline.match.rig import Rows
from pipeline.render.rng import key_words, keyed_rng

if TYPE_CHECKING:
    from pipeline.render.paths import Limits

__all__ = ["Mover", "Stage", "launch"]

Array = NDArray[np.float64]

SHADOW_EPSILON = 1e-3  # share of a shadow ray that is left out at its far end, as in Mitsuba
BELOW_ONE = 1.0 - 2.0**-24


@dataclass(frozen=True)
class Mover:
    """What is moved: a scene of one shape, or of one light, at rest.

    Attributes:
        name: id of it.
        scene: `mi.Scene`.
        lights: how many lights it holds.
        solid: whether it holds a shape.
    """

    name: str
    scene: Any
    lights: int
    solid: bool


@dataclass(frozen=True)
class Stage:
    """What stands still, and what moves in it.

    Attributes:
        scene, sensor: Mitsuba's.
        movers: in the order of their numbers, which begin at 1.
        emitters: id → mi.Emitter, of those whose factor is searched.
        surfaces: id → mi.BSDFs, of those whose albedo is searched; theirs is 1 in the scenes.
        limits: depth of paths.
        hide_emitters: as in Mitsuba's `path`.
        width, height: pixels.
        fov: horizontal, degrees; None for sensors that are not perspective.
        camera: 4×4, to world.
    """

    scene: Any
    sensor: Any
    movers: tuple[Mover, ...]
    emitters: dict[str, Any]
    surfaces: dict[str, list[Any]]
    limits: Limits
    hide_emitters: bool
    width: int
    height: int
    fov: float | None
    camera: Array


def launch(stage: Stage, rows: Rows, *, spp: int, seed: int, first_sample: int = 0) -> NDArray[np.float32]:
    """Renders all rows in one launch.

    Args:
        spp: samples per pixel, in each of two halves.
        seed: of the random numbers; the same for all rows.
        first_sample: index of the first sample: later launches of the same seed go on.

    Returns:
        K×2×H×W×4: two images of disjoint samples, linear radiance and alpha (of the first hit).
    """
    pixels = stage.width * stage.height
    count = len(rows) * pixels * 2 * spp
    origin, size, samples, width = (mi.UInt32(n) for n in (first_sample, pixels, 2 * spp, stage.width))
    dr.make_opaque(origin, size, samples, width)
    lane = dr.arange(mi.UInt32, count)
    block = lane // samples
    version = block // size
    pixel = block - version * size
    sample = lane - block * samples + origin

    rng = keyed_rng(key_words(seed, 0), pixel, sample)
    jitter = mi.Point2f(rng.next_float32(), rng.next_float32())
    aperture = mi.Point2f(rng.next_float32(), rng.next_float32())
    y = pixel // width
    position = (mi.Point2f(pixel - y * width, y) + jitter) / mi.Point2f(stage.width, stage.height)
    ray, weight = stage.sensor.sample_ray(time=0.0, sample1=0.5, sample2=position, sample3=aperture)
    ray = _aimed(stage, rows, mi.Ray3f(ray), version)
    world = _World(stage, rows, version)
    L, alpha = _trace(world, ray, rng, stage.limits.max_depth, stage.limits.rr_depth)
    L = L * mi.unpolarized_spectrum(weight)
    finite = dr.isfinite(L.x + L.y + L.z)
    channels = [dr.select(finite, value, 0) for value in (L.x, L.y, L.z)] + [dr.select(alpha, mi.Float(1), 0)]
    dr.eval(channels)  # means are taken of arrays, so that one kernel serves any number of samples
    stacked = np.stack([np.array(value).reshape(-1, spp).mean(axis=1) for value in channels], axis=-1)
    halves = stacked.reshape(len(rows), stage.height, stage.width, 2, 4)
    return np.ascontiguousarray(np.moveaxis(halves, 3, 1))


def _aimed(stage: Stage, rows: Rows, ray: mi.Ray3f, version: mi.UInt32) -> mi.Ray3f:
    """The camera's ray, for lanes whose camera is turned, moved or has another field of view."""
    if rows.fov is not None and stage.fov is not None:
        # In camera space +z looks ahead: x and y grow with the tangent of half the field of view.
        ratio = np.tan(np.radians(rows.fov) / 2.0) / np.tan(np.radians(stage.fov) / 2.0)
        widening = gathered(ratio[:, None], version)[0]
        ahead = mi.Vector3f(*(float(v) for v in stage.camera[:3, 2] / np.linalg.norm(stage.camera[:3, 2])))
        along = dr.dot(ray.d, ahead)
        ray.d = dr.normalize(ahead * along + (ray.d - ahead * along) * widening)
    if rows.camera is not None:
        pose = Pose(rows.camera, version)
        ray.o, ray.d = pose.point(ray.o), pose.direction(ray.d)
    return ray


@dr.syntax
def _trace(world, ray, rng, max_depth, rr_depth):
    """Radiance and alpha of every lane's ray."""
    context = mi.BSDFContext()
    ray = mi.Ray3f(ray)  # Current ray
    L = mi.Color3f(0)  # Radiance
    β = mi.Color3f(1)  # Throughput
    η = mi.Float(1)  # Relative index of refraction along the path
    depth = mi.UInt32(0)  # Vertices passed
    previous = dr.zeros(mi.Interaction3f)  # Last vertex
    pdf_previous = mi.Float(1)  # BSDF density that chose the ray
    delta_previous = mi.Bool(True)  # … or a delta lobe
    alpha = mi.Bool(False)  # The first ray met a surface, or an environment that is seen
    active = mi.Bool(True)

    while dr.hint(active, label="Versions"):
        si, mover = world.intersect(ray, active)
        emitter = si.emitter(world.scene, active)
        hidden = mi.Bool(world.hide_emitters) & (depth == 0)
        passing = active & hidden & si.is_valid() & (emitter != None)  # noqa: E711 (a Dr.Jit array of pointers)
        seen = active & ~hidden
        alpha |= active & (depth == 0) & ~passing & (si.is_valid() | (mi.Bool(world.has_environment) & ~hidden))

        # ---- Emission, weighted against next-event estimation at the last vertex
        Le = mi.unpolarized_spectrum(emitter.eval(si, seen)) * world.factor(emitter)
        pdf_light = world.light_pdf(previous, si, mover, emitter, active & ~delta_previous)
        mis = dr.select(delta_previous, 1, _mis_weight(pdf_previous, pdf_light))
        L += dr.select(seen, β * mis * Le, 0)
        on = active & si.is_valid() & ~passing & (depth + 1 < max_depth)

        # ---- Next-event estimation and BSDF sample
        bsdf = si.bsdf(mi.RayDifferential3f(ray))
        lit = on & mi.has_flag(bsdf.flags(), mi.BSDFFlags.Smooth)
        light = mi.Point2f(rng.next_float32(), rng.next_float32())
        d, pdf, delta, weight = world.sample_light(si, light, lit)
        lit &= pdf != 0
        lobe = rng.next_float32()
        direction = mi.Point2f(rng.next_float32(), rng.next_float32())
        f, pdf_f, bs, throughput = bsdf.eval_pdf_sample(context, si, si.to_local(d), lobe, direction, on)
        albedo = world.albedo(bsdf)
        mis = dr.select(delta, 1, _mis_weight(pdf, pdf_f))
        L += dr.select(lit, β * mis * albedo * mi.unpolarized_spectrum(f) * weight, 0)

        # ---- Next ray and roulette; a light that is hidden lets the ray pass
        previous = mi.Interaction3f(si.t, si.time, si.wavelengths, si.p, si.n)
        pdf_previous = bs.pdf
        delta_previous = passing | mi.has_flag(bs.sampled_type, mi.BSDFFlags.Delta)
        ray = si.spawn_ray(dr.select(passing, ray.d, si.to_world(bs.wo)))
        β = dr.select(on, β * albedo * mi.unpolarized_spectrum(throughput), β)
        η = dr.select(on, η * bs.eta, η)
        depth = dr.select(passing, depth, depth + 1)
        survival = dr.minimum(dr.max(β) * dr.square(η), 0.95)
        roulette = on & (depth >= rr_depth)
        on &= (dr.max(β) != 0) & (~roulette | (rng.next_float32() < survival))
        β = dr.select(roulette, β * dr.rcp(survival), β)
        active = on | passing

    return L, alpha


class _World:
    """The stage and its movers, each lane's in its own pose."""

    def __init__(self, stage: Stage, rows: Rows, version: mi.UInt32) -> None:
        self.scene, self.hide_emitters = stage.scene, stage.hide_emitters
        self.has_environment = stage.scene.environment() is not None
        self._movers = [
            (number, mover, Pose(rows.poses[mover.name], version)) for number, mover in enumerate(stage.movers, start=1)
        ]
        self._factors = [
            (mi.EmitterPtr(stage.emitters[name]), mi.Color3f(*gathered(values, version)))
            for name, values in rows.factors.items()
        ]
        self._albedos = [
            ([mi.BSDFPtr(bsdf) for bsdf in stage.surfaces[name]], mi.Color3f(*gathered(values, version)))
            for name, values in rows.albedos.items()
        ]
        own: list[tuple[int, Any, int, Pose | None]] = [(0, stage.scene, len(stage.scene.emitters()), None)]
        own += [(number, mover.scene, mover.lights, pose) for number, mover, pose in self._movers]
        self._lights = [group for group in own if group[2]]
        self._light_count = sum(group[2] for group in self._lights)

    def intersect(self, ray: mi.Ray3f, active: mi.Bool) -> tuple[Any, mi.UInt32]:
        """The nearest hit, in the world; and the number of the mover that was hit, 0 for the stage."""
        si = self.scene.ray_intersect(ray, ray_flags=mi.RayFlags.All, coherent=False, active=active)
        number = mi.UInt32(0)
        for index, mover, pose in self._movers:
            if not mover.solid:
                continue
            rest = pose.inverse_ray(ray)
            hit = mover.scene.ray_intersect(rest, ray_flags=mi.RayFlags.All, coherent=False, active=active)
            closer = active & hit.is_valid() & (hit.t < si.t)
            hit.p = pose.point(hit.p)
            hit.n = mi.Normal3f(pose.direction(hit.n))
            s, t, n = (pose.direction(axis) for axis in (hit.sh_frame.s, hit.sh_frame.t, hit.sh_frame.n))
            hit.sh_frame = mi.Frame3f(s, t, mi.Normal3f(n))
            hit.dp_du, hit.dp_dv = pose.vector(hit.dp_du), pose.vector(hit.dp_dv)
            hit.wi = hit.to_local(-ray.d)
            si = dr.select(closer, hit, si)
            number = dr.select(closer, mi.UInt32(index), number)
        return si, number

    def factor(self, emitter: Any) -> mi.Color3f:
        """Of what a light emits, in each lane's version."""
        value = mi.Color3f(1)
        for pointer, factor in self._factors:
            value = dr.select(emitter == pointer, value * factor, value)
        return value

    def albedo(self, bsdf: Any) -> mi.Color3f:
        """Of a plain diffuse surface whose albedo is searched, in each lane's version; else 1."""
        value = mi.Color3f(1)
        for pointers, albedo in self._albedos:
            for pointer in pointers:
                value = dr.select(bsdf == pointer, albedo, value)
        return value

    def sample_light(
        self, si: Any, sample: mi.Point2f, active: mi.Bool
    ) -> tuple[mi.Vector3f, mi.Float, mi.Bool, mi.Color3f]:
        """Picks one of all lights, each as often: direction, density, whether it is a delta, radiance over density.
        Lights that are hidden weigh nothing."""
        d, pdf, delta, weight = mi.Vector3f(0, 0, 1), mi.Float(0), mi.Bool(False), mi.Color3f(0)
        distance = mi.Float(0)
        first = 0
        for _, scene, count, pose in self._lights:
            low, share = first / self._light_count, count / self._light_count
            here = active & (sample.x >= low) & (sample.x < low + share) if len(self._lights) > 1 else mi.Bool(active)
            again = mi.Point2f(dr.clip((sample.x - low) / share, 0, BELOW_ONE), sample.y)
            reference = dr.zeros(mi.SurfaceInteraction3f)
            reference.t, reference.time, reference.wavelengths = si.t, si.time, si.wavelengths
            reference.p = si.p if pose is None else pose.inverse_point(si.p)
            reference.n = si.n if pose is None else mi.Normal3f(pose.inverse_direction(si.n))
            ds, value = scene.sample_emitter_direction(reference, again, False, here)
            towards = (ds.p if pose is None else pose.point(ds.p)) - si.p
            far = dr.norm(towards)
            value = mi.unpolarized_spectrum(value) * self.factor(ds.emitter) / share
            if pose is not None:  # a delta light's falls with the distance at rest
                value = dr.select(ds.delta, value / dr.square(pose.s), value)
            infinite = mi.has_flag(ds.emitter.flags(), mi.EmitterFlags.Infinite)
            d = dr.select(here, dr.select(infinite, ds.d, towards / far), d)
            distance = dr.select(here, dr.select(infinite, dr.inf, far * (1 - SHADOW_EPSILON)), distance)
            pdf = dr.select(here, ds.pdf * share, pdf)
            delta = dr.select(here, ds.delta, delta)
            weight = dr.select(here, value, weight)
            first += count
        if not self._lights:
            return d, pdf, delta, weight
        shadow = si.spawn_ray(d)
        shadow.maxt = distance
        blocked = self._occluded(shadow, active & (pdf != 0))
        return d, pdf, delta, dr.select(blocked, 0, weight)

    def light_pdf(self, previous: Any, si: Any, mover: mi.UInt32, emitter: Any, active: mi.Bool) -> mi.Float:
        """Density with which `sample_light` would have chosen the hit."""
        pdf = mi.Float(0)
        for number, scene, count, pose in self._lights:
            here = active & (mover == number) & (emitter != None)  # noqa: E711 (a Dr.Jit array of pointers)
            reference, hit = previous, si
            if pose is not None:
                reference = mi.Interaction3f(previous)
                reference.p, reference.n = (
                    pose.inverse_point(previous.p),
                    mi.Normal3f(pose.inverse_direction(previous.n)),
                )
                hit = mi.SurfaceInteraction3f(si)
                hit.p, hit.n = pose.inverse_point(si.p), mi.Normal3f(pose.inverse_direction(si.n))
                s, t, n = (pose.inverse_direction(axis) for axis in (si.sh_frame.s, si.sh_frame.t, si.sh_frame.n))
                hit.sh_frame = mi.Frame3f(s, t, mi.Normal3f(n))
            ds = mi.DirectionSample3f(scene, hit, reference)
            pdf = dr.select(here, scene.pdf_emitter_direction(reference, ds, here) * (count / self._light_count), pdf)
        return pdf

    def _occluded(self, ray: mi.Ray3f, active: mi.Bool) -> mi.Bool:
        blocked = self.scene.ray_test(ray, active=active)
        for _, mover, pose in self._movers:
            if mover.solid:
                blocked |= mover.scene.ray_test(pose.inverse_ray(ray), active=active & ~blocked)
        return blocked


def _mis_weight(a: mi.Float, b: mi.Float) -> mi.Float:
    """Power heuristic."""
    square = dr.square(a)
    weight = square / (square + dr.square(b))
    return dr.detach(dr.select(dr.isfinite(weight), weight, 0))
