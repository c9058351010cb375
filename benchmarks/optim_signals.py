"""What the optimisers are tuned on and judged by: images, shapes and posed pictures, no signal in both.

Photographs are scikit-image's own, in DIV2K's place; renders are of the sample shots. Meshes and rooms that others made
are taken where they are there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.adaptive_cache import Kept, kept
from benchmarks.machine import ROOT
from benchmarks.radiosity_subjects import SHARED, Subject, free_views, subject, traced
from pipeline.images.viewing import to_display
from pipeline.optim.fields.image import ImageSignal
from pipeline.optim.fields.occupancy import OccupancySignal, occupancy_of, open_mesh
from pipeline.optim.fields.radiance import PosedPictures
from pipeline.optim.fields.signal import Signal

__all__ = ["Named", "Pair", "images", "rays", "rooms", "shapes"]

Image = NDArray[np.float32]

PHOTOGRAPHS = (("chelsea", "rocket"), ("astronaut", "coffee"))
RENDERS = (("veach-bidir",), ("shot_010", "shot_020"))
"""Tuned on, judged by. Rooms that are not here are left out."""

MESHES = (
    ((ROOT / "shots" / "shot_020" / "meshes" / "rock.ply", 0),),
    ((SHARED / "living-room" / "models" / "Mesh014.obj", 0), (ROOT / "shots" / "shot_010" / "meshes" / "cup.ply", 0)),
)
"""(file, index) of closed meshes: tuned on, judged by; the first that is here counts."""

ROOMS = (("veach-bidir", "shot_020"), ("shot_010",))
"""Tuned on, judged by; the first that is here counts."""

PICTURE_SPP = 256
VIEWS, JUDGED = 24, 4
"""Of a room: views that are learned, and views in between that judge."""


@dataclass(frozen=True)
class Named:
    """A signal by its name; it is made when it is asked for, since trials that are kept need none."""

    name: str
    make: Callable[[], Signal]

    @cached_property
    def signal(self) -> Signal:
        """The signal, made once."""
        return self.make()


@dataclass(frozen=True)
class Pair:
    """Signals to tune on, and others that judge."""

    tuning: list[Named]
    test: list[Named]


def images(size: int, folder: Path, *, count: int) -> Pair:
    """Photographs and renders in turn, `count` of each list, size × size pixels."""
    lists = []
    for side in (0, 1):
        photographs = [
            Named(name, lambda name=name: ImageSignal(_photograph(name, size))) for name in PHOTOGRAPHS[side]
        ]
        renders = [
            Named(name, lambda name=name: ImageSignal(_render(name, size, folder)))
            for name in RENDERS[side]
            if _is_here(name)
        ]
        turns = [each for pair in _in_turn(photographs, renders) for each in pair]
        lists.append(turns[:count])
    return Pair(*lists)


def shapes(points: int, folder: Path) -> Pair:
    """One mesh each, of which `points` random points are learned and as many others judge."""
    chosen = []
    for candidates in MESHES:
        file, index = next((file, index) for file, index in candidates if file.exists())
        name = f"{file.parent.name}-{index}" if index else file.stem
        chosen.append(
            [Named(name, lambda file=file, index=index, name=name: _shape(file, index, name, points, folder))]
        )
    return Pair(*chosen)


def rooms(size: int, samples: int, folder: Path) -> Pair:
    """One room each, seen from views that swing around the camera's; pictures of size × size pixels."""
    chosen = [next(name for name in names if _is_here(name)) for names in ROOMS]
    return Pair(*([Named(name, lambda name=name: _room(name, size, samples, folder))] for name in chosen))


def _is_here(name: str) -> bool:
    return (SHARED / name / "scene.xml").exists() or (ROOT / "shots" / name).exists()


def _in_turn(first: list[Named], second: list[Named]) -> list[list[Named]]:
    longest = max(len(first), len(second))
    return [[*first[k : k + 1], *second[k : k + 1]] for k in range(longest)]


# --- Images -----------------------------------------------------------------------------------------------------------


