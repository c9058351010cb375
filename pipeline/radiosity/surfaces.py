"""Points on the scene's surfaces, by area: where the residual of the rendering equation is looked at.

Whatever a surface belongs to (a mesh, a sphere, an instance, a curve), a point on it is found by a ray, so that one
intersection gives everything that a BSDF wants to know of it: texture coordinates, shading frame, instance. The ray is
short and falls on a point that was sampled, or it is a chord of a ball around shapes that cannot be sampled.
Needs Mitsuba with a variant set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import SceneError

__all__ = ["Surfaces", "cacheable", "surfaces_of"]

LIFT = 1e-4
"""How far above the surface a probing ray starts, of the scene's diagonal."""

_SMOOTH = int(mi.BSDFFlags.Smooth)


@dataclass(frozen=True)
class Surfaces:
    """Every surface that the cache holds, as patches that are chosen by their area.

    Attributes:
        scene: `mi.Scene`.
        lower, upper: corners of the scene's bounding box, world units.
        area: of all patches, world units²; of instances and curves an upper bound.
    """

    scene: Any
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    area: float
    _choice: Any  # DiscreteDistribution over patches
    _shapes: Any  # UInt32: Dr.Jit's number of each patch's shape
    _balls: Any  # Float: centre and radius of the ball whose chords find a patch; radius 0 where it can be sampled
    _alive: tuple[Any, ...]  # shapes must outlive their numbers

    @property
    def diagonal(self) -> float:
        """Of the bounding box, world units."""
        return float(np.linalg.norm(self.upper - self.lower))

    def sample(self, rng: Any) -> tuple[Any, Any]:
        """One point per lane, and a direction away from it.

        Args:
            rng: PCG32, one per lane.

        Returns:
            (si, active): the surface interaction, `si.wi` uniform over the hemisphere (on either side of surfaces that
            have two); `active` is false where the ray met nothing that can be cached.
        """
        index, u = self._choice.sample_reuse(rng.next_float32())
        point = mi.Point2f(u, rng.next_float32())
        direction = mi.Point2f(rng.next_float32(), rng.next_float32())
        up = mi.warp.square_to_uniform_hemisphere(mi.Point2f(rng.next_float32(), rng.next_float32()))
        side = rng.next_float32()

        shape = dr.reinterpret_array(mi.ShapePtr, dr.gather(mi.UInt32, self._shapes, index))
        ball = dr.gather(mi.Vector4f, self._balls, index)
        by_chord = ball.w > 0
        ps = shape.sample_position(0.0, point, ~by_chord)
        lift = LIFT * self.diagonal
        # Chords that are uniform and isotropic meet each surface element in proportion to its area (Crofton).
        outward = mi.warp.square_to_uniform_sphere(point)
        inward = mi.Frame3f(-outward).to_world(mi.warp.square_to_cosine_hemisphere(direction))
        centre = mi.Point3f(ball.x, ball.y, ball.z)
        o = dr.select(by_chord, centre + ball.w * outward, ps.p + lift * ps.n)
        d = dr.select(by_chord, inward, -mi.Vector3f(ps.n))
        reach = dr.select(by_chord, 2 * ball.w, 2 * lift)
        si = self.scene.ray_intersect(mi.Ray3f(o, d, reach, 0.0, mi.Color0f()))

        flags = si.bsdf().flags()
        active = si.is_valid() & cacheable(flags)
        # The other side of a surface that has one is black: there is nothing to learn.
        behind = mi.has_flag(flags, mi.BSDFFlags.BackSide) & (side < 0.5)
        si.wi = mi.Vector3f(up.x, up.y, dr.select(behind, -up.z, up.z))
        return si, active


def cacheable(flags: Any) -> Any:
    """Whether a BSDF with these flags has a part that the cache can hold: one that is no delta lobe."""
    return mi.has_flag(flags, mi.BSDFFlags.Smooth)


def surfaces_of(scene: Any) -> Surfaces:
    """The surfaces of a loaded scene.

    Raises:
        SceneError: it has none that scatters light.
    """
    patches = [patch for shape in scene.shapes() if (patch := _patch(shape)) is not None]
    if not patches:
        raise SceneError("the scene has no surface that scatters light (only mirrors and glass, or nothing at all)")
    box = scene.bbox()
    lower, upper = (np.array(corner, dtype=np.float64).ravel() for corner in (box.min, box.max))
    areas = np.array([patch.area for patch in patches])
    numbers = [int(dr.reinterpret_array(mi.UInt32, mi.ShapePtr(patch.shape))[0]) for patch in patches]
    balls = mi.Float(np.array([patch.ball for patch in patches], dtype=np.float32).ravel())
    shapes = mi.UInt32(numbers)
    dr.make_opaque(shapes, balls)
    return Surfaces(
        scene=scene,
        lower=lower,
        upper=upper,
        area=float(areas.sum()),
        _choice=mi.DiscreteDistribution(mi.Float((areas / areas.sum()).astype(np.float32))),
        _shapes=shapes,
        _balls=balls,
        _alive=tuple(patch.shape for patch in patches),
    )


@dataclass(frozen=True)
class _Patch:
    shape: Any
    area: float
    ball: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


def _patch(shape: Any) -> _Patch | None:
    """The patch of one shape; None for what is walked through: mirrors, glass, boundaries of media."""
    bsdf = shape.bsdf()
    if bsdf is not None and not int(bsdf.flags()) & _SMOOTH:
        return None
    area = None if bsdf is None else _area(shape)  # an instance has no BSDF of its own
    if area is None:
        ball = _ball(shape)
        # Expected hits of a chord are (area of the surface) / 2πr²: with this weight they count as areas do.
        return _Patch(shape, 2 * np.pi * ball[3] ** 2, ball)
    return _Patch(shape, area) if area > 0 and np.isfinite(area) else None


def _area(shape: Any) -> float | None:
    """Area of a shape that can be sampled; None for curves, SDF grids and the like, which cannot."""
    try:
        area = float(np.array(shape.surface_area()).ravel()[0])
        dr.eval(shape.sample_position(mi.Float(0.0), mi.Point2f(0.5, 0.5), True).p)
    except (RuntimeError, NotImplementedError):
        return None
    return area


def _ball(shape: Any) -> tuple[float, float, float, float]:
    box = shape.bbox()
    lower, upper = (np.array(corner, dtype=np.float64).ravel() for corner in (box.min, box.max))
    x, y, z = (float(middle) for middle in (lower + upper) / 2)
    return x, y, z, max(float(np.linalg.norm(upper - lower)) / 2, 1e-12)
