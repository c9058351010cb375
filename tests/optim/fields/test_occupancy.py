"""Shapes as signals: inside and outside against closed forms, open meshes refused, IoU of known fields."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.errors import AssetError
from pipeline.optim.fields.occupancy import OccupancySignal, crossings, enclosed, occupancy_of, open_mesh

CUBE = """ply
format ascii 1.0
element vertex 8
property float x
property float y
property float z
element face {faces}
property list uchar int vertex_indices
end_header
0 0 0
2 0 0
2 1 0
0 1 0
0 0 1
2 0 1
2 1 1
0 1 1
{rows}
"""
SIDES = [
    "3 0 2 1",
    "3 0 3 2",
    "3 4 5 6",
    "3 4 6 7",
    "3 0 1 5",
    "3 0 5 4",
    "3 1 2 6",
    "3 1 6 5",
    "3 2 3 7",
    "3 2 7 6",
    "3 3 0 4",
    "3 3 4 7",
]


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    """A file that holds the box [0, 2] × [0, 1]², and one of it without a lid."""
    from pipeline.device import set_variant

    set_variant("llvm_ad_rgb")
    folder = tmp_path_factory.mktemp("meshes")
    files = []
    for name, sides in (("closed", SIDES), ("open", SIDES[:6] + SIDES[8:])):
        file = folder / f"{name}.ply"
        file.write_text(CUBE.format(faces=len(sides), rows="\n".join(sides)))
        files.append(file)
    return files


def test_a_box_encloses_what_lies_between_its_faces(box):
    scene = open_mesh(box[0])
    points = np.random.default_rng(0).uniform(-0.5, 2.5, (4000, 3))
    inside = ((points > 0) & (points < [2, 1, 1])).all(axis=1)
    assert (enclosed(scene, points)[inside] == 3).all() and (enclosed(scene, points)[~inside] == 0).all()
    along = crossings(scene, np.array([[-1.0, 0.4, 0.6], [1.0, 0.4, 0.6], [3.0, 0.4, 0.6]]), (1.0, 0.0, 0.0))
    assert along.tolist() == [2, 1, 0]


def test_a_mesh_fills_the_cube_but_for_a_margin(box):
    signal = occupancy_of(open_mesh(box[0]), points=4000, held_out=500, seed=1)
    found = signal.points[signal.inside[:, 0] > 0.5]
    assert found.abs().amax(dim=0).tolist() == pytest.approx([0.9, 0.45, 0.45], abs=0.03)
    assert float(signal.inside.mean()) == pytest.approx(1.8 * 0.9 * 0.9 / 8, abs=0.02)


def test_an_open_mesh_is_refused(box):
    with pytest.raises(AssetError, match="not closed"):
        occupancy_of(open_mesh(box[1]), points=500, held_out=0)


def test_what_is_no_mesh_is_refused(tmp_path):
    with pytest.raises(AssetError, match="missing file"):
        open_mesh(tmp_path / "a.ply")
    other = tmp_path / "a.png"
    other.write_bytes(b"")
    with pytest.raises(AssetError, match="is no mesh"):
        open_mesh(other)


class Ball(torch.nn.Module):
    def __init__(self, radius: float):
        super().__init__()
        self.radius = radius

    def forward(self, points):
        return self.radius - points.norm(dim=1, keepdim=True)


def test_the_overlap_of_a_smaller_ball_is_its_share_of_the_volume():
    points = np.random.default_rng(0).uniform(-1, 1, (20_000, 3))
    inside = np.linalg.norm(points, axis=1) < 0.8
    signal = OccupancySignal(points[:8], inside[:8], (points, inside))
    assert signal.quality(Ball(0.8)) == 1.0
    assert signal.quality(Ball(0.4)) == pytest.approx(1 / 8, abs=0.02)
    assert signal.quality(Ball(-1.0)) == 0.0
