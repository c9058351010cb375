"""Coordinate fields: formulas, shapes, seeds; and images as signals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pipeline.errors import ConfigError
from pipeline.optim.activations import ACTIVATIONS
from pipeline.optim.fields import layers
from pipeline.optim.fields.coordinate import CoordinateField
from pipeline.optim.fields.image import ImageSignal, epochs, psnr


def identity(layer):
    """The layer with unit weights and no bias."""
    for linear in (m for m in layer.modules() if isinstance(m, torch.nn.Linear)):
        torch.nn.init.ones_(linear.weight), torch.nn.init.zeros_(linear.bias)
    return layer


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (layers.Sine(1, 1, first=True, scale=3.0), lambda x: np.sin(3 * x)),
        (layers.Gaussian(1, 1, first=True, scale=0.2), lambda x: np.exp(-(x**2) / (2 * 0.2**2))),
        (layers.Wavelet(1, 1, first=True, scale=2.0), lambda x: np.cos(2 * x) * np.exp(-((2 * x) ** 2))),
        (layers.Sinc(1, 1, first=True, scale=5.0), lambda x: np.sin(5 * x) / (5 * x)),
        (layers.Relu(1, 1, first=True), lambda x: np.maximum(x, 0)),
    ],
    ids=["sine", "gaussian", "wavelet", "sinc", "relu"],
)
def test_layers_are_their_formulas(layer, expected):
    x = np.linspace(-1, 1, 8)
    found = identity(layer)(torch.tensor(x, dtype=torch.float32)[:, None])[:, 0].detach().numpy()
    np.testing.assert_allclose(found, expected(x), atol=1e-6)


def test_sinc_is_smooth_at_zero():
    layer, x = identity(layers.Sinc(1, 1, first=True, scale=3.0)), torch.zeros(1, 1, requires_grad=True)
    y = layer(x).sum()
    (first,) = torch.autograd.grad(y, x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    assert float(y.detach()) == 1.0 and float(first.detach()) == 0.0
    assert float(second) == pytest.approx(-9 / 3, rel=1e-3)  # sinc'' (0) = −ω²/3


def test_the_positional_encoding_is_equation_4():
    found = layers.PositionalEncoding(2, 3)(torch.tensor([[0.25, -0.5]]))[0]
    octaves = [math.pi * 2**k for k in range(3)]
    expected = [0.25, -0.5]
    for function in (math.sin, math.cos):
        expected += [function(x * octave) for x in (0.25, -0.5) for octave in octaves]
    assert found.tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_field_is_a_function_of_its_seed_and_leaves_the_global_one_alone(name):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    one, same, other = (CoordinateField(3, 4, activation=name, width=6, depth=2, seed=s) for s in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    x = torch.linspace(-1, 1, 15).reshape(5, 3)
    assert one(x).shape == (5, 4)
    assert torch.equal(one(x), same(x)) and not torch.equal(one(x), other(x))


def test_an_unknown_activation_is_refused():
    with pytest.raises(ConfigError, match="did you mean 'gaussian'"):
        CoordinateField(2, 1, activation="gausian")


def test_an_image_is_visited_whole_once_an_epoch():
    pixels = np.arange(4 * 6 * 3, dtype=np.float32).reshape(4, 6, 3) / 100
    signal = ImageSignal(pixels)
    assert signal.coordinates[0].tolist() == pytest.approx([-5 / 6, -3 / 4])
    batches = signal.batches(8, seed=0)
    epoch = torch.cat([next(batches)[1] for _ in range(3)])
    assert sorted(epoch[:, 0].tolist()) == sorted(signal.values[:, 0].tolist())


def test_psnr_is_that_of_a_known_error():
    assert psnr(torch.full((2, 2, 3), 0.6), torch.full((2, 2, 3), 0.5)) == pytest.approx(20.0, abs=1e-4)


def test_a_batch_larger_than_the_signal_is_refused():
    with pytest.raises(ValueError, match="a batch of 9 of 8"):
        next(epochs(8, 9, 0))
