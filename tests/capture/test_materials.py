"""Procedural materials: functions of their seeds, within what maps may hold, different from each other."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pipeline.capture.maps import ROUGHNESS_MIN  # noqa: E402
from pipeline.capture.materials.generate import FAMILIES, HELD_OUT, LEARNT, material  # noqa: E402

SIZE = 32


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_makes_maps_within_their_ranges(family):
    for seed in range(3):
        maps = material(seed, SIZE, families=(family,))
        for name in ("diffuse", "specular"):
            values = getattr(maps, name)
            assert values.shape == (1, 3, SIZE, SIZE) and values.min() >= 0 and values.max() <= 1
        assert maps.roughness.min() >= ROUGHNESS_MIN and maps.roughness.max() <= 1
        assert torch.allclose(maps.normal.norm(dim=1), torch.ones(1, SIZE, SIZE), atol=1e-5)
        assert maps.normal[:, 2].min() > 0


def test_the_same_seed_gives_the_same_material_and_another_seed_another():
    first, again, other = material(5, SIZE), material(5, SIZE), material(6, SIZE)
    assert torch.equal(first.diffuse, again.diffuse) and torch.equal(first.normal, again.normal)
    assert not torch.equal(first.diffuse, other.diffuse)


def test_families_of_the_test_set_are_not_learnt():
    assert not set(HELD_OUT) & set(LEARNT)
    assert set(HELD_OUT) | set(LEARNT) == set(FAMILIES)


def test_a_bump_leans_its_normals_outwards():
    from pipeline.capture.materials.surface import Surface

    x, y = np.meshgrid(np.linspace(-1, 1, SIZE), np.linspace(1, -1, SIZE))
    height = np.exp(-8 * (x**2 + y**2)).astype(np.float32) * 0.2
    grey = np.full(3, 0.5, np.float32)
    normal = Surface.of(grey, grey, 0.5, height).maps().normal[0]
    assert normal[0, SIZE // 2, SIZE * 5 // 8] > 0.05  # right of the top: to the right
    assert normal[1, SIZE * 3 // 8, SIZE // 2] > 0.05  # above it: up
