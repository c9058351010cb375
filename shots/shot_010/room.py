"""The architecture of shot_010: two rooms, the wall between them, the door, mouldings, the window of the far room.

World units are metres; the wall with the door stands at z = −2.2 … −2.36, the bright room lies behind it.
"""

from __future__ import annotations

import numpy as np
from craft.mesh import (
    Mesh,
    arc,
    catmull,
    fillet,
    from_grid,
    join,
    lathe,
    mitre,
    panel,
    place,
    quad,
    rotation,
    rounded_box,
    sweep,
)

HEIGHT = 2.7
LEFT, RIGHT, REAR = -2.7, 2.4, 3.9
FRONT_FACE, BACK_FACE = -2.2, -2.36
DOOR_LEFT, DOOR_RIGHT, DOOR_TOP = -0.05, 0.85, 2.06
HALL_LEFT, HALL_RIGHT, HALL_FAR = -1.7, 3.0, -5.9
WINDOW = (-1.00, -0.10, 0.75, 2.25)
"""Left, right, sill, head of the far room's window, in its far wall."""
DUSK = (-2.5, 0.5, 0.85, 2.4)
"""The same of the front room's, in the wall behind the camera."""


def floors() -> dict[str, Mesh]:
    # the parquet's tile is 0.72 m wide, and runs on under the door
    def plank_uv(mesh: Mesh) -> Mesh:
        return Mesh(mesh.points, mesh.points[..., [0, 2]] / 0.72)

    front = quad((LEFT, 0, REAR), (RIGHT - LEFT, 0, 0), (0, 0, BACK_FACE - REAR))
    hall = quad((HALL_LEFT, 0, BACK_FACE), (HALL_RIGHT - HALL_LEFT, 0, 0), (0, 0, HALL_FAR - BACK_FACE))
    return {"floor": plank_uv(front), "hall_floor": plank_uv(hall)}


def walls() -> dict[str, Mesh]:
    h, depth = HEIGHT, REAR - FRONT_FACE
    z = FRONT_FACE
    back = join(
        quad((LEFT, 0, z), (DOOR_LEFT - LEFT, 0, 0), (0, h, 0)),
        quad((DOOR_RIGHT, 0, z), (RIGHT - DOOR_RIGHT, 0, 0), (0, h, 0)),
        quad((DOOR_LEFT, DOOR_TOP, z), (DOOR_RIGHT - DOOR_LEFT, 0, 0), (0, h - DOOR_TOP, 0)),
    )
    back = Mesh(back.points, (back.points[..., :2] + 3) / 1.6)
    sides = join(
        quad((LEFT, 0, REAR), (0, 0, -depth), (0, h, 0)),
        quad((RIGHT, 0, z), (0, 0, depth), (0, h, 0)),
        quad((RIGHT, 0, REAR), (DUSK[1] - RIGHT, 0, 0), (0, h, 0)),
        quad((DUSK[0], 0, REAR), (LEFT - DUSK[0], 0, 0), (0, h, 0)),
        quad((DUSK[1], 0, REAR), (DUSK[0] - DUSK[1], 0, 0), (0, DUSK[2], 0)),
        quad((DUSK[1], DUSK[3], REAR), (DUSK[0] - DUSK[1], 0, 0), (0, h - DUSK[3], 0)),
    )
    sides = Mesh(sides.points, sides.uv / 1.6)
    ceiling = quad((LEFT, h, z), (RIGHT - LEFT, 0, 0), (0, 0, depth))

    b, far = BACK_FACE, HALL_FAR
    left, right, sill, head = WINDOW
    hall = join(
        quad((DOOR_LEFT, 0, b), (HALL_LEFT - DOOR_LEFT, 0, 0), (0, h, 0)),
        quad((HALL_RIGHT, 0, b), (DOOR_RIGHT - HALL_RIGHT, 0, 0), (0, h, 0)),
        quad((DOOR_RIGHT, DOOR_TOP, b), (DOOR_LEFT - DOOR_RIGHT, 0, 0), (0, h - DOOR_TOP, 0)),
        quad((HALL_LEFT, 0, b), (0, 0, far - b), (0, h, 0)),
        quad((HALL_RIGHT, 0, far), (0, 0, b - far), (0, h, 0)),
        quad((HALL_LEFT, 0, far), (left - HALL_LEFT, 0, 0), (0, h, 0)),
        quad((right, 0, far), (HALL_RIGHT - right, 0, 0), (0, h, 0)),
        quad((left, 0, far), (right - left, 0, 0), (0, sill, 0)),
        quad((left, head, far), (right - left, 0, 0), (0, h - head, 0)),
    )
    hall_ceiling = quad((HALL_LEFT, h, far), (HALL_RIGHT - HALL_LEFT, 0, 0), (0, 0, b - far))
    return {"walls": join(back, sides), "ceiling": ceiling, "hall_walls": hall, "hall_ceiling": hall_ceiling}


