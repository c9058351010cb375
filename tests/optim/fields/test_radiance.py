"""Volume rendering against closed forms, and posed pictures that a field learns."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pipeline.optim import hvp
from pipeline.optim.choose import make
from pipeline.optim.fields.fit import fit
from pipeline.optim.fields.radiance import PosedPictures, RadianceField, composite


def test_a_slab_of_constant_density_shows_what_beer_and_lambert_say():
    density = torch.full((1, 40), 0.7)
    colour = torch.tensor([0.2, 0.5, 1.0]).expand(1, 40, 3)
    found = composite(density, colour, torch.tensor(3.0 / 40))
    assert found[0].tolist() == pytest.approx([(1 - math.exp(-0.7 * 3.0)) * c for c in (0.2, 0.5, 1.0)], rel=1e-5)


def test_what_is_opaque_hides_what_lies_behind_and_nothing_is_black():
    density, colour = torch.tensor([[0.0, 1e4, 1e4]]), torch.eye(3)[None]
    assert composite(density, colour, torch.tensor(0.1))[0].tolist() == pytest.approx([0, 1, 0], abs=1e-6)
    assert composite(torch.zeros(1, 3), colour, torch.tensor(0.1)).abs().max() == 0


def test_density_is_blind_to_directions_and_colour_is_not():
    field = RadianceField(activation="gaussian", width=16, depth=2)
    places = torch.rand(5, 3) * 2 - 1
    one, other = (torch.nn.functional.normalize(torch.randn(5, 3), dim=1) for _ in range(2))
    assert torch.equal(field(places, one)[0], field(places, other)[0])
    assert not torch.equal(field(places, one)[1], field(places, other)[1])


@pytest.fixture(scope="module")
def pictures() -> PosedPictures:
    """A striped wall at z = 0.5, seen along z from many places."""
    rng = np.random.default_rng(0)

    def seen(count: int):
        origins = np.column_stack([rng.uniform(-0.8, 0.8, (count, 2)), np.full(count, -1.0)])
        shade = 0.5 + 0.4 * np.sin(3 * origins[:, :1])
        rays = np.column_stack([origins, np.tile([0.0, 0.0, 1.0], (count, 1))])
        return rays, np.tile(shade, (1, 3))

    return PosedPictures(*seen(600), seen(100), near=0.1, far=1.9, samples=8)


def test_posed_pictures_are_learned(pictures):
    field = pictures.field("gaussian", width=24, depth=2, seed=0)
    optimizer = make(field.parameters(), "gaussian", "adam", rate=3e-3)
    looks = list(fit(pictures, field, optimizer, steps=150, batch=128, seed=0, looks=(0, 150)))
    assert looks[1].quality > looks[0].quality + 5


def test_marching_has_second_derivatives(pictures):
    field = pictures.field("gaussian", width=8, depth=2, seed=0)
    params = list(field.parameters())
    z = hvp.rademacher(params, torch.Generator().manual_seed(0))
    products = hvp.double_backward(pictures.loss(field, next(pictures.batches(16, 0))), params, z)
    assert all(torch.isfinite(product).all() for product in products)
    assert any(product.abs().max() > 0 for product in products)
