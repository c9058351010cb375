"""Networks before a black box: chained differentials against autograd's own, and training without labels."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pipeline.match.descent import aggregate_gradient  # noqa: E402
from pipeline.match.grey_box import GreyBox, newton_cg_step  # noqa: E402

TARGETS = np.array([[0.5, -0.3], [-0.2, 0.8], [0.1, 0.4]])
A = np.array([[4.0, 1.0], [1.0, 2.0]])


def losses(points, examples, seed):
    """Quadratics about the examples' targets, whose smoothed differentials are their own."""
    d = points - TARGETS[examples]
    return 0.5 * np.einsum("ki,ij,kj->k", d, A, d)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2)).double()


@pytest.fixture
def inputs():
    return torch.randn(3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def true_loss(network, inputs):
    d = network(inputs) - torch.as_tensor(TARGETS)
    return 0.5 * torch.einsum("ki,ij,kj->k", d, torch.as_tensor(A), d).mean()


def test_the_chained_gradient_and_curvature_are_those_of_autograd(network, inputs):
    box, rng = GreyBox(network, aggregate_gradient(3000)), np.random.default_rng(0)
    v = {name: torch.randn_like(value) for name, value in box.weights.items()}
    step = box.look(inputs, losses, 0.3, rng=rng, seed=0, along=v)
    true_loss(network, inputs).backward()
    wanted = torch.cat([value.grad.ravel() for value in network.parameters()])
    found = torch.cat([step.gradient[name].ravel() for name, _ in network.named_parameters()])
    assert float((found - wanted).norm() / wanted.norm()) < 0.05
    with torch.no_grad():
        ways = torch.func.jvp(lambda w: torch.func.functional_call(network, w, (inputs,)), (box.weights,), (v,))[1]
    curvature = float(torch.einsum("ki,ij,kj->k", ways, torch.as_tensor(A), ways).mean())
    assert step.curvature == pytest.approx(curvature, rel=0.05)
    along = sum(float((step.product[name] * v[name]).sum()) for name in v)
    assert along == pytest.approx(step.curvature, rel=1e-6)
    assert step.evaluations == 3 * 4 * 3000


def test_it_learns_what_no_label_told(network, inputs):
    box, rng, direction = GreyBox(network, aggregate_gradient(4)), np.random.default_rng(0), None
    before = true_loss(network, inputs).item()
    for number in range(60):
        direction, _ = newton_cg_step(box, inputs, losses, 0.3, direction, rng=rng, seed=number)
    assert true_loss(network, inputs).item() < 0.02 * before
