"""Layers of coordinate networks: a linear map and its activation, with the weights that each activation starts from."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["LAYERS", "Gaussian", "PositionalEncoding", "Relu", "Sinc", "Sine", "Wavelet", "sinc"]

SERIES = 0.5
"""Below this sin y / y is a series to y⁸, right to float32's last bit; above it, its second derivative is right too."""


class Sine(nn.Module):
    """sin(ω (W x + b)).

    Source: Sitzmann et al. 2020, §3.2: W uniform in ±1/n in the first layer, ±√(6/n)/ω in the others.
    """

    def __init__(self, inputs: int, outputs: int, *, first: bool, scale: float = 30.0) -> None:
        super().__init__()
        self.linear, self.omega = nn.Linear(inputs, outputs), scale
        bound = 1 / inputs if first else math.sqrt(6 / inputs) / scale
        nn.init.uniform_(self.linear.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """…×inputs → …×outputs."""
        return torch.sin(self.omega * self.linear(x))


class Gaussian(nn.Module):
    """exp(−(W x + b)² / 2σ²).

    Source: Ramasinghe, Lucey 2022; σ of Chng et al. 2025.
    """

    def __init__(self, inputs: int, outputs: int, *, first: bool, scale: float = 0.05) -> None:
        super().__init__()
        self.linear, self.sigma = nn.Linear(inputs, outputs), scale

    def forward(self, x: Tensor) -> Tensor:
        """…×inputs → …×outputs."""
        return torch.exp(-0.5 * (self.linear(x) / self.sigma).square())


class Wavelet(nn.Module):
    """cos(ω (W x + b)) exp(−(s (V x + c))²): a real Gabor wavelet whose width is learnt beside its frequency.

    Source: Saragadam et al. 2023 (WIRE), the real form; ω and s of Chng et al. 2025.
    """

    def __init__(self, inputs: int, outputs: int, *, first: bool, scale: float = 10.0) -> None:
        super().__init__()
        self.frequency, self.width = nn.Linear(inputs, outputs), nn.Linear(inputs, outputs)
        self.omega = self.s = scale

    def forward(self, x: Tensor) -> Tensor:
        """…×inputs → …×outputs."""
        return torch.cos(self.omega * self.frequency(x)) * torch.exp(-(self.s * self.width(x)).square())


class Sinc(nn.Module):
    """sin(ω y) / ω y with y = W x + b.

    Source: Saratchandran et al. 2024.
    """

    def __init__(self, inputs: int, outputs: int, *, first: bool, scale: float = 30.0) -> None:
        super().__init__()
        self.linear, self.omega = nn.Linear(inputs, outputs), scale

    def forward(self, x: Tensor) -> Tensor:
        """…×inputs → …×outputs."""
        return sinc(self.omega * self.linear(x))


def sinc(y: Tensor) -> Tensor:
    """sin y / y, twice differentiable everywhere: the second derivative of `torch.sinc` at zero is not a number."""
    near = y.abs() < SERIES
    away = torch.where(near, torch.ones_like(y), y)
    square = torch.where(near, y, torch.zeros_like(y)).square()
    series = 1 - square / 6 * (1 - square / 20 * (1 - square / 42 * (1 - square / 72)))
    return torch.where(near, series, away.sin() / away)


class Relu(nn.Module):
    """max(W x + b, 0); W as He et al. 2015."""

    def __init__(self, inputs: int, outputs: int, *, first: bool, scale: float = 1.0) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        nn.init.kaiming_uniform_(self.linear.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """…×inputs → …×outputs."""
        return torch.relu(self.linear(x))


class PositionalEncoding(nn.Module):
    """x → (x, sin 2ᵏπx, cos 2ᵏπx), k = 0 … octaves − 1.

    Source: Mildenhall et al. 2020, equation 4.
    """

    def __init__(self, inputs: int, octaves: int) -> None:
        super().__init__()
        self.frequencies: Tensor
        self.outputs = inputs * (1 + 2 * octaves)
        self.register_buffer("frequencies", math.pi * 2.0 ** torch.arange(octaves), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """…×inputs → …×outputs."""
        angles = (x[..., None] * self.frequencies).flatten(-2)
        return torch.cat([x, angles.sin(), angles.cos()], dim=-1)


LAYERS: dict[str, type[Sine | Gaussian | Wavelet | Sinc | Relu]] = {
    "sine": Sine,
    "gaussian": Gaussian,
    "wavelet": Wavelet,
    "sinc": Sinc,
    "relu": Relu,
    "relu_pe": Relu,
}
"""By the names of `pipeline.optim.activations`."""
