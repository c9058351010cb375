"""The shading model: Cook–Torrance with GGX over a Lambertian layer, a point light and a pinhole at finite positions.

With half vector h, α = roughness², cosines of the shading normal n with light and camera, and s(c) = (1 − c)^5:

    F(h·v)  = ρs + (1 − ρs) s(h·v)                                   Schlick
    D(h)    = α² / (π (sin²θh + α² cos²θh)²)                         GGX (Walter et al. 2007, eq. 33)
    V       = 1 / ((cosθl + g(cosθl)) (cosθv + g(cosθv)))            G / (4 cosθl cosθv), Smith, separable
    g(c)    = √(α² + (1 − α²) c²)
    f       = ρd (1 − ρs) (1 − s(cosθl)) (1 − s(cosθv)) / π + F D V
    I       = power · f · cosθl / |light − point|²

The diffuse layer gets what the specular one lets pass on the way in and out. This keeps f reciprocal, and bounds it: of
what falls in at θ the share ρs A + (1 − ρs) [B + ρd (1 − s(cosθ)) · 20/21] leaves, where A ≤ 1 and B are GGX's
albedos with F = 1 and F = s; it is at most 1 for any ρd, ρs ≤ 1 because B ≤ 1 − (1 − s) · 20/21.

`pipeline.scene.captured` is the same model as a Mitsuba BSDF.

Units: half the width of the photographed patch. It lies in z = 0, its centre at the origin, x to the right, y up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.capture.maps import Maps

__all__ = ["Grid", "Shot", "grid", "half_vectors", "irradiance", "reflected", "render", "shots"]


@dataclass(frozen=True)
class Shot:
    """Where light and camera were: N photographs of each of B materials.

    Attributes:
        light: B×N×3, position of the point light, z > 0.
        camera: B×N×3, position of the pinhole, z > 0.
        power: B×N×3, linear RGB: radiance of a white diffuse texel is power · cosθ / (π d²). A photograph's white is 1.
    """

    light: Tensor
    camera: Tensor
    power: Tensor

    @property
    def count(self) -> int:
        """N."""
        return int(self.light.shape[1])

    def view(self, index: int) -> Shot:
        """One photograph of each material: N = 1."""
        part = slice(index, index + 1)
        return Shot(self.light[:, part], self.camera[:, part], self.power[:, part])

    def __getitem__(self, rows: slice) -> Shot:
        """Of some of the materials."""
        return Shot(self.light[rows], self.camera[rows], self.power[rows])

    def to(self, device: str) -> Shot:
        """On another device."""
        return Shot(self.light.to(device), self.camera.to(device), self.power.to(device))


@dataclass(frozen=True)
class Grid:
    """Where texels are: centres. `x` is 1×W or H×W, `y` is H×1 or H×W."""

    x: Tensor
    y: Tensor


def shots(several: list[Shot], *, dim: int = 0) -> Shot:
    """Joins shots along the materials (0) or along the photographs (1)."""
    return Shot(*(torch.cat([getattr(each, name) for each in several], dim) for name in ("light", "camera", "power")))


def grid(height: int, width: int, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Grid:
    """Centres of H×W texels of a patch that is two units wide, and high in proportion."""
    x = (torch.arange(width, device=device, dtype=dtype) + 0.5) * (2.0 / width) - 1.0
    y = height / width - (torch.arange(height, device=device, dtype=dtype) + 0.5) * (2.0 / width)
    return Grid(x[None, :], y[:, None])


def render(maps: Maps, shot: Shot, where: Grid | None = None) -> Tensor:
    """Radiance that the camera sees of every texel.

    Args:
        maps: B materials.
        shot: N photographs of each; B may be 1 on either side.
        where: of the texels; None: a whole patch.

    Returns:
        B×N×3×H×W, linear, not clipped. Black where light or camera lie below the shading normal's horizon.

    Source: Cook, Torrance 1982; Walter et al. 2007; the module's docstring.
    """
    height, width = maps.size
    where = where or grid(height, width, device=maps.diffuse.device, dtype=maps.diffuse.dtype)
    *light, far = _towards(shot.light, where)
    *camera, _ = _towards(shot.camera, where)
    return reflected(maps, light, camera) / far[:, :, None] * shot.power[..., None, None]


def reflected(maps: Maps, light: Sequence[Tensor], camera: Sequence[Tensor]) -> Tensor:
    """f · cosθl, of directions in the frame in which the maps' normals are told.

    Args:
        maps: B materials.
        light, camera: x, y and z of unit vectors, B×N×H×W each.

    Returns:
        B×N×3×H×W, zero where light or camera lie below the shading normal's horizon.
    """
    (lx, ly, lz), (vx, vy, vz) = light, camera
    hx, hy, hz = lx + vx, ly + vy, lz + vz
    inverse = torch.rsqrt(hx * hx + hy * hy + hz * hz)
    hx, hy, hz = hx * inverse, hy * inverse, hz * inverse
    nx, ny, nz = maps.normal[:, None, 0], maps.normal[:, None, 1], maps.normal[:, None, 2]
    cos_l = (nx * lx + ny * ly + nz * lz).clamp(min=0.0)
    cos_v = (nx * vx + ny * vy + nz * vz).clamp(min=0.0)
    # sin² of the half vector by the cross product: 1 − cos² cancels where the highlight is
    sin2 = (ny * hz - nz * hy) ** 2 + (nz * hx - nx * hz) ** 2 + (nx * hy - ny * hx) ** 2
    cos_h = hx * vx + hy * vy + hz * vz
    a2 = maps.roughness[:, :, :, :] ** 4  # B×1×H×W: the one channel stands where N is
    dv = a2 / (math.pi * (sin2 + a2 * (1.0 - sin2)) ** 2) / (_smith(cos_l, a2) * _smith(cos_v, a2))
    s_h, s_l, s_v = _schlick(cos_h), _schlick(cos_l), _schlick(cos_v)
    lit = torch.where(cos_v > 0, cos_l, torch.zeros_like(cos_l))
    through = (1.0 - s_l) * (1.0 - s_v) / math.pi
    rho_d, rho_s = maps.diffuse[:, None], maps.specular[:, None]
    clear = 1.0 - rho_s
    f = rho_d * clear * through[:, :, None] + (rho_s + clear * s_h[:, :, None]) * dv[:, :, None]
    return f * lit[:, :, None]


def irradiance(shot: Shot, where: Grid) -> Tensor:
    """What a white diffuse plane would show, per unit of albedo: B×N×3×H×W. Radiance / this is apparent albedo."""
    _, _, lz, far = _towards(shot.light, where)
    return (lz / far / math.pi)[:, :, None] * shot.power[..., None, None]


def half_vectors(shot: Shot, where: Grid) -> Tensor:
    """x and y of the half vectors: B×N×2×H×W. A flat mirror shines where both are 0."""
    light, camera = _towards(shot.light, where), _towards(shot.camera, where)
    x, y, z = (a + b for a, b in zip(light[:3], camera[:3], strict=True))
    return torch.stack([x, y], 2) * torch.rsqrt(x * x + y * y + z * z)[:, :, None]


def _towards(position: Tensor, where: Grid) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Unit vectors from texels to positions, B×N×H×W each, and the squared distance."""
    x = position[..., 0, None, None] - where.x
    y = position[..., 1, None, None] - where.y
    z = position[..., 2, None, None]
    far = x * x + y * y + z * z
    inverse = torch.rsqrt(far)
    return x * inverse, y * inverse, z * inverse, far


def _smith(cos: Tensor, a2: Tensor) -> Tensor:
    return cos + torch.sqrt(a2 + (1.0 - a2) * cos * cos)


def _schlick(cos: Tensor) -> Tensor:
    low = (1.0 - cos).clamp(min=0.0)
    square = low * low
    return square * square * low
