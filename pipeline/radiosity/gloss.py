"""Which surfaces reflect or transmit so sharply that the cache cannot hold what they show.

S depends on the direction ω, and the network learns its mean over a lobe that is narrower than it can follow: a
polished table under an open door would glow in all directions. Pictures gather the light of such surfaces anew, one
bounce further, as the right-hand side does everywhere. Needs Mitsuba with a variant set.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

__all__ = ["SHARP", "Sharp", "lobe_width", "sharp_among"]

SHARP = 20.0
"""Lobes are sharp if half of their directions lie within so many degrees of the lobe's axis: roughness (GGX's α) below
about 0.25."""

_GLOSSY = int(mi.BSDFFlags.GlossyReflection | mi.BSDFFlags.GlossyTransmission)
_PLACES, _DIRECTIONS, _LEAST = 16, 64, 8
_TILT = np.radians(45.0)  # of the direction in which lobes are looked at


@dataclass(frozen=True)
class Sharp:
    """The BSDFs of a scene that have a sharp lobe.

    Attributes:
        table: UInt32, by Dr.Jit's number of a BSDF: 1 where it has one.
    """

    table: Any

    def at(self, si: Any) -> Any:
        """Whether the surfaces of interactions have one: Bool."""
        number = dr.reinterpret_array(mi.UInt32, si.bsdf())
        return dr.gather(mi.UInt32, self.table, number, number < dr.width(self.table)) != 0


def sharp_among(bsdfs: Iterable[Any]) -> Sharp | None:
    """Looks over the BSDFs of a scene; None if no lobe is sharp."""
    numbers = {}
    for bsdf in bsdfs:
        number = int(dr.reinterpret_array(mi.UInt32, mi.BSDFPtr(bsdf))[0])
        if number not in numbers:
            width = lobe_width(bsdf)
            numbers[number] = width is not None and width < SHARP
    if not any(numbers.values()):
        return None
    table = np.zeros(max(numbers) + 1, dtype=np.uint32)
    table[[number for number, sharp in numbers.items() if sharp]] = 1
    made = mi.UInt32(table)
    dr.make_opaque(made)
    return Sharp(made)


def lobe_width(bsdf: Any) -> float | None:
    """Median angle between the directions of a glossy lobe and its axis, degrees; of several lobes (reflection,
    transmission) the narrowest, of a textured one the median over the texture. None: it has no glossy lobe."""
    if not int(bsdf.flags()) & _GLOSSY:
        return None
    rng = np.random.Generator(np.random.PCG64(0))
    lanes = _PLACES * _DIRECTIONS
    place = np.repeat(rng.random((2, _PLACES), dtype=np.float32), _DIRECTIONS, axis=1)
    u = rng.random((3, lanes), dtype=np.float32)
    si = dr.zeros(mi.SurfaceInteraction3f, lanes)
    si.sh_frame = mi.Frame3f(mi.Vector3f(1, 0, 0), mi.Vector3f(0, 1, 0), mi.Vector3f(0, 0, 1))
    si.n = mi.Normal3f(0, 0, 1)
    si.dp_du, si.dp_dv = mi.Vector3f(1, 0, 0), mi.Vector3f(0, 1, 0)
    si.uv = mi.Point2f(mi.Float(place[0]), mi.Float(place[1]))
    si.wi = mi.Vector3f(0, float(np.sin(_TILT)), float(np.cos(_TILT)))
    bs, weight = bsdf.sample(mi.BSDFContext(), si, mi.Float(u[0]), mi.Point2f(mi.Float(u[1]), mi.Float(u[2])), True)
    glossy = mi.has_flag(bs.sampled_type, mi.BSDFFlags.Glossy) & (dr.max(mi.unpolarized_spectrum(weight)) > 0)
    found = np.array(glossy).reshape(_PLACES, _DIRECTIONS)
    wo = np.array(bs.wo).reshape(3, _PLACES, _DIRECTIONS)
    widths = []
    for p in range(_PLACES):
        sides = [wo[:, p, found[p] & (sign * wo[2, p] > 0)] for sign in (1, -1)]
        angles = [_spread(side) for side in sides if side.shape[1] >= _LEAST]
        if angles:
            widths.append(min(angles))
    return float(np.median(widths)) if widths else None


def _spread(directions: np.ndarray[Any, np.dtype[np.float32]]) -> float:
    """Median angle to the mean direction, degrees: 3×n unit vectors."""
    axis = directions.mean(axis=1)
    axis /= max(float(np.linalg.norm(axis)), 1e-9)
    return float(np.median(np.degrees(np.arccos(np.clip(axis @ directions, -1, 1)))))
