"""The shading model: against closed forms, reciprocal, bounded, differentiable."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from pipeline.capture.maps import Maps, decode, encode  # noqa: E402
from pipeline.capture.setups import frontal, judging_pairs  # noqa: E402
from pipeline.capture.shading import Grid, Shot, grid, render  # noqa: E402


def flat(diffuse: float, specular: float, roughness: float, *, dtype: torch.dtype = torch.float64) -> Maps:
    one = torch.ones(1, 1, 1, 1, dtype=dtype)
    normal = torch.tensor([0.0, 0.0, 1.0], dtype=dtype).reshape(1, 3, 1, 1)
    return Maps((diffuse * one).expand(1, 3, 1, 1), (specular * one).expand(1, 3, 1, 1), normal, roughness * one)


def pair(light: tuple[float, float, float], camera: tuple[float, float, float]) -> Shot:
    places = [torch.tensor(place, dtype=torch.float64).reshape(1, 1, 3) for place in (light, camera)]
    return Shot(*places, torch.ones(1, 1, 3, dtype=torch.float64))


ORIGIN = Grid(torch.zeros(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64))


def test_a_frontal_flash_on_a_flat_texel_gives_the_closed_form():
    found = float(render(flat(0.5, 0.04, 0.5), pair((0, 0, 2), (0, 0, 2)), ORIGIN).mean())
    alpha2 = 0.5**4
    expected = (0.5 * 0.96 / math.pi + 0.04 / (4 * math.pi * alpha2)) / 4  # D(0) = 1 / (π α²), V = 1/4, 1/d² = 1/4
    assert found == pytest.approx(expected, rel=1e-9)


def test_light_and_camera_may_change_places():
    material, a, b = flat(0.4, 0.3, 0.35), (0.9, -0.2, 0.8), (-0.5, 0.7, 1.1)

    def f(light: tuple[float, float, float], camera: tuple[float, float, float]) -> float:
        far = sum(x * x for x in light)
        return float(render(material, pair(light, camera), ORIGIN).mean()) * far / (light[2] / math.sqrt(far))

    assert f(a, b) == pytest.approx(f(b, a), rel=1e-9)


@pytest.mark.parametrize("roughness", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("degrees", [0, 40, 70, 85])
def test_no_albedos_reflect_more_than_comes_in(roughness, degrees):
    """Midpoint quadrature over the directions of a light at distance 1, for a camera at infinity's stead, 1e4 away."""
    count = 400
    cos = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    around = (torch.arange(count, dtype=torch.float64) + 0.5) / count * 2 * math.pi
    c, p = (each.ravel() for each in torch.meshgrid(cos, around, indexing="ij"))
    s = (1 - c * c).sqrt()
    lights = torch.stack([s * p.cos(), s * p.sin(), c], -1)[None]
    theta = math.radians(degrees)
    camera = torch.tensor([math.sin(theta), 0, math.cos(theta)], dtype=torch.float64).expand_as(lights) * 1e4
    shot = Shot(lights, camera, torch.ones_like(lights))
    for diffuse, specular in ((1.0, 0.0), (1.0, 0.04), (1.0, 0.5), (1.0, 1.0)):
        radiance = render(flat(diffuse, specular, roughness), shot, ORIGIN)
        assert float(radiance.mean()) * 2 * math.pi <= 1.0 + 2e-3


def test_unknowns_come_back_from_their_maps():
    unknowns = 0.5 * torch.randn(2, 9, 5, 7, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(encode(decode(unknowns)), unknowns, atol=1e-4)


def test_the_render_is_differentiable_in_every_unknown():
    unknowns = (0.5 * torch.randn(1, 9, 2, 2, generator=torch.Generator().manual_seed(1))).double().requires_grad_()
    shot = judging_pairs(2, torch.Generator().manual_seed(2))
    shot = Shot(shot.light.double(), shot.camera.double(), shot.power.double())
    where = grid(2, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda free: render(decode(free), shot, where), (unknowns,), atol=1e-6)


def test_the_patch_is_two_units_wide_and_its_first_row_is_the_top():
    where = grid(2, 4)
    assert where.x[0].tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert where.y[:, 0].tolist() == [0.25, -0.25]


def test_a_white_texel_below_the_flash_shows_the_exposure():
    shot = frontal(1)
    shot = Shot(shot.light.double(), shot.camera.double(), shot.power.double())
    shown = float(render(flat(1.0, 0.0, 1.0), shot, ORIGIN).mean())
    assert shown == pytest.approx(1.6, rel=1e-3)
