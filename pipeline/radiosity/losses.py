"""The losses that train the cache: what they see of the residual, and through which side a gradient flows.

Every function takes the left-hand side L = E + S, and the right-hand side in halves; all N×3, and the gradient flows
into the arguments as the name says. Radiance comes in the scene's own unit (`Field.unit`), so that ε means the same in
every scene. Pure.

Source: the paper's Equations 2–8, 28, 31; Figure 8 for the losses that are not L2.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["EPSILON", "MEASURES", "METHODS", "loss", "normaliser", "relative_residual"]

EPSILON = 0.01
"""ε of Equation 2, in units of the scene's mean radiance squared."""

HUBER = 1.0
"""Where the Huber loss turns from square to straight, of the relative residual."""


def normaliser(settled: Tensor, *, by_channel: bool = False) -> Tensor:
    """‖sg(L)‖² + ε, N×1 (Equation 3); it carries no gradient. By channel 3 L_c² + ε, N×3, the same for grey light: the
    weak channels of coloured light then count as much as the strong one, and colours do not fade towards grey.

    Where L jitters from step to step, as it does at high rates, residuals count most when it happens to be low, and the
    cache grows too bright: hand in a settled L, such as the running mean's.
    """
    squared = settled.detach().square()
    return (3 * squared if by_channel else squared.sum(dim=1, keepdim=True)) + EPSILON


def _squared(residual: Tensor, scale: Tensor) -> Tensor:
    return (residual.square() / scale).sum(dim=1).mean()


def _root(residual: Tensor, scale: Tensor) -> Tensor:
    """Root of the mean square; the tiny addend keeps the gradient finite at 0."""
    return (_squared(residual, scale) + 1e-12).sqrt()


def _huber(residual: Tensor, scale: Tensor) -> Tensor:
    relative = residual / scale.sqrt()
    return torch.nn.functional.huber_loss(relative, torch.zeros_like(relative), delta=HUBER)


def _absolute(residual: Tensor, scale: Tensor) -> Tensor:
    return (residual.abs() / scale.sqrt()).sum(dim=1).mean()


MEASURES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l2": _squared,
    "rmse": _root,
    "huber": _huber,
    "mae": _absolute,
}
"""How a residual (N×3) and a normaliser (N×1 or N×3) become one number; all relative to L."""

METHODS = ("semi", "full", "dual", "weighted")
"""Through which side the gradient flows: the left alone; both, with one estimate of R for both factors (biased); both,
with two estimates that share no sample; and a mean of the last with the first."""


def loss(
    method: str,
    measure: str,
    left: Tensor,
    right: Tensor,
    *,
    settled: Tensor | None = None,
    weight: float = 1.0,
    by_channel: bool = False,
) -> Tensor:
    """The loss of one batch.

    Args:
        method: one of `METHODS`.
        measure: a key of `MEASURES`; `dual` and `weighted` know `l2` alone, since only there a product of two estimates
            is unbiased.
        left: N×3, L with its gradient.
        right: N×2×3, R in two halves, with a gradient unless the method is `semi`.
        settled: N×3, the L that the residual is normalised by; None: `left`.
        weight: w of Equation 31, for `weighted`: 0 is `semi`, 1 has the gradient of `dual`.
        by_channel: of the normaliser.

    Returns:
        scalar.

    Raises:
        ValueError: no such method or measure, or not together.
    """
    if method not in METHODS or measure not in MEASURES:
        raise ValueError(f"no loss {method}, {measure}")
    if method in ("dual", "weighted") and measure != "l2":
        raise ValueError(f"the {method} loss is defined for l2 alone, not for {measure}")
    scale = normaliser(left if settled is None else settled, by_channel=by_channel)
    mean = right.mean(dim=1)
    if method == "semi":
        return MEASURES[measure](left - mean.detach(), scale)
    if method == "full":
        return MEASURES[measure](left - mean, scale)
    if method == "dual":
        return _product(left, right, scale)
    return _squared(left - mean.detach(), scale) + weight * _product(left.detach(), right, scale)


def _product(left: Tensor, right: Tensor, scale: Tensor) -> Tensor:
    """(L − R_X) · (L − R_Y) / (‖sg(L)‖² + ε), Equation 28."""
    return ((left - right[:, 0]) * (left - right[:, 1]) / scale).sum(dim=1).mean()


def relative_residual(left: Tensor, right: Tensor) -> float:
    """Root of the mean of the squared relative residual ‖L − R‖² / (‖L‖² + ‖R‖² + ε), by two independent halves, so
    that noise in R adds nothing on average. About 1 at most: with ‖R‖² alone below, a few hidden corners where R
    vanishes and L does not would outweigh all other points.

    Args:
        left: N×3.
        right: N×2×3.
    """
    scale = left.square().sum(dim=1) + right.mean(dim=1).square().sum(dim=1) + EPSILON
    squared = ((left - right[:, 0]) * (left - right[:, 1])).sum(dim=1) / scale
    return float(squared.mean().clamp_min(0).sqrt())
