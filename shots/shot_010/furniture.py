"""The furniture of shot_010.

Each piece stands on y = 0 about its own origin, or hangs against z = 0; the scene places it.
"""

from __future__ import annotations

import numpy as np
from craft.mesh import (
    Mesh,
    box_uv,
    catmull,
    circle,
    fillet,
    from_grid,
    join,
    lathe,
    mitre,
    place,
    quad,
    rotation,
    rounded_box,
    sweep,
    warp,
)
from craft.pattern import fbm


def sideboard() -> dict[str, Mesh]:
    """Walnut carcase with three drawers over sliding doors, on turned legs; 1.5 m wide, 0.8 m high."""
    w, d = 1.5, 0.42
    top, bottom, leg = 0.80, 0.24, 0.24
    carcase: list[Mesh] = []

    def board(
        size: tuple[float, float, float], at: tuple[float, float, float], grain: int, seed: int, bevel: float = 0.004
    ) -> None:
        shift = np.random.default_rng(seed).uniform(0, 1, 2)
        piece = box_uv(rounded_box(size, bevel), grain=grain, scale=1.6, offset=tuple(shift))
        carcase.append(place(piece, at))

    board((w + 0.03, 0.028, d + 0.02), (0, top - 0.014, 0), 0, 1, 0.007)
    board((w, 0.024, d), (0, bottom + 0.012, 0), 0, 2)
    for i, x in enumerate((-w / 2 + 0.012, w / 2 - 0.012)):
        board((0.024, top - bottom - 0.03, d), (x, (top + bottom) / 2 - 0.01, 0), 1, 3 + i)
    board((w - 0.05, top - bottom - 0.05, 0.012), (0, (top + bottom) / 2, -d / 2 + 0.02), 0, 9)
    third = (w - 0.048) / 3
    for i in range(3):
        x = -w / 2 + 0.024 + third * (i + 0.5)
        board((third - 0.008, 0.148, 0.020), (x, top - 0.028 - 0.080, d / 2 - 0.014), 0, 11 + i, 0.003)
        board((third - 0.008, 0.334, 0.020), (x, bottom + 0.030 + 0.168, d / 2 - 0.014), 1, 21 + i, 0.003)
    turned = lathe(fillet([(0, 0), (0.011, 0), (0.0125, 0.012), (0.021, 0.19), (0.024, leg + 0.004)], 0.003), 20)
    for x in (-0.62, 0.62):
        for z in (-0.14, 0.14):
            lean = rotation((0, 0, 1), 7 * np.sign(x)) @ rotation((1, 0, 0), -6 * np.sign(z))
            foot = warp(place(turned, (0, -leg, 0)), lambda p, lean=lean: p @ lean.T)
            carcase.append(place(Mesh(foot.points, foot.uv * (0.15, 0.4)), (x, leg + 0.004, z)))
    knob = lathe(
        fillet([(0.005, 0), (0.005, 0.010), (0.013, 0.016), (0.0145, 0.022), (0.010, 0.027), (0, 0.0275)], 0.003), 24
    )
    knob = place(knob, turn=rotation((1, 0, 0), 90))
    knobs = []
    for i in range(3):
        x = -w / 2 + 0.024 + third * (i + 0.5)
        knobs.append(place(knob, (x, top - 0.108, d / 2 - 0.004)))
        knobs.append(place(knob, (x + (0.19 if i == 0 else -0.19), bottom + 0.30, d / 2 - 0.004)))
    return {"sideboard": join(*carcase), "sideboard_knobs": join(*knobs)}


