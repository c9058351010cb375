"""Networks that predict scene parameters, trained through a renderer that cannot be differentiated (supplement E).

The chain is x ─white box→ θ = g(w, x) ─black box→ loss f(θ). Only the black box is sampled: ∇f and products of its
Hessian, in the few dimensions of θ; the network's part is autograd's. With J = ∂θ/∂w,

    first order    ∇_w = Jᵀ ∇f,
    second order   (Jᵀ H_f J) v:  J v by forward differentiation, H_f (J v) by one sampled product, then Jᵀ.

The second is the Gauss–Newton part of the curvature: what is left out, the network's own bend weighed by ∇f, vanishes
where the renders match. Needs torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.func import functional_call, jvp, vjp

from pipeline.match.estimators import BlackBox, gradient, hvp
from pipeline.match.samplers import Sampling

__all__ = ["GreyBox", "Step", "newton_cg_step"]

Array = NDArray[np.float64]
Weights = dict[str, torch.Tensor]
BlackBoxOf = Callable[[int], BlackBox]
"""Index of an example in the batch → its loss as a function of θ."""


@dataclass(frozen=True)
class Step:
    """What one look at a batch says.

    Attributes:
        gradient: by the network's weights.
        slope: vᵀ∇_w along the direction that was asked for; NaN without one.
        curvature: vᵀ(JᵀHJ)v; NaN without one.
        predicted: B×n, θ.
        evaluations: of the black box.
    """

    gradient: Weights
    slope: float
    curvature: float
    product: Weights | None
    predicted: Array
    evaluations: int


class GreyBox:
    """A network before a black box.

    Args:
        network: B×… inputs → B×n, in units of the parameters' scales.
        samples: antithetic pairs per example.
        sampling: how offsets are drawn.
    """

    def __init__(self, network: torch.nn.Module, *, samples: int = 2, sampling: Sampling = Sampling.AGGREGATE) -> None:
        self.network, self._samples, self._sampling = network, samples, sampling

    @property
    def weights(self) -> Weights:
        """Detached, by name."""
        return {name: value.detach() for name, value in self.network.named_parameters()}

    def look(
        self,
        inputs: torch.Tensor,
        black_box: BlackBoxOf,
        sigma: float,
        *,
        rng: np.random.Generator,
        seed: int,
        along: Weights | None = None,
    ) -> Step:
        """Gradient of the batch's mean loss; and, along a direction of the weights, its curvature.

        Args:
            inputs: B×….
            along: direction v; with it four evaluations a sample and example, else two.
        """
        weights = self.weights
        batch = len(inputs)

        def predict(values: Weights) -> torch.Tensor:
            predicted: torch.Tensor = functional_call(self.network, values, (inputs,))
            return predicted

        theta, pull = vjp(predict, weights)  # type: ignore[misc]
        ways = None if along is None else jvp(predict, (weights,), (along,))[1].double().numpy()
        points = theta.detach().double().numpy()
        slopes, bends = np.zeros_like(points), np.zeros_like(points)
        evaluations = 0
        common = {"samples": self._samples, "rng": rng, "seed": seed, "sampling": self._sampling}
        for index in range(batch):
            if ways is not None and np.linalg.norm(ways[index]) > 0:
                product = hvp(black_box(index), points[index], ways[index], sigma, **common)  # type: ignore[arg-type]
                slopes[index], bends[index] = product.gradient.value, product.value
                evaluations += product.evaluations
            else:
                estimate = gradient(black_box(index), points[index], sigma, **common)  # type: ignore[arg-type]
                slopes[index] = estimate.value
                evaluations += estimate.evaluations
        down = pull(torch.as_tensor(slopes / batch, dtype=theta.dtype))[0]
        if ways is None:
            return Step(down, float("nan"), float("nan"), None, points, evaluations)
        bent = pull(torch.as_tensor(bends / batch, dtype=theta.dtype))[0]
        slope, curvature = float(np.sum(ways * slopes) / batch), float(np.sum(ways * bends) / batch)
        return Step(down, slope, curvature, bent, points, evaluations)

    def move(self, direction: Weights, length: float) -> None:
        """w ← w + length · direction, in place."""
        with torch.no_grad():
            for name, value in self.network.named_parameters():
                value.add_(direction[name], alpha=length)


def newton_cg_step(
    box: GreyBox,
    inputs: torch.Tensor,
    black_box: BlackBoxOf,
    sigma: float,
    direction: Weights | None,
    *,
    rng: np.random.Generator,
    seed: int,
    trust: float = 1.0,
) -> tuple[Weights, Step]:
    """One step of Newton–CG on the weights (equations 5–7), with Fletcher–Reeves directions.

    Args:
        direction: of the step, as the one before left it; None begins with the gradient.
        trust: the longest step in θ, in σ: root mean square over the batch.

    Returns:
        the next direction, and what was seen.
    """
    evaluations = 0
    if direction is None:
        first = box.look(inputs, black_box, sigma, rng=rng, seed=seed)
        direction = {name: -value for name, value in first.gradient.items()}
        evaluations = first.evaluations
    size = _norm(direction)
    if size == 0.0:
        return direction, box.look(inputs, black_box, sigma, rng=rng, seed=seed)
    v = {name: value / size for name, value in direction.items()}
    step = box.look(inputs, black_box, sigma, rng=rng, seed=seed, along=v)
    assert step.product is not None
    slope, product = step.slope, step.product
    if slope > 0:
        v = {name: -value for name, value in v.items()}
        slope, product = -slope, {name: -value for name, value in product.items()}
    longest = trust * sigma / max(_reach(box, inputs, v), np.finfo(float).tiny)
    alpha = min(-slope / step.curvature, longest) if step.curvature > 0 else longest
    box.move(v, alpha)
    residual = {name: -(value + alpha * product[name]) for name, value in step.gradient.items()}
    before = _norm(step.gradient)
    beta = min((_norm(residual) / before) ** 2, 1.0) if before > 0 else 0.0
    following = {name: value + beta * before * v[name] for name, value in residual.items()}
    if sum(float((following[name] * residual[name]).sum()) for name in following) <= 0:
        following = residual
    seen = Step(step.gradient, slope, step.curvature, product, step.predicted, evaluations + step.evaluations)
    return following, seen


def _norm(weights: Weights) -> float:
    return float(torch.sqrt(sum((value.double() ** 2).sum() for value in weights.values())))  # type: ignore[arg-type]


def _reach(box: GreyBox, inputs: torch.Tensor, v: Weights) -> float:
    """How far the predictions move for each unit of v: root mean square over the batch."""

    def predict(values: Weights) -> Any:
        return functional_call(box.network, values, (inputs,))

    moved = jvp(predict, (box.weights,), (v,))[1]
    return float(moved.double().pow(2).sum(dim=1).mean().sqrt())
