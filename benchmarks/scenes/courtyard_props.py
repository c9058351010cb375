"""Meshes and textures of the courtyard: all made here, the same every time. Units: metres, y up."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "shots"))

from craft.mesh import (
    Mesh,
    arc,
    catmull,
    circle,
    grid,
    join,
    lathe,
    place,
    quad,
    rotation,
    rounded_box,
    sweep,
    write_ply,
)
from craft.pattern import cloud, mix, smoothstep, write_png

WINDOW = (-0.35, 1.15, 1.05, 2.25)
"""Left, right, sill and head of the opening in the wall, metres."""

WALL = -1.6  # z of the wall's face
SPOKES = 28
RADIUS = 0.34  # of the wheel


def write(folder: Path) -> None:
    """Writes `meshes/*.ply` and `textures/*.png`."""
    for name in ("meshes", "textures"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, mesh in _meshes().items():
        write_ply(folder / "meshes" / f"{name}.ply", mesh, crease=35)
    for name, image in {"bricks": _bricks(), "paving": _paving()}.items():
        write_png(folder / "textures" / f"{name}.png", image)


def _meshes() -> dict[str, Mesh]:
    rng = np.random.default_rng(7)
    bush, ivy, branch = _bush(rng), _ivy(rng), _branch(rng)
    return {
        "ground": quad((-7, 0, 7), (14, 0, 0), (0, 0, -9)),
        "wall": _wall(),
        "frame": _frame(),
        "slat": rounded_box((1.42, 0.004, 0.055), 0.0015, 1),
        "cords": join(*(sweep(circle(0.003, 6), np.array([[x, 1.05, 0], [x, 2.25, 0]])) for x in (-0.05, 0.4, 0.85))),
        "room": quad((-2, 0, WALL - 1.6), (5, 0, 0), (0, 3, 0)),
        "fence": _fence(),
        "bush": bush,
        "ivy": ivy,
        "branch_leaves": branch[0],
        "branch_wood": branch[1],
        "tyre": _ring(RADIUS, 0.018),
        "rim": join(_ring(RADIUS - 0.026, 0.010), _spokes()),
        "pot": lathe(
            catmull(
                [
                    (0.001, 0.0),
                    (0.12, 0.0),
                    (0.16, 0.22),
                    (0.185, 0.23),
                    (0.185, 0.29),
                    (0.165, 0.29),
                    (0.155, 0.24),
                    (0.001, 0.24),
                ],
                5,
            ),
            64,
        ),
        "grass": _grass(rng),
        "can": _can(),
    }


# --- Building -----------------------------------------------------------------------------------------------------


def _wall() -> Mesh:
    """Around the opening, and its reveal. uv in metres."""
    left, right, sill, head = WINDOW
    x0, x1, top = -6.0, 6.0, 4.5
    pieces = [
        quad((x0, 0, WALL), (left - x0, 0, 0), (0, top, 0)),
        quad((right, 0, WALL), (x1 - right, 0, 0), (0, top, 0)),
        quad((left, 0, WALL), (right - left, 0, 0), (0, sill, 0)),
        quad((left, head, WALL), (right - left, 0, 0), (0, top - head, 0)),
    ]
    pieces = [Mesh(piece.points, piece.points[..., :2]) for piece in pieces]  # courses run through
    deep = 0.16
    reveal = [
        quad((left, sill, WALL - deep), (0, 0, deep), (0, head - sill, 0)),
        quad((right, sill, WALL), (0, 0, -deep), (0, head - sill, 0)),
        quad((left, head, WALL), (right - left, 0, 0), (0, 0, -deep)),
    ]
    return join(*pieces, *reveal)


def _frame() -> Mesh:
    left, right, sill, head = WINDOW
    middle, across = (sill + head) / 2, (left + right) / 2
    z = WALL - 0.13
    bars = [place(rounded_box((0.05, head - sill, 0.05), 0.006), (x, middle, z)) for x in (left + 0.025, right - 0.025)]
    bars += [place(rounded_box((right - left, 0.05, 0.05), 0.006), (across, y, z)) for y in (sill + 0.02, head - 0.02)]
    ledge = place(rounded_box((right - left + 0.2, 0.05, 0.24), 0.008), (across, sill - 0.025, WALL + 0.02))
    return join(*bars, ledge)


def _fence() -> Mesh:
    """Pickets on two rails, from the left edge towards the window; they are not quite alike."""
    rng = np.random.default_rng(3)
    start, end, count = np.array([-3.9, 0, 0.55]), np.array([-0.95, 0, -0.35]), 31
    along = (end - start) / np.linalg.norm(end - start)
    turn = rotation((0, 1, 0), -np.degrees(np.arctan2(along[2], along[0])))
    pieces = []
    for k in range(count):
        height = 0.98 + rng.uniform(-0.012, 0.012)
        lean = rotation((0, 0, 1), rng.uniform(-1.0, 1.0))
        board = place(rounded_box((0.062, height, 0.018), 0.004), (0, height / 2, 0))
        tip = place(rounded_box((0.044, 0.044, 0.018), 0.004), (0, height, 0), turn=rotation((0, 0, 1), 45))
        pieces.append(place(join(board, tip), start + (end - start) * k / (count - 1), turn=turn @ lean))
    length = float(np.linalg.norm(end - start)) + 0.1
    for y in (0.28, 0.74):
        rail = rounded_box((length, 0.06, 0.025), 0.005)
        pieces.append(place(rail, (start + end) / 2 + turn @ [0, y, -0.024], turn=turn))
    return join(*pieces)


# --- Plants -------------------------------------------------------------------------------------------------------


def _leaf() -> Mesh:
    """A pointed leaf, a unit long along +z, folded along its rib, +y its upper side."""

    def surface(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        half = 0.36 * np.sin(np.pi * v**0.75) * (1 - 0.25 * v)
        x = (2 * u - 1) * half
        return np.stack([x, 0.35 * np.abs(x) - 0.22 * v**2, v], -1)

    # The normal of a grid is ∂u × ∂v = x × z = −y: mirrored, it is up.
    return place(grid(surface, 2, 5), scale=(-1, 1, 1))


def _leaves(places: np.ndarray, outward: np.ndarray, sizes: np.ndarray, rng: np.random.Generator) -> Mesh:
    """A leaf at each place (N×3), its upper side more or less along `outward` (N×3), hanging down a little."""
    leaf = _leaf()
    made = []
    for place_, out, size in zip(places, outward, sizes, strict=True):
        up = out + rng.normal(0, 0.35, 3)
        up /= np.linalg.norm(up)
        along = np.array([0, -0.5, 0]) + rng.normal(0, 0.8, 3)
        along -= up * (along @ up)
        along /= np.linalg.norm(along)
        turn = np.stack([np.cross(up, along), up, along], -1)
        made.append(place(leaf, place_, turn=turn, scale=float(size)))
    return join(*made)


def _bush(rng: np.random.Generator) -> Mesh:
    """Leaves on three rounded crowns behind the fence."""
    places, out = [], []
    for centre, size, count in (
        ((-2.45, 0.55, -0.75), (0.62, 0.68, 0.42), 900),
        ((-3.45, 0.45, -0.35), (0.60, 0.60, 0.42), 700),
        ((-1.70, 0.33, -1.05), (0.38, 0.42, 0.32), 420),
    ):
        direction = rng.normal(size=(count, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        reach = rng.uniform(0.72, 1.08, (count, 1))
        places.append(np.array(centre) + direction * reach * np.array(size))
        out.append(direction)
    all_places = np.concatenate(places)
    kept = all_places[:, 1] > 0.03
    all_places, all_out = all_places[kept], np.concatenate(out)[kept]
    return _leaves(all_places, all_out, rng.uniform(0.06, 0.11, len(all_places)), rng)


def _ivy(rng: np.random.Generator) -> Mesh:
    """Leaves that creep up the wall, thinning out towards the window."""
    x, y = rng.uniform(1.25, 4.2, 2600), rng.uniform(0.0, 3.4, 2600)
    border = 1.55 + 0.25 * np.sin(2.3 * y) + 0.15 * np.sin(5.1 * y + 1) + 0.35 * np.maximum(y - 2.2, 0)
    kept = rng.uniform(size=2600) < smoothstep(0.0, 0.5, x - border)
    places = np.stack([x, y, WALL + rng.uniform(0.03, 0.10, 2600)], -1)[kept]
    out = np.tile([0.0, 0.25, 1.0], (len(places), 1))
    return _leaves(places, out, rng.uniform(0.07, 0.13, len(places)), rng)


def _branch(rng: np.random.Generator) -> tuple[Mesh, Mesh]:
    """Leaves and wood of a bough that comes in from above, about its root at the origin; it grows towards −x."""
    stem = catmull([(0, 0, 0), (-0.6, 0.02, 0.05), (-1.3, -0.14, 0.12), (-2.0, -0.42, 0.15)], 8)
    wood = [sweep(circle(1.0, 8), stem, scale=np.linspace(0.03, 0.008, len(stem)))]
    places, out = [], []
    for k in range(4, len(stem), 2):
        side = rng.normal(0, 1, 3) * [0.2, 0.4, 1.0]
        tip = stem[k] + 0.42 * side / np.linalg.norm(side) + [-0.2, -0.12, 0]
        twig = catmull([stem[k], (stem[k] + tip) / 2 + [0, 0.04, 0], tip], 5)
        wood.append(sweep(circle(1.0, 6), twig, scale=np.linspace(0.009, 0.003, len(twig))))
        for point in twig[2:]:
            for _ in range(4):
                places.append(point + rng.normal(0, 0.035, 3))
                out.append(np.array([0.0, 1.0, 0.2]))
    leaves = _leaves(np.array(places), np.array(out), rng.uniform(0.08, 0.14, len(places)), rng)
    return leaves, join(*wood)


def _grass(rng: np.random.Generator) -> Mesh:
    """Blades in the pot, about its rim's centre."""
    blades = []
    for _ in range(120):
        angle, reach, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.08, 0.30), rng.uniform(0.25, 0.5)
        way = np.array([np.cos(angle), 0, np.sin(angle)])
        foot = way * rng.uniform(0, 0.11)
        path = catmull([foot, foot + way * reach * 0.3 + [0, height * 0.7, 0], foot + way * reach + [0, height, 0]], 4)
        flat = circle(1.0, 4) * [1.0, 0.15]
        blades.append(sweep(flat, path, scale=np.linspace(0.006, 0.001, len(path)), caps=False))
    return join(*blades)


