"""One optimiser for all diagonal preconditioners: x ← x − η D⁻¹ m̂, with m̂ the bias-corrected mean of the gradients.

With x̃ = D^½ x that is gradient descent on a function whose Hessian is D^−½ H D^−½: the nearer to the identity, the
better one rate serves all parameters (Chng et al. 2025, §3).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pipeline.optim import hvp
from pipeline.optim.diagonals import Diagonal, GaussNewton

__all__ = ["Fallback", "Preconditioned"]

log = logging.getLogger(__name__)

Curvature = Callable[[], Tensor]
"""Returns a loss with its graph, without calling backward: of the whole batch, or of a part of it to save memory."""

REJECTED = 10
"""Hessian-vector products that are not finite, in a row, after which there is no curvature to go by."""


@dataclass(frozen=True)
class Fallback:
    """What to go on with where the loss has no second derivatives.

    Attributes:
        rate: learning rate of Adam in place of `lr`; what a scheduler has made of `lr` is kept as a factor.
    """

    rate: float


class Preconditioned(torch.optim.Optimizer):
    """Diagonally preconditioned stochastic gradient descent.

    Curvature is taken from the loss that `step` is given (`curvature`), else from gradients that carry their graph
    (`loss.backward(create_graph=optimizer.curvature_due)`). It is computed and kept in float32 also under autocast and
    for parameters in half precision.

    Parameters that are frozen, or whose gradient is None, stay where they are. One that joins in later moves from D's
    next update on.
    """

    def __init__(
        self,
        params: Iterable[Any],
        diagonal: Diagonal,
        *,
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        every: int = 1,
        warmup: int = 0,
        rate_warmup: float = 0.0,
        seed: int = 0,
        fallback: Fallback | None = None,
    ) -> None:
        """
        Args:
            params: tensors, or groups with their own `lr`, `momentum`, `weight_decay`.
            diagonal: D.
            lr: η.
            momentum: β₁ of the mean of gradients; 0 takes the gradient itself.
            weight_decay: decoupled: parameters shrink by lr × weight_decay a step.
            every: steps between updates of D (curvature only).
            warmup: first steps, at each of which D is updated.
            rate_warmup: γ: the rate is η (1 − γᵏ) after k updates of D, since a D of few samples may be far too small.
            seed: of the random signs.
            fallback: Adam's rate to go on with where there is no curvature; None raises.

        Raises:
            ValueError: a setting outside its range.
        """
        ranges = {
            "lr": (lr, lr > 0),
            "momentum": (momentum, 0 <= momentum < 1),
            "weight_decay": (weight_decay, weight_decay >= 0),
            "every": (every, every >= 1),
            "warmup": (warmup, warmup >= 0),
            "rate_warmup": (rate_warmup, 0 <= rate_warmup < 1),
        }
        if bad := [f"{name}={value}" for name, (value, good) in ranges.items() if not good]:
            raise ValueError(f"out of range: {', '.join(bad)}")
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.diagonal = diagonal
        self.every, self.warmup, self.rate_warmup, self.fallback = every, warmup, rate_warmup, fallback
        self._lr = lr
        self._steps = 0
        self._rejected = 0  # in a row
        self._warned = False
        self._generator = torch.Generator().manual_seed(seed)

    @property
    def curvature_due(self) -> bool:
        """Whether the next step updates D from Hessian-vector products."""
        if self.diagonal.source != "curvature":
            return False
        return self._steps < self.warmup or (self._steps - self.warmup) % self.every == 0

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None, *, curvature: Curvature | None = None) -> Any:
        """One step.

        Args:
            closure: as for any optimiser of torch: computes the loss and its gradients, and returns the loss.
            curvature: the loss to take curvature from; called only when that is due.

        Returns:
            What the closure returned.

        Raises:
            NoSecondDerivative: the loss has none, and there is no fallback.
            RuntimeError: a gradient is sparse.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        moving = [(group, p) for group in self.param_groups for p in group["params"] if p.grad is not None]
        if any(p.grad.is_sparse for _, p in moving):
            raise RuntimeError("sparse gradients are not supported: make embeddings with sparse=False")
        if moving and self.curvature_due:
            self._measure([p for _, p in moving], curvature)
        for group, p in moving:
            self._move(p, group)
        self._steps += 1
        return loss

    # --- D --------------------------------------------------------------------------------------------------------

    def _measure(self, params: list[Tensor], curvature: Curvature | None) -> None:
        """Updates D from one Hessian-vector product with random signs."""
        signs = hvp.rademacher(params, self._generator)
        try:
            products = self._products(params, signs, curvature)
            if products is not None:
                self._fold(params, products, signs)
        except hvp.NoSecondDerivative as error:
            if self.fallback is None:
                raise
            self._fall_back(self.fallback, error)

    def _products(self, params: list[Tensor], signs: list[Tensor], curvature: Curvature | None) -> list[Tensor] | None:
        """H z in float32 at least; None where it is not finite."""
        trusted = all(self.state.get(p, {}).get("updates", 0) > 0 for p in params)
        if curvature is not None:
            with torch.enable_grad(), torch.autocast(params[0].device.type, enabled=False):
                products = hvp.double_backward(curvature(), params, signs, trusted=trusted)
        else:
            try:
                products = hvp.of_gradients([p.grad for p in params], params, signs, trusted=trusted)
            finally:
                for p in params:
                    p.grad = None if p.grad is None else p.grad.detach()  # parameter → gradient → graph → parameter
        products = [product.to(z.dtype) for product, z in zip(products, signs, strict=True)]
        total = torch.stack([product.double().square().sum() for product in products]).sum()
        if total == 0:
            raise hvp.NoSecondDerivative("a Hessian-vector product is zero in every entry")
        if not torch.isfinite(total):
            self._rejected += 1
            if self._rejected >= REJECTED:
                raise hvp.NoSecondDerivative(f"{REJECTED} Hessian-vector products in a row were not finite")
            if not self._warned:
                log.warning("a Hessian-vector product is not finite: D stays as it is (said once)")
                self._warned = True
            return None
        self._rejected = 0
        return products

    def _fold(self, params: list[Tensor], products: list[Tensor], signs: list[Tensor]) -> None:
        estimates = []
        for p, product, z in zip(params, products, signs, strict=True):
            state = self._state(p)
            self.diagonal.update(state["moment"], product, z)
            state["updates"] += 1
            steps = max(self._steps + 1, state["updates"])
            estimates.append(self.diagonal.of(state["moment"], updates=state["updates"], steps=steps))
        scale = torch.stack([d.double().square().sum() for d in estimates]).sum() / sum(d.numel() for d in estimates)
        for p, estimate in zip(params, estimates, strict=True):
            self.state[p]["diagonal"] = self.diagonal.damped(estimate, scale.sqrt())

    def _fall_back(self, fallback: Fallback, error: Exception) -> None:
        """From here on this is Adam; the mean of gradients is kept."""
        log.warning("%s; going on with adam (said once)", error)
        factor = fallback.rate / self._lr
        self.diagonal = GaussNewton()
        for group in self.param_groups:
            for name in ("lr", "initial_lr"):
                if name in group:
                    group[name] *= factor
        for state in self.state.values():
            state.pop("diagonal", None)
            state["updates"] = 0
            state["moment"].zero_()

    # --- x --------------------------------------------------------------------------------------------------------

    def _state(self, p: Tensor) -> dict[str, Any]:
        state: dict[str, Any] = self.state[p]
        if not state:
            state["steps"] = state["updates"] = 0
            state["mean"] = torch.zeros_like(p, dtype=hvp.wide(p.dtype))
            if self.diagonal.source != "nothing":
                state["moment"] = torch.zeros_like(p, dtype=hvp.wide(p.dtype))
        return state

    def _move(self, p: Tensor, group: dict[str, Any]) -> None:
        state = self._state(p)
        gradient = p.grad.to(state["mean"].dtype)  # type: ignore[union-attr]
        beta, rate = group["momentum"], group["lr"]
        state["steps"] += 1
        mean = state["mean"].lerp_(gradient, 1 - beta)
        source = self.diagonal.source
        if source == "gradient":
            self.diagonal.update(state["moment"], gradient, None)
            state["updates"] += 1
            estimate = self.diagonal.of(state["moment"], updates=state["updates"], steps=state["steps"])
            diagonal = self.diagonal.damped(estimate, estimate)
        elif source == "curvature":
            if "diagonal" not in state:
                return
            diagonal = state["diagonal"]
            rate *= 1 - self.rate_warmup ** state["updates"]
        if group["weight_decay"]:
            p.mul_(1 - rate * group["weight_decay"])
        size = -rate / (1 - beta ** state["steps"])
        if source == "nothing":
            p.add_(mean.to(p.dtype), alpha=size)
        elif p.dtype == mean.dtype:
            p.addcdiv_(mean, diagonal, value=size)
        else:
            p.add_((mean / diagonal).mul_(size).to(p.dtype))

    # --- State ----------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """As of any optimiser, and what D's schedule and random signs need to go on."""
        own = {
            "steps": self._steps,
            "rejected": self._rejected,
            "fallen_back": self.fallback is not None and isinstance(self.diagonal, GaussNewton),
            "generator": self._generator.get_state(),
        }
        return {**super().state_dict(), "preconditioned": own}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of `state_dict`. Curvature keeps its type, whatever the parameters' is."""
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "preconditioned"})
        saved = [index for group in state_dict["param_groups"] for index in group["params"]]
        ours = [p for group in self.param_groups for p in group["params"]]
        for index, p in zip(saved, ours, strict=True):
            for name, value in state_dict["state"].get(index, {}).items():
                if isinstance(value, Tensor):
                    self.state[p][name] = value.clone().to(p.device)  # super() cast it to the parameter's type
        own = state_dict["preconditioned"]
        self._steps, self._rejected = own["steps"], own["rejected"]
        if own["fallen_back"]:
            self.diagonal = GaussNewton()
        self._generator.set_state(own["generator"].cpu())
