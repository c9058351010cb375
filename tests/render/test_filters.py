"""Pixel filters against their profiles, and against Mitsuba's own filtering."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from pipeline.config.film import Film
from pipeline.render.buffers import luminance

SCENE = """<emitter type="constant"><rgb name="radiance" value="0.4"/></emitter>
<shape type="rectangle" id="wall"><transform name="to_world"><scale value="6"/><translate z="-1"/></transform>
<bsdf type="diffuse"><texture type="checkerboard" name="reflectance">
<transform name="to_uv"><scale value="20"/></transform></texture></bsdf></shape>
<shape type="sphere"><bsdf type="diffuse"/></shape>"""
SIZE = (16, 12)
SPP = 400
FILTERS = [Film(filter=name) for name in ("box", "tent", "gaussian", "blackman_harris")]


@pytest.mark.parametrize("film", [*FILTERS, Film(filter="tent", filter_radius=3.0)], ids=lambda film: film.filter)
def test_offsets_are_distributed_as_the_filter(mi: Any, film: Film) -> None:
    from pipeline.render.filters import inverse_distribution, offsets, profile

    rng = np.random.default_rng(0)
    u = mi.Point2f(*(mi.Float(rng.random(20_000, dtype=np.float32)) for _ in range(2)))
    x, y = np.array(offsets(mi.Float(inverse_distribution(film)), u), np.float64)
    grid = np.linspace(-film.radius, film.radius, 4001)
    running = np.cumsum(profile(film, grid))
    for found in (x, y):
        assert stats.kstest(found, lambda v: np.interp(v, grid, running / running[-1])).pvalue > 1e-3
    assert abs(np.corrcoef(x, y)[0, 1]) < 0.03


def test_a_box_of_a_pixel_needs_no_table(program_of: Callable[..., Any]) -> None:
    assert program_of(SCENE).filter is None
    assert program_of(SCENE, film={"filter": "tent"}).filter is not None


def test_filtered_pictures_are_those_of_mitsuba(mi: Any, program_of: Callable[..., Any], render: Any) -> None:
    program = program_of(SCENE, resolution=SIZE, film={"filter": "gaussian"}, max_depth=3)
    film = {
        "type": "hdrfilm",
        "width": SIZE[0],
        "height": SIZE[1],
        "sample_border": True,
        "component_format": "float32",
    }
    sensor = mi.load_dict(
        {
            "type": "perspective",
            "fov": 45,
            "to_world": mi.ScalarTransform4f().look_at([0, 0, 4], [0, 0, 0], [0, 1, 0]),
            "film": {**film, "component_format": "float32", "filter": {"type": "gaussian"}},
        }
    )
    integrator = mi.load_dict({"type": "path", "max_depth": 3})

    def theirs(seed: int) -> np.ndarray:
        image = mi.render(program.fs.scene, sensor=sensor, integrator=integrator, spp=SPP, seed=seed)
        return luminance(np.array(image)[..., :3])

    def ours(seed: int, of: Any = program) -> np.ndarray:
        sums = render(of, SPP, seed=seed).sums
        return luminance(((sums["half_a"] + sums["half_b"]) / SPP).reshape(*SIZE[::-1], 3, 3).sum(2))

    def apart(a: Any, b: Any) -> float:
        """How often pixels that are hardly correlated differ by more, if their expectations are the same."""
        first, second = (np.array([f(seed) for seed in range(6)], np.float64)[:, 1::2, 1::2] for f in (a, b))
        z = (first.mean(0) - second.mean(0)) / np.sqrt((first.var(0, ddof=1) + second.var(0, ddof=1)) / 6)
        return float(stats.kstest(z.ravel(), stats.t(10).cdf).pvalue)

    assert apart(ours, theirs) > 1e-3
    sharp = program_of(SCENE, resolution=SIZE, max_depth=3)
    assert apart(lambda seed: ours(seed, sharp), theirs) < 1e-3  # this test can fail
