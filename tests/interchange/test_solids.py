"""Solids enclose what they should, and face outwards."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.interchange import solids
from pipeline.interchange.solids import Triangles


def volume(shape: Triangles) -> float:
    """Signed: positive where the faces look outwards."""
    positions, faces = shape
    a, b, c = (positions[faces[:, k]].astype(float) for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        (solids.cube(2), 8),
        (solids.sphere(1), 4 / 3 * math.pi),
        (solids.cylinder(1, 3, capped=True), 3 * math.pi),
    ],
)
def test_closed_solids_have_their_volume(shape: Triangles, wanted: float) -> None:
    assert volume(shape) == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize(("shape", "wanted"), [(solids.rectangle(2, 3), 6), (solids.disc(1), math.pi)])
def test_flat_ones_have_their_area_and_look_along_minus_z(shape: Triangles, wanted: float) -> None:
    positions, faces = shape
    a, b, c = (positions[faces[:, k]].astype(float) for k in range(3))

    across = np.cross(b - a, c - a) / 2

    assert (across[:, 2] < 0).all() and not across[:, :2].any()
    assert -across[:, 2].sum() == pytest.approx(wanted, rel=0.01)
