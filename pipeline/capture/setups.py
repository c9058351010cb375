"""Where lights and cameras are: the frontal flash photograph, and the pairs under which materials are compared.

Units: half the patch's width, as in `shading`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pipeline.capture.shading import Shot

__all__ = ["DISTANCE", "EXPOSURE", "collocated", "comparison_pairs", "frontal", "judging_pairs", "moving_light"]

DISTANCE = 2.0
"""Camera and flash above the patch (the paper: 250 / 128). A field of view of 53°."""

EXPOSURE = 1.6
"""Radiance of a white texel below the flash (the paper: 1.68); 1 saturates the sensor."""


def frontal(count: int = 1, *, distance: float = DISTANCE, exposure: float = EXPOSURE) -> Shot:
    """The photograph that the paper takes: camera and flash at one point above the patch's centre."""
    at = torch.tensor([0.0, 0.0, distance]).expand(count, 1, 3)
    return Shot(at, at, torch.full((count, 1, 3), exposure * math.pi * distance**2))


def collocated(cameras: Tensor, lights: Tensor, exposure: Tensor | float = EXPOSURE) -> Shot:
    """Photographs with one flash: B×N×3 positions, and the exposure at `DISTANCE` for all of them."""
    power = math.pi * DISTANCE**2 * torch.as_tensor(exposure, dtype=lights.dtype).reshape(-1, 1, 1)
    return Shot(lights, cameras, power.expand(lights.shape[0], lights.shape[1], 3).clone())


def judging_pairs(count: int, generator: torch.Generator, *, height: float = DISTANCE) -> Shot:
    """Pairs for re-renders (§5.1): both positions uniform over a quad of the patch's size, parallel to it.

    A highlight stays in view: the mirror point lies between the two feet. 1×`count`.
    """
    places = torch.rand(2, count, 2, generator=generator) * 2.0 - 1.0
    z = torch.full((2, count, 1), height)
    light, camera = torch.cat([places, z], -1).unsqueeze(1)
    return Shot(light, camera, torch.full((1, count, 3), EXPOSURE * math.pi * height**2))


def comparison_pairs(materials: int, generator: torch.Generator) -> Shot:
    """Nine random pairs for each material, for the loss of equation 8: `materials`×9.

    Three of any directions, so that all texels are seen diffusely; three that mirror the light in a random point of the
    patch, up to 75° from the normal; three above the patch as in `judging_pairs`, at any height. As of Deschaintre et
    al. 2018, §4.2, but for the last three.
    """

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator)

    def direction(limit: float, *shape: int) -> Tensor:
        """Uniform on the hemisphere up to `limit` radians from the normal."""
        cos = 1.0 - uniform(0.0, 1.0, *shape) * (1.0 - math.cos(limit))
        sin, around = (1.0 - cos * cos).sqrt(), uniform(0.0, 2 * math.pi, *shape)
        return torch.stack([sin * around.cos(), sin * around.sin(), cos], -1)

    each = (materials, 3)
    far = uniform(0.3, 2.0, *each, 1).exp()
    light_any, camera_any = direction(1.3, *each) * far, direction(1.3, *each) * uniform(0.3, 2.0, *each, 1).exp()
    point = torch.cat([uniform(-1.0, 1.0, *each, 2), torch.zeros(*each, 1)], -1)
    towards = direction(1.3, *each)
    mirrored = towards * torch.tensor([-1.0, -1.0, 1.0])
    light_mirror = point + mirrored * uniform(0.3, 2.0, *each, 1).exp()
    camera_mirror = point + towards * uniform(0.3, 2.0, *each, 1).exp()
    height = uniform(1.2, 3.0, *each, 1)
    light_above = torch.cat([uniform(-1.0, 1.0, *each, 2), height], -1)
    camera_above = torch.cat([uniform(-1.0, 1.0, *each, 2), height], -1)
    light = torch.cat([light_any, light_mirror, light_above], 1)
    camera = torch.cat([camera_any, camera_mirror, camera_above], 1)
    return Shot(light, camera, _white_at_origin(light))


def moving_light(frames: int, *, height: float = DISTANCE, radius: float = 0.9) -> Shot:
    """A light that goes once around above the patch, seen from its middle: 1×`frames`."""
    angle = torch.arange(frames) * (2 * math.pi / frames)
    light = torch.stack([radius * angle.cos(), radius * angle.sin(), torch.full((frames,), height)], -1)[None]
    camera = torch.tensor([0.0, 0.0, height]).expand(1, frames, 3)
    return Shot(light, camera, torch.full((1, frames, 3), EXPOSURE * math.pi * height**2))


def _white_at_origin(light: Tensor) -> Tensor:
    """Power with which a white texel at the origin, turned to the light, shows 1."""
    return (math.pi * (light**2).sum(-1, keepdim=True)).expand(*light.shape[:-1], 3)
