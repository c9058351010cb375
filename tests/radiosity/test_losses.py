"""Gradients of the losses, where every outcome of R's estimate can be enumerated: a sceptic's toy."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from pipeline.radiosity.losses import loss, normaliser, relative_residual

FEATURES = torch.tensor([[1.0, 0.3, -0.2], [0.4, 1.1, 0.5], [0.2, -0.6, 0.9]], dtype=torch.float64)
EMITTED, ALBEDO = 0.7, 0.6


def parameters() -> Tensor:
    return torch.tensor([0.8, 0.5, 0.9], dtype=torch.float64, requires_grad=True)


def light(theta: Tensor, at: int | Tensor) -> Tensor:
    """L at a place, grey: 1×3."""
    return (FEATURES[at] @ theta).expand(1, 3)


def estimate(theta: Tensor, hit: int) -> Tensor:
    """R of place 0 by one incident ray, which meets place `hit` (each of the others is as likely)."""
    return EMITTED + ALBEDO * light(theta, hit)


def expected_gradient(method: str, weight: float = 1.0) -> Tensor:
    """Mean over all outcomes of two incident rays."""
    total = torch.zeros(3, dtype=torch.float64)
    outcomes = list(itertools.product((1, 2), repeat=2))
    for first, second in outcomes:
        theta = parameters()
        right = torch.stack([estimate(theta, first), estimate(theta, second)], dim=1)
        value = loss(method, "l2", light(theta, 0), right, weight=weight)
        total += torch.autograd.grad(value, theta)[0]
    return total / len(outcomes)


def true_gradient() -> Tensor:
    theta = parameters()
    left, right = light(theta, 0), (estimate(theta, 1) + estimate(theta, 2)) / 2
    value = ((left - right).square() / normaliser(left)).sum(dim=1).mean()
    return torch.autograd.grad(value, theta)[0]


def test_the_full_gradient_is_off_by_the_covariance_of_r_and_its_gradient() -> None:
    theta = parameters()
    means = [(estimate(theta, a) + estimate(theta, b)) / 2 for a, b in itertools.product((1, 2), repeat=2)]
    spread = torch.stack(means).var(dim=0, correction=0).sum()  # Var ⟨R⟩: its gradient is 2 Cov(∇R, R)
    covariance = torch.autograd.grad(spread / normaliser(light(theta, 0))[0], theta)[0]
    assert covariance.norm() > 1e-3
    assert torch.allclose(expected_gradient("full") - true_gradient(), covariance, atol=1e-12)


def test_the_dual_buffer_is_unbiased() -> None:
    assert torch.allclose(expected_gradient("dual"), true_gradient(), atol=1e-12)


@pytest.mark.parametrize(("weight", "same_as"), [(1.0, "dual"), (0.0, "semi")])
def test_the_weighted_dual_buffer_goes_from_semi_to_dual(weight: float, same_as: str) -> None:
    assert torch.allclose(expected_gradient("weighted", weight), expected_gradient(same_as), atol=1e-12)


@pytest.mark.parametrize("measure", ["l2", "rmse", "huber", "mae"])
def test_with_the_right_side_fixed_the_semi_gradient_is_plain_regressions(measure: str) -> None:
    theta = parameters()
    right = torch.stack([estimate(theta, 1), estimate(theta, 2)], dim=1)
    semi = torch.autograd.grad(loss("semi", measure, light(theta, 0), right), theta)[0]
    fixed = right.detach().clone()
    plain = torch.autograd.grad(loss("full", measure, light(theta, 0), fixed), theta)[0]
    assert torch.equal(semi, plain)
    theta = parameters()
    right = torch.stack([estimate(theta, 1), estimate(theta, 2)], dim=1)
    assert not torch.allclose(torch.autograd.grad(loss("full", measure, light(theta, 0), right), theta)[0], semi)


def test_the_dual_buffer_refuses_what_it_is_not_defined_for() -> None:
    with pytest.raises(ValueError, match="l2 alone"):
        loss("dual", "mae", torch.ones(1, 3), torch.ones(1, 2, 3))


def test_noise_in_the_right_side_adds_nothing_to_the_held_out_residual_on_average() -> None:
    noise = torch.randn(200_000, 2, 3, generator=torch.Generator().manual_seed(0)) * 0.1
    assert relative_residual(torch.ones(200_000, 3), 1 + noise) < 0.02


def test_points_where_the_right_side_vanishes_do_not_rule_the_held_out_residual() -> None:
    left, right = torch.ones(1000, 3), torch.ones(1000, 2, 3) * 1.1
    calm = relative_residual(left, right)
    left[0], right[0] = 100.0, 0.0
    assert relative_residual(left, right) < calm + 0.04


def test_by_channel_grey_light_counts_the_same_and_weak_channels_count_more() -> None:
    grey = torch.full((4, 3), 2.0)
    right = torch.full((4, 2, 3), 1.5)
    assert torch.isclose(loss("semi", "l2", grey, right), loss("semi", "l2", grey, right, by_channel=True))
    warm = torch.tensor([[4.0, 1.0, 0.1]])
    off = torch.tensor([[[4.0, 1.0, 0.3]]]).expand(1, 2, 3)
    assert loss("semi", "l2", warm, off, by_channel=True) > 100 * loss("semi", "l2", warm, off)
