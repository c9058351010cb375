"""Hessian-vector products against the exact Hessian, and what is said where there is none."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pipeline.optim import hvp
from pipeline.optim.fields.coordinate import CoordinateField


@pytest.fixture
def small():
    """A sine field of 45 parameters in float64, and its loss."""
    field = CoordinateField(2, 1, activation="sine", width=4, depth=2, scale=5.0).double()
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(20, 2, generator=generator, dtype=torch.float64) * 2 - 1
    y = torch.rand(20, 1, generator=generator, dtype=torch.float64)
    return field, lambda: (field(x) - y).square().mean()


def flat(parts: list[Tensor]) -> Tensor:
    return torch.cat([part.reshape(-1) for part in parts])


def test_the_exact_hessian_is_symmetric_and_equals_autograds_own(small):
    field, loss = small
    params = list(field.parameters())
    exact = hvp.hessian(loss(), params)
    torch.testing.assert_close(exact, exact.mT)
    shapes = [p.shape for p in params]

    def of_flat(vector: Tensor) -> Tensor:
        parts = vector.split([shape.numel() for shape in shapes])
        named = {
            name: part.view(shape)
            for (name, _), part, shape in zip(field.named_parameters(), parts, shapes, strict=True)
        }
        return torch.func.functional_call(CallLoss(field, loss), {f"field.{k}": v for k, v in named.items()}, ())

    expected = torch.autograd.functional.hessian(of_flat, flat([p.detach() for p in params]))
    torch.testing.assert_close(exact, expected)


class CallLoss(nn.Module):
    """A loss as a module, so that its field's parameters can be replaced."""

    def __init__(self, field: nn.Module, loss) -> None:
        super().__init__()
        self.field, self.loss = field, loss

    def forward(self) -> Tensor:
        return self.loss()


def test_both_ways_give_the_product_with_the_exact_hessian(small):
    field, loss = small
    params = list(field.parameters())
    z = hvp.rademacher(params, torch.Generator().manual_seed(0))
    expected = hvp.hessian(loss(), params) @ flat(z)
    torch.testing.assert_close(flat(hvp.double_backward(loss(), params, z)), expected)
    names = [name for name, _ in field.named_parameters()]
    wrapped = CallLoss(field, loss)

    def functional(named: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(wrapped, {f"field.{k}": v for k, v in named.items()}, ())

    gradient, product = hvp.forward_over_reverse(
        functional, dict(field.named_parameters()), dict(zip(names, z, strict=True))
    )
    torch.testing.assert_close(flat([product[name] for name in names]), expected)
    exact_gradient = torch.autograd.grad(loss(), params)
    torch.testing.assert_close(flat([gradient[name] for name in names]), flat(list(exact_gradient)))


def test_random_signs_are_signs_and_the_same_for_one_seed():
    params = [torch.zeros(500, 3), torch.zeros(7, dtype=torch.bfloat16), torch.zeros(2, dtype=torch.float64)]
    first = hvp.rademacher(params, torch.Generator().manual_seed(3))
    second = hvp.rademacher(params, torch.Generator().manual_seed(3))
    assert [z.dtype for z in first] == [torch.float32, torch.float32, torch.float64]
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert set(first[0].unique().tolist()) == {-1.0, 1.0}
    assert abs(float(first[0].mean())) < 4 / 1500**0.5  # four standard errors


def test_a_parameter_that_the_loss_does_not_know_gets_zeros():
    p, other = torch.ones(3, requires_grad=True), torch.ones(2, requires_grad=True)
    _, product = hvp.double_backward((p**3).sum(), [p, other], [torch.ones(3), torch.ones(2)])
    assert product.tolist() == [0.0, 0.0]


class OnlyOnce(torch.autograd.Function):
    """An operation that cannot be differentiated twice."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * x * g


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (lambda p: (2 * p).sum(), "constant"),
        (lambda p: OnlyOnce.apply(p).square().sum() + (p**3).sum(), "only once"),
        (lambda p: p.detach().sum(), "no parameter"),
    ],
)
def test_a_loss_without_second_derivatives_is_refused_with_the_reason(loss, said):
    p = torch.ones(3, requires_grad=True)
    with pytest.raises(hvp.NoSecondDerivative, match=said) as refused:
        hvp.double_backward(loss(p), [p], [torch.ones(3)])
    assert refused.value.exit_code == 2 and "use adam" in str(refused.value)


def test_other_errors_pass_through():
    p = torch.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="shape") as raised:
        hvp.double_backward(p.square().sum(), [p], [torch.ones(4)])
    assert not isinstance(raised.value, hvp.NoSecondDerivative)
