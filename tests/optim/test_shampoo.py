"""Shampoo: matrix roots, and its steps against the closed form."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from pipeline.optim.shampoo import Shampoo, inverse_root


def test_the_inverse_root_is_one():
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    matrix = a @ a.mT + torch.eye(5, dtype=torch.float64)
    root = inverse_root(matrix, 4, ridge=0.0)
    torch.testing.assert_close(torch.linalg.matrix_power(root, 4) @ matrix, torch.eye(5, dtype=torch.float64))
    for matrix in (torch.zeros(3, 3), torch.full((3, 3), torch.nan)):
        assert torch.equal(inverse_root(matrix, 4), torch.eye(3))


def test_the_first_step_is_the_nearest_orthogonal_matrix_at_the_gradients_length():
    """L = GGᵀ, R = GᵀG: with G = UΣVᵀ, L^−¼ G R^−¼ = UVᵀ."""
    generator = torch.Generator().manual_seed(1)
    g = torch.randn(4, 4, generator=generator)
    x = torch.zeros(4, 4, requires_grad=True)
    optimizer = Shampoo([x], 1.0, momentum=0.0)
    (x * g).sum().backward()
    optimizer.step()
    u, _, vt = torch.linalg.svd(g)
    torch.testing.assert_close(-x.detach(), (u @ vt) * g.norm() / 2.0, rtol=1e-2, atol=1e-2)


def test_axes_that_are_too_long_are_left_alone():
    x = torch.zeros(3, 6, requires_grad=True)
    optimizer = Shampoo([x], 1.0, momentum=0.0, largest=4)
    g = torch.arange(18.0).reshape(3, 6).sin()
    (x * g).sum().backward()
    optimizer.step()
    assert "moments_0" in optimizer.state[x] and "moments_1" not in optimizer.state[x]
    direction = inverse_root(g @ g.mT, 4) @ g
    torch.testing.assert_close(-x.detach(), direction * g.norm() / direction.norm(), rtol=1e-3, atol=1e-4)


def test_it_resumes_exactly():
    def losses(optimizer: Shampoo, net: nn.Module, steps: int) -> list[float]:
        found = []
        for _ in range(steps):
            optimizer.zero_grad()
            loss = (net(torch.linspace(-1, 1, 20)[:, None]) - 0.3).square().mean()
            loss.backward()
            optimizer.step()
            found.append(float(loss.detach()))
        return found

    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(1, 6), nn.Tanh(), nn.Linear(6, 1))
    optimizer = Shampoo(net.parameters(), 0.05)
    early = losses(optimizer, net, 22)
    again = copy.deepcopy(net)
    resumed = Shampoo(again.parameters(), 0.05)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert losses(optimizer, net, 8) == losses(resumed, again, 8)
    assert early[-1] < early[0]


def test_bad_settings_and_sparse_gradients_are_refused():
    with pytest.raises(ValueError, match="out of range"):
        Shampoo([torch.ones(1, requires_grad=True)], 0.0)
    table = nn.Embedding(4, 2, sparse=True)
    optimizer = Shampoo(table.parameters())
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match="sparse=False"):
        optimizer.step()