def _photograph(name: str, size: int) -> Image:
    """The middle square of one of scikit-image's bundled photographs."""
    from PIL import Image as Pillow
    from skimage import data

    pixels = getattr(data, name)()[..., :3]
    side = min(pixels.shape[:2])
    top, left = ((extent - side) // 2 for extent in pixels.shape[:2])
    square = Pillow.fromarray(pixels[top : top + side, left : left + side])
    return np.asarray(square.resize((size, size), Pillow.Resampling.LANCZOS), dtype=np.float32) / 255


def _render(name: str, size: int, folder: Path) -> Image:
    """What a display shows of a shot's or a room's first frame, cut square."""

    def make() -> Kept:
        from pipeline.device import set_variant

        set_variant()
        seen = _subject(name, size, folder)
        return Kept(None, {"image": traced(seen, seen.view, PICTURE_SPP, 0)})

    return _shown(kept(folder / f"render-{name}-{size}-{PICTURE_SPP}.npz", make).arrays["image"])


def _shown(linear: NDArray[Any]) -> Image:
    """Display values in [0, 1], exposed so that the logarithmic mean is middle grey."""
    exposure = float(np.log2(0.18 / np.exp(np.mean(np.log(linear.mean(axis=-1) + 1e-4)))))
    return to_display(linear, exposure=exposure).astype(np.float32) / 255


def _subject(name: str, size: int, folder: Path) -> Subject:
    """A shot of ours, or a room of the shared scenes."""
    from pipeline.config.load import load_shot
    from pipeline.radiosity.session import open_frame

    if not (ROOT / "shots" / name).exists():
        return subject(name, (size, size), folder / "blobs")
    shot = load_shot(ROOT / "shots" / name)
    opened = open_frame(shot, shot.frame_list[0], folder / "blobs")
    return Subject(name, opened, opened.view.at(size, size))


# --- Shapes -----------------------------------------------------------------------------------------------------------


def _shape(file: Path, index: int, name: str, points: int, folder: Path) -> OccupancySignal:
    def make() -> Kept:
        from pipeline.device import set_variant

        set_variant()
        made = occupancy_of(open_mesh(file, index), points=2 * points, held_out=0)
        return Kept(None, {"points": made.points.numpy(), "inside": made.inside.numpy() > 0.5})

    found = kept(folder / f"shape-{name}-{points}.npz", make).arrays
    at, inside = found["points"], found["inside"]
    return OccupancySignal(at[:points], inside[:points], (at[points:], inside[points:]))


# --- Posed pictures ---------------------------------------------------------------------------------------------------


def _room(name: str, size: int, samples: int, folder: Path) -> PosedPictures:
    """Every (VIEWS / JUDGED)th view judges, the others are learned; near and far are what the views' depths say."""

    def make() -> Kept:
        from pipeline.device import set_variant

        set_variant()
        seen = _subject(name, size, folder)
        views = free_views(seen, VIEWS + JUDGED)
        pictures = np.stack([traced(seen, view, PICTURE_SPP // 4, number) for number, view in enumerate(views)])
        cast = np.stack([rays(view.to_world, view.fov, size, size) for view in views])
        depths = np.stack([_depth(seen, each) for each in cast])
        return Kept(None, {"pictures": pictures, "rays": cast, "depths": depths})

    found = kept(folder / f"room-{name}-{size}-{VIEWS}-{JUDGED}-{PICTURE_SPP // 4}.npz", make).arrays
    depths = found["depths"][np.isfinite(found["depths"])]
    near, far = 0.9 * float(np.quantile(depths, 0.001)), 1.02 * float(np.quantile(depths, 0.999))
    cast = found["rays"].astype(np.float64).copy()
    reached = np.concatenate([cast[..., :3] + t * cast[..., 3:] for t in (near, far)]).reshape(-1, 3)
    low, high = reached.min(axis=0), reached.max(axis=0)
    unit = float((high - low).max()) / 2
    cast[..., :3] = (cast[..., :3] - (low + high) / 2) / unit
    shown = _shown(found["pictures"].reshape(-1, size, 3)).reshape(len(cast), -1, 3)
    judging = np.arange(len(cast)) % ((VIEWS + JUDGED) // JUDGED) == 0
    flat = [(cast[which].reshape(-1, 6), shown[which].reshape(-1, 3)) for which in (~judging, judging)]
    return PosedPictures(*flat[0], flat[1], near=near / unit, far=far / unit, samples=samples)


def rays(to_world: NDArray[Any], fov: float, width: int, height: int) -> NDArray[np.float64]:
    """Rays through the pixels' centres of a pinhole camera (`pipeline.radiosity.cameras.View`): (H·W)×6, origin and
    unit direction, world."""
    half = np.tan(np.radians(fov) / 2)
    x = -((np.arange(width) + 0.5) / width * 2 - 1) * half  # +x is to the left
    y = -((np.arange(height) + 0.5) / height * 2 - 1) * half * height / width
    across, down = np.meshgrid(x, y)
    local = np.stack([across, down, np.ones_like(across)], axis=-1).reshape(-1, 3)
    directions = local @ to_world[:3, :3].T
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return np.column_stack([np.broadcast_to(to_world[:3, 3], directions.shape), directions])


def _depth(seen: Subject, cast: NDArray[Any]) -> NDArray[np.float32]:
    """Distances to the first surfaces along rays; infinite where there is none."""
    import mitsuba as mi

    columns = [mi.Float(np.ascontiguousarray(column, dtype=np.float32)) for column in cast.T]
    found = seen.opened.sources.scene.ray_intersect_preliminary(
        mi.Ray3f(mi.Point3f(*columns[:3]), mi.Vector3f(*columns[3:]))
    )
    return np.where(np.array(found.is_valid()), np.array(found.t), np.inf).astype(np.float32)
