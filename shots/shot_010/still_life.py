"""The still lifes of shot_010: tea things, vase, bowl, books, toys, plants.

Each stands on y = 0 about its own origin; the scene places it.
"""

from __future__ import annotations

import numpy as np
from craft.mesh import (
    Mesh,
    arc,
    box_uv,
    catmull,
    circle,
    fillet,
    from_grid,
    grid,
    join,
    lathe,
    place,
    rotation,
    rounded_box,
    sweep,
    warp,
)
from craft.pattern import fbm


def bowl() -> Mesh:
    """A hammered copper bowl."""
    outside = catmull([(0.038, 0.004), (0.062, 0.010), (0.105, 0.036), (0.135, 0.075), (0.146, 0.105)], 7)
    rim = arc((0.1445, 0.1065), 0.0035, -20, 190, 5)
    inside = catmull([(0.140, 0.104), (0.129, 0.076), (0.100, 0.041), (0.058, 0.016), (0.0, 0.0125)], 7)
    foot = fillet([(0.0, 0.0), (0.042, 0.0), (0.043, 0.006), (0.038, 0.008)], 0.002)
    shell = lathe(np.concatenate([foot, outside, rim, inside]), 72)

    def hammer(p: np.ndarray) -> np.ndarray:
        angle = np.arctan2(p[:, 0], p[:, 2])
        ring = p[:, 1] / 0.013
        dents = np.sin(angle * 22 + np.floor(ring) * 2.4) * np.sin(ring * np.pi)
        strength = 0.0011 * np.clip((np.hypot(p[:, 0], p[:, 2]) - 0.05) / 0.03, 0, 1)
        out = p.copy()
        out[:, [0, 2]] *= (1 + strength * dents / 0.1)[:, None]
        return out

    return warp(shell, hammer)


def lemon(seed: int) -> Mesh:
    line = catmull(
        [
            (0.0, -0.047),
            (0.007, -0.044),
            (0.021, -0.033),
            (0.0295, -0.012),
            (0.0295, 0.010),
            (0.021, 0.029),
            (0.009, 0.039),
            (0.006, 0.045),
            (0.0, 0.047),
        ],
        4,
    )

    def grow(p: np.ndarray) -> np.ndarray:
        return p * (1 + 0.05 * fbm(p * 35 + 7, seed, 3))[:, None]

    return warp(lathe(line, 28), grow)


def books() -> dict[str, Mesh]:
    """A pile of three cloth-bound books, spines to the front (+z)."""
    out: dict[str, list[Mesh]] = {"red": [], "blue": [], "pages": []}
    y = 0.0
    for name, w, d, h, turn in (
        ("blue", 0.255, 0.185, 0.036, 3),
        ("red", 0.225, 0.160, 0.028, -6),
        ("blue", 0.19, 0.13, 0.021, 11),
    ):
        board = 0.003
        covers = [place(rounded_box((w, board, d), 0.0013, 1), (0, dy, 0)) for dy in (board / 2, h - board / 2)]
        covers = [
            Mesh(c.points, np.stack([c.points[..., 0] / w + 0.5, 0.75 + c.points[..., 2] / d * 0.4], -1))
            for c in covers
        ]
        line = np.concatenate(
            [
                [(d / 2 - 0.004, 0.0)],
                catmull([(d / 2, 0.0), (d / 2 + 0.005, h / 2), (d / 2, h)], 5),
                [(d / 2 - 0.004, h)],
            ]
        )
        spine = grid(
            lambda u, v, line=line, w=w: np.stack(
                [
                    w * (u - 0.5),
                    np.interp(v, np.linspace(0, 1, len(line)), line[:, 1]),
                    np.interp(v, np.linspace(0, 1, len(line)), line[:, 0]),
                ],
                -1,
            ),
            1,
            12,
        )
        spine = Mesh(spine.points, np.stack([spine.uv[..., 0], 0.46 * (1 - spine.uv[..., 1])], -1))
        block = place(rounded_box((w - 0.01, h - 2 * board, d - 0.008), 0.001, 1), (0, h / 2, -0.001))
        turned = rotation((0, 1, 0), turn)
        out[name] += [place(join(*covers, spine), (0, y, 0), turn=turned)]
        out["pages"].append(place(block, (0, y, 0), turn=turned))
        y += h + 0.0005
    return {f"books_{name}": join(*parts) for name, parts in out.items()}


