"""A loaded scene as the cache's training sees it, and what of it the preview has to leave out.

Needs Mitsuba with a variant set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from pipeline.errors import SceneError
from pipeline.radiosity.gloss import Sharp, sharp_among
from pipeline.radiosity.surfaces import Surfaces, surfaces_of
from pipeline.render.bsdfs import registered_shapes

__all__ = ["Sources", "sources_of"]

_SMOOTH = int(mi.BSDFFlags.Smooth)
_PASSED = int(mi.BSDFFlags.Delta | mi.BSDFFlags.Null)


@dataclass(frozen=True)
class Sources:
    """A scene, and what is known of it.

    Attributes:
        scene: `mi.Scene`.
        surfaces: where points are sampled.
        mixed: some BSDF has delta and smooth lobes: rays may end in two places.
        sharp: BSDFs whose light pictures gather anew; None: there are none.
        left_out: what the preview does not show, one line each.
    """

    scene: Any
    surfaces: Surfaces
    mixed: bool
    sharp: Sharp | None = None
    left_out: tuple[str, ...] = ()


def sources_of(scene: Any) -> Sources:
    """Looks a scene over. BSDFs that cannot be evaluated are replaced by a grey one, in place.

    Raises:
        SceneError: it has no light, or no surface that scatters any.
    """
    if not scene.emitters():
        raise SceneError("the scene has no light: its preview would be black")
    left_out: dict[str, None] = {}
    mixed, bsdfs = False, []
    for shape in registered_shapes():
        if shape.is_medium_transition():
            left_out["participating media are left out: light passes through them as through air"] = None
        bsdf = shape.bsdf()
        if bsdf is None:
            continue
        if (problem := _problem(bsdf)) is not None:
            shape.set_bsdf(mi.load_dict({"type": "twosided", "bsdf": {"type": "diffuse"}}))
            left_out[f"BSDF '{bsdf.id()}' cannot be evaluated ({problem}): shape '{shape.id()}' is shown grey"] = None
            bsdf = shape.bsdf()
        bsdfs.append(bsdf)
        flags = int(bsdf.flags())
        mixed |= bool(flags & _SMOOTH) and bool(flags & _PASSED)
    return Sources(scene, surfaces_of(scene), mixed, sharp_among(bsdfs), tuple(left_out))


def _problem(bsdf: Any) -> str | None:
    """Why a BSDF cannot be evaluated, in a few words; None if it can."""
    si = dr.zeros(mi.SurfaceInteraction3f, 2)
    si.sh_frame = mi.Frame3f(mi.Vector3f(1, 0, 0), mi.Vector3f(0, 1, 0), mi.Vector3f(0, 0, 1))
    si.n = mi.Normal3f(0, 0, 1)
    si.dp_du, si.dp_dv = mi.Vector3f(1, 0, 0), mi.Vector3f(0, 1, 0)
    si.wi = mi.Vector3f(0, 0.6, 0.8)
    try:
        value, pdf, sample, weight = bsdf.eval_pdf_sample(
            mi.BSDFContext(), si, mi.Vector3f(0, -0.6, 0.8), mi.Float(0.5), mi.Point2f(0.4, 0.6), True
        )
        dr.eval(value, pdf, sample, weight, bsdf.eval_diffuse_reflectance(si, True))
    except RuntimeError as error:
        return str(error).strip().splitlines()[-1][:120]
    return None
