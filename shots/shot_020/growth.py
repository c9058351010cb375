"""What grows in shot_020: fly agarics, small fungi, grass, moss, clover, daisies; and what is made of it.

Each stands on y = 0 about its own origin. Decimetres.
"""

from __future__ import annotations

import numpy as np
from craft.mesh import (
    Mesh,
    catmull,
    circle,
    grid,
    icosphere,
    join,
    lathe,
    place,
    rotation,
    sweep,
    warp,
)
from craft.pattern import fbm
from found import boat, fallen_leaf, snail, stone


def agaric(
    *, seed: int, radius: float, dome: float, stem: float, girth: float, lean: float, warts: int
) -> dict[str, Mesh]:
    """A fly agaric: cap (uv: around, from gills to crown), gills, warts, stem with its skirt and bulb."""
    r, h = radius, dome
    over = catmull(
        [
            (r, 0.0),
            (0.985 * r, 0.10 * h + 0.02),
            (0.86 * r, 0.45 * h),
            (0.60 * r, 0.78 * h),
            (0.30 * r, 0.95 * h),
            (0.0, h),
        ],
        4,
    )
    rim = catmull([(0.93 * r, -0.012), (0.985 * r, -0.018), (r, 0.0)], 3)[:-1]
    under = np.array([(0.07, 0.05 * h), (0.25 * r, 0.10 * h), (0.6 * r, 0.07 * h), (0.93 * r, -0.008)])

    def uneven(p: np.ndarray) -> np.ndarray:
        angle = np.arctan2(p[:, 0], p[:, 2])
        flat = np.stack([np.sin(angle), np.cos(angle)], -1)
        wave = 1 + 0.05 * fbm(flat * 1.3 + 8, seed, 3)
        lift = 0.05 * fbm(flat * 1.1 + 3, seed + 9, 2) * (np.hypot(p[:, 0], p[:, 2]) / r) ** 2
        return np.stack([p[:, 0] * wave, p[:, 1] + lift, p[:, 2] * wave], -1)

    tilt = rotation((0.6, 0, 1), -lean * 60)
    crown = np.array((lean * stem, stem, 0.25 * lean * stem))

    def on_top(mesh: Mesh) -> Mesh:
        return place(warp(mesh, uneven), crown, turn=tilt)

    cap = lathe(np.concatenate([rim, over]), 72)
    gill_count = 90

    def fold(p: np.ndarray) -> np.ndarray:
        angle = np.arctan2(p[:, 0], p[:, 2])
        share = np.clip(np.hypot(p[:, 0], p[:, 2]) / r, 0, 1)
        out = p.copy()
        out[:, 1] += (
            0.028
            * r
            / 0.5
            * np.where(np.round(angle / (2 * np.pi) * 2 * gill_count) % 2 == 0, 1, -1)
            * np.sin(np.pi * share) ** 0.5
        )
        return out

    gills = warp(lathe(under, 2 * gill_count), fold)
    rng = np.random.default_rng(seed)
    blobs = []
    line_r, line_y = over[::-1, 0], over[::-1, 1]
    for i in range(warts):
        share = np.sqrt((i + 0.6) / warts) * 0.97
        azimuth = 2.39996 * i + rng.uniform(-0.4, 0.4)
        rr = np.clip(share * r + rng.uniform(-0.02, 0.02), 0, r * 0.985)
        y = np.interp(rr, line_r, line_y)
        slope = (np.interp(rr + 0.01, line_r, line_y) - np.interp(rr - 0.01, line_r, line_y)) / 0.02
        size = rng.uniform(0.020, 0.048) * (1.15 - 0.55 * share) * (r / 0.5) ** 0.6
        blob = warp(icosphere(1), lambda p, k=i: p * (1 + 0.30 * fbm(p * 1.6 + k * 3.3, seed + 50, 2))[:, None])
        blob = place(blob, scale=(size, size * 0.55, size * rng.uniform(0.75, 1.2)))
        normal_tilt = (
            rotation((0, 1, 0), np.degrees(azimuth))
            @ rotation((1, 0, 0), np.degrees(np.arctan2(-slope, 1.0)))
            @ rotation((0, 1, 0), rng.uniform(0, 360))
        )
        blobs.append(place(blob, (rr * np.sin(azimuth), y + 0.1 * size, rr * np.cos(azimuth)), turn=normal_tilt))

    g = girth
    s = stem + 0.06 * h
    line = np.concatenate(
        [
            catmull(
                [
                    (0.0, -0.06),
                    (1.35 * g, -0.02),
                    (1.65 * g, 0.07),
                    (1.5 * g, 0.15),
                    (1.18 * g, 0.23),
                    (1.02 * g, 0.4 * s),
                    (0.92 * g, 0.7 * s),
                    (0.84 * g, s),
                ],
                5,
            ),
            [(0.0, s)],
        ]
    )
    column = lathe(line, 36)

    def scaly(p: np.ndarray) -> np.ndarray:
        angle = np.arctan2(p[:, 0], p[:, 2])
        out = p.copy()
        bulb = np.clip(1 - np.abs(p[:, 1] - 0.12) / 0.14, 0, 1)
        swell = 1 + 0.05 * fbm(np.stack([np.sin(angle) * 2, p[:, 1] * 5, np.cos(angle) * 2], -1) + 9, seed + 77, 3)
        swell += 0.09 * bulb * np.sin(p[:, 1] * 95 + 2 * np.sin(3 * angle))
        out[:, 0] *= swell
        out[:, 2] *= swell
        bend = (np.clip(p[:, 1], 0, None) / stem) ** 2
        return out + np.stack([lean * stem * bend, 0 * bend, 0.25 * lean * stem * bend], -1)

    def skirt(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        angle = u * 2 * np.pi
        flare = g * (0.98 + 1.15 * v**1.4) * (1 + 0.10 * v * np.sin(11 * angle) + 0.06 * v * np.sin(5 * angle + 1))
        y = 0.80 * s - 0.16 * v - 0.03 * v * np.sin(7 * angle + seed)
        return np.stack([flare * np.sin(angle), y, flare * np.cos(angle)], -1)

    veil = grid(skirt, 66, 5)
    veil = Mesh(veil.points[:, [0, 2, 1]], veil.uv[:, [0, 2, 1]])
    return {
        "cap": on_top(cap),
        "warts": on_top(join(*blobs)),
        "gills": on_top(gills),
        "stem": warp(column, scaly),
        "skirt": warp(veil, scaly),
    }


def honey_cluster() -> dict[str, Mesh]:
    """A tuft of small tawny fungi: caps and stems."""
    rng = np.random.default_rng(17)
    caps, stems = [], []
    for i in range(11):
        a, reach = 2.4 * i + rng.uniform(-0.4, 0.4), 0.05 + 0.055 * np.sqrt(i) * 1.3
        tall, r = rng.uniform(0.25, 0.55) * (1.15 - 0.05 * i), rng.uniform(0.075, 0.13)
        foot = np.array((0.35 * reach * np.sin(a), -0.03, 0.35 * reach * np.cos(a)))
        head = np.array((1.5 * reach * np.sin(a), tall, 1.5 * reach * np.cos(a)))
        path = catmull([foot, (foot + head) / 2 * (0.85, 1.05, 0.85), head], 5)
        stems.append(sweep(circle(0.017, 9), path, scale=np.linspace(1.25, 0.85, len(path))))
        cap = lathe(
            np.concatenate(
                [
                    catmull(
                        [
                            (0.01, 0.01),
                            (0.6 * r, 0.012),
                            (0.95 * r, -0.014),
                            (r, 0.0),
                            (0.86 * r, 0.34 * r),
                            (0.5 * r, 0.58 * r),
                            (0.18 * r, 0.70 * r),
                            (0.0, 0.74 * r),
                        ],
                        2,
                    )
                ]
            ),
            22,
        )
        caps.append(place(cap, head - (0, 0.01, 0), turn=rotation((np.cos(a), 0, -np.sin(a)), rng.uniform(8, 26))))
    return {"honey_caps": join(*caps), "honey_stems": join(*stems)}


def _blade(length: float, width: float, droop: float, twist: float, *, rows: int, columns: int = 1) -> Mesh:
    def surface(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        half = width * (1 - u**2.2) * (0.65 + 0.7 * u * (1 - u)) + 0.0006
        c = 2 * v - 1
        turn = np.radians(twist) * u
        x, z = half * c * np.cos(turn), half * c * np.sin(turn)
        return np.stack(
            [x, length * (u - 0.35 * droop * u**2.5), z + length * droop * u**2 - 0.35 * half * (1 - c**2)], -1
        )

    return grid(surface, rows, columns)


def grass(seed: int, blades: int, tall: float, spread: float, *, rows: int = 5) -> Mesh:
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(blades):
        length = tall * rng.uniform(0.5, 1.1)
        blade = _blade(
            length, rng.uniform(0.016, 0.030) * tall**0.5, rng.uniform(0.12, 0.75), rng.uniform(-60, 60), rows=rows
        )
        a, reach = rng.uniform(0, 2 * np.pi), spread * np.sqrt(rng.uniform(0, 1))
        turn = rotation((0, 1, 0), rng.uniform(0, 360)) @ rotation((1, 0, 0), rng.uniform(-6, 14))
        out.append(place(blade, (reach * np.sin(a), -0.03, reach * np.cos(a)), turn=turn))
    return join(*out)


def moss(seed: int) -> Mesh:
    """A cushion: many tiny stems with pointed leaves."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(30):
        a, reach = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform(0, 1))
        length = (0.12 - 0.05 * reach**2) * rng.uniform(0.7, 1.25)
        blade = _blade(length, 0.013, rng.uniform(0.0, 0.35), rng.uniform(-80, 80), rows=2)
        turn = rotation((0, 1, 0), rng.uniform(0, 360)) @ rotation((1, 0, 0), rng.uniform(0, 30))
        out.append(place(blade, (0.15 * reach * np.sin(a), -0.02, 0.15 * reach * np.cos(a)), turn=turn))
    return join(*out)


def clover(seed: int) -> Mesh:
    """Some trefoils on thin stalks."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(5):
        tall, size = rng.uniform(0.14, 0.34), rng.uniform(0.055, 0.085)
        a, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.0, 0.22)
        foot = np.array((reach * np.sin(a), -0.02, reach * np.cos(a)))
        head = foot + np.array((rng.uniform(-0.05, 0.05), tall, rng.uniform(-0.05, 0.05)))
        path = catmull([foot, (foot + head) / 2 + (0.01, 0, 0.01), head], 2)
        out.append(sweep(circle(0.0045, 3), path, caps=False))
        spin = rng.uniform(0, 120)
        for k in range(3):

            def leaflet(u: np.ndarray, v: np.ndarray, size: float = size) -> np.ndarray:
                c = 2 * v - 1
                half = 0.62 * size * np.sin(np.pi * u**0.72 * 0.93) ** 0.8
                notch = 0.10 * size * np.abs(c) * u**3
                return np.stack([half * c, 0.10 * size * np.abs(c) - 0.12 * size * u**2, size * u + notch], -1)

            out.append(
                place(
                    grid(leaflet, 4, 2),
                    head,
                    turn=rotation((0, 1, 0), spin + 120 * k) @ rotation((1, 0, 0), -rng.uniform(5, 22)),
                )
            )
    return join(*out)


def daisy() -> dict[str, Mesh]:
    """A daisy: petals, the yellow eye, the stalk."""
    petals = []
    rng = np.random.default_rng(23)
    head = np.array((0.03, 0.62, 0.0))
    tilt = rotation((1, 0, 0.3), 24)
    for k in range(19):

        def petal(u: np.ndarray, v: np.ndarray) -> np.ndarray:
            c = 2 * v - 1
            half = 0.017 * np.sin(np.pi * np.clip(0.08 + 0.86 * u, 0, 1)) ** 0.6
            return np.stack([half * c, 0.018 * np.sin(np.pi * u) - 0.03 * u**2 + 0.004 * c**2, 0.030 + 0.115 * u], -1)

        turn = tilt @ rotation((0, 1, 0), 360 * k / 19 + rng.uniform(-5, 5)) @ rotation((1, 0, 0), rng.uniform(-12, 8))
        petals.append(place(grid(petal, 3, 2), head, turn=turn))
    eye = lathe(catmull([(0.0, -0.01), (0.036, -0.004), (0.037, 0.012), (0.024, 0.025), (0.0, 0.030)], 2), 10)
    stalk = sweep(circle(0.007, 4), catmull([(0, -0.02, 0), (-0.02, 0.3, 0.01), head - (0, 0.006, 0)], 2), caps=False)
    return {"daisy_petals": join(*petals), "daisy_eye": place(eye, head, turn=tilt), "daisy_stalk": stalk}


def build() -> dict[str, tuple[Mesh, bool]]:
    """File name → (mesh, does it carry texture coordinates): what the scene places by itself or as instances."""
    agarics = {
        "old": agaric(seed=41, radius=0.66, dome=0.30, stem=1.12, girth=0.105, lean=0.10, warts=52),
        "prime": agaric(seed=43, radius=0.46, dome=0.36, stem=0.80, girth=0.092, lean=-0.14, warts=46),
        "young": agaric(seed=47, radius=0.25, dome=0.29, stem=0.36, girth=0.085, lean=0.08, warts=34),
    }
    parts = {
        f"agaric_{age}_{part}": (mesh, part == "cap")
        for age, pieces in agarics.items()
        for part, mesh in pieces.items()
    }
    parts.update({name: (mesh, False) for name, mesh in {**honey_cluster(), "boat": boat()}.items()})
    textured = {
        "leaf_a": fallen_leaf(8),
        "leaf_b": fallen_leaf(9),
        "stone": stone(12, 3, 0.05, (1.0, 0.55, 0.85)),
        "rock": stone(14, 4, 0.10, (1.0, 0.72, 0.85)),
    }
    parts.update({name: (mesh, True) for name, mesh in textured.items()})
    for name, mesh in snail().items():
        parts[name] = (mesh, name == "snail_shell")
    return parts


def seeds() -> dict[str, list[dict[str, Mesh]]]:
    """Group → variants, each layer → mesh: what is strewn by the hundred, and joined into one mesh per layer.

    Mitsuba compiles code for every instance, so that hundreds of them cost more than their triangles.
    """
    return {
        "pebbles_grey": [
            {"pebbles_grey": stone(11, 2, 0.03, (1.0, 0.62, 0.8))},
            {"pebbles_grey": stone(13, 1, 0.04, (0.8, 0.7, 0.9))},
            {"pebbles_grey": stone(15, 1, 0.05, (1, 0.6, 0.7))},
        ],
        "pebbles_ochre": [
            {"pebbles_ochre": stone(12, 2, 0.05, (1.0, 0.5, 1.0))},
            {"pebbles_ochre": stone(16, 1, 0.04, (0.9, 0.6, 0.8))},
        ],
        "moss": [{"moss": moss(4)}, {"moss": moss(5)}],
        "grass_near": [{"grass_near": grass(3, 20, 0.55, 0.20)}, {"grass_near": grass(1, 17, 0.85, 0.20, rows=6)}],
        "grass_far": [{"grass_far": grass(2, 15, 1.35, 0.24, rows=4)}, {"grass_far": grass(10, 15, 1.1, 0.28, rows=4)}],
        "clover": [{"clover": clover(6)}, {"clover": clover(7)}],
        "daisy": [daisy()],
    }