def mouldings() -> dict[str, Mesh]:
    """Skirting boards of both rooms, the hall's dado rail, casing and lining of the door."""
    board = np.concatenate(
        [
            [(0.0, 0.0), (0.018, 0.0)],
            fillet([(0.018, 0.085), (0.018, 0.105), (0.009, 0.12), (0.006, 0.14), (0, 0.14)], 0.006),
        ]
    )
    up = (0, 1, 0)

    def skirting(points: list[tuple[float, float]]) -> Mesh:
        path = np.array([(x, 0.0, z) for x, z in points])
        return mitre(board, path, up, closed=False)

    z, b = FRONT_FACE, BACK_FACE
    casing_out, casing_in = 0.105, 0.0
    front = join(
        skirting([(LEFT, REAR), (LEFT, z), (DOOR_LEFT - casing_out, z)]),
        skirting([(DOOR_RIGHT + casing_out, z), (RIGHT, z), (RIGHT, REAR)]),
    )
    hall = skirting(
        [
            (DOOR_LEFT - casing_out, b),
            (HALL_LEFT, b),
            (HALL_LEFT, HALL_FAR),
            (HALL_RIGHT, HALL_FAR),
            (HALL_RIGHT, b),
            (DOOR_RIGHT + casing_out, b),
        ]
    )
    rail = fillet([(0, 0), (0.012, 0.006), (0.026, 0.02), (0.026, 0.04), (0.012, 0.05), (0, 0.056)], 0.008)
    dado = mitre(
        rail,
        np.array([(WINDOW[1] + 0.1, 0.9, HALL_FAR), (HALL_RIGHT, 0.9, HALL_FAR), (HALL_RIGHT, 0.9, b)]),
        up,
        closed=False,
    )

    profile = fillet(
        [
            (casing_in, -0.002),
            (casing_in, 0.016),
            (0.035, 0.02),
            (0.045, 0.014),
            (0.075, 0.018),
            (0.085, 0.03),
            (0.1, 0.03),
            (0.1, -0.002),
        ],
        0.006,
    )
    opening = [(DOOR_LEFT, 0.0), (DOOR_LEFT, DOOR_TOP), (DOOR_RIGHT, DOOR_TOP), (DOOR_RIGHT, 0.0)]
    # outwards is tangent × normal: seen from the room, the path must run against the clock, from right to left
    room_side = mitre(profile, np.array([(x, y, z) for x, y in reversed(opening)]), (0, 0, 1), closed=False)
    hall_side = mitre(profile, np.array([(x, y, b) for x, y in opening]), (0, 0, -1), closed=False)
    lining_width = z - b
    lining = join(
        quad((DOOR_LEFT, 0, z), (0, 0, -lining_width), (0, DOOR_TOP, 0)),
        quad((DOOR_RIGHT, 0, b), (0, 0, lining_width), (0, DOOR_TOP, 0)),
        quad((DOOR_LEFT, DOOR_TOP, b), (DOOR_RIGHT - DOOR_LEFT, 0, 0), (0, 0, lining_width)),
    )
    stop = rounded_box((0.014, DOOR_TOP, 0.03), 0.004)
    stops = join(
        place(stop, (DOOR_LEFT + 0.006, DOOR_TOP / 2, -2.29)),
        place(stop, (DOOR_RIGHT - 0.006, DOOR_TOP / 2, -2.29)),
    )
    return {"skirting": front, "hall_trim": join(hall, dado), "door_frame": join(room_side, hall_side, lining, stops)}