def teapot() -> Mesh:
    """A round stoneware pot with a side spout and a strap handle; one mesh, v rises with height for the glaze."""
    outside = catmull(
        [(0.040, 0.006), (0.064, 0.016), (0.086, 0.050), (0.085, 0.080), (0.066, 0.109), (0.044, 0.122)], 7
    )
    body = lathe(
        np.concatenate(
            [fillet([(0, 0), (0.038, 0), (0.040, 0.004)], 0.001), outside, [(0.040, 0.1235), (0.036, 0.120)]]
        ),
        56,
    )
    lid = lathe(
        np.concatenate(
            [
                [(0.041, 0.1225)],
                catmull(
                    [
                        (0.0415, 0.1245),
                        (0.036, 0.130),
                        (0.020, 0.137),
                        (0.008, 0.140),
                        (0.0065, 0.145),
                        (0.012, 0.153),
                        (0.0125, 0.159),
                        (0.007, 0.164),
                        (0, 0.165),
                    ],
                    4,
                ),
            ]
        ),
        40,
    )
    spout_path = catmull(
        [(0.060, 0.040, 0), (0.088, 0.050, 0), (0.108, 0.074, 0), (0.120, 0.102, 0), (0.138, 0.118, 0)], 6
    )
    taper = np.interp(np.linspace(0, 1, len(spout_path)), [0, 0.3, 1], [1.7, 1.15, 0.62])
    spout = sweep(circle(0.0145, 18), spout_path, scale=taper)
    strap = arc((0, 0), 1.0, 0, 360, 14)[:-1] * (0.0045, 0.0085)
    strap_path = catmull(
        [
            (-0.058, 0.105, 0),
            (-0.082, 0.124, 0),
            (-0.112, 0.122, 0),
            (-0.130, 0.098, 0),
            (-0.124, 0.066, 0),
            (-0.100, 0.042, 0),
            (-0.078, 0.036, 0),
        ],
        6,
    )
    handle = sweep(strap[:, ::-1], strap_path, up=(0, 0, 1))
    pot = join(body, lid, spout, handle)
    angle = np.arctan2(pot.points[..., 0], pot.points[..., 2]) / (2 * np.pi)
    wrapped = np.where(angle - angle[:, :1] > 0.5, angle - 1, np.where(angle - angle[:, :1] < -0.5, angle + 1, angle))
    return Mesh(pot.points, np.stack([wrapped * 2, pot.points[..., 1] / 0.175], -1))


def cup() -> Mesh:
    """A tea bowl with a thick lip."""
    outside = catmull([(0.022, 0.006), (0.028, 0.010), (0.038, 0.032), (0.0415, 0.062)], 6)
    lip = arc((0.0397, 0.0625), 0.0018, 0, 180, 5)
    inside = catmull([(0.0375, 0.060), (0.034, 0.034), (0.024, 0.014), (0.0, 0.010)], 6)
    foot = fillet([(0, 0.003), (0.018, 0.003), (0.019, 0.0), (0.022, 0.0), (0.0225, 0.006)], 0.001, 2)
    bowl_ = lathe(np.concatenate([foot, outside, lip, inside]), 44)
    return Mesh(bowl_.points, np.stack([bowl_.uv[..., 0] * 2, bowl_.points[..., 1] / 0.085 + 0.03], -1))


def tea() -> Mesh:
    return lathe(np.array([(0.0372, 0.050), (0.02, 0.0496), (0.0, 0.0495)]), 32)


