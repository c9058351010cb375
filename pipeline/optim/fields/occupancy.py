"""3D shapes as signals: points in [−1, 1]³ → whether a closed mesh encloses them.

Points are told by Mitsuba's rays: one that starts inside crosses the surface an odd number of times.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.errors import AssetError
from pipeline.optim.fields.coordinate import CoordinateField
from pipeline.optim.fields.image import CHUNK, epochs
from pipeline.optim.fields.signal import Batch

__all__ = ["MESHES", "OccupancySignal", "crossings", "enclosed", "occupancy_of", "open_mesh"]

MESHES = {".ply": "ply", ".obj": "obj", ".serialized": "serialized"}
"""Mitsuba's plugins by a file's ending."""

FILL = 0.9
"""Half of the mesh's longest side in the cube's coordinates."""

GAUSSIAN_SIGMA = 0.09
"""σ of Gaussian fields of shapes. Chng et al. 2025, options of the public code."""

DIRECTIONS = ((0.731, 0.541, 0.416), (-0.402, 0.813, -0.421), (0.289, -0.367, 0.884))
"""Three rays of each point, askew, so that none runs along the faces of what people build; most of them decide."""

MOST_CROSSINGS = 512

UNSURE = 0.02
"""A mesh has holes where rays disagree for more than this share of the points that any of them calls inside."""


class OccupancySignal:
    """A shape to be learned, by binary cross-entropy.

    Attributes:
        points: N×3, in [−1, 1], to train with.
        inside: N×1, 0 or 1.
    """

    measure = "IoU"

    def __init__(self, points: NDArray[Any], inside: NDArray[Any], held_out: tuple[NDArray[Any], NDArray[Any]]) -> None:
        """
        Args:
            points, inside: N×3 and N booleans, to train with.
            held_out: the same, to judge by.
        """
        self.points, self.inside = _tensors(points, inside)
        self._points, self._inside = _tensors(*held_out)

    def field(self, activation: str, *, width: int, depth: int, seed: int) -> CoordinateField:
        """Three coordinates → the logit."""
        scale = GAUSSIAN_SIGMA if activation == "gaussian" else None
        return CoordinateField(3, 1, activation=activation, width=width, depth=depth, scale=scale, seed=seed)

    def batches(self, size: int, seed: int) -> Iterator[Batch]:
        """(points, inside): every point once an epoch."""
        for chosen in epochs(len(self.points), size, seed):
            yield self.points[chosen], self.inside[chosen]

    def loss(self, field: nn.Module, batch: Batch) -> Tensor:
        """Binary cross-entropy of logits."""
        points, inside = batch
        return nn.functional.binary_cross_entropy_with_logits(field(points), inside)

    @torch.no_grad()
    def quality(self, field: nn.Module) -> float:
        """Intersection over union of the held-out points; 1 where neither has any."""
        said = torch.cat([field(part) for part in self._points.split(CHUNK)]) > 0
        truth = self._inside > 0.5
        union = (said | truth).sum()
        return float((said & truth).sum() / union) if union else 1.0


def _tensors(points: NDArray[Any], inside: NDArray[Any]) -> tuple[Tensor, Tensor]:
    return (
        torch.from_numpy(np.ascontiguousarray(points, dtype=np.float32)),
        torch.from_numpy(np.ascontiguousarray(inside, dtype=np.float32).reshape(-1, 1)),
    )


def open_mesh(file: Path, index: int = 0) -> Any:
    """A scene of one mesh. Mitsuba's variant must be set.

    Args:
        file: PLY, OBJ or Mitsuba's serialised meshes.
        index: which mesh of a serialised file.

    Raises:
        AssetError: the file is missing, of another kind, or cannot be read.
    """
    import mitsuba as mi

    kind = MESHES.get(file.suffix.lower())
    if kind is None or not file.is_file():
        why = "missing file" if kind else f"is no mesh (one of {', '.join(MESHES)})"
        raise AssetError(f"{file}: {why}")
    chosen = {"shape_index": index} if kind == "serialized" else {}
    try:
        return mi.load_dict({"type": "scene", "mesh": {"type": kind, "filename": str(file), **chosen}}, optimize=False)
    except RuntimeError as error:
        raise AssetError(f"{file}: cannot be read as a mesh: {str(error).splitlines()[-1].strip()}") from error


def occupancy_of(scene: Any, *, points: int, held_out: int, seed: int = 0) -> OccupancySignal:
    """The signal of a scene's closed shapes, which fill the cube but for a margin.

    Args:
        scene: `mi.Scene`.
        points, held_out: how many points, uniform in the cube.
        seed: of both.

    Raises:
        AssetError: the shapes are not closed.
    """
    box = scene.bbox()
    low, high = np.array(box.min, dtype=np.float64).ravel(), np.array(box.max, dtype=np.float64).ravel()
    unit = float((high - low).max()) / (2 * FILL)
    drawn = np.random.default_rng(seed).uniform(-1, 1, (points + held_out, 3))
    votes = enclosed(scene, drawn * unit + (low + high) / 2)
    some = votes > 0
    torn = some & (votes < len(DIRECTIONS))
    if torn.sum() > UNSURE * max(some.sum(), 1):
        raise AssetError(f"the mesh is not closed: rays disagree about {torn.sum() / some.sum():.0%} of its inside")
    inside = votes > len(DIRECTIONS) // 2
    return OccupancySignal(drawn[:points], inside[:points], (drawn[points:], inside[points:]))


def enclosed(scene: Any, points: NDArray[Any]) -> NDArray[np.int64]:
    """How many of `DIRECTIONS` say that each point (N×3, world) is inside: 0 … 3."""
    votes = np.zeros(len(points), dtype=np.int64)
    for direction in DIRECTIONS:
        votes += crossings(scene, points, direction) % 2
    return votes


def crossings(scene: Any, points: NDArray[Any], direction: tuple[float, float, float]) -> NDArray[np.int64]:
    """Surfaces that rays from points (N×3, world) cross in a direction, up to `MOST_CROSSINGS`."""
    import drjit as dr
    import mitsuba as mi

    box = scene.bbox()
    step = 1e-5 * float(np.linalg.norm(np.array(box.max).ravel() - np.array(box.min).ravel()))
    origin = mi.Point3f(*(mi.Float(np.ascontiguousarray(column, dtype=np.float32)) for column in points.T))
    d = mi.Vector3f(*direction)
    count = dr.zeros(mi.UInt32, len(points))
    active = dr.full(mi.Bool, True, len(points))
    for _ in range(MOST_CROSSINGS):
        found = scene.ray_intersect_preliminary(mi.Ray3f(origin, d), coherent=False, active=active)
        active = active & found.is_valid()
        count = dr.select(active, count + 1, count)
        origin = dr.select(active, origin + (found.t + step) * d, origin)
        dr.eval(active, count, origin)
        if not dr.any(active):
            break
    counted: NDArray[np.int64] = np.array(count).astype(np.int64)
    return counted
