"""Networks that predict scene parameters, trained through a renderer that cannot be differentiated (supplement E).

The chain is x ─white box→ θ = g(w, x) ─black box→ loss f(θ). Only the black box is sampled: ∇f and products of its
Hessian, in the few dimensions of θ; the network's part is autograd's. With J = ∂θ/∂w,

    first order    ∇_w = Jᵀ ∇f,
    second order   (Jᵀ H_f J) v:  J v by forward differentiation, H_f (J v) by one sampled product, then Jᵀ.

The second is the Gauss–Newton part of the curvature: what is left out, the network's own bend weighed by ∇f, vanishes
where the renders match. Needs torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.func import functional_call, jvp, vjp

from pipeline.match.descent import GradientOf, aggregate_gradient

__all__ = ["BlackBoxes", "GreyBox", "Step", "newton_cg_step"]

Array = NDArray[np.float64]
Weights = dict[str, torch.Tensor]

SHIFT = 1.0 / 3.0
"""Of σ: how far the two gradients of a product lie apart from the prediction, along its way."""


class BlackBoxes(Protocol):
    """The black boxes of a batch, one for each example, evaluated together."""

    def __call__(self, points: Array, examples: NDArray[np.int64], seed: int) -> Array:
        """Losses at K×n parameters, K of them; `examples`: which example each row is of."""
        ...


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
        gradient_of: estimates ∇f. Examples share its offsets, so that a batch is one call of the black box.
    """

    def __init__(self, network: torch.nn.Module, gradient_of: GradientOf | None = None) -> None:
        self.network, self._gradient_of = network, gradient_of or aggregate_gradient(2)

    @property
    def weights(self) -> Weights:
        """Detached, by name."""
        return {name: value.detach() for name, value in self.network.named_parameters()}

    def look(
        self,
        inputs: torch.Tensor,
        black_boxes: BlackBoxes,
        sigma: float,
        *,
        rng: np.random.Generator,
        seed: int,
        along: Weights | None = None,
    ) -> Step:
        """Gradient of the batch's mean loss; and, along a direction of the weights, its curvature.

        Args:
            inputs: B×….
            along: direction v; with it twice as many evaluations: H_f (J v) is the difference of two gradients, shifted
                to both sides along J v, and the gradient is their mean.
        """
        weights = self.weights

        def predict(values: Weights) -> torch.Tensor:
            predicted: torch.Tensor = functional_call(self.network, values, (inputs,))
            return predicted

        theta, pull = vjp(predict, weights)  # type: ignore[misc]
        points = theta.detach().double().numpy()
        if along is None:
            slopes, evaluations = self._slopes(points, len(points), black_boxes, sigma, rng, seed)
            down = pull(torch.as_tensor(slopes / len(points), dtype=theta.dtype))[0]
            return Step(down, float("nan"), float("nan"), None, points, evaluations)
        ways = jvp(predict, (weights,), (along,))[1].double().numpy()
        lengths = np.maximum(np.linalg.norm(ways, axis=1, keepdims=True), np.finfo(float).tiny)
        shift = SHIFT * sigma / lengths  # B×1
        both = np.concatenate([points + shift * ways, points - shift * ways])
        found, evaluations = self._slopes(both, len(points), black_boxes, sigma, rng, seed)
        ahead, behind = np.split(found, 2)
        slopes, bends = (ahead + behind) / 2.0, (ahead - behind) / (2.0 * shift)
        down, bent = (pull(torch.as_tensor(each / len(points), dtype=theta.dtype))[0] for each in (slopes, bends))
        slope, curvature = (float(np.sum(ways * each) / len(points)) for each in (slopes, bends))
        return Step(down, slope, curvature, bent, points, evaluations)

    def _slopes(
        self, places: Array, examples: int, f: BlackBoxes, sigma: float, rng: np.random.Generator, seed: int
    ) -> tuple[Array, int]:
        """∇f at P×n places, those of the examples once or several times over: P×n; and evaluations."""
        count, n = places.shape
        numbers = np.arange(count) % examples

        def losses(points: Array, seed: int) -> Array:
            rows = (places + points[:, None]).reshape(-1, n)
            return f(rows, np.tile(numbers, len(points)), seed).reshape(len(points), count)

        estimate = self._gradient_of(losses, np.zeros(n), sigma, rng, seed)  # of offsets, about 0
        return np.asarray(estimate.value.T), estimate.evaluations * count

    def move(self, direction: Weights, length: float) -> None:
        """w ← w + length · direction, in place."""
        with torch.no_grad():
            for name, value in self.network.named_parameters():
                value.add_(direction[name], alpha=length)


def newton_cg_step(
    box: GreyBox,
    inputs: torch.Tensor,
    black_boxes: BlackBoxes,
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
        first = box.look(inputs, black_boxes, sigma, rng=rng, seed=seed)
        direction = {name: -value for name, value in first.gradient.items()}
        evaluations = first.evaluations
    size = _norm(direction)
    if size == 0.0:
        return direction, box.look(inputs, black_boxes, sigma, rng=rng, seed=seed)
    v = {name: value / size for name, value in direction.items()}
    step = box.look(inputs, black_boxes, sigma, rng=rng, seed=seed, along=v)
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
