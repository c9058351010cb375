"""Pixel filters by importance sampling: a sample's place is drawn from the filter, and counts for its own pixel alone.

    I_p = ∫ f(x − x_p) L(x) dx / ∫ f = E[L(x_p + ξ)],  ξ ~ f / ∫ f

So pixels stay independent, and noise white, whatever the filter's width; a denoiser meets nothing new. The filters are
products of one profile in x and in y, which is drawn by its inverse distribution function, from a table.

Sources: Ernst, Stamminger and Greiner 2006, "Filter importance sampling"; the profiles of tent and gaussian are those
of Mitsuba's plugins of these names, blackman_harris is the window of Harris 1978, table 1 (4 terms, −92 dB).
"""

from __future__ import annotations

from typing import Final

import drjit as dr
import mitsuba as mi
import numpy as np
from numpy.typing import NDArray

from pipeline.config.film import Film

__all__ = ["inverse_distribution", "offsets", "profile", "table_of"]

_ENTRIES: Final = 1024
_GRID: Final = 2**16
_BLACKMAN_HARRIS: Final = (0.35875, 0.48829, 0.14128, 0.01168)


def profile(film: Film, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """f along one axis, not normalised, at distances `x` in pixels."""
    radius = film.radius
    inside = np.abs(x) <= radius
    if film.filter == "box":
        f = np.ones_like(x)
    elif film.filter == "tent":
        f = 1.0 - np.abs(x) / radius
    elif film.filter == "gaussian":
        f = np.exp(-0.5 * (4.0 * x / radius) ** 2) - np.exp(-8.0)
    else:
        a = _BLACKMAN_HARRIS
        f = a[0] + a[1] * np.cos(t := np.pi * x / radius) + a[2] * np.cos(2 * t) + a[3] * np.cos(3 * t)
    return np.where(inside, np.maximum(f, 0.0), 0.0)


def inverse_distribution(film: Film, entries: int = _ENTRIES) -> NDArray[np.float32]:
    """Offsets in pixels at which the distribution function is 0, 1/(n−1), … 1."""
    edges = np.linspace(-film.radius, film.radius, _GRID + 1)
    mass = profile(film, (edges[1:] + edges[:-1]) / 2)
    running = np.concatenate([[0.0], np.cumsum(mass)])
    return np.interp(np.linspace(0.0, 1.0, entries), running / running[-1], edges).astype(np.float32)


def table_of(film: Film) -> mi.Float | None:
    """The table that `offsets` looks up, opaque; None for the box of a pixel's own size, which needs none."""
    if film.filter == "box" and film.radius == 0.5:
        return None
    table = mi.Float(inverse_distribution(film))
    dr.make_opaque(table)
    return table


def offsets(table: mi.Float, uniform: mi.Point2f) -> mi.Point2f:
    """Offsets from a pixel's centre, in pixels, distributed as the filter, of numbers in [0, 1)."""

    def one(u: mi.Float) -> mi.Float:
        place = u * (_ENTRIES - 1)
        index = dr.minimum(mi.UInt32(place), _ENTRIES - 2)
        return dr.lerp(dr.gather(mi.Float, table, index), dr.gather(mi.Float, table, index + 1), place - index)

    return mi.Point2f(one(uniform.x), one(uniform.y))
