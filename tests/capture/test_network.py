"""The networks: sizes of the paper, a start that changes nothing, any size, and what is written and read."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from pipeline.capture.flash import photograph, studio  # noqa: E402
from pipeline.capture.likelihood import Photographs, gradient  # noqa: E402
from pipeline.capture.maps import Maps, decode, encode  # noqa: E402
from pipeline.capture.materials.generate import material  # noqa: E402
from pipeline.capture.network.initialiser import first_guess  # noqa: E402
from pipeline.capture.network.model import Capturer  # noqa: E402
from pipeline.capture.network.presets import preset  # noqa: E402
from pipeline.capture.network.refiner import Refiner  # noqa: E402
from pipeline.capture.network.weights_file import load, save_bytes  # noqa: E402
from pipeline.capture.setups import frontal  # noqa: E402
from pipeline.capture.shading import render  # noqa: E402
from pipeline.errors import ConfigError  # noqa: E402


@pytest.fixture
def truth() -> Maps:
    return material(3, 24)


def test_the_full_refiner_has_the_papers_size_but_for_channels_that_are_not_used():
    count = sum(p.numel() for p in Refiner(preset("full")).parameters())
    unused = 2 * 25 * 256 + 9 * 64  # two inputs of the 5×5, one output of the 3×3
    assert count == 405_376 - unused


def test_an_untrained_initialiser_answers_with_the_first_guess(truth):
    photographs = studio(truth)
    assert torch.allclose(Capturer(preset("tiny")).begin(photographs), first_guess(photographs), atol=1e-5)


def test_sizes_that_are_no_multiples_are_padded_and_cut_again(truth):
    part = truth.at(slice(0, 13), slice(0, 22))
    first, last = Capturer(preset("tiny"))(studio(part), steps=2)
    assert first.shape == last.shape == (1, 9, 13, 22)


def test_the_gradient_vanishes_at_the_truth_and_points_downhill_elsewhere(truth):
    shot = frontal(1)
    exact = Photographs(render(truth, shot), shot)
    at_truth, loss = gradient(encode(truth), exact)
    assert loss.item() < 1e-2
    start = first_guess(exact)
    slope, before = gradient(start, exact)
    _, after = gradient(start - 0.05 * slope, exact)
    assert after.item() < before.item()
    assert at_truth.abs().mean() < 1e-2 * slope.abs().mean()


def test_a_saturated_texel_does_not_mind_what_is_brighter(truth):
    shot = frontal(1)
    white = Photographs(torch.ones_like(render(truth, shot)), shot)
    bright = encode(truth)
    bright[:, 0:3] = 6.0  # diffuse albedo near 1: brighter than white below the flash
    slope, _ = gradient(bright, white)
    middle = slope[..., 8:16, 8:16]
    assert render(decode(bright), shot)[..., 8:16, 8:16].min() > 1.0
    assert middle.abs().max() == 0


def test_several_photographs_have_gradients_of_their_own(truth):
    photographs = photograph(truth, torch.Generator().manual_seed(0), count=3)
    slope, loss = gradient(first_guess(photographs), photographs)
    assert slope.shape == (1, 27, 24, 24) and loss.shape == (1, 3)
    network = Capturer(preset("tiny"), photographs=3)
    assert network(photographs, steps=1)[1].shape == (1, 9, 24, 24)


def test_weights_come_back_as_they_were_written(tmp_path: Path):
    network = Capturer(preset("tiny"), gradients=False)
    file = tmp_path / "w.safetensors"
    file.write_bytes(save_bytes(network))
    again = load(file)
    assert not again.gradients
    for old, new in zip(network.parameters(), again.parameters(), strict=True):
        assert torch.equal(old, new)
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(ConfigError, match="cannot be read"):
        load(file)