def saucer() -> Mesh:
    top = catmull([(0.0715, 0.0150), (0.060, 0.0105), (0.036, 0.0062), (0.030, 0.0052), (0.0, 0.0048)], 5)
    below = catmull([(0.028, 0.0), (0.034, 0.0025), (0.058, 0.0075), (0.070, 0.0128)], 5)
    plate = lathe(
        np.concatenate([[(0, 0.0), (0.0275, 0.0)], below, arc((0.0712, 0.0138), 0.0012, -60, 150, 4), top]), 52
    )
    radius = np.hypot(plate.points[..., 0], plate.points[..., 2])
    return Mesh(plate.points, np.stack([plate.uv[..., 0] * 3, 0.95 - radius * 5], -1))


def spoon() -> Mesh:
    """A tea spoon lying along x."""
    s = np.linspace(0, 1, 25)
    half = np.interp(
        s, [0, 0.06, 0.16, 0.28, 0.34, 0.7, 0.95, 1], [0.001, 0.010, 0.0135, 0.008, 0.0024, 0.0026, 0.005, 0.001]
    )
    dip = np.interp(s, [0, 0.1, 0.2, 0.3, 0.36, 0.7, 1], [0.004, 0.0015, 0.001, 0.003, 0.007, 0.0095, 0.0065])
    t = np.linspace(-1, 1, 11)
    cupped = np.interp(s, [0, 0.1, 0.2, 0.32, 1], [0.0, 0.004, 0.005, 0.0, 0.0])
    y = dip[:, None] + cupped[:, None] * t**2
    top = np.stack(np.broadcast_arrays(0.13 * s[:, None] - 0.06, y, half[:, None] * t), -1)
    below = top - (0, 0.0011, 0)
    uv = np.zeros((*top.shape[:2], 2))
    rim = [
        from_grid(np.stack([top[:, k], below[:, k]], 1)[:, ::o], np.zeros((len(s), 2, 2)))
        for k, o in ((0, 1), (-1, -1))
    ]
    return join(place(from_grid(top, uv), scale=(1, 1, -1)), from_grid(below, uv), *rim)


def vase() -> dict[str, Mesh]:
    """A blown-glass bottle vase with thick walls (one closed surface), water, and sprigs of eucalyptus."""
    outside = catmull(
        [
            (0.036, 0.0),
            (0.047, 0.004),
            (0.062, 0.040),
            (0.064, 0.078),
            (0.046, 0.125),
            (0.0245, 0.165),
            (0.021, 0.200),
            (0.027, 0.228),
        ],
        6,
    )
    lip = arc((0.0255, 0.2285), 0.0016, -10, 190, 5)
    inside = catmull(
        [
            (0.0238, 0.226),
            (0.0185, 0.200),
            (0.0215, 0.165),
            (0.0425, 0.124),
            (0.0600, 0.078),
            (0.0585, 0.042),
            (0.044, 0.0125),
            (0.0, 0.010),
        ],
        6,
    )
    glass = lathe(np.concatenate([[(0, 0.002), (0.03, 0.0005)], outside, lip, inside]), 48)
    stems, leaves = [], []
    rng = np.random.default_rng(77)
    for azimuth in (15, 95, 165, 250, 320):
        a = np.radians(azimuth)
        out = np.array((np.sin(a), 0, np.cos(a)))
        reach, high = rng.uniform(0.10, 0.19), rng.uniform(0.40, 0.52)
        line = catmull(
            [
                -0.022 * out + (0, 0.018, 0),
                0.008 * out + (0, 0.20, 0),
                0.35 * reach * out + (0, 0.62 * high, 0),
                0.8 * reach * out + (0, 0.9 * high, 0),
                reach * out * 1.12 + (0, high, 0),
            ],
            6,
        )
        taper = np.linspace(1.0, 0.35, len(line))
        stems.append(sweep(circle(0.0021, 6), line, scale=taper))
        for k in range(11, len(line) - 1):
            for side in (0, 180):
                size = 0.026 * (1 - 0.45 * (k - 11) / (len(line) - 11)) * rng.uniform(0.85, 1.15)
                leaf = grid(
                    lambda u, v, size=size: np.stack(
                        [
                            size * 2.0 * u,
                            size * (0.30 * np.sin(np.pi * u) * (2 * v - 1) ** 2 - 0.55 * u**2),
                            size * (2 * v - 1) * np.sin(np.pi * np.clip(u, 0, 1) ** 0.8) ** 0.7,
                        ],
                        -1,
                    ),
                    6,
                    4,
                )
                turn = rotation((0, 1, 0), side + 90 * (k % 2) + rng.uniform(-25, 25) + azimuth) @ rotation(
                    (0, 0, 1), rng.uniform(15, 50)
                )
                leaves.append(place(leaf, line[k], turn=turn))
    return {"vase": glass, "sprig_stems": join(*stems), "sprig_leaves": join(*leaves)}


