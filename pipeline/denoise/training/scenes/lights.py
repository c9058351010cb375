"""Lights: every scene has the same eight emitters, and those that it does not use are dark, tiny and hardly ever
sampled: an environment map, three panels, a screen, two bulbs and a spot.

Radiance is in the scene's own linear unit: a surface of reflectance ρ under irradiance E leaves ρ·E/π.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.denoise.training.scenes import textures
from pipeline.denoise.training.scenes.files import Files
from pipeline.denoise.training.scenes.geometry import Array, unit
from pipeline.denoise.training.scenes.materials import floats, rgb
from pipeline.denoise.training.scenes.noise import fractal

__all__ = ["Bulb", "Lights", "Panel", "Screen", "Spot", "sky", "softboxes", "sunward", "white"]

PANELS, BULBS = 3, 2

NIGHT = 1e-4
"""Radiance of an environment that gives no light: all black cannot be sampled."""

UNUSED = 1e-6
"""Sampling weight of a light that is off. It must not be 0: the range of weights is compiled into kernels."""

Map = NDArray[np.float32]
"""An environment, 64×128×3; the middle of the picture is −z, its top +y."""


@dataclass(frozen=True)
class Panel:
    """A parallelogram that shines along u × v; u, v are half its sides."""

    centre: Array
    u: Array
    v: Array
    radiance: Array


@dataclass(frozen=True)
class Screen:
    """A panel that shows a picture."""

    panel: Panel
    picture: NDArray[np.uint8]


@dataclass(frozen=True)
class Bulb:
    centre: Array
    radius: float
    radiance: Array


@dataclass(frozen=True)
class Spot:
    origin: Array
    target: Array
    intensity: Array


@dataclass
class Lights:
    """The lights of a scene. More than there are slots for are left out, the last ones first."""

    environment: Map | None = None
    panels: list[Panel] = field(default_factory=list)
    bulbs: list[Bulb] = field(default_factory=list)
    screen: Screen | None = None
    spot: Spot | None = None

    def xml(self, hidden: Array, bsdf: str, rng: np.random.Generator, files: Files) -> str:
        """The emitters.

        Args:
            hidden: a point that no ray reaches, for lights that are off.
            bsdf: id of the BSDF of the lamps' surfaces.
            rng: for the sampling weights of those that are on.
            files: gets the pictures.
        """
        off = Panel(hidden, np.array([1e-4, 0, 0]), np.array([0, 1e-4, 0]), np.zeros(3))

        def weight(on: bool) -> str:
            value = rng.uniform(0.8, 1.25) if on else UNUSED
            return f'<float name="sampling_weight" value="{value:.6g}"/>'

        night = np.full((64, 128, 3), NIGHT, np.float32)
        sky_map = files.keep(textures.pfm(night if self.environment is None else self.environment), "pfm")
        parts = [
            f'<emitter type="envmap"><string name="filename" value="{sky_map}"/>'
            f"{weight(self.environment is not None)}</emitter>"
        ]
        for index in range(PANELS):
            on = index < len(self.panels)
            panel = self.panels[index] if on else off
            parts.append(_rectangle(f"panel_{index}", panel, rgb("radiance", panel.radiance) + weight(on), bsdf))
        shown = self.screen or Screen(off, np.zeros((16, 16, 3), np.uint8))
        # Textures of radiance are unbounded, so that the picture is a file of radiance rather than of reflectance.
        image = (textures.linear(shown.picture) * shown.panel.radiance).astype(np.float32)
        picture = (
            f'<texture type="bitmap" name="radiance"><boolean name="raw" value="true"/>'
            f'<string name="filename" value="{files.keep(textures.pfm(image), "pfm")}"/></texture>'
        )
        parts.append(_rectangle("screen", shown.panel, picture + weight(self.screen is not None), bsdf))
        for index in range(BULBS):
            on = index < len(self.bulbs)
            bulb = self.bulbs[index] if on else Bulb(hidden, 1e-4, np.zeros(3))
            place = (
                f'<point name="center" value="{floats(bulb.centre)}"/><float name="radius" value="{bulb.radius:.6g}"/>'
            )
            light = f'<emitter type="area">{rgb("radiance", bulb.radiance)}{weight(on)}</emitter>'
            parts.append(f'<shape type="sphere" id="bulb_{index}">{place}<ref id="{bsdf}"/>{light}</shape>')
        spot = self.spot or Spot(hidden, hidden + np.array([0.1, 1.0, 0.0]), np.zeros(3))
        parts.append(_spot(spot, weight(self.spot is not None)))
        return "\n".join(parts)


def _rectangle(name: str, panel: Panel, emitter: str, bsdf: str) -> str:
    matrix = np.eye(4)
    normal = unit(np.cross(panel.u, panel.v))
    matrix[:3] = np.stack([panel.u, panel.v, normal, panel.centre], axis=1)
    place = f'<transform name="to_world"><matrix value="{floats(matrix).replace(",", "")}"/></transform>'
    light = f'<emitter type="area">{emitter}</emitter>'
    return f'<shape type="rectangle" id="{name}">{place}<ref id="{bsdf}"/>{light}</shape>'


def _spot(spot: Spot, weight: str) -> str:
    up = np.eye(3)[np.abs(spot.target - spot.origin).argmin()]
    look = f'<lookat origin="{floats(spot.origin)}" target="{floats(spot.target)}" up="{floats(up)}"/>'
    cone = '<float name="cutoff_angle" value="35"/><float name="beam_width" value="24"/>'
    place = f'<transform name="to_world">{look}</transform>'
    return f'<emitter type="spot">{place}{rgb("intensity", spot.intensity)}{cone}{weight}</emitter>'


def white(rng: np.random.Generator) -> Array:
    """Light of a lamp, from candle to overcast sky; its luminance is about 1. Some lamps are coloured."""
    if rng.random() < 0.15:
        c = textures.colour(rng, low=1.0, high=1.0)
    else:
        warm = rng.uniform(-0.25, 0.5)
        c = np.array([1.0 + 0.5 * warm, 1.0, 1.0 - 0.8 * warm])
    return np.asarray(c / (c @ (0.2126, 0.7152, 0.0722)))


def _directions() -> Array:
    """Of the map's pixels, 64×128×3 (Mitsuba's `envmap`: +y is the pole, the middle column looks along −z … )."""
    v, u = np.mgrid[0:64, 0:128]
    theta, phi = np.pi * (v + 0.5) / 64, 2.0 * np.pi * (u + 0.5) / 128
    return np.stack([np.sin(phi) * np.sin(theta), np.cos(theta), -np.cos(phi) * np.sin(theta)], axis=2)


def sky(rng: np.random.Generator, *, sun: Array | None, level: float = 1.0, sun_irradiance: float = 3.0) -> Map:
    """A sky over a ground, with clouds, and a sun of a few pixels where one is wanted.

    Args:
        sun: direction to it.
        level: mean radiance of the upper half.
        sun_irradiance: of the sun on a surface that faces it, in units of `level`·π.
    """
    d = _directions()
    height = d[..., 1:2]
    zenith, horizon = np.array([0.35, 0.6, 1.0]), np.array([0.9, 0.95, 1.0])
    if rng.random() < 0.3:  # evening
        zenith, horizon = np.array([0.25, 0.3, 0.6]), np.array([1.0, 0.6, 0.35])
    t = np.clip(height, 0.0, 1.0) ** 0.5
    picture = horizon * (1.0 - t) + zenith * t
    clouds = np.clip(2.5 * (fractal(rng, 128, cells=4, octaves=5)[::2] - rng.uniform(0.3, 0.8)), 0.0, 1.0)[..., None]
    picture = picture * (1.0 - clouds) + 1.1 * clouds
    ground = textures.colour(rng, low=0.1, high=0.4)
    picture = np.where(height < 0.0, ground, picture)
    solid = np.sqrt(np.clip(1.0 - height**2, 0.0, 1.0))
    upper = (height > 0.0) * solid
    picture *= level / float((picture.mean(axis=2, keepdims=True) * upper).sum() / upper.sum())
    if sun is not None:
        toward = d @ unit(sun)
        near = np.where(toward > min(np.cos(np.radians(rng.uniform(1.5, 5.0))), float(toward.max()) - 1e-9), 1.0, 0.0)
        pixel = solid[..., 0] * (np.pi / 64) * (2.0 * np.pi / 128)  # steradians
        glow = near / float((near * pixel * np.clip(toward, 0.0, 1.0)).sum())
        picture += glow[..., None] * (np.pi * level * sun_irradiance * np.array([1.1, 1.0, 0.85]))
    return np.asarray(picture, dtype=np.float32)


def softboxes(rng: np.random.Generator, *, level: float = 1.0, count: int = 4, ambient: float = 0.05) -> Map:
    """A dark studio with bright rectangles around; `level` is the mean radiance."""
    picture = np.full((64, 128, 3), ambient) * (0.5 + fractal(rng, 128, cells=2)[::2, :, None])
    for _ in range(count):
        h, w = rng.integers(2, 14), rng.integers(2, 24)
        top, left = rng.integers(0, 44), rng.integers(0, 128 - w)
        picture[top : top + h, left : left + w] += white(rng) * 10.0 ** rng.uniform(0.0, 1.3)
    return np.asarray(picture * (level / picture.mean()), dtype=np.float32)


def sunward(rng: np.random.Generator) -> Array:
    """A direction to the sun, low or high."""
    angle = rng.uniform(0.0, 2.0 * np.pi)
    return unit((np.cos(angle), rng.uniform(0.2, 1.5), np.sin(angle)))
