"""The BSDF `captured`: the same picture as the torch renderer, and samples that follow its density."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")


def textures(mi, maps) -> dict:
    """Maps of one material as nearest-neighbour textures."""

    def texture(values) -> dict:
        pixels = np.ascontiguousarray(values[0].permute(1, 2, 0).numpy())
        return {"type": "bitmap", "bitmap": mi.Bitmap(pixels), "raw": True, "filter_type": "nearest"}

    names = ("diffuse", "specular", "roughness", "normal")
    return {"type": "captured", **{name: texture(getattr(maps, name)) for name in names}}


def uniform(diffuse: float, specular: float, roughness: float, normal: tuple[float, float, float] = (0, 0, 1)):
    from pipeline.capture.maps import Maps

    def flat(values) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float32).reshape(1, -1, 1, 1).expand(1, -1, 2, 2)

    length = math.sqrt(sum(x * x for x in normal))
    return Maps(flat([diffuse] * 3), flat([specular] * 3), flat([x / length for x in normal]), flat([roughness]))


def test_a_plane_under_a_flash_is_the_torch_renderers(mitsuba):
    import drjit as dr

    mi = mitsuba
    import pipeline.scene.captured  # noqa: F401
    from pipeline.capture.materials.generate import material
    from pipeline.capture.shading import Shot, grid, render

    size, light, camera = 32, (0.3, -0.2, 1.8), (-0.2, 0.4, 2.2)
    maps = material(11, size)
    bsdf = mi.load_dict(textures(mi, maps))
    where = grid(size, size)
    x, y = (np.broadcast_to(each.numpy(), (size, size)).ravel() for each in (where.x, where.y))
    points = np.stack([x, y, np.zeros_like(x)])
    si = dr.zeros(mi.SurfaceInteraction3f, size * size)
    to_light, to_camera = (np.array(place)[:, None] - points for place in (light, camera))
    far = (to_light**2).sum(0)
    si.wi = mi.Vector3f((to_camera / np.linalg.norm(to_camera, axis=0)).astype(np.float32))
    wo = mi.Vector3f((to_light / np.sqrt(far)).astype(np.float32))
    # a bitmap's first row lies at v = 0, as for meshes whose texture coordinates Mitsuba flips when it loads them
    si.uv = mi.Point2f(((x + 1) / 2).astype(np.float32), ((1 - y) / 2).astype(np.float32))
    value = np.array(bsdf.eval(mi.BSDFContext(), si, wo)).reshape(3, -1) / far
    shot = Shot(*(torch.tensor(p, dtype=torch.float32).reshape(1, 1, 3) for p in (light, camera, (1.0, 1.0, 1.0))))
    wanted = render(maps, shot)[0, 0].reshape(3, -1).numpy()
    error = np.abs(value - wanted) / (np.abs(wanted) + 1e-4)
    assert error.mean() <= 0.005
    assert np.percentile(error, 99) <= 0.02


@pytest.mark.parametrize(
    "given", [(0.5, 0.04, 0.6, (0, 0, 1)), (0.1, 0.7, 0.4, (0.3, -0.2, 1)), (0.8, 0.04, 0.9, (0, 0.4, 1))]
)
def test_samples_follow_the_density(mitsuba, given):
    import drjit as dr

    mi = mitsuba
    import pipeline.scene.captured  # noqa: F401

    bsdf = mi.load_dict(textures(mi, uniform(*given)))
    angle = math.radians(40)

    def interaction(count):
        si = dr.zeros(mi.SurfaceInteraction3f, count)
        si.wi = mi.Vector3f(math.sin(angle), 0, math.cos(angle))
        si.uv = mi.Point2f(0.5)
        return si

    def sample_function(points):
        count = dr.width(points)
        si = interaction(count)
        found, _ = bsdf.sample(mi.BSDFContext(), si, points.x, mi.Point2f(points.y, points.z))
        return found.wo, dr.select(found.pdf > 0, 1.0, 0.0)

    def pdf_function(wo):
        return bsdf.pdf(mi.BSDFContext(), interaction(dr.width(wo)), wo)

    test = mi.chi2.ChiSquareTest(
        domain=mi.chi2.SphericalDomain(),
        sample_func=sample_function,
        pdf_func=pdf_function,
        sample_dim=3,
        sample_count=100_000,
        res=41,
    )
    assert test.run()


def test_a_sample_weighs_what_eval_and_pdf_say(mitsuba):
    import drjit as dr

    mi = mitsuba
    import pipeline.scene.captured  # noqa: F401

    bsdf = mi.load_dict(textures(mi, uniform(0.5, 0.2, 0.5, (0.1, 0.2, 1))))
    rng = np.random.default_rng(0)
    si = dr.zeros(mi.SurfaceInteraction3f, 1000)
    si.wi, si.uv = mi.Vector3f(0.6, 0, -0.8), mi.Point2f(0.5)  # from behind: both sides are alike
    numbers = [mi.Float(rng.random(1000, dtype=np.float32)) for _ in range(3)]
    found, weight = bsdf.sample(mi.BSDFContext(), si, numbers[0], mi.Point2f(*numbers[1:]))
    value, density = bsdf.eval_pdf(mi.BSDFContext(), si, found.wo)
    sound = np.array(found.pdf) > 0
    assert sound.mean() > 0.8
    assert np.allclose(np.array(density)[sound], np.array(found.pdf)[sound], rtol=1e-3)
    expected = np.array(value)[:, sound] / np.array(density)[sound]
    assert np.allclose(np.array(weight)[:, sound], expected, rtol=1e-3, atol=1e-6)
    assert (np.array(found.wo.z)[sound] < 0).all()
