"""The guide: its density, and what it may not change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

LOBES = torch.tensor([[[0.3, 2.0, 0.0, 0.0, 1.0], [0.7, 15.0, 0.6, 0.0, 0.8]]])


@pytest.fixture(scope="module")
def lobes() -> Any:
    from pipeline.device import set_variant

    set_variant("llvm_ad_rgb")
    import mitsuba as mi

    from pipeline.radiosity.guiding import Lobes

    return Lobes(mi.Float(LOBES.reshape(-1).numpy()), 2)


def sphere(count: int) -> Any:
    """Uniform directions."""
    d = np.random.default_rng(0).normal(size=(3, count))
    return (d / np.linalg.norm(d, axis=0)).astype(np.float32)


def test_the_density_integrates_to_one_and_both_homes_agree(lobes: Any) -> None:
    import mitsuba as mi

    from pipeline.radiosity.guiding import log_density

    d = sphere(200_000)
    density = np.array(lobes.pdf(mi.UInt32(0), mi.Vector3f(*(mi.Float(row) for row in d))))
    assert density.mean() * 4 * np.pi == pytest.approx(1.0, abs=0.02)
    told = log_density(LOBES.expand(d.shape[1], -1, -1), torch.from_numpy(d.T.copy())).exp().numpy()
    assert np.allclose(told, density, rtol=1e-3)


def test_samples_follow_the_density(lobes: Any) -> None:
    import mitsuba as mi

    u = np.random.default_rng(1).random((3, 100_000), dtype=np.float32)
    turn = mi.Point2f(mi.Float(u[1]), mi.Float(u[2]))
    drawn = np.array(lobes.sample(mi.UInt32(0), mi.Float(u[0]), turn)).reshape(3, -1)
    d = sphere(200_000)
    density = np.array(lobes.pdf(mi.UInt32(0), mi.Vector3f(*(mi.Float(row) for row in d))))
    assert np.allclose(drawn.mean(axis=1), (d * density).mean(axis=1) * 4 * np.pi, atol=0.02)