def door_leaf() -> Mesh:
    """Four raised panels in a frame, on both sides; hinge edge at x = 0, leaf towards −x, z = 0 in its middle.

    uv in half metres, grain along stiles and rails.
    """
    width, height, thick = 0.885, 2.045, 0.042
    stile, top, lock, bottom = 0.115, 0.125, 0.16, 0.21
    middle = 0.10
    xs = [0, stile, (width - middle) / 2, (width + middle) / 2, width - stile, width]
    ys = [0, bottom, 0.86, 0.86 + lock, height - top, height]
    inner = fillet(
        [(0, 0), (0.004, 0.0), (0.010, -0.011), (0.022, -0.012), (0.030, -0.012), (0.062, -0.002), (0.068, -0.002)],
        0.004,
    )
    side: list[Mesh] = []
    for i in range(5):
        for j in range(5):
            w, h = xs[i + 1] - xs[i], ys[j + 1] - ys[j]
            origin = (xs[i], ys[j], thick / 2)
            if i in (1, 3) and j in (1, 3):
                side.append(panel(origin, (w, 0, 0), (0, h, 0), inner))
                continue
            piece = quad(origin, (w, 0, 0), (0, h, 0))
            across = i in (1, 2, 3) and j in (0, 2, 4)  # rails lie: their grain runs along x
            uv = piece.points[..., [1, 0]] if across else piece.points[..., [0, 1]]
            side.append(Mesh(piece.points, uv + np.array((0.31 * i, 0.17 * j))))
    front = join(*side)
    back = place(front, (width, 0, 0), turn=rotation((0, 1, 0), 180))
    rim = rounded_box((width + 0.004, height + 0.004, thick - 0.001), 0.004)
    edge = place(rim, (width / 2, height / 2, 0))
    keep = np.abs(np.cross(edge.points[:, 1] - edge.points[:, 0], edge.points[:, 2] - edge.points[:, 0])[:, 2]) < 1e-7
    edge = Mesh(edge.points[keep], edge.points[keep][..., [2, 1]])
    leaf = join(front, back, edge)
    return Mesh(leaf.points - (width, 0, 0), leaf.uv * 2)


def door_brass() -> Mesh:
    """Lever handles, rosettes and key plates on both sides of the leaf, and the knuckles of its hinges."""
    at = np.array((-0.885 + 0.06, 1.0, 0.0))
    rosette = lathe(
        fillet([(0.027, 0), (0.027, 0.006), (0.022, 0.009), (0.013, 0.010), (0.010, 0.02), (0.010, 0.045)], 0.002, 2),
        28,
    )
    rosette = place(rosette, turn=rotation((1, 0, 0), 90))
    path = catmull(
        [
            (0, 0, 0.036),
            (0, 0, 0.052),
            (0.012, 0, 0.061),
            (0.045, 0.003, 0.062),
            (0.085, 0.002, 0.060),
            (0.118, -0.006, 0.056),
            (0.126, -0.012, 0.052),
        ],
        5,
    )
    swell = np.interp(np.linspace(0, 1, len(path)), [0, 0.2, 0.5, 0.85, 1], [1.0, 1.0, 0.8, 1.0, 0.25])
    lever = sweep(arc((0, 0), 0.0095, 0, 360, 12)[:-1], path, scale=swell)
    plate = place(rosette, (0, -0.075, 0), scale=(0.8, 0.8, 0.35))
    one = join(rosette, lever, plate)
    other = place(one, scale=(1, 1, -1))
    handles = place(join(place(one, (0, 0, 0.021)), place(other, (0, 0, -0.021))), at)
    pin = lathe(fillet([(0, -0.045), (0.007, -0.045), (0.007, 0.045), (0.004, 0.052), (0, 0.054)], 0.002), 16)
    hinges = join(*(place(pin, (0.004, y, -0.024)) for y in (0.25, 1.05, 1.8)))
    return join(handles, hinges)