def lamp() -> dict[str, Mesh]:
    """A table lamp: brass foot and stem, a ceramic gourd, a glowing shade with a dark rim, the bulb."""
    foot = fillet([(0, 0), (0.085, 0), (0.088, 0.006), (0.084, 0.016), (0.05, 0.022), (0.045, 0.028)], 0.004)
    brass = lathe(foot, 48)
    gourd_line = np.concatenate(
        [
            catmull(
                [
                    (0.044, 0.026),
                    (0.075, 0.055),
                    (0.102, 0.11),
                    (0.098, 0.16),
                    (0.066, 0.205),
                    (0.036, 0.235),
                    (0.030, 0.26),
                    (0.034, 0.285),
                ],
                5,
            ),
            [(0.022, 0.291)],
        ]
    )
    gourd = lathe(gourd_line, 48)
    ribs = 14

    def rib(p: np.ndarray) -> np.ndarray:
        radius = np.hypot(p[:, 0], p[:, 2])
        swell = 1 + 0.035 * np.cos(ribs * np.arctan2(p[:, 0], p[:, 2])) * np.clip((radius - 0.03) / 0.05, 0, 1)
        return p * np.stack([swell, np.ones_like(swell), swell], -1)

    gourd = warp(lathe(gourd_line, 84), rib)
    collar = lathe(
        fillet(
            [
                (0.024, 0.288),
                (0.026, 0.296),
                (0.012, 0.302),
                (0.009, 0.31),
                (0.009, 0.36),
                (0.017, 0.365),
                (0.017, 0.40),
                (0.012, 0.405),
                (0, 0.405),
            ],
            0.002,
        ),
        24,
    )
    finial = lathe(fillet([(0.002, 0.60), (0.002, 0.62), (0.008, 0.626), (0.009, 0.634), (0, 0.643)], 0.002), 16)
    spokes = [
        sweep(
            circle(0.0016, 6),
            np.array(
                [
                    (0, 0.60, 0),
                    (0.06 * np.sin(a), 0.60, 0.06 * np.cos(a)),
                    (0.118 * np.sin(a), 0.592, 0.118 * np.cos(a)),
                ]
            ),
        )
        for a in np.radians((30, 150, 270))
    ]
    rod = lathe(np.array([(0.0022, 0.40), (0.0022, 0.61)]), 8)
    low, high = (0.185, 0.375), (0.120, 0.60)
    line = np.linspace(low, high, 7) + np.stack([-0.006 * np.sin(np.linspace(0, np.pi, 7)), np.zeros(7)], -1)
    outer = lathe(line, 64)
    inner = lathe((line - (0.0025, 0))[::-1], 48)
    tape = [
        lathe(
            fillet(
                [
                    (r - 0.0035, y - 0.004),
                    (r + 0.0015, y - 0.004),
                    (r + 0.0015 - s * 0.002, y + 0.004),
                    (r - 0.0035, y + 0.004),
                ],
                0.001,
                2,
            ),
            64,
        )
        for (r, y), s in ((low, 1), (high, 1))
    ]
    bulb = lathe(
        catmull([(0.0, 0.515), (0.022, 0.508), (0.032, 0.485), (0.030, 0.46), (0.016, 0.43), (0.012, 0.405)], 4)[::-1],
        24,
    )
    return {
        "lamp_brass": join(brass, collar, finial, rod, *spokes),
        "lamp_body": gourd,
        "lamp_shade": outer,
        "lamp_lining": join(inner, *tape),
        "lamp_bulb": bulb,
    }


def mirror() -> dict[str, Mesh]:
    """A round wall mirror, 0.62 m, hung against z = 0, with a slim rounded rim."""
    glass = lathe(np.array([(0.302, 0.0), (0.2, 0.0), (0.1, 0.0), (0.0, 0.0)]), 72)
    rim = lathe(fillet([(0.314, -0.018), (0.318, 0.004), (0.312, 0.012), (0.302, 0.010), (0.300, -0.004)], 0.004), 72)
    upright = rotation((1, 0, 0), 90)
    return {
        "mirror_glass": place(glass, (0, 0, 0.016), turn=upright),
        "mirror_rim": place(rim, (0, 0, 0.018), turn=upright),
    }