def ball() -> Mesh:
    """A ball of radius 0.1 m about the origin; v runs from pole to pole."""
    t = np.linspace(-np.pi / 2, np.pi / 2, 41)
    line = 0.1 * np.stack([np.cos(t), np.sin(t)], -1)
    line[[0, -1], 0] = 0
    return lathe(line, 64)


def blocks() -> dict[str, Mesh]:
    """Wooden toy blocks: a cube, an arch, a cylinder, a cone."""
    cube = box_uv(rounded_box((0.07, 0.07, 0.07), 0.005), grain=1, scale=3)
    t = np.linspace(0, np.pi, 15)
    outline = np.concatenate(
        [
            [(-0.07, 0.0), (-0.07, 0.075), (0.07, 0.075), (0.07, 0.0), (0.036, 0.0)],
            0.036 * np.stack([np.cos(t), np.sin(t)], -1)[1:],
        ]
    )
    outline = outline[::-1]
    front = np.concatenate([outline, outline[:1]])
    ring = np.stack(
        [np.concatenate([front, np.full((len(front), 1), z)], -1) for z in (-0.034, -0.030, 0.030, 0.034)], 1
    )
    centre = np.array((0, 0.04, 0))
    ring[:, [0, 3], :2] += (centre[:2] - ring[:, [0, 3], :2]) * 0.04
    walls = from_grid(
        ring,
        np.stack(np.broadcast_arrays(np.arange(len(front))[:, None] * 0.05, np.array([0, 0.01, 0.2, 0.21])[None]), -1),
    )
    half = np.concatenate([0.036 * np.stack([np.cos(t), np.sin(t)], -1)])
    outer = np.stack(
        [np.interp(np.cos(t), [-0.6, 0.6], [-0.07, 0.07]), np.where(np.sin(t) > 0.62, 0.075, np.sin(t) / 0.62 * 0.075)],
        -1,
    )
    faces = []
    for z, flip in ((0.034, True), (-0.034, False)):
        strip = np.stack([half, outer], 1)
        strip = strip + (centre[:2] - strip) * 0.04
        strip = np.concatenate([strip, np.full((*strip.shape[:2], 1), z)], -1)
        strip = strip[::-1] if flip else strip
        faces.append(from_grid(strip, strip[..., :2] * 3))
    arch = join(walls, *faces)
    column = lathe(fillet([(0, 0), (0.030, 0), (0.030, 0.10), (0, 0.10)], 0.004), 36)
    column = Mesh(column.points, np.stack([column.uv[..., 0] * 0.3, column.points[..., 1] * 3], -1))
    cone = lathe(fillet([(0, 0), (0.040, 0), (0.003, 0.085), (0, 0.086)], 0.004), 36)
    return {"block_cube": cube, "block_arch": arch, "block_column": column, "block_cone": cone}


