"""Shampoo: a preconditioner per axis of each tensor, from the gradients' second moments along it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from pipeline.optim.hvp import wide

__all__ = ["Shampoo", "inverse_root"]


def inverse_root(matrix: Tensor, power: int, *, ridge: float = 1e-6) -> Tensor:
    """M^(−1/power) of a symmetric positive semi-definite matrix.

    Args:
        matrix: n×n.
        power: positive.
        ridge: share of the largest eigenvalue that is added to all.

    Returns:
        n×n, of the matrix's type; computed in float64. The identity where the matrix is zero, or not finite: a
        training that diverges ends by its loss, not here.
    """
    identity = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    if not torch.isfinite(matrix).all():
        return identity
    values, vectors = torch.linalg.eigh(matrix.double())
    largest = values[-1]
    if largest <= 0:
        return identity
    scaled = values.clamp_min(0) + ridge * largest
    return ((vectors * scaled ** (-1 / power)) @ vectors.mT).to(matrix.dtype)


class Shampoo(torch.optim.Optimizer):
    """For a tensor of k axes, G is multiplied along axis i by L_i^(−1/2k), where L_i sums G's second moments along it.

    The step's length is grafted: each tensor moves as far as plain gradient descent would (Anil et al. 2020, §3.2), so
    that the rate is SGD's. Axes longer than `largest` are left alone.

    Source: Gupta et al. 2018, Algorithm 2.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.1,
        *,
        momentum: float = 0.9,
        decay: float = 1.0,
        weight_decay: float = 0.0,
        every: int = 20,
        warmup: int = 20,
        largest: int = 512,
    ) -> None:
        """
        Args:
            params: tensors, or groups with their own `lr`, `momentum`, `weight_decay`.
            lr: of the step of grafted length.
            momentum: β₁ of the mean of gradients.
            decay: of the second moments; 1 sums them, as the paper does.
            weight_decay: decoupled.
            every: steps between new roots, n³ each.
            warmup: first steps, at each of which roots are new.
            largest: axis that still gets a matrix.

        Raises:
            ValueError: a setting outside its range.
        """
        if not (lr > 0 and 0 <= momentum < 1 and 0 < decay <= 1 and weight_decay >= 0 and every >= 1 and largest >= 1):
            raise ValueError("out of range: lr > 0, 0 ≤ momentum < 1, 0 < decay ≤ 1, weight_decay ≥ 0, every ≥ 1")
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.decay, self.every, self.warmup, self.largest = decay, every, warmup, largest

    @property
    def curvature_due(self) -> bool:
        """Never: gradients are all it reads."""
        return False

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None, *, curvature: Callable[[], Tensor] | None = None) -> Any:
        """One step; `curvature` is not called.

        Raises:
            RuntimeError: a gradient is sparse.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                if p.grad.is_sparse:
                    raise RuntimeError("sparse gradients are not supported: make embeddings with sparse=False")
                self._move(p, group)
        return loss

    def _move(self, p: Tensor, group: dict[str, Any]) -> None:
        state, gradient = self._state(p), p.grad.to(wide(p.dtype))  # type: ignore[union-attr]
        fresh = state["steps"] < self.warmup or state["steps"] % self.every == 0
        state["steps"] += 1
        direction = gradient
        for axis, size in enumerate(p.shape):
            if size > self.largest:
                continue
            unfolded = gradient.movedim(axis, 0).reshape(size, -1)
            moments = state[f"moments_{axis}"]
            moments.mul_(self.decay).addmm_(unfolded, unfolded.mT, alpha=1 if self.decay == 1 else 1 - self.decay)
            if fresh:
                state[f"root_{axis}"] = inverse_root(moments, 2 * max(p.ndim, 1))
            direction = torch.tensordot(state[f"root_{axis}"], direction.movedim(axis, 0), dims=1).movedim(0, axis)
        length = direction.norm()
        grafted = direction * (gradient.norm() / length) if length > 0 else gradient
        mean = state["mean"].lerp_(grafted, 1 - group["momentum"])
        if group["weight_decay"]:
            p.mul_(1 - group["lr"] * group["weight_decay"])
        p.add_(mean.to(p.dtype), alpha=-group["lr"] / (1 - group["momentum"] ** state["steps"]))

    def _state(self, p: Tensor) -> dict[str, Any]:
        state: dict[str, Any] = self.state[p]
        if not state:
            settings: dict[str, Any] = {"dtype": wide(p.dtype), "device": p.device}
            state["steps"] = 0
            state["mean"] = torch.zeros(p.shape, **settings)
            for axis, size in enumerate(p.shape):
                if size <= self.largest:
                    state[f"moments_{axis}"] = torch.zeros(size, size, **settings)
        return state