def _casement(width: float, height: float) -> tuple[Mesh, Mesh]:
    """(pane, woodwork) of a window that looks along +z; the opening starts at the origin, in the wall's face z = 0."""
    pane = quad((0, 0, -0.1), (width, 0, 0), (0, height, 0), metres=False)
    reveal = join(
        quad((0, 0, 0), (0, 0, -0.1), (0, height, 0)),
        quad((width, 0, -0.1), (0, 0, 0.1), (0, height, 0)),
        quad((0, height, -0.1), (width, 0, 0), (0, 0, 0.1)),
        quad((0, 0, 0), (width, 0, 0), (0, 0, -0.1)),
    )
    lights = round(width / 0.75)
    bars = join(
        *(
            place(rounded_box((0.045, height, 0.04), 0.008), (width * i / lights, height / 2, -0.07))
            for i in range(1, lights)
        ),
        place(rounded_box((width, 0.035, 0.03), 0.008), (width / 2, 0.64 * height, -0.07)),
        place(rounded_box((width + 0.16, 0.035, 0.2), 0.012), (width / 2, -0.015, 0.05)),
    )
    section = fillet([(-0.03, -0.1), (-0.03, -0.05), (0.0, -0.03), (0.0, 0.012), (0.07, 0.02), (0.07, 0)], 0.008)
    rim = np.array([(0, 0, 0), (width, 0, 0), (width, height, 0), (0, height, 0)], float)
    return pane, join(reveal, bars, mitre(section, rim, (0, 0, 1)))


def windows() -> dict[str, Mesh]:
    """The bright window of the far room, and the one behind the camera where it is dusk: the mirror shows it."""
    left, right, sill, head = WINDOW
    day = [place(part, (left, sill, HALL_FAR)) for part in _casement(right - left, head - sill)]
    left, right, sill, head = DUSK
    dusk = [
        place(part, (right, sill, REAR), turn=rotation((0, 1, 0), 180)) for part in _casement(right - left, head - sill)
    ]
    return {"window": day[0], "window_frame": day[1], "dusk_window": dusk[0], "dusk_window_frame": dusk[1]}


def curtain() -> Mesh:
    """A linen curtain beside the far window, in soft folds."""
    x0, x1 = WINDOW[1] - 0.05, WINDOW[1] + 0.42
    u = np.linspace(0, 1, 73)[:, None]
    v = np.linspace(0, 1, 13)[None]
    y = 0.02 + 2.5 * v
    fold = np.sin(u * 2 * np.pi * 6.5 + 0.5 * np.sin(4 * v)) * (0.035 + 0.015 * np.sin(3 * u))
    x = x0 + (x1 - x0) * u + 0.02 * np.sin(9 * u) * (1 - v)
    points = np.stack(np.broadcast_arrays(x, y, HALL_FAR + 0.09 + fold), -1)
    uv = np.stack(np.broadcast_arrays(u, v), -1)
    return from_grid(points, uv)


def build() -> dict[str, tuple[Mesh, bool]]:
    """File name → (mesh, does it carry texture coordinates)."""
    parts: dict[str, tuple[Mesh, bool]] = {}
    for name, mesh in {**floors(), **walls()}.items():
        parts[name] = (mesh, name in ("floor", "hall_floor", "walls"))
    for name, mesh in mouldings().items():
        parts[name] = (mesh, False)
    leaf = place(door_leaf(), (0, 0.008, 0))
    parts["door"] = (leaf, True)
    parts["door_handle"] = (door_brass(), False)
    for name, mesh in windows().items():
        parts[name] = (mesh, name == "dusk_window")
    parts["curtain"] = (curtain(), False)
    return parts
