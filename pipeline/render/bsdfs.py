"""How each BSDF of a scene can be asked for its diffuse part and for its albedo.

Most Mitsuba BSDFs honour `BSDFContext.type_mask`; `principled` and `principledthin` do not, and the default
`eval_diffuse_reflectance` (π f at the normal) is wrong for everything glossy. So every BSDF is probed once at load.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

import drjit as dr
import mitsuba as mi
import numpy as np

from pipeline.errors import SceneError

__all__ = ["DIFFUSE", "BsdfKind", "Split", "classify", "classify_registered", "pointer_id", "registered_shapes"]


class Split(enum.Enum):
    """How to split a BSDF value into diffuse and the rest."""

    NONE = "no diffuse lobe"
    WHOLE = "the smooth lobes are all diffuse"
    MASKED = "evaluate the diffuse lobe by type mask"
    BOUNDED = "ignores the type mask: diffuse is at most albedo · cos / π"


@dataclass(frozen=True)
class BsdfKind:
    split: Split
    reflectance_known: bool
    """`eval_diffuse_reflectance` agrees with the diffuse lobe; otherwise π f_diffuse at the normal is the albedo."""


DIFFUSE = int(mi.BSDFFlags.Diffuse)
_EVERYTHING = int(mi.BSDFFlags.All)
_PROBES = 256


def pointer_id(instance: mi.BSDF) -> int:
    """The number under which Dr.Jit's registry knows the instance; what a `BSDFPtr` array holds."""
    return int(dr.reinterpret_array(mi.UInt32, mi.BSDFPtr(instance))[0])


_GAP = 1024  # the registry reuses the numbers of freed instances; so many unused ones in a row are taken for its end


def registered_shapes() -> Iterator[mi.Shape]:
    """All live shapes, those inside groups included, in the order of their registry numbers."""
    number = misses = 0
    while misses < _GAP:
        number += 1
        try:
            shape = dr.reinterpret_array(mi.ShapePtr, mi.UInt32(number))[0]
        except RuntimeError:
            shape = None
        if shape is None:  # where no shape was ever made, the registry gives None for every number
            misses += 1
            continue
        misses = 0
        yield shape


def classify_registered() -> dict[int, BsdfKind]:
    """Kinds of all BSDFs that some shape carries, shapes inside groups included: registry number → kind.

    Nested BSDFs (the one inside `twosided`, say) are registered too, but no ray meets them by themselves: they are
    left out.
    """
    kinds: dict[int, BsdfKind] = {}
    for shape in registered_shapes():
        bsdf = shape.bsdf()
        if bsdf is not None and pointer_id(bsdf) not in kinds:
            kinds[pointer_id(bsdf)] = classify(bsdf)
    return kinds


def classify(bsdf: mi.BSDF) -> BsdfKind:
    """Probes one BSDF with random directions and texture coordinates.

    Raises:
        SceneError: Mitsuba cannot evaluate it (a bump map over a texture without gradients, say).
    """
    flags = int(bsdf.flags())
    if not flags & DIFFUSE:
        return BsdfKind(Split.NONE, reflectance_known=False)
    rng = np.random.default_rng(0)
    si = dr.zeros(mi.SurfaceInteraction3f, _PROBES)
    frame = mi.Frame3f(mi.Vector3f(1, 0, 0), mi.Vector3f(0, 1, 0), mi.Vector3f(0, 0, 1))
    si.sh_frame, si.n = frame, mi.Normal3f(0, 0, 1)
    si.dp_du, si.dp_dv = mi.Vector3f(1, 0, 0), mi.Vector3f(0, 1, 0)
    si.uv = _uniform(rng)
    si.wi = mi.warp.square_to_cosine_hemisphere(_uniform(rng))
    wo = mi.warp.square_to_cosine_hemisphere(_uniform(rng))
    try:
        everything = _evaluate(bsdf, _EVERYTHING, si, wo)
        diffuse = _evaluate(bsdf, DIFFUSE, si, wo)
        rest = _evaluate(bsdf, _EVERYTHING & ~DIFFUSE, si, wo)
        at_normal = np.pi * _evaluate(bsdf, DIFFUSE, si, mi.Vector3f(0, 0, 1))
        reflectance = np.array(mi.unpolarized_spectrum(bsdf.eval_diffuse_reflectance(si, True))).reshape(3, -1)
    except RuntimeError as error:
        raise SceneError(f"BSDF '{bsdf.id()}' cannot be evaluated: {str(error).strip().splitlines()[-1]}") from error
    scale = np.abs(everything).max() + 1e-9
    if flags & int(mi.BSDFFlags.Smooth) & ~DIFFUSE == 0:
        split = Split.WHOLE
    elif np.any(diffuse > 0) and np.abs(diffuse + rest - everything).max() <= 1e-3 * scale:
        split = Split.MASKED
    else:
        return BsdfKind(Split.BOUNDED, reflectance_known=True)
    known = bool(np.all(reflectance <= 1.5 * at_normal + 0.02) and np.all(reflectance >= 0.5 * at_normal - 0.02))
    return BsdfKind(split, reflectance_known=known)


def _uniform(rng: np.random.Generator) -> mi.Point2f:
    return mi.Point2f(*(mi.Float(rng.random(_PROBES, dtype=np.float32)) for _ in range(2)))


def _evaluate(bsdf: mi.BSDF, mask: int, si: mi.SurfaceInteraction3f, wo: mi.Vector3f) -> np.ndarray:
    context = mi.BSDFContext()
    context.type_mask = mask
    value = bsdf.eval(context, si, wo, True)
    return np.array(mi.unpolarized_spectrum(value)).reshape(3, -1)