def snake_plant() -> dict[str, Mesh]:
    """Upright blades in a stoneware pot: the plant in the corner."""
    line = np.concatenate(
        [
            fillet([(0, 0), (0.115, 0), (0.120, 0.01)], 0.004),
            catmull([(0.122, 0.02), (0.148, 0.13), (0.160, 0.26), (0.163, 0.30)], 5),
            fillet([(0.163, 0.30), (0.163, 0.315), (0.150, 0.315), (0.148, 0.25)], 0.004),
        ]
    )
    pot = lathe(line, 48)
    soil = lathe(np.array([(0.151, 0.27), (0.08, 0.278), (0.0, 0.282)]), 24)
    rng = np.random.default_rng(61)
    blades = []
    for _ in range(17):
        a, r = rng.uniform(0, 2 * np.pi), 0.095 * np.sqrt(rng.uniform(0, 1))
        length, width = rng.uniform(0.45, 0.86), rng.uniform(0.026, 0.038)
        lean, twist, spin = rng.uniform(0.05, 0.2), rng.uniform(-70, 70), rng.uniform(0, 360)

        def blade(
            u: np.ndarray,
            v: np.ndarray,
            length: float = length,
            width: float = width,
            lean: float = lean,
            twist: float = twist,
        ) -> np.ndarray:
            half = width * (0.55 + 0.9 * u) * np.clip(1 - u**3, 0, 1) ** 0.6 * (1 + 0.05 * np.sin(9 * u))
            c = 2 * v - 1
            angle = np.radians(twist) * u
            sx, sz = half * c, 0.010 * c**2 * (1 - u)
            return np.stack(
                [
                    sx * np.cos(angle) - sz * np.sin(angle),
                    length * u,
                    sx * np.sin(angle) + sz * np.cos(angle) + lean * u**2 * length,
                ],
                -1,
            )

        leaf = grid(blade, 12, 4)
        blades.append(place(leaf, (r * np.sin(a), 0.27, r * np.cos(a)), turn=rotation((0, 1, 0), spin)))
    return {"plant_pot": pot, "plant_soil": soil, "plant_leaves": join(*blades)}


def rubber_plant() -> Mesh:
    """Broad arching leaves, for the bright room."""
    rng = np.random.default_rng(91)
    leaves = []
    for i in range(22):
        height, spin = 0.35 + 0.75 * i / 22, 137.5 * i
        length, width = rng.uniform(0.26, 0.36), rng.uniform(0.055, 0.08)
        rise, droop = rng.uniform(0.35, 0.8), rng.uniform(0.5, 1.1)

        def leaf(
            u: np.ndarray,
            v: np.ndarray,
            length: float = length,
            width: float = width,
            rise: float = rise,
            droop: float = droop,
        ) -> np.ndarray:
            c = 2 * v - 1
            half = width * np.sin(np.pi * np.clip((u - 0.12) / 0.88, 0, 1) ** 0.75)
            return np.stack([length * u, length * (rise * u - droop * u**2) + 0.25 * np.abs(c) * half, half * c], -1)

        leaves.append(place(grid(leaf, 9, 4), (0, height, 0), turn=rotation((0, 1, 0), spin)))
    trunk = sweep(circle(0.009, 8), catmull([(0, 0.0, 0), (0.01, 0.5, 0.01), (0, 1.12, 0)], 5))
    return join(trunk, *leaves)


def build() -> dict[str, tuple[Mesh, bool]]:
    """File name → (mesh, does it carry texture coordinates)."""
    textured = {
        "books_red",
        "books_blue",
        "teapot",
        "cup",
        "saucer",
        "ball",
        "block_cube",
        "block_arch",
        "block_column",
    }
    meshes = {
        "bowl": bowl(),
        "lemon": lemon(5),
        **books(),
        "teapot": teapot(),
        "cup": cup(),
        "tea": tea(),
        "saucer": saucer(),
        "spoon": spoon(),
        **vase(),
        "ball": ball(),
        **blocks(),
        **snake_plant(),
        "hall_plant": rubber_plant(),
    }
    return {name: (mesh, name in textured) for name, mesh in meshes.items()}
