"""Gaussian smoothing and its derivatives: the kernels that turn samples of a function into differentials.

A function f of n parameters, smoothed by a Gaussian κ of standard deviations σ (one per parameter), is
S f(θ) = ∫ κ(τ) f(θ − τ) dτ (equation 13). Its differentials are convolutions of f itself with the kernel's
differentials (equations 15–23), so that f needs neither be smooth nor known: it is only ever evaluated.

All functions take offsets as rows, τ: K×n, in the parameters' own units, and σ: n; they are pure numpy. Densities and
weights elsewhere are written in z = τ / σ.

Source: Wang, Fischer, Ritschel, "Higher-order Differentiable Rendering", §3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError

__all__ = ["checked_sigma", "gaussian", "gradient", "hessian", "hvp", "hvp_difference"]

Array = NDArray[np.float64]


def checked_sigma(sigma: Array | float, dimensions: int) -> Array:
    """σ as n positive numbers.

    Raises:
        ConfigError: one of them is zero, negative or not finite. A σ of zero smooths nothing: its kernels are not
            functions.
    """
    values = np.broadcast_to(np.asarray(sigma, dtype=np.float64), (dimensions,)).copy()
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ConfigError(f"sigma must be positive and finite, not {np.asarray(sigma).tolist()!r:.60}")
    return values


def gaussian(tau: Array, sigma: Array) -> Array:
    """κ(τ) = N(τ; 0, diag σ²): K."""
    z = tau / sigma
    normaliser = (2.0 * np.pi) ** (tau.shape[1] / 2) * np.prod(sigma)
    return np.asarray(np.exp(-0.5 * np.sum(z * z, axis=1)) / normaliser)


def gradient(tau: Array, sigma: Array) -> Array:
    """∂κ/∂τᵢ = −τᵢ/σᵢ² · κ(τ) (equation 17): K×n."""
    return np.asarray(-tau / sigma**2 * gaussian(tau, sigma)[:, None])


def hessian(tau: Array, sigma: Array) -> Array:
    """∂²κ/∂τᵢ∂τⱼ (equation 20): K×n×n; τᵢτⱼ/(σᵢ²σⱼ²) · κ, less κ/σᵢ² on the diagonal."""
    scaled = tau / sigma**2
    outer = scaled[:, :, None] * scaled[:, None, :] - np.diag(1.0 / sigma**2)
    return np.asarray(outer * gaussian(tau, sigma)[:, None, None])


def hvp(tau: Array, sigma: Array, v: Array) -> Array:
    """∇²κ(τ) · v (equation 22): K×n; τ/σ² · (τ·v/σ²) · κ − v/σ² · κ."""
    scaled = tau / sigma**2
    return np.asarray((scaled * (scaled @ v)[:, None] - v / sigma**2) * gaussian(tau, sigma)[:, None])


def hvp_difference(tau: Array, sigma: Array, v: Array, epsilon: float) -> Array:
    """The same by central differences of the gradient's kernel along v: K×n.

    Equation 23 has the two terms in the other order, which is the negative of equation 22's limit; here
    [∇κ(τ + εv) − ∇κ(τ − εv)] / 2ε.
    """
    return (gradient(tau + epsilon * v, sigma) - gradient(tau - epsilon * v, sigma)) / (2.0 * epsilon)