# --- Things -------------------------------------------------------------------------------------------------------


def _ring(radius: float, thick: float) -> Mesh:
    """A torus about the z axis through the origin."""
    turned = lathe(arc((radius, 0), thick, 0, 360, 16), 96)
    return place(turned, turn=rotation((1, 0, 0), 90))


def _spokes() -> Mesh:
    hub = place(
        lathe(np.array([(0.001, -0.04), (0.022, -0.04), (0.022, 0.04), (0.001, 0.04)]), 24),
        turn=rotation((1, 0, 0), 90),
    )
    spokes = [hub]
    for k in range(SPOKES):
        a = 2 * np.pi * k / SPOKES
        b = a + (0.5 if k % 4 < 2 else -0.5)
        side = 0.03 if k % 2 else -0.03
        start = (0.02 * np.cos(b), 0.02 * np.sin(b), side)
        end = ((RADIUS - 0.03) * np.cos(a), (RADIUS - 0.03) * np.sin(a), 0.0)
        spokes.append(sweep(circle(0.0022, 5), np.array([start, end]), caps=False))
    return join(*spokes)


def _can() -> Mesh:
    """A watering can of zinc."""
    body = lathe(catmull([(0.001, 0.0), (0.13, 0.0), (0.135, 0.01), (0.125, 0.25), (0.10, 0.28), (0.10, 0.285)], 4), 64)
    spout = sweep(
        circle(1.0, 14),
        catmull([(0.11, 0.06, 0), (0.22, 0.14, 0), (0.34, 0.30, 0)], 8),
        scale=np.linspace(0.028, 0.016, 17),
    )
    rose = place(
        lathe(np.array([(0.001, 0.0), (0.018, 0.0), (0.045, 0.05), (0.001, 0.055)]), 32),
        (0.34, 0.30, 0),
        turn=rotation((0, 0, 1), -50),
    )
    bend = arc((-0.10, 0.20), 0.13, 60, 250, 20)
    handle = sweep(circle(0.008, 8), np.stack([bend[:, 0], bend[:, 1], np.zeros(21)], -1))
    return join(body, spout, rose, handle)


