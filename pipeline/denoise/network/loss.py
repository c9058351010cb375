"""SMAPE, and its asymmetric form that λ steers.

Source: Vogels et al. 2018, equations 2 and 6.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["EPSILON", "asymmetric_smape", "smape"]

EPSILON = 1e-2


def smape(d: Tensor, r: Tensor) -> Tensor:
    """Equation 2 before the mean: |d − r| / (|d| + |r| + ε), of the tensors' shape.

    For d below zero (compositing can overshoot) the denominator's |d| would reward going further; there it is held at
    0.
    """
    return (d - r).abs() / (d.clamp_min(0) + r.abs() + EPSILON)


def asymmetric_smape(d: Tensor, r: Tensor, c: Tensor, lambda_: Tensor | float) -> Tensor:
    """Equation 6 before the mean: errors on the side of the reference that the input is not on weigh λ times.

    Args:
        d, r, c: denoised, reference and input, B×C×H×W.
        lambda_: ≥ 1; scalar or B×1×H×W.
    """
    opposite = ((d - r) * (r - c)).detach() > 0
    return smape(d, r) * torch.where(opposite, torch.as_tensor(lambda_, dtype=d.dtype, device=d.device), 1.0)
