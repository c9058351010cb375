"""Flash photographs of materials, with what real ones have: noise, clipping, vignetting, white balance, a hand that
shakes, and an owner who knows only roughly where camera and flash were."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.capture.likelihood import Photographs
from pipeline.capture.maps import Maps
from pipeline.capture.setups import DISTANCE, EXPOSURE, collocated, frontal
from pipeline.capture.shading import Shot, grid, render

__all__ = ["linear", "photograph", "srgb", "studio"]

STUDIO = 0.4
"""Share of photographs as the paper takes them: frontal, at the known place, without faults."""


def studio(maps: Maps, shot: Shot | None = None) -> Photographs:
    """Photographs without faults, taken as is assumed: frontal, unless told otherwise."""
    shot = shot or frontal(maps.diffuse.shape[0]).to(str(maps.diffuse.device))
    return Photographs(_eight_bits(render(maps, shot)), shot)


def photograph(maps: Maps, generator: torch.Generator, *, count: int = 1) -> Photographs:
    """Photographs such as people take.

    Args:
        maps: B materials.
        generator: of everything that is random; on the CPU.
        count: N, of each material. The first one is nearly frontal.

    Returns:
        pixels as 8 bits could hold them, and the assumed, not the true, light and camera.
    """
    draw = _Draw(generator, maps.diffuse.shape[0], count)
    real, assumed = _places(draw)
    device = str(maps.diffuse.device)
    seen = render(maps, real.to(device))
    clean = draw.chance(STUDIO).reshape(-1, 1, 1, 1, 1).to(device)
    perfect = frontal(draw.materials) if count == 1 else _exact(real)
    seen = torch.where(clean, render(maps, perfect.to(device)), _faults(seen, maps, draw))
    choose = clean.reshape(-1, 1, 1).cpu()
    shot = Shot(*(torch.where(choose, getattr(perfect, k), getattr(assumed, k)) for k in ("light", "camera", "power")))
    return Photographs(_eight_bits(seen), shot.to(device))


def srgb(light: Tensor) -> Tensor:
    """IEC 61966-2-1 encoding of linear light in [0, 1]."""
    return torch.where(light <= 0.0031308, 12.92 * light, 1.055 * light.clamp(min=1e-8) ** (1 / 2.4) - 0.055)


def linear(code: Tensor) -> Tensor:
    """The inverse of `srgb`."""
    return torch.where(code <= 0.04045, code / 12.92, ((code.clamp(min=0.0) + 0.055) / 1.055) ** 2.4)


def _eight_bits(light: Tensor) -> Tensor:
    return linear((srgb(light.clamp(0.0, 1.0)) * 255.0).round() / 255.0)


@dataclass(frozen=True)
class _Draw:
    """Random numbers of one call, on the CPU."""

    generator: torch.Generator
    materials: int
    count: int

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(self.materials, *shape, generator=self.generator)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(self.materials, *shape, generator=self.generator)

    def chance(self, share: float) -> Tensor:
        """B booleans."""
        return torch.rand(self.materials, generator=self.generator) < share


def _places(draw: _Draw) -> tuple[Shot, Shot]:
    """Where camera and flash truly were, and where they are thought to have been."""
    n = draw.count
    height = DISTANCE * (0.2 * draw.normal(n, 1)).exp().clamp(0.7, 1.6)
    foot = 0.15 * draw.normal(n, 2)
    if n > 1:
        foot[:, 1:] = draw.uniform(-0.9, 0.9, n - 1, 2)
    camera = torch.cat([foot, height], -1)
    light = camera + height * torch.cat([0.06 * draw.normal(n, 2), 0.02 * draw.normal(n, 1)], -1)
    exposure = EXPOSURE * (0.45 * draw.normal(1)).exp().clamp(0.45, 1.8)
    real = collocated(camera, light, exposure)
    real = Shot(real.light, real.camera, real.power * (0.05 * draw.normal(n, 3)).exp())
    error = 0.05 * torch.cat([draw.normal(n, 2), draw.normal(n, 1)], -1)
    thought = collocated(
        camera + error, light + error + 0.03 * draw.normal(n, 3), exposure * (0.08 * draw.normal(1)).exp()
    )
    return real, thought


def _exact(real: Shot) -> Shot:
    """The same places, with a flash of the usual power and colour."""
    return collocated(real.camera, real.light)


def _faults(seen: Tensor, maps: Maps, draw: _Draw) -> Tensor:
    """Ambient light, vignetting, blur, noise."""
    device, b = seen.device, draw.materials

    def each(values: Tensor) -> Tensor:
        return values.reshape(b, 1, 1, 1, 1).to(device)

    where = grid(*maps.size, device=device)
    radius = where.x**2 + where.y**2
    seen = seen + each(draw.uniform(0.0, 0.02)) * maps.diffuse[:, None]
    seen = seen * (1.0 - each(draw.uniform(0.0, 0.2)) * radius / 2)
    soft = each(draw.chance(0.35).float() * draw.uniform(0.0, 0.8))
    seen = seen + soft * (_smoothed(seen) - seen)
    shot_noise = each(draw.uniform(math.log(3e-6), math.log(6e-4)).exp())
    read_noise = each(draw.uniform(0.0, 0.003))
    noise = torch.randn(seen.shape, generator=draw.generator).to(device)
    return seen + noise * (shot_noise * seen.clamp(0.0, 2.0) + read_noise**2).sqrt()


def _smoothed(image: Tensor) -> Tensor:
    """A binomial blur of 3×3 texels."""
    kernel = torch.tensor([1.0, 2.0, 1.0], device=image.device) / 4
    flat = image.flatten(0, 2)[:, None]
    flat = F.conv2d(F.pad(flat, (1, 1, 1, 1), mode="replicate"), (kernel[:, None] * kernel)[None, None])
    return flat[:, 0].reshape(image.shape)