def table() -> dict[str, Mesh]:
    """A pedestal table: marble top, turned column, three swept feet; 0.86 m across, 0.62 m high."""
    edge = fillet(
        [
            (0.0, 0.590),
            (0.36, 0.590),
            (0.400, 0.596),
            (0.416, 0.604),
            (0.430, 0.604),
            (0.432, 0.614),
            (0.426, 0.620),
            (0.40, 0.620),
        ],
        0.004,
        2,
    )
    rim = lathe(edge, 80)
    top = lathe(np.array([(0.401, 0.620), (0.0, 0.620)]), 80)
    joined = join(rim, top)
    slab = Mesh(joined.points, joined.points[..., [0, 2]] / 0.92 + 0.5)
    column = lathe(
        fillet(
            [
                (0.0, 0.10),
                (0.050, 0.10),
                (0.055, 0.13),
                (0.040, 0.16),
                (0.030, 0.19),
                (0.052, 0.235),
                (0.058, 0.28),
                (0.040, 0.34),
                (0.026, 0.40),
                (0.024, 0.47),
                (0.034, 0.50),
                (0.034, 0.515),
                (0.026, 0.53),
                (0.05, 0.57),
                (0.11, 0.588),
                (0.11, 0.592),
            ],
            0.02,
            3,
        ),
        32,
    )
    column = Mesh(column.points, np.stack([column.uv[..., 0] * 0.3, column.points[..., 1] * 1.6], -1))
    path = catmull(
        [(0, 0.19, 0.03), (0, 0.20, 0.09), (0, 0.165, 0.18), (0, 0.075, 0.27), (0, 0.022, 0.345), (0, 0.026, 0.385)], 6
    )
    swell = np.interp(np.linspace(0, 1, len(path)), [0, 0.3, 0.8, 0.95, 1], [1.1, 1.0, 0.72, 0.9, 0.6])
    foot = sweep(
        fillet([(-0.019, 0), (-0.019, 0.025), (0.019, 0.025), (0.019, -0.025), (-0.019, -0.025), (-0.019, 0)], 0.009)[
            ::-1
        ][:-1],
        path,
        scale=swell,
    )
    feet = [place(Mesh(foot.points, foot.uv[..., ::-1] * 1.6), turn=rotation((0, 1, 0), a)) for a in (20, 140, 260)]
    return {"table_top": slab, "table_foot": join(column, *feet)}


def rug() -> dict[str, Mesh]:
    """1.5 × 2.25 m, gently uneven, with tassels at both ends (±z)."""
    w, d, t = 1.5, 2.25, 0.012
    nx, nz = 36, 54
    u, v = np.meshgrid(np.linspace(0, 1, nx + 1), np.linspace(0, 1, nz + 1), indexing="ij")
    x, z = (u - 0.5) * w, (v - 0.5) * d
    uneven = 0.0022 * fbm(np.stack([u * 3, v * 5], -1), 31, 3)
    rim = np.minimum(np.minimum(u, 1 - u) * nx, np.minimum(v, 1 - v) * nz)
    y = np.where(rim < 0.5, 0.001, t + uneven)
    inset = np.where(rim < 0.5, 1.0, 1.0)
    pile = place(from_grid(np.stack([x * inset, y, z], -1), np.stack([u, v], -1)), scale=(1, 1, 1))
    pile = Mesh(pile.points[:, [0, 2, 1]], pile.uv[:, [0, 2, 1]])
    rng = np.random.default_rng(41)
    strands = []
    for end in (-1, 1):
        for x0 in np.linspace(-w / 2 + 0.006, w / 2 - 0.006, 92):
            length, lean = rng.uniform(0.05, 0.07), rng.normal(0, 0.012)
            s = np.linspace(0, 1, 5)
            line = np.stack([x0 + lean * s**1.5, 0.007 - 0.004 * s, end * (d / 2 - 0.01 + length * s)], -1)
            strands.append(sweep(circle(0.0038, 4), line, scale=np.array([0.7, 1.0, 0.8, 1.1, 1.0]), caps=False))
    return {"rug": pile, "rug_fringe": join(*strands)}


def picture() -> dict[str, Mesh]:
    """A framed painting, 0.76 × 0.62 m, hung against z = 0: moulded gilt frame, mount, canvas."""
    w, h = 0.64, 0.50
    section = fillet(
        [
            (-0.012, 0.006),
            (-0.008, 0.014),
            (0.004, 0.016),
            (0.014, 0.010),
            (0.030, 0.016),
            (0.044, 0.034),
            (0.056, 0.034),
            (0.060, 0.024),
            (0.060, 0.0),
        ],
        0.005,
    )
    rim = np.array([(-w / 2, -h / 2, 0), (w / 2, -h / 2, 0), (w / 2, h / 2, 0), (-w / 2, h / 2, 0)])
    canvas = quad((-w / 2, -h / 2, 0.009), (w, 0, 0), (0, h, 0), metres=False)
    canvas = Mesh(canvas.points, np.stack([canvas.uv[..., 0], 1 - canvas.uv[..., 1]], -1))
    return {"picture_frame": mitre(section, rim, (0, 0, 1)), "picture": canvas}


def build() -> dict[str, tuple[Mesh, bool]]:
    """File name → (mesh, does it carry texture coordinates)."""
    textured = {"sideboard", "lamp_shade", "table_top", "table_foot", "rug", "picture"}
    meshes = {**sideboard(), **lamp(), **mirror(), **table(), **rug(), **picture()}
    return {name: (mesh, name in textured) for name, mesh in meshes.items()}
