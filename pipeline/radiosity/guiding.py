"""The guide of §3.3: a small network that answers, for each point, from where light will come, as a mixture of lobes.

It learns by the very samples that it helps to draw: the gradient of the Kullback–Leibler divergence from the product of
BSDF and incident light to its density is an expectation over them. Source: Dong et al. 2023, "Neural Parametric
Mixtures for Path Guiding", §4 (von Mises–Fisher lobes, the gradient of Equation 12).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import torch
from torch import Tensor, nn

from pipeline.radiosity.field import Field
from pipeline.radiosity.presets import FieldShape, GuideShape
from pipeline.radiosity.rhs import Incident, Points

__all__ = ["Guide", "Lobes", "log_density"]

NUMBERS = 5
"""Of a lobe: weight, sharpness κ, and a direction (3)."""

KAPPA_MIN, KAPPA_MAX = 1e-2, 1e4
RATE = 1e-3


@dataclass(frozen=True)
class Lobes:
    """Mixtures of von Mises–Fisher lobes, one mixture a point, as Dr.Jit reads them.

    Attributes:
        values: Float, point · lobes · 5: weight, κ, axis (world, unit).
        count: lobes of each.
    """

    values: Any
    count: int

    def sample(self, point: Any, choice: Any, turn: Any) -> Any:
        """Directions (world, unit): a lobe by `choice`, a direction of it by `turn`."""
        κ, axis = mi.Float(0), mi.Vector3f(0, 0, 1)
        below = mi.Float(0)
        for k in range(self.count):
            weight, sharp, d = self._lobe(point, k)
            inside = (choice >= below) & (choice < below + weight) if k + 1 < self.count else choice >= below
            κ, axis = dr.select(inside, sharp, κ), dr.select(inside, d, axis)
            below += weight
        # Jakob 2012, "Numerically stable sampling of the von Mises–Fisher distribution on S²"
        cos = 1 + dr.log(turn.x + (1 - turn.x) * dr.exp(-2 * κ)) / κ
        sin = dr.safe_sqrt(1 - cos * cos)
        s, c = dr.sincos(2 * dr.pi * turn.y)
        return dr.normalize(mi.Frame3f(axis).to_world(mi.Vector3f(sin * c, sin * s, cos)))

    def pdf(self, point: Any, d: Any) -> Any:
        """Density per solid angle of direction `d`."""
        total = mi.Float(0)
        for k in range(self.count):
            weight, κ, axis = self._lobe(point, k)
            norm = κ / (2 * dr.pi * (1 - dr.exp(-2 * κ)))
            total += weight * norm * dr.exp(κ * (dr.dot(axis, d) - 1))
        return total

    def _lobe(self, point: Any, k: int) -> tuple[Any, Any, Any]:
        at = (point * self.count + k) * NUMBERS
        weight, κ, x, y, z = (dr.gather(mi.Float, self.values, at + i) for i in range(NUMBERS))
        return weight, κ, mi.Vector3f(x, y, z)


def log_density(lobes: Tensor, direction: Tensor) -> Tensor:
    """Logarithm of the mixture's density per solid angle.

    Args:
        lobes: N×K×5, see `Lobes`.
        direction: N×3, unit.

    Returns:
        N.
    """
    weight, κ, axis = lobes[..., 0], lobes[..., 1], lobes[..., 2:]
    norm = κ.log() - math.log(2 * math.pi) - torch.log1p(-torch.exp(-2 * κ))
    cosine = (axis * direction[:, None]).sum(dim=-1)
    return torch.logsumexp(weight.clamp_min(1e-12).log() + norm + κ * (cosine - 1), dim=-1)


class Guide(nn.Module):
    """The guide's network, its training, and the weights that the current block of rays was drawn with.

    Args:
        shape: of the network.
        lower, upper: corners of the scene's bounding box.
        seed: of the first weights.
    """

    def __init__(self, shape: GuideShape, lower: list[float], upper: list[float], *, seed: int = 0) -> None:
        super().__init__()
        self.shape = shape
        body = FieldShape(shape.grid, shape.hidden, shape.width)
        self.body = Field(body, lower, upper, seed=seed ^ 0x61D3, outputs=shape.lobes * NUMBERS)
        self.optimiser = torch.optim.Adam(self.parameters(), lr=RATE, eps=1e-15)

    def forward(self, asked: Tensor) -> Tensor:
        """12×N → N×K×5."""
        raw = self.body.raw(asked).view(asked.shape[1], self.shape.lobes, NUMBERS)
        weight = torch.softmax(raw[..., 0], dim=-1)
        κ = raw[..., 1].clamp(-4.0, 9.0).exp().clamp(KAPPA_MIN, KAPPA_MAX)
        # Lobes begin on different sides of the sphere, so that they can tell themselves apart.
        axis = torch.nn.functional.normalize(raw[..., 2:] + _spiral(self.shape.lobes, raw.device), dim=-1)
        return torch.cat([weight[..., None], κ[..., None], axis], dim=-1)

    @torch.no_grad()
    def mixtures(self, step: int, sampled: Points) -> Tensor | None:
        """The mixtures that rays of a block are drawn with, as one row; None before the guide is begun with."""
        if step < self.shape.begin:
            return None
        return self(sampled.asked).reshape(-1).contiguous()

    def lobes(self, mixtures: Tensor) -> Lobes:
        """What `mixtures` answered, as Dr.Jit reads it."""
        return Lobes(mi.Float(mixtures), self.shape.lobes)

    def learn(
        self,
        step: int,
        sampled: Points,
        incoming: Incident,
        cached: Field,
    ) -> None:
        """One step of its own, while it is trained: −Σ w log q, w the light that each ray brought."""
        if incoming.sampled is None or not self.shape.begin <= step < self.shape.end:
            return
        rays = incoming.sampled
        light = rays.gathered.clone()
        if rays.ray.numel():
            light.index_add_(0, rays.ray, cached.answer(incoming.queries.asked) * rays.weight[rays.ray])
        weight = light.mean(dim=1)
        m = weight.shape[0] // sampled.active.shape[0]
        lobes = self(sampled.asked).repeat_interleave(m, dim=0)
        useful = weight > 0
        if not bool(useful.any()):
            return
        weight = weight[useful] / weight[useful].mean()
        # Outliers would turn every lobe their way.
        value = -(weight.clamp_max(20.0) * log_density(lobes[useful], rays.direction.T[useful])).mean()
        self.optimiser.zero_grad(set_to_none=True)
        value.backward()
        self.optimiser.step()


def _spiral(count: int, device: torch.device) -> Tensor:
    """Directions that are spread over the sphere: K×3."""
    k = torch.arange(count, device=device) + 0.5
    z, φ = 1 - 2 * k / count, k * math.pi * (3 - math.sqrt(5))
    r = (1 - z * z).sqrt()
    return torch.stack([r * φ.cos(), r * φ.sin(), z], dim=1)
