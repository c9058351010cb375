"""Estimates of D against closed forms: what they converge to, and how their bias is corrected."""

from __future__ import annotations

import pytest
import torch

from pipeline.optim import hvp
from pipeline.optim.diagonals import Equilibrated, GaussNewton, InfinityNorm, Jacobi
from pipeline.optim.fields.coordinate import CoordinateField

PROBES = 4000


@pytest.fixture(scope="module")
def products():
    """The exact Hessian of a small field, and products of it with random signs: (n×n, PROBES×n, PROBES×n)."""
    field = CoordinateField(2, 1, activation="gaussian", width=4, depth=2, scale=0.5).double()
    generator = torch.Generator().manual_seed(2)
    x = torch.rand(30, 2, generator=generator, dtype=torch.float64) * 2 - 1
    y = torch.rand(30, 1, generator=generator, dtype=torch.float64)
    params = list(field.parameters())
    exact = hvp.hessian((field(x) - y).square().mean(), params)
    signs = hvp.rademacher([torch.zeros(PROBES, len(exact), dtype=torch.float64)], generator)[0]
    return exact, signs, signs @ exact


def within_standard_errors(samples: torch.Tensor, expected: torch.Tensor, count: float = 5.0) -> bool:
    error = samples.std(dim=0) / len(samples) ** 0.5
    return bool(((samples.mean(dim=0) - expected).abs() <= count * error + 1e-12).all())


def test_the_mean_square_of_the_products_is_the_squared_row_norm_of_the_exact_hessian(products):
    exact, _, hz = products
    assert within_standard_errors(hz.square(), exact.square().sum(dim=1))


def test_the_mean_of_z_times_hz_is_the_diagonal_of_the_exact_hessian(products):
    exact, signs, hz = products
    assert within_standard_errors(signs * hz, exact.diagonal())


def folded(diagonal, hz: torch.Tensor, signs: torch.Tensor, count: int) -> torch.Tensor:
    moment = torch.zeros_like(hz[0])
    for k in range(count):
        diagonal.update(moment, hz[k], signs[k])
    return diagonal.of(moment, updates=count, steps=count)


def test_a_long_mean_converges_to_row_norms_and_to_the_diagonal(products):
    exact, signs, hz = products
    norms = exact.square().sum(dim=1).sqrt()
    torch.testing.assert_close(
        folded(Equilibrated(0.9995), hz, signs, PROBES), norms, rtol=0.15, atol=1e-3 * float(norms.max())
    )
    found = folded(Jacobi(0.9995), hz, signs, PROBES)
    spread = (exact.square().sum(dim=1) - exact.diagonal().square()).sqrt() * (0.0005 / 2) ** 0.5
    assert bool(((found - exact.diagonal().abs()).abs() <= 6 * spread + 1e-9).all())


@pytest.mark.parametrize("count", [1, 3, 50])
@pytest.mark.parametrize("diagonal", [Equilibrated(0.99), Jacobi(0.99), GaussNewton(0.99)])
def test_a_constant_sample_is_found_again_after_any_number_of_updates(diagonal, count):
    sample = torch.tensor([2.0, -3.0])
    moment = torch.zeros(2)
    for _ in range(count):
        diagonal.update(moment, sample, torch.ones(2))
    torch.testing.assert_close(diagonal.of(moment, updates=count, steps=7 * count), sample.abs())


def test_correcting_by_steps_makes_d_too_small_as_in_the_public_code():
    """At step 1,000, after 50 + 10 updates with β₂ = 0.999: √((1 − β⁶⁰) / (1 − β¹⁰⁰⁰)) = 0.303, 3.3 times too small."""
    ours, theirs = Equilibrated(0.999), Equilibrated(0.999, bias="steps")
    moment = torch.zeros(1)
    for _ in range(60):
        ours.update(moment, torch.tensor([2.0]), None)
    right, wrong = (float(d.of(moment, updates=60, steps=1000)) for d in (ours, theirs))
    assert right == pytest.approx(2.0, rel=1e-4)
    assert right / wrong == pytest.approx(((1 - 0.999**1000) / (1 - 0.999**60)) ** 0.5, rel=1e-4)
    assert 3.2 < right / wrong < 3.4


def test_squares_of_z_hz_are_equilibration_and_its_mean_is_not():
    """H = [[0, 1], [1, 0]]: every row norm is 1, and the diagonal is zero."""
    exact = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    z = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    hz = z @ exact
    assert torch.equal((z * hz).square(), hz.square())
    moments = {kind: torch.zeros(2) for kind in (Equilibrated, Jacobi)}
    for one, product in zip(z, hz, strict=True):
        for kind, moment in moments.items():
            kind(0.5).update(moment, product, one)
    assert Equilibrated(0.5).of(moments[Equilibrated], updates=4, steps=4).tolist() == pytest.approx([1.0, 1.0])
    assert Jacobi(0.5).of(moments[Jacobi], updates=4, steps=4).max() < 0.5


def test_the_infinity_norm_holds_the_largest_and_lets_it_decay():
    norm, moment = InfinityNorm(0.81), torch.zeros(1)
    for sample in (3.0, 1.0):
        norm.update(moment, torch.tensor([sample]), None)
    assert float(norm.of(moment, updates=2, steps=2)) == pytest.approx(3.0 * 0.9)


def test_damping_is_relative_and_leaves_no_zero():
    d = Equilibrated(damping=0.1)
    diagonal, scale = torch.tensor([3.0, 4.0, 0.0, 0.0]), torch.tensor(7.0)
    typical = 2.5
    expected = [3.25, 4.25, typical + 0.25, typical + 0.25]
    assert d.damped(diagonal, scale).tolist() == pytest.approx(expected)
    torch.testing.assert_close(d.damped(1e6 * diagonal, scale), 1e6 * d.damped(diagonal, scale))
    assert d.damped(torch.zeros(2), scale).tolist() == pytest.approx([7.7, 7.7])
    assert Equilibrated(damping=0.0).damped(torch.tensor([3.0, 4.0]), scale).tolist() == [3.0, 4.0]


def test_jacobi_needs_the_signs():
    with pytest.raises(ValueError, match="signs"):
        Jacobi().update(torch.zeros(1), torch.ones(1), None)
