"""Hessian-vector products, by double backward and by forward-over-reverse, and the exact Hessian of small fields.

A product costs a small multiple of a gradient, and never the Hessian.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from pipeline.errors import ConfigError

__all__ = ["NoSecondDerivative", "double_backward", "forward_over_reverse", "hessian", "of_gradients", "rademacher"]

_REFUSALS = ("differentiate twice", "not implemented", "does not require grad", "double backward", "no forward")
"""What torch's messages say where a second derivative is what is missing; other errors pass through."""

BLOCKED = "torch::autograd::Error"
"""Name of the graph's node that stands behind an operation that can be differentiated only once."""


class NoSecondDerivative(ConfigError):
    """The loss has no second derivatives, or they are zero or not finite: there is no curvature to go by."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"the loss gives no curvature: {why}", key="optimizer", suggestion="use adam, or auto, which falls back"
        )


def rademacher(params: Sequence[Tensor], generator: torch.Generator) -> list[Tensor]:
    """Random signs, one tensor per parameter, each on its parameter's device; float32 (float64 for float64).

    E[z zᵀ] = I, and (z ⊙ Hz)ᵢ = Hᵢᵢ + Σⱼ≠ᵢ zᵢ zⱼ Hᵢⱼ: of all with that mean, signs have the least variance.

    Args:
        params: of any shapes.
        generator: on the CPU, so that the signs are the same on every device.
    """
    return [
        (torch.randint(0, 2, p.shape, generator=generator, dtype=torch.int8) * 2 - 1).to(p.device, wide(p.dtype))
        for p in params
    ]


def wide(dtype: torch.dtype) -> torch.dtype:
    """The type that curvature is kept in: float64 for float64, else float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def double_backward(
    loss: Tensor, params: Sequence[Tensor], vectors: Sequence[Tensor], *, trusted: bool = False
) -> list[Tensor]:
    """H v of a scalar loss by differentiating the gradient along v.

    Args:
        loss: with its graph, which is used up.
        params: leaves; those that the loss does not depend on get zeros.
        vectors: of the parameters' shapes.
        trusted: such a loss was differentiated before: its graph is not searched for operations that cannot be.

    Returns:
        Tensors of the parameters' shapes and types, without graph.

    Raises:
        NoSecondDerivative: an operation cannot be differentiated twice, or the gradient is constant.
    """
    if not loss.requires_grad:
        raise NoSecondDerivative("it depends on no parameter")
    with torch.enable_grad():
        try:
            gradients = torch.autograd.grad(loss, params, create_graph=True, allow_unused=True)
        except RuntimeError as error:
            raise _refusal(error) from error
        return of_gradients(gradients, params, vectors, trusted=trusted)


def of_gradients(
    gradients: Sequence[Tensor | None],
    params: Sequence[Tensor],
    vectors: Sequence[Tensor],
    *,
    trusted: bool = False,
) -> list[Tensor]:
    """As `double_backward`, from gradients that were computed with `create_graph=True`. None is a gradient of zero."""
    pairs = [(g, v.to(g.dtype)) for g, v in zip(gradients, vectors, strict=True) if g is not None and g.requires_grad]
    if not pairs:
        raise NoSecondDerivative("its gradient is constant, or was computed without create_graph=True")
    if not trusted and _blocked([g for g, _ in pairs]):
        raise NoSecondDerivative("an operation in it is marked as differentiable only once")
    try:
        products = torch.autograd.grad(
            [g for g, _ in pairs], params, grad_outputs=[v for _, v in pairs], allow_unused=True
        )
    except RuntimeError as error:
        raise _refusal(error) from error
    return [torch.zeros_like(p) if hv is None else hv for p, hv in zip(params, products, strict=True)]


def _blocked(gradients: Sequence[Tensor]) -> bool:
    """Whether an operation marked `once_differentiable` is in the graph.

    Autograd raises only where it walks through the mark, and the mark leads nowhere: it is left out, and with it its
    share of the product, without a word.
    """
    waiting = [g.grad_fn for g in gradients]
    seen = set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        if node.name() == BLOCKED:
            return True
        seen.add(node)
        waiting += [following for following, _ in node.next_functions]
    return False


def _refusal(error: RuntimeError) -> Exception:
    """What to raise for an error of autograd's."""
    text = str(error)
    return NoSecondDerivative(text.splitlines()[0]) if any(word in text for word in _REFUSALS) else error


def forward_over_reverse(
    loss: Callable[[Mapping[str, Tensor]], Tensor], params: Mapping[str, Tensor], vectors: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Gradient and H v of a functional loss, by forward-mode differentiation of the gradient (`torch.func`).

    Args:
        loss: named parameters → scalar, such as a closure over `torch.func.functional_call`.
        params, vectors: by name.

    Returns:
        (gradient, H v), by name.
    """
    made: tuple[dict[str, Tensor], dict[str, Tensor]]
    made = torch.func.jvp(torch.func.grad(loss), (dict(params),), (dict(vectors),))  # type: ignore[assignment]
    return made


def hessian(loss: Tensor, params: Sequence[Tensor]) -> Tensor:
    """The exact Hessian, n×n with n the number of all parameters' entries: for small fields, tests and probes.

    Raises:
        NoSecondDerivative: as `double_backward`.
    """
    gradients = torch.autograd.grad(loss, params, create_graph=True, materialize_grads=True)
    flat = torch.cat([g.reshape(-1) for g in gradients])
    if not flat.requires_grad:
        raise NoSecondDerivative("its gradient is constant")
    rows = []
    for entry in flat:
        parts = torch.autograd.grad(entry, params, retain_graph=True, materialize_grads=True)
        rows.append(torch.cat([part.reshape(-1) for part in parts]))
    return torch.stack(rows)