# --- Textures -----------------------------------------------------------------------------------------------------


def _bricks() -> np.ndarray:
    """Running bond: 4 bricks by 8 courses; mortar between."""
    height, width = 768, 768
    y, x = np.meshgrid(np.arange(height) / height, np.arange(width) / width, indexing="ij")
    course = np.floor(y * 8).astype(int)
    across = x * 4 + 0.5 * (course % 2)
    brick = np.floor(across).astype(int) % 4
    tone = np.random.default_rng(5).uniform(0, 1, (8, 4))[course, brick]
    u, v = across % 1, (y * 8) % 1
    edge = np.minimum(np.minimum(u, 1 - u) * 2.2, np.minimum(v, 1 - v))
    face = smoothstep(0.04, 0.10, edge + 0.05 * (cloud(height, width, 40, 8, 3) - 0.5))
    grain = 0.82 + 0.3 * cloud(height, width, 30, 2, 4)
    clay = mix((0.62, 0.40, 0.31), (0.46, 0.25, 0.19), tone) * grain[..., None]
    mortar = np.array([0.62, 0.59, 0.54]) * (0.9 + 0.2 * cloud(height, width, 60, 6, 2))[..., None]
    image: np.ndarray = np.clip(mix(mortar, clay, face), 0, 1)
    return image


def _paving() -> np.ndarray:
    """Slabs, four by four, with dark joints."""
    height, width = 1024, 1024
    y, x = np.meshgrid(np.arange(height) / height, np.arange(width) / width, indexing="ij")
    row = np.floor(y * 4).astype(int)
    across = x * 4 + 0.37 * row
    tone = np.random.default_rng(9).uniform(0, 1, (4, 4))[row, np.floor(across).astype(int) % 4]
    u, v = across % 1, (y * 4) % 1
    edge = np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v))
    face = smoothstep(0.010, 0.022, edge)
    speckle = 0.85 + 0.2 * cloud(height, width, 90, 4, 2) + 0.12 * (cloud(height, width, 6, 1, 4) - 0.5)
    slab = mix((0.60, 0.57, 0.51), (0.48, 0.46, 0.43), tone) * speckle[..., None]
    image: np.ndarray = mix((0.14, 0.13, 0.11), np.clip(slab, 0, 1), face)
    return image
