"""Fitting: descent with and without a prior, places of light and camera, tiles, and what the ways of fitting give."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from pipeline.capture import large  # noqa: E402
from pipeline.capture.descent import Prior, descend  # noqa: E402
from pipeline.capture.fit import by_descent, by_network, homogeneous, reconstruction_error  # noqa: E402
from pipeline.capture.flash import studio  # noqa: E402
from pipeline.capture.likelihood import Photographs  # noqa: E402
from pipeline.capture.maps import Maps, decode, encode  # noqa: E402
from pipeline.capture.materials.generate import material  # noqa: E402
from pipeline.capture.network.initialiser import first_guess  # noqa: E402
from pipeline.capture.network.model import Capturer  # noqa: E402
from pipeline.capture.network.presets import preset  # noqa: E402
from pipeline.capture.photo.highlight import Highlight  # noqa: E402
from pipeline.capture.places import refined  # noqa: E402
from pipeline.capture.setups import collocated  # noqa: E402
from pipeline.capture.shading import Shot  # noqa: E402

SEEN = Highlight((0.0, 0.0), 0.15, 0.06, 0.4, 0.9, 0.8, True)


@pytest.fixture(scope="module")
def truth() -> Maps:
    """Mottled, flat, and glossy all over: its highlight says where the light is."""
    noise = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    one = torch.ones(1, 1, 24, 24)
    normal = torch.cat([0 * one, 0 * one, one], 1)
    return Maps(0.1 + 0.1 * noise, 0.06 * one.expand(-1, 3, -1, -1), normal, 0.4 * one)


def several(truth: Maps, feet=((0.0, 0.0), (0.6, 0.5), (-0.5, 0.4))) -> Photographs:
    camera = torch.tensor([[*foot, 2.0] for foot in feet])[None]
    return studio(truth, collocated(camera, camera))


def test_descent_explains_the_photograph_better_and_a_prior_keeps_it_near(truth):
    photographs = studio(truth)
    start = first_guess(photographs)
    free = descend(start, photographs, steps=12)
    held = descend(start, photographs, steps=12, prior=Prior(start, strength=0.1))
    errors = [reconstruction_error(each, photographs) for each in (free, held, start)]
    assert errors[0] < errors[1] < errors[2]
    assert (held - start).abs().mean() < 0.5 * (free - start).abs().mean()


def test_places_that_are_wrong_come_nearer(truth):
    photographs = several(truth)
    right = photographs.shot
    off = torch.tensor([[[0.0, 0.0, 0.0], [0.15, -0.1, 0.0], [-0.1, 0.1, 0.0]]])
    wrong = Photographs(photographs.pixels, Shot(right.light + off, right.camera + off, right.power))
    _, found = refined(encode(truth), wrong)
    assert (found.camera - right.camera).norm() < 0.7 * off.norm()


def test_tiles_with_their_margin_are_what_one_pass_gives(truth, monkeypatch):
    torch.manual_seed(0)
    network = Capturer(preset("tiny")).eval()
    torch.nn.init.normal_(network.refiner.third.weight, std=0.05)
    photographs = studio(material(4, 40))
    start = first_guess(photographs)
    whole = network.refine(start, photographs, steps=2)
    monkeypatch.setattr(large, "TILE", 24)
    monkeypatch.setattr(large, "FAMILIAR", 20)
    monkeypatch.setattr(large, "_with_detail", lambda *given: start)
    tiled = large.estimate(network, photographs, steps=2)
    assert torch.allclose(tiled, whole, atol=1e-4)


def test_without_weights_descent_makes_a_material_of_one_photograph_and_of_several(truth):
    for photographs in (studio(truth), several(truth)):
        fit = by_descent(photographs, [SEEN] * photographs.shot.count, steps=10)
        assert fit.method == "descent" and fit.unknowns.shape == (1, 9, 24, 24)
        assert fit.error < 0.02


def test_a_network_for_one_photograph_serves_several_by_descent(truth):
    network = Capturer(preset("tiny")).eval()
    photographs = several(truth)
    fit = by_network(network, photographs)
    assert fit.method == "network and descent"
    assert fit.error < reconstruction_error(network.begin(photographs_of(photographs, 0)), photographs)
    alone = by_network(network, studio(truth), extra=5)
    assert alone.method == "network and descent"
    assert by_network(network, studio(truth)).method == "network"


def photographs_of(photographs: Photographs, index: int) -> Photographs:
    return Photographs(photographs.pixels[:, index : index + 1], photographs.shot.view(index))


def test_the_first_estimate_of_descent_has_no_highlight_in_its_albedo(truth):
    found, matt = homogeneous(studio(truth), SEEN)
    albedo = decode(found).diffuse.mean(1)
    middle, rim = albedo[:, 9:15, 9:15].mean(), albedo[:, :4].mean()
    assert middle == pytest.approx(rim, rel=0.25)
    assert matt[..., 11:13, 11:13].mean() < 0.7 * matt[..., :4, :4].mean()
    apparent = decode(first_guess(studio(truth))).diffuse.mean(1)
    assert apparent[:, 9:15, 9:15].mean() > 1.5 * apparent[:, :4].mean()
