"""Probes of the theory: how dense Hessian-vector products are, and what a diagonal does to the condition number."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["condition_number", "density", "equilibrated_diagonal", "jacobi_diagonal", "preconditioned"]

NON_ZERO = 1e-3
"""Share of the largest |entry| from which an entry of a Hessian-vector product counts as one."""


def density(products: Sequence[Tensor], *, threshold: float = NON_ZERO) -> float:
    """Share of the entries of H v whose absolute value is above `threshold` of the largest one; 0 for H v = 0.

    >>> density([torch.tensor([1.0, 0.0]), torch.tensor([0.5, 1e-6])])
    0.5
    """
    flat = torch.cat([product.reshape(-1) for product in products]).abs()
    largest = flat.max()
    return 0.0 if largest == 0 else float((flat > threshold * largest).double().mean())


def condition_number(hessian: Tensor) -> float:
    """λmax over the lower quartile of |λ|, of a symmetric matrix.

    The smallest |λ| of a network's Hessian is as good as zero, and says nothing: the quartile stands in for it.
    """
    values = torch.linalg.eigvalsh(hessian.double()).abs()
    return float(values.max() / torch.quantile(values, 0.25))


def preconditioned(hessian: Tensor, diagonal: Tensor) -> Tensor:
    """D^−½ H D^−½: the Hessian in the coordinates x̃ = D^½ x (Chng et al. 2025, §3).

    Args:
        hessian: n×n.
        diagonal: n; entries of zero (parameters that do not matter) count as one.
    """
    scale = torch.where(diagonal > 0, diagonal, torch.ones_like(diagonal)).double().rsqrt()
    return scale[:, None] * hessian.double() * scale[None, :]


def equilibrated_diagonal(hessian: Tensor) -> Tensor:
    """Dᴱ: the 2-norms of the rows."""
    return torch.linalg.vector_norm(hessian.double(), dim=1)


def jacobi_diagonal(hessian: Tensor) -> Tensor:
    """Dᴶ: absolute values of the diagonal."""
    return hessian.double().diagonal().abs()
