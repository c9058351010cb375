"""Colours of materials, linear Rec. 709."""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.capture.materials.fields import Field, Random

__all__ = ["METALS", "Colour", "coloured", "dielectric", "metal", "near", "paint", "shades"]

Colour = NDArray[Any]

METALS: dict[str, tuple[float, float, float]] = {
    "iron": (0.53, 0.51, 0.49),
    "steel": (0.62, 0.60, 0.57),
    "aluminium": (0.91, 0.92, 0.92),
    "chromium": (0.55, 0.56, 0.56),
    "titanium": (0.54, 0.50, 0.45),
    "nickel": (0.66, 0.61, 0.53),
    "copper": (0.95, 0.64, 0.54),
    "brass": (0.89, 0.79, 0.43),
    "bronze": (0.71, 0.53, 0.32),
    "gold": (1.00, 0.77, 0.34),
    "silver": (0.97, 0.96, 0.91),
    "zinc": (0.66, 0.82, 0.87),
}
"""Reflectance at normal incidence, from published n and k."""


def coloured(hue: float, saturation: float, value: float) -> Colour:
    """HSV as a display shows it, made linear."""
    return np.asarray(colorsys.hsv_to_rgb(hue % 1.0, float(np.clip(saturation, 0, 1)), float(np.clip(value, 0, 1))),
                      np.float32) ** np.float32(2.2)  # fmt: skip


def dielectric(rng: Random, *, dark: float = 0.03, light: float = 0.08) -> Colour:
    """Specular albedo of something that is no metal: grey, some per cent."""
    return np.full(3, rng.uniform(dark, light), np.float32)


def metal(rng: Random, name: str | None = None) -> Colour:
    """Of a metal: pure, tarnished, or tinted by an oxide or a lacquer."""
    base = np.asarray(METALS[name or rng.choice(list(METALS))], np.float32)
    base = base * np.float32(rng.uniform(0.55, 1.0))
    if rng.random() < 0.2:
        tint = coloured(rng.random(), rng.uniform(0.2, 0.8), 1.0)
        base = base * tint
    return base.astype(np.float32)


def paint(rng: Random) -> Colour:
    """Any diffuse colour: mostly muted, sometimes strong."""
    strong = rng.random() < 0.25
    saturation = rng.uniform(0.45, 0.9) if strong else rng.beta(1.3, 3.5)
    return coloured(rng.random(), saturation, rng.uniform(0.12, 0.95))


def near(rng: Random, hue: float, saturation: float, value: float, spread: float = 0.1) -> Colour:
    """A colour in the neighbourhood of one."""
    return coloured(
        hue + 0.25 * spread * rng.standard_normal(),
        saturation + spread * rng.standard_normal(),
        value + spread * rng.standard_normal(),
    )


def shades(field: Field, *colours: Colour) -> NDArray[Any]:
    """S×S×3: a ramp through the colours where the field goes from 0 to 1."""
    place = np.clip(field, 0, 1) * (len(colours) - 1)
    stops = np.arange(len(colours))
    table = np.stack(colours)
    return np.stack([np.interp(place, stops, table[:, c]) for c in range(3)], -1).astype(np.float32)
