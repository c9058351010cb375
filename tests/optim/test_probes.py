"""The theory's probes on matrices with known answers, and on small fields."""

from __future__ import annotations

import pytest
import torch

from pipeline.optim import hvp, probes
from pipeline.optim.fields.coordinate import CoordinateField


def test_density_counts_what_is_above_a_thousandth_of_the_largest():
    assert probes.density([torch.tensor([2.0, -2e-3, 2.1e-3]), torch.tensor([[0.0], [-1.0]])]) == pytest.approx(0.6)
    assert probes.density([torch.zeros(4)]) == 0.0


def test_a_diagonal_matrix_is_made_perfect_by_either_diagonal():
    matrix = torch.diag(torch.tensor([100.0, -1.0, 4.0, 0.5]))
    assert probes.condition_number(matrix) == pytest.approx(100 / 0.875)
    for diagonal in (probes.equilibrated_diagonal(matrix), probes.jacobi_diagonal(matrix)):
        assert probes.condition_number(probes.preconditioned(matrix, diagonal)) == pytest.approx(1.0)


def test_preconditioning_is_the_change_of_coordinates():
    matrix = torch.tensor([[4.0, 1.0], [1.0, 9.0]])
    torch.testing.assert_close(
        probes.preconditioned(matrix, torch.tensor([4.0, 9.0])),
        torch.tensor([[1.0, 1 / 6], [1 / 6, 1.0]], dtype=torch.float64),
    )
    assert torch.isfinite(probes.preconditioned(matrix, torch.tensor([0.0, 9.0]))).all()


def dense(name: str) -> float:
    field = CoordinateField(2, 1, activation=name, width=32, depth=3)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(256, 2, generator=generator) * 2 - 1
    params = list(field.parameters())
    z = hvp.rademacher(params, generator)
    return probes.density(hvp.double_backward((field(x) - x[:, :1]).square().mean(), params, z))


def test_products_of_a_sine_field_are_dense_and_those_of_dead_units_are_zero():
    assert dense("sine") > 0.8
    field = CoordinateField(1, 1, activation="relu", width=10, depth=1)
    with torch.no_grad():
        field.hidden[0].linear.bias.fill_(-10.0)  # no unit is ever on: of 31 parameters the output's bias alone counts
    params = list(field.parameters())
    z = hvp.rademacher(params, torch.Generator().manual_seed(0))
    products = hvp.double_backward(field(torch.rand(20, 1)).square().mean(), params, z)
    assert probes.density(products) == pytest.approx(1 / 31)
